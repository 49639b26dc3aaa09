"""Tools that read pull requests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import EXTERNAL, READ
from gatelodge_core.errors import CallError
from mcp_types import CallToolResult

from gatelodge_github import cursors, names, paging
from gatelodge_github.cursors import Place
from gatelodge_github.data import day, rows, table, text
from gatelodge_github.hub import Hub, Visit
from gatelodge_github.paging import Page
from gatelodge_github.pull_diffs import MOST_FILES, Diff, PullFiles
from gatelodge_github.pull_parts import Include, parts_of, shared
from gatelodge_github.pull_requests import Pull, fetch, requested
from gatelodge_github.tools.common import Limit, Names, Number
from gatelodge_github.trust.marks import Mark, Trust
from gatelodge_github.view import BUDGET, WITHHELD, fitting, several

pulls = Declarations[Hub]()

OURS = Mark("", Trust.COLLABORATOR)
"""Of names that only those give who can push: labels, branches of the repository itself."""
MOST_BYTES = 20_000
"""Of a diff: what is left of an answer is for its head, notes and envelope."""
_SPARE = 800
"""Bytes kept for notes, cursors and the marks around a text."""


@pulls.tool(effect=READ, reach=EXTERNAL)
async def list_pulls(
    hub: Hub,
    repo: str = "",
    state: Literal["open", "closed", "all"] = "open",
    base: str = "",
    head: str = "",
    author: str = "",
    limit: Limit = 20,
    cursor: str = "",
) -> CallToolResult:
    """List pull requests, newest first. head: branch or owner:branch."""
    visit = await hub.open(repo)
    owner, colon, branch = head.rpartition(":")
    if head:
        names.ref(branch, "head")
        # GitHub ignores a head without an owner, and then lists everything.
        head = f"{names.login(owner, 'the owner in head') if colon else visit.repo.partition('/')[0]}:{branch}"
    if base:
        names.ref(base, "base")
    if author:
        names.login(author, "author")
    question = ["list_pulls", visit.repo.lower(), state, base, head, author.lower()]
    if author and not head:
        page, note = await _searched(visit, state, base, author, limit, cursor, question)
    else:
        asked = {"state": state, "base": base, "head": head}
        # One head has few pull requests: they are sorted out here.
        page, note = await paging.rest(
            visit.api, f"{names.repo_path(visit.repo)}/pulls", asked, limit=limit, cursor=cursor, question=question,
            keep=lambda item: not author or text(table(item.get("user")).get("login")).lower() == author.lower(),
        ), ""  # fmt: skip
    marks = await visit.desk.marks.all_of(
        visit.repo, [(item.get("user"), str(item.get("author_association") or "none")) for item, _ in page.items]
    )
    shown: list[tuple[dict[str, Any], Place]] = []
    for (item, behind), mark in zip(page.items, marks, strict=True):
        if visit.view.admits(mark, "pull"):
            shown.append((_row(visit, Pull.of(item), mark, branches=not note), behind))
    if author and head and page.more:
        page = replace(page, total=-1)
    return visit.view.listing(
        f"{state} pull requests of {visit.title}",
        shown,
        page,
        question,
        note=note,
    )


async def _searched(visit: Visit, state: str, base: str, author: str, limit: int, cursor: str, question: object) -> tuple[Page, str]:  # fmt: skip
    """Somebody's pull requests: GitHub's list has no such filter, its search answers with one request."""
    # An App is written in another way there, and a base may be any ref.
    who = f"app/{author.removesuffix('[bot]')}" if author.endswith("[bot]") else author
    words = [f"repo:{visit.repo}", "is:pr", f"author:{who}", "" if state == "all" else f"state:{state}"]
    words += [f'base:"{base}"'] if base else []
    asked = {"q": " ".join(word for word in words if word), "sort": "created", "order": "desc"}
    incomplete = False

    def total(data: object) -> int:
        nonlocal incomplete
        incomplete = incomplete or table(data).get("incomplete_results") is True
        count = table(data).get("total_count")
        return count if isinstance(count, int) else -1

    page = await paging.rest(
        visit.api,
        "/search/issues",
        asked,
        limit=limit,
        cursor=cursor,
        question=question,
        pick=lambda data: table(data).get("items"),
        total=total,
        # A quotation mark can't be in a ref, but what was found is judged once more.
        keep=lambda item: (
            text(item.get("repository_url")).lower().endswith(f"/repos/{visit.repo.lower()}")
            or text(item.get("url")).lower().find(f"/repos/{visit.repo.lower()}/") >= 0
        ),
    )
    note = "Found by search: without branches (see get_pull), the newest minutes may be missing, 1,000 at most."
    return page, note + (" GitHub's search was incomplete." if incomplete else "")


def _row(visit: Visit, pull: Pull, mark: Mark, *, branches: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "number": pull.number,
        "state": pull.state,
        "title": visit.view.line(mark, pull.title, "pull"),
        "author": mark.author,
        "trust": str(mark.trust),
    }
    if branches:
        row["head"] = visit.view.name(pull.code(mark), pull.head_name, "pull", 250)
        row["base"] = visit.view.name(OURS, pull.base.ref, "ref", 250)
    return {**row, "updated": day(pull.data.get("updated_at"))}


@pulls.tool(effect=READ, reach=EXTERNAL)
async def get_pull(
    hub: Hub,
    number: Number,
    repo: str = "",
    include: list[Include] = [],  # noqa: B006 - a plain default keeps the schema portable; it is never changed
    cursor: str = "",
) -> str:
    """Read a pull request: mergeability, head sha, description, what include names."""
    visit = await hub.open(repo)
    pull = await fetch(visit.api, visit.repo, number)
    if cursor and len(set(include)) > 1:
        raise CallError("bad_cursor", "A cursor belongs to one list.", "Name that alone in include.")
    author = await pull.author(visit.desk.marks, visit.repo)
    question = ["get_pull", visit.repo.lower(), number]
    parts = await parts_of(visit, pull, pull.code(author), include, cursor) if include else []
    head = _head(visit, pull, author)
    room = BUDGET - len(head.encode("utf-8", "replace")) - _SPARE
    described = ""
    if not (cursor and include):
        start = 0 if include else cursors.read(cursor, question).get("o") or 0
        described = _description(
            visit, pull, author, room // (len(parts) + 1) - _SPARE // 2, start, None if include else question
        )
    room -= len(described.encode("utf-8", "replace")) + 2 * len(parts)
    return visit.view.bulk(head, described, *shared(parts, room, visit.repo, number))


def _description(visit: Visit, pull: Pull, author: Mark, room: int, start: int, question: object | None) -> str:
    """The description from a character on, with the way to the rest of it."""
    body = text(pull.data.get("body"))
    piece, cut = fitting(body[start:], room, markdown=True)
    made = visit.view.text(author, piece, f"pull request {pull.number} by {author.author or 'nobody known'}", "pull")
    if not cut or made == WITHHELD:
        return made
    end = start + len(piece)
    rest = (
        f"cursor: {cursors.make({'o': end}, question)}" if question is not None else "get_pull without include goes on"
    )
    return f"{made}\n(characters {start + 1} to {end} of {len(body)}; {rest})"


def _head(visit: Visit, pull: Pull, author: Mark) -> str:
    """What is to be known at once, a line each; empty ones are left out."""
    view, data, code = visit.view, pull.data, pull.code(author)
    merging = "being computed, ask again"
    if pull.mergeable is not None:
        merging = "yes" if pull.mergeable else "no, it conflicts"
    auto = table(data.get("auto_merge"))
    fields: dict[str, object] = {
        "title": view.line(author, pull.title, "pull", 256),
        "state": pull.state,
        "author": str(author),
        "head": f"{view.name(code, pull.head_name, 'pull', 250)} at {pull.head.sha}",
        "head repository": f"{pull.head.repo or 'removed'}, its code is of {code}" if pull.foreign else "",
        "base": f"{view.name(OURS, pull.base.ref, 'ref', 250)} at {pull.base.sha}",
        "mergeable": f"{merging} ({text(data.get('mergeable_state')) or 'unknown'})" if pull.state in ("open", "draft") else "",
        "auto-merge": f"on ({text(auto.get('merge_method'))}): it merges once checks and approvals allow" if auto else "",
        "labels": ", ".join(several([view.name(OURS, text(label.get("name")), "pull", 60) for label in rows(data.get("labels"))])),
        "assignees": ", ".join(text(user.get("login")) for user in rows(data.get("assignees"))),
        "reviews requested of": ", ".join(requested(pull)),
        "milestone": view.name(OURS, text(table(data.get("milestone")).get("title")), "pull", 60),
        "size": f"{data.get('commits')} commits, {data.get('changed_files')} files, +{data.get('additions')} -{data.get('deletions')}",
        "comments": f"{data.get('comments')}, on lines {data.get('review_comments')}",
        "created": day(data.get("created_at")),
        "updated": day(data.get("updated_at")),
        "merged": f"{day(data.get('merged_at'))} by {text(table(data.get('merged_by')).get('login'))}" if data.get("merged_at") else "",
        "closed": day(data.get("closed_at")) if pull.state == "closed" else "",
        "locked": "yes" if data.get("locked") is True else "",
    }  # fmt: skip
    lines = [f"{name}: {value}" for name, value in fields.items() if value]
    return "\n".join([f"pull request {pull.number} of {visit.title}", *lines])


@pulls.tool(effect=READ, reach=EXTERNAL)
async def get_pull_diff(
    hub: Hub,
    number: Number,
    repo: str = "",
    paths: Names = [],  # noqa: B006 - as above
    max_bytes: int = MOST_BYTES,
    cursor: str = "",
) -> str:
    """Diff of a pull request: files, then patches; paths picks files or folders."""
    visit = await hub.open(repo)
    pull = await fetch(visit.api, visit.repo, number)
    author = await pull.author(visit.desk.marks, visit.repo)
    code = pull.code(author)
    wanted = [path.strip("/") for path in paths if path.strip("/")]
    # The head is in the question: in another state of it, a place would be another file.
    question = ["get_pull_diff", visit.repo.lower(), number, pull.head.sha, wanted]
    place = cursors.read(cursor, question)
    count = pull.data.get("changed_files")
    files = count if isinstance(count, int) else 0
    head = "\n".join([
        f"diff of pull request {number} of {visit.title}, by {author}" + (f", code of {code}" if code != author else ""),
        f"head {pull.head.sha}: {files} files, +{pull.data.get('additions')} -{pull.data.get('deletions')}",
    ])  # fmt: skip
    if not visit.view.admits(code, "diff"):
        return visit.view.bulk(head, WITHHELD)
    found, diff = PullFiles(visit.api, visit.repo, number, wanted), Diff(min(max(max_bytes, 1000), MOST_BYTES))
    rest = await found.fill(diff, place)
    if wanted and not found.matched and not cursor and not rest:
        raise CallError("not_found", "none of these paths was changed.", "get_pull_diff without paths lists the files.")
    raw = diff.text(found.matched if wanted else files)
    made = visit.view.text(code, raw, f"diff of pull request {number}", "diff", markdown=False) if raw else ""
    notes: list[str] = []
    if rest:
        what = "the line goes on" if rest.get("c") else "the patches go on; or name single files in paths"
        notes.append(f"cursor: {cursors.make(rest, question)} ({what})")
    for at, cut in enumerate(found.cut, 1):
        notes.append(f"cut line {at} goes on: cursor={cursors.make(cut, question)}")
    if files > MOST_FILES:
        notes.append(f"GitHub lists {MOST_FILES:,} of the {files:,} files.")
    return visit.view.bulk(head, made or "(no patches)", "\n".join(notes))
