"""Tools for commits and differences."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Annotated, Any

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import EXTERNAL, READ
from gatelodge_core.errors import CallError
from mcp_types import CallToolResult
from pydantic import Field

from gatelodge_github import cursors, names, paging, patches
from gatelodge_github.cursors import Place
from gatelodge_github.data import day, rows, table, text
from gatelodge_github.hints import advising
from gatelodge_github.hub import Hub, Visit
from gatelodge_github.patches import Changed, Chosen
from gatelodge_github.tools.common import Limit, Names
from gatelodge_github.trust.commits import marks_of
from gatelodge_github.trust.marks import Mark, Trust
from gatelodge_github.trust.repositories import Facts
from gatelodge_github.view import WITHHELD, fitting, shown_size

history = Declarations[Hub]()

MESSAGE_BYTES = 2000
_MOST_CUT = 6
"""Patches of one answer that get a cursor; the others are reached by their paths."""
_LEAST = 500
"""Bytes of the rest of a patch, however long its name is."""
MOST_COMPARED = 300
"""Files that GitHub lists of a comparison."""
MOST_PAGES = 10
"""Of the files of a commit, 300 each: GitHub lists 3,000."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_SIDE = re.compile(r"(?:(?P<owner>[^:]+):)?(?:(?P<name>[^:]+):)?(?P<ref>[^:]+)")


@history.tool(effect=READ, reach=EXTERNAL)
async def list_commits(
    hub: Hub,
    repo: str = "",
    ref: str = "",
    path: str = "",
    author: str = "",
    since: str = "",
    until: str = "",
    limit: Limit = 20,
    cursor: str = "",
) -> CallToolResult:
    """List commits, newest first; author is a login or email."""
    visit = await hub.open(repo)
    names.file_path(path)
    asked: dict[str, Any] = {
        "sha": names.ref(ref) if ref else "", "path": path.strip("/"), "author": author,
        "since": _moment(since, time.min), "until": _moment(until, time.max),
    }  # fmt: skip
    question = ["list_commits", visit.repo.lower(), asked]
    with (
        advising("list_refs shows the names of branches and tags.", "not_found", "invalid"),
        advising("The repository may have no commits yet.", "conflict"),
    ):
        page = await paging.rest(
            visit.api,
            f"{names.repo_path(visit.repo)}/commits",
            asked,
            limit=limit,
            cursor=cursor,
            question=question,
        )
    commits = [item for item, _ in page.items]
    marks = await marks_of(visit.api, visit.desk.marks, visit.facts, commits, ref)
    shown: list[tuple[dict[str, Any], Any]] = []
    for (item, behind), mark in zip(page.items, marks, strict=True):
        if visit.view.admits(mark, "commit"):
            shown.append((_row(visit, item, mark), behind))
    return visit.view.listing(
        f"commits of {visit.title} at {ref or visit.facts.default_branch or 'HEAD'}",
        shown,
        page,
        question,
    )


def _row(visit: Visit, item: Mapping[str, Any], mark: Mark) -> dict[str, Any]:
    commit = table(item.get("commit"))
    said = table(commit.get("author"))
    return {
        "sha": text(item.get("sha"))[:10],
        "date": day(said.get("date")),
        "author": mark.author or visit.view.line(mark, text(said.get("name")), "commit", 40),
        "trust": str(mark.trust),
        "message": visit.view.line(mark, text(commit.get("message")).strip().partition("\n")[0], "commit", 120),
    }


def _moment(given: str, of_day: time) -> str:
    """A time as GitHub takes it; a day alone is its beginning or its end, in UTC.

    Raises:
        CallError: `bad_time`.
    """
    if not given:
        return ""
    try:
        found = datetime.fromisoformat(given)
        if _DAY.fullmatch(given):
            found = datetime.combine(found.date(), of_day)
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return f"{found.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError):
        raise CallError("bad_time", "since and until are days or times.", "Write 2026-01-31 or 2026-01-31T12:00:00Z.") from None  # fmt: skip


