"""What stands under an issue or a pull request: comments, timeline, sub-issues; each a list with a cursor of its own.

A text too long for its share of an answer is cut, and its own cursor goes on inside it, so that nothing is out of reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gatelodge_github import cursors, paging
from gatelodge_github.cursors import Place
from gatelodge_github.data import day, rows, table, text
from gatelodge_github.gate import Gate
from gatelodge_github.hub import Visit
from gatelodge_github.names import repo_path
from gatelodge_github.trust.marks import PROGRAM, Mark, Trust
from gatelodge_github.trust.repositories import Facts
from gatelodge_github.view import Surface, View, fitting

PUSHERS = Mark("", Trust.COLLABORATOR)
"""The author of names of labels and milestones: GitHub lets only those make them who can push."""
FRAME = 300
"""Bytes that stand around a text: its head, its envelope, a cursor."""
LEAST = 1000
"""Bytes of a text below which it isn't cut: rather fewer texts are shown."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a conversation that is asked for.

    Args:
        number: Of the issue or pull request.
        limit: Items wanted.
        cursor: Where to go on.
        room: Bytes for it, about.
        question: What the cursor belongs to.
        call: How to go on, in words.
    """

    number: int
    limit: int
    cursor: str
    room: int
    question: object
    call: str


def share(sizes: Sequence[int], room: int) -> int:
    """The most bytes each of several texts may have so that all fit in `room`: short ones whole, long ones alike."""
    left = room
    for at, size in enumerate(sorted(sizes)):
        each = left // (len(sizes) - at)
        if size > each:
            return each
        left -= size
    return max(sizes, default=room)


def size_of(string: str) -> int:
    """Bytes of a text."""
    return len(string.encode("utf-8", "replace"))


def excerpt(
    view: View, mark: Mark, whole: str, source: str, surface: Surface, room: int, begin: int = 0
) -> tuple[str, int]:
    """A text, or what fits of it, as it is shown.

    Args:
        view: The answer.
        mark: The author.
        whole: The text.
        source: Where it is from.
        surface: Where it stands.
        room: Bytes for it.
        begin: The character to begin at.

    Returns:
        It, and the character to go on at; 0 if that was all.
    """
    piece, cut = fitting(whole[begin:], room, markdown=True)
    return view.text(mark, piece, source, surface), begin + len(piece) if cut else 0


async def comments(visit: Visit, part: Part, total: int = -1) -> str:
    """Comments, oldest first, each with its author and date."""
    view, place = visit.view, cursors.read(part.cursor, part.question)
    page = await paging.rest(
        visit.api, f"{repo_path(visit.repo)}/issues/{part.number}/comments", {},
        limit=part.limit, cursor=part.cursor, question=part.question,
    )  # fmt: skip
    marks = await visit.desk.marks.all_of(
        visit.repo, [(item.get("user"), str(item.get("author_association") or "none")) for item, _ in page.items]
    )
    before = {name: place[name] for name in ("p", "n", "o") if name in place} or {"p": 1, "n": part.limit, "o": 0}
    each = share([size_of(text(item.get("body"))) + FRAME for item, _ in page.items], part.room)
    begin = _inside(place, page.items[0][0] if page.items else {})
    shown: list[str] = []
    used, more, behind = 0, page.more, page.behind
    for (item, after), mark in zip(page.items, marks, strict=True):
        if not view.admits(mark, "comment"):
            before = behind = after
            begin = 0
            continue
        name = f"comment {item.get('id')} by {mark}"
        body, going_on = excerpt(
            view, mark, text(item.get("body")), f"comment {item.get('id')} by {mark.author}", "comment",
            max(LEAST, each - FRAME), begin,
        )  # fmt: skip
        head = f"{name}, {day(item.get('created_at'))}" + _edited(item) + (f", from character {begin}" if begin else "")
        if going_on:
            cursor = cursors.make({**before, "c": going_on, "id": item.get("id")}, part.question)
            body += f"\n(cut at character {going_on} of {len(text(item.get('body')))}; the rest: {part.call}, limit=1, cursor={cursor})"
        used += size_of(head) + size_of(body) + 3
        if shown and used > part.room:
            more = True
            break
        shown.append(f"{head}\n{body}")
        before = behind = after
        begin = 0
    title = _title("comments", len(shown), total if total >= 0 else -1 if page.at_most else page.total, more=more)
    return "\n\n".join([title, *shown, *_onward(behind if more else {}, part)])


def _inside(place: Place, first: Mapping[str, Any]) -> int:
    """The character of the first item to begin at; 0 if it isn't the item any more that the cursor was made for."""
    begin: object = place.get("c")
    return begin if type(begin) is int and begin > 0 and place.get("id") == first.get("id") else 0


def _edited(item: Mapping[str, Any]) -> str:
    changed = item.get("updated_at")
    return f", edited {day(changed)}" if changed and changed != item.get("created_at") else ""


def _title(what: str, shown: int, total: int, *, more: bool) -> str:
    whole = str(total) if total >= shown else "more" if more else str(shown)
    return f"{what}: shown {shown} of {whole}"


def _onward(place: Place, part: Part) -> list[str]:
    return [f"more: {part.call}, cursor={cursors.make(place, part.question)}"] if place else []


