"""A discussion as one answer shows it: opening, answer, comments with their replies; one text after the other.

All texts of a page of comments are numbered through, so that a cursor can go on at each of them, and inside one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gatelodge_github import cursors
from gatelodge_github.conversation import FRAME, LEAST, PUSHERS, excerpt, share, size_of
from gatelodge_github.cursors import Place
from gatelodge_github.data import day, rows, table, text
from gatelodge_github.hub import Visit
from gatelodge_github.trust.marks import Mark
from gatelodge_github.view import BUDGET

ROOM = BUDGET - 3_000
"""Bytes for texts; the rest is for heads, cursors and notes."""

Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """A text of the discussion.

    Args:
        node: GitHub's object.
        kind: ``opening``, ``answer``, ``comment`` or ``reply``.
        about: What is to be said beside its author.
    """

    node: Node
    kind: str
    about: str = ""

    @property
    def name(self) -> str:
        """Such as ``comment 12``."""
        number = self.node.get("databaseId")
        return f"{self.kind} {number}" if number else self.kind


def author_of(node: Node) -> tuple[object, str]:
    """Who wrote something, as `Marks` wants it."""
    return node.get("author"), text(node.get("authorAssociation")) or "none"


def state_of(node: Node) -> str:
    """``open`` or ``closed``, and whether it is answered."""
    return ("closed" if node.get("closed") else "open") + (", answered" if node.get("isAnswered") else "")


def after_of(page: Node) -> str:
    """GitHub's cursor behind a page; empty if that was the last."""
    info = table(page.get("pageInfo"))
    return text(info.get("endCursor")) if info.get("hasNextPage") is True else ""


def texts(whole: Node, *, first: bool) -> list[Said]:
    """The texts of a page, in order; the opening and the answer, which can be on a later page, come before the first."""
    found: list[Said] = []
    if first:
        found.append(Said(whole, "opening"))
        if answer := table(whole.get("answer")):
            found.append(Said(answer, "answer"))
    for node in rows(table(whole.get("comments")).get("nodes")):
        replies = table(node.get("replies"))
        known, total = rows(replies.get("nodes")), replies.get("totalCount")
        about = "the answer" if node.get("isAnswer") else ""
        if isinstance(total, int) and total > len(known):
            # There is no document for the others.
            about = ", ".join(part for part in (about, f"{total} replies, of which {len(known)} can be had") if part)
        found.append(Said(node, "comment", about))
        found += [Said(reply, "reply") for reply in known]
    return found


def window(said: list[Said], start: int, limit: int) -> Iterator[tuple[int, Said]]:
    """The texts from `start` on, until `limit` comments are told."""
    comments = 0
    for at, one in enumerate(said[start:], start):
        comments += one.kind == "comment"
        if comments > limit:
            return
        yield at, one


async def told(visit: Visit, whole: Node, limit: int, place: Place, question: object) -> str:
    """The texts of a page that fit an answer, and how to go on.

    Args:
        visit: The answer.
        whole: The discussion with a page of comments.
        limit: Comments wanted.
        place: Where the page begins (``a``, ``n``), and where in it to begin (``t`` text, ``c`` character).
        question: What cursors belong to.
    """
    page = table(whole.get("comments"))
    here: Place = {name: place[name] for name in ("a", "n") if name in place}
    every = texts(whole, first=not here.get("a"))
    start, begin = _whole(place.get("t")), _whole(place.get("c"))
    chosen = list(window(every, start, limit))
    marks = await visit.desk.marks.all_of(visit.repo, [author_of(said.node) for _, said in chosen])
    sizes = [size_of(text(said.node.get("body"))[begin if at == start else 0 :]) + FRAME for at, said in chosen]
    each = max(LEAST, share(sizes, ROOM) - FRAME)
    parts = [] if place.get("a") or start or begin else [await _head(visit, whole)]
    used, end, comments = 0, start, 0
    for (at, said), mark in zip(chosen, marks, strict=True):
        shown = _text(visit, mark, said, begin if at == start else 0, each, {**here, "t": at}, question)
        used += size_of(shown)
        if used > ROOM and end > start:
            break
        if shown:
            parts.append(shown)
            comments += said.kind == "comment"
        end = at + 1
    parts.append(f"comments: shown {comments} of {page.get('totalCount', comments)}")
    following = after_of(page)
    if end < len(every) or following:
        onward: Place = {**here, "t": end} if end < len(every) else {"a": following, "n": place.get("n") or limit}
        if end > len(every):
            # Told before, when the pages were larger.
            onward |= {"t": end - len(every), "c": begin}
        parts.append(f"cursor: {cursors.make(onward, question)}")
    return "\n\n".join(parts)


def _text(visit: Visit, mark: Mark, said: Said, begin: int, room: int, here: Place, question: object) -> str:
    """One text under a head line; empty if lockdown leaves it out."""
    body = text(said.node.get("body"))
    if not visit.view.admits(mark, "discussion"):
        return ""
    source = f"{said.name} by {mark.author or 'nobody known'}"
    shown, going_on = excerpt(visit.view, mark, body, source, "discussion", room, begin)
    about = [f"{said.name} by {mark}", day(said.node.get("createdAt")), said.about]
    if begin:
        about.append(f"from character {begin}")
    if going_on:
        cursor = cursors.make({**here, "c": going_on}, question)
        shown += f"\n(cut at character {going_on} of {len(body)}; the rest: limit=1, cursor={cursor})"
    return f"{', '.join(part for part in about if part)}\n{shown}"


async def _head(visit: Visit, whole: Node) -> str:
    mark = await visit.desk.marks.of(visit.repo, *author_of(whole))
    category = visit.view.line(PUSHERS, text(table(whole.get("category")).get("name")), "discussion", 60)
    fields = {
        "title": visit.view.line(mark, text(whole.get("title")), "discussion"),
        "state": state_of(whole),
        "category": category,
        "author": str(mark),
        "updated": day(whole.get("updatedAt")),
    }
    return "\n".join(f"{name}: {value}" for name, value in fields.items() if value)


def _whole(value: object) -> int:
    return value if type(value) is int and value >= 0 else 0