@history.tool(effect=READ, reach=EXTERNAL)
async def get_diff(
    hub: Hub,
    target: Annotated[str, Field(description="Commit, or base...head; head may be owner:branch.")],
    repo: str = "",
    paths: Names = [],  # noqa: B006 - a plain default keeps the schema portable; it is never changed
    max_bytes: Annotated[int, Field(ge=1000, le=20_000)] = 20_000,
    cursor: str = "",
) -> str:
    """Diff of a commit or comparison: files, then patches of chosen paths."""
    visit = await hub.open(repo)
    chosen = Chosen(paths)
    question = ["get_diff", visit.repo.lower(), target, paths]
    place = cursors.read(cursor, question)
    base, dots, head = target.partition("...")
    if dots:
        found = await _compared(visit, hub, base, head)
    elif ".." in target:
        raise CallError("bad_target", "Two dots are no comparison at GitHub.", "Write base...head, with three dots.")
    else:
        found = await _committed(visit, names.ref(target, "target"), chosen, wide=bool(paths))
    files = [file for file in found.files if chosen(file)]
    if place:
        return _rest_of(visit, found, files, target, max_bytes, place, question)
    short: list[tuple[Changed, int]] = []
    if files or not found.files:
        body, notes, short = patches.shown(files, max_bytes)
    else:
        body, cut = fitting("\n".join(file.line for file in found.files), max_bytes)
        notes = [f"No changed file matches paths; these have changed{', and more' if cut else ''}."]
    counted = f"{len(files)} of {found.counted}" if paths else found.counted
    lines = f"{counted} file{'' if counted == '1' else 's'}, +{sum(file.added for file in files)} -{sum(file.removed for file in files)}"
    told = visit.view.text(found.mark, body, f"changes of {target} in {visit.repo}", "diff", markdown=False)
    if told != WITHHELD:
        for number, (file, at) in enumerate(short[:_MOST_CUT], 1):
            notes.append(f"cut patch {number}: cursor={_cursor(files, file, at, question)}")
    return visit.view.bulk(
        f"{found.head}\n{lines}", found.message, told if body else "", "\n".join([*found.notes, *notes])
    )


def _rest_of(visit: Visit, found: _Difference, files: list[Changed], target: str, room: int, place: Place, question: object) -> str:  # fmt: skip
    """The rest of a patch, from a character on, as far as it fits.

    Raises:
        CallError: `changed`: it is another one by now.
    """
    at, begin = place.get("o") or 0, place.get("c") or 0
    if not (at < len(files) and begin < len(files[at].patch) and place.get("a") == _digest(files[at])):
        raise cursors.changed("the patch")
    file = files[at]
    block, taken = patches.fenced(file.patch[begin:], max(_LEAST, room - shown_size(file.name)))
    end = begin + taken
    body = f"{file.name}\n{block}"
    told = visit.view.text(found.mark, body, f"changes of {target} in {visit.repo}", "diff", markdown=False)
    if told == WITHHELD:
        return visit.view.bulk(found.head, told)
    rest = end < len(file.patch)
    notes = f"cursor: {_cursor(files, file, end, question)}" if rest else "That is the end of this patch."
    return visit.view.bulk(
        f"{found.head}\ncharacters {begin + 1} to {end} of {len(file.patch)} of a patch", told, notes
    )


def _cursor(files: list[Changed], file: Changed, at: int, question: object) -> str:
    return cursors.make({"o": files.index(file), "c": at, "a": _digest(file)}, question)


def _digest(file: Changed) -> str:
    return hashlib.sha256(f"{file.path}\n{file.patch}".encode("utf-8", "replace")).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class _Difference:
    """What GitHub says of a difference.

    Args:
        head: Said first.
        mark: Of who made it.
        files: What changed, as far as it was asked for.
        more: Whether more has changed.
        message: Of a commit.
        notes: Said at the end.
    """

    head: str
    mark: Mark
    files: list[Changed]
    more: bool
    message: str = ""
    notes: tuple[str, ...] = ()

    @property
    def counted(self) -> str:
        """How many files there are."""
        return f"{'more than ' if self.more else ''}{len(self.files)}"