async def timeline(visit: Visit, part: Part, gate: Gate) -> str:
    """Events, oldest first, a line each: when, what, who, and what of."""
    page = await paging.rest(
        visit.api, f"{repo_path(visit.repo)}/issues/{part.number}/timeline", {},
        limit=part.limit, cursor=part.cursor, question=part.question,
    )  # fmt: skip
    lines: list[str] = []
    used, more, behind = 0, page.more, page.behind
    for item, after in page.items:
        who = table(item.get("actor") or item.get("user"))
        when = item.get("created_at") or item.get("submitted_at") or table(item.get("committer")).get("date")
        about = await _about(visit, item, who, gate)
        line = "\t".join([day(when), text(item.get("event"))[:40], text(who.get("login")) or "-", about])
        used += size_of(line) + 1
        if lines and used > part.room:
            more = True
            break
        lines.append(line)
        behind = after
    title = _title("timeline", len(lines), -1 if page.at_most else page.total, more=more)
    head = ["when\tevent\tactor\twhat"] if lines else []
    return "\n".join([title, *head, *lines, *_onward(behind if more else {}, part)])


async def _about(visit: Visit, item: Mapping[str, Any], who: Mapping[str, Any], gate: Gate) -> str:
    """What an event is about, in a few words."""
    view = visit.view
    if named := text(table(item.get("label")).get("name")) or text(table(item.get("milestone")).get("title")):
        return view.name(PUSHERS, named, "issue", 60)
    if item.get("rename"):
        mark = await visit.desk.marks.of(visit.repo, who)
        old, new = (view.line(mark, text(table(item["rename"]).get(name)), "issue") for name in ("from", "to"))
        return f"{old} -> {new}"
    if item.get("source"):
        return _reference(visit, table(table(item["source"]).get("issue")), gate)
    person = table(item.get("assignee") or item.get("requested_reviewer"))
    words = [person.get("login"), item.get("state_reason"), item.get("state"), item.get("lock_reason")]
    words.append((text(item.get("commit_id")) or text(item.get("sha")))[:12])
    if item.get("event") == "commented":
        words.append(f"comment {item.get('id')}")
    return " ".join(text(word) for word in words if word)


def _reference(visit: Visit, issue: Mapping[str, Any], gate: Gate) -> str:
    """Where an issue is mentioned; such a place may be in any repository that the credential sees."""
    found = table(issue.get("repository"))
    name, number = text(found.get("full_name")), issue.get("number")
    public = found.get("private") is False and found.get("visibility", "public") == "public"
    return _place(visit, name, number, "public" if public else "private", gate)


def _place(visit: Visit, name: str, number: object, visibility: str, gate: Gate) -> str:
    """An issue by its number; with its repository, if that is another one, which is then read as well."""
    if name.lower() == visit.repo.lower():
        return f"#{number}"
    if not gate.reads(name):
        return "(in a repository outside the allow-list)"
    visit.view.reads(Facts(name, visibility, "", push=False))
    near = name.partition("/")[0].lower() == visit.repo.partition("/")[0].lower()
    # Its name is whatever its owner likes.
    return visit.view.line(PUSHERS if near else PROGRAM, f"{name}#{number}", "issue")


async def sub_issues(visit: Visit, part: Part, gate: Gate) -> str:
    """The parent, and the sub-issues, a line each; some may be in other repositories."""
    place = cursors.read(part.cursor, part.question)
    after, skip = place.get("a") or None, place.get("o") or 0
    owner, _, name = visit.repo.partition("/")
    asked = {"owner": owner, "name": name, "number": part.number, "first": place.get("n") or part.limit, "after": after}
    found = table((await visit.api.graphql("sub_issues", asked)).get("repository"))
    gate.check(text(found.get("nameWithOwner")))
    issue = table(found.get("issue"))
    listed = table(issue.get("subIssues"))
    lines: list[str] = []
    used, more, behind = 0, False, Place()
    nodes, info = rows(listed.get("nodes")), table(listed.get("pageInfo"))
    for at, node in enumerate(nodes):
        if at < skip:
            continue
        line = await _summary(visit, node, gate)
        used += size_of(line) + 1
        if lines and (used > part.room or len(lines) == part.limit):
            more = True
            break
        lines.append(line)
        behind = {"n": asked["first"], "o": at + 1, **({"a": after} if after else {})}
    if not more and info.get("hasNextPage") is True:
        more, behind = True, {"n": asked["first"], "a": text(info.get("endCursor"))}
    total: object = listed.get("totalCount")
    title = _title("sub-issues", len(lines), total if isinstance(total, int) else -1, more=more)
    parent = table(issue.get("parent"))
    above = [f"parent: {await _summary(visit, parent, gate)}"] if parent and not part.cursor else []
    return "\n".join([*above, title, *lines, *_onward(behind if more else {}, part)])


async def _summary(visit: Visit, node: Mapping[str, Any], gate: Gate) -> str:
    """An issue on a line: where, state, author, title."""
    repository = table(node.get("repository"))
    name, visibility = text(repository.get("nameWithOwner")), text(repository.get("visibility")).lower()
    where = _place(visit, name, node.get("number"), visibility or "private", gate)
    if not gate.reads(name):
        return where
    mark = await visit.desk.marks.of(name, node.get("author"), text(node.get("authorAssociation")) or "none")
    state = " ".join(text(word).lower() for word in (node.get("state"), node.get("stateReason")) if word)
    return "\t".join([where, state, str(mark), visit.view.line(mark, text(node.get("title")), "issue")])