async def _committed(visit: Visit, ref: str, chosen: Chosen, *, wide: bool) -> _Difference:
    """A commit; of a large one the first 300 files, or as many pages as it has where paths are looked for."""
    path = f"{names.repo_path(visit.repo)}/commits/{names.segment(ref)}"
    files: list[Changed] = []
    data: Mapping[str, Any] = {}
    number, page = 0, 1
    while page and number < (MOST_PAGES if wide else 1):
        with advising("list_commits shows the commits, list_refs the branches and tags.", "not_found", "invalid"):
            answer = await visit.api.get(path, {"page": page if page > 1 else None})
        data = data or table(answer.data)
        fresh = [Changed.of(item) for item in rows(table(answer.data).get("files"))]
        # Where paths are looked for, the patches of all others are let go at once.
        files += [file if chosen(file) else _bare(file) for file in fresh]
        number, page = number + 1, answer.next_page
    (mark,) = await marks_of(visit.api, visit.desk.marks, visit.facts, [data], ref)
    commit = table(data.get("commit"))
    said = table(commit.get("author"))
    name = mark.author or visit.view.line(mark, text(said.get("name")), "commit", 40)
    parents = [text(parent.get("sha"))[:10] for parent in rows(data.get("parents"))]
    signature = ", signature verified" if table(commit.get("verification")).get("verified") is True else ""
    head = (
        f"commit {text(data.get('sha'))} of {visit.title}\n"
        f"author: {name or 'nobody known'} ({mark.trust}), {day(said.get('date'))}{signature}\n"
        f"parents: {', '.join(parents) or 'none'}"
    )
    said_text, cut = fitting(text(commit.get("message")), MESSAGE_BYTES)
    message = visit.view.text(mark, said_text, f"message of commit {ref[:40]}", "commit", markdown=False)
    notes = ["The message is cut."] if cut else []
    if page:
        notes.append("There are more files: " + ("GitHub lists 3,000." if wide else "name paths to look through all."))
    return _Difference(head, mark, files, bool(page), message, tuple(notes))


def _bare(file: Changed) -> Changed:
    return Changed(file.path, file.was, file.status, file.added, file.removed, "")


async def _compared(visit: Visit, hub: Hub, base: str, head: str) -> _Difference:
    """Two commits, from where they parted."""
    sides = [_side(visit, hub, side, what) for side, what in ((base, "base"), (head, "head"))]
    for side in sides:
        if side.fork and not visit.facts.public:
            # Forks are as visible as what they are made of, but of a private one the readers are others.
            visit.view.reads(Facts(side.fork, visit.facts.visibility, "", push=False))
    path = f"{names.repo_path(visit.repo)}/compare/" + "...".join(side.quoted for side in sides)
    with advising("Both must be there, with commits in common: see list_refs.", "not_found", "invalid"):
        data = table(await visit.api.data(path, {"per_page": 1}))
    trust = Trust.OUTSIDER if sides[1].fork else visit.facts.file_trust(sides[1].ref)
    files = [Changed.of(item) for item in rows(data.get("files"))]
    more = len(files) >= MOST_COMPARED
    since = text(table(data.get("merge_base_commit")).get("sha"))[:10]
    told = (
        f"compare {base}...{head} in {visit.title}\n"
        f"{text(data.get('status'))[:20]}: head has {data.get('ahead_by')} commits more, base {data.get('behind_by')}; "
        f"they parted at {since or 'nowhere known'}"
    )
    notes = (f"GitHub lists {MOST_COMPARED} files of a comparison; more may have changed.",) if more else ()
    return _Difference(told, Mark("", trust), files, more, notes=notes)


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a comparison.

    Args:
        quoted: As it stands in the path.
        ref: The branch, tag or commit.
        fork: The fork that it is in, ``owner/name``; empty if it is in none.
    """

    quoted: str
    ref: str
    fork: str


def _side(visit: Visit, hub: Hub, given: str, what: str) -> _Side:
    """A ref, perhaps with the owner (and the name) of a fork before it.

    Raises:
        CallError: `bad_ref`, `bad_login`, `bad_repo`; `repo_not_allowed`: the fork may not be read.
    """
    found = _SIDE.fullmatch(given)
    if found is None:
        raise CallError("bad_ref", f"{what} is no branch, tag or commit.", "Write base...head, such as main...topic.")
    ref = names.ref(found["ref"], what)
    here, _, name = visit.repo.partition("/")
    owner = names.login(found["owner"], f"the owner in {what}") if found["owner"] else here
    fork = f"{owner}/{found['name'] or name}"
    foreign = fork.lower() != visit.repo.lower()
    if foreign:
        names.repo_path(fork)
        hub.gate.check(fork)
    parts = [part for part in (found["owner"], found["name"], ref) if part]
    return _Side(":".join(names.segment(part) for part in parts), ref, fork if foreign else "")
