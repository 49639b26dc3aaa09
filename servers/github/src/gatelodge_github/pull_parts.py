"""What is shown beside a pull request: checks, reviews, threads, comments, commits; each within its share of an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import anyio
from gatelodge_core.errors import CallError

from gatelodge_github import cursors, paging
from gatelodge_github.checks import Check, checks_of
from gatelodge_github.conversation import size_of
from gatelodge_github.cursors import Place
from gatelodge_github.data import day, rows, table, text
from gatelodge_github.hub import Visit
from gatelodge_github.names import repo_path
from gatelodge_github.pull_requests import Pull, pull_path
from gatelodge_github.trust.marks import PROGRAM, Mark
from gatelodge_github.view import fitting

Include = Literal["checks", "reviews", "threads", "comments", "commits"]
ITEM = 6_000
"""Bytes of one comment that are shown."""
THREAD = 14_000
"""Bytes of one thread that are shown."""
_SAID = 400
"""Bytes of a comment in a thread: its head, its envelope, and some of its text."""
THREADS = 50
"""Threads a page; each brings up to 20 comments."""

Entry = Callable[[int], str]
"""Makes an item's text, its own part of which takes at most so many bytes; empty if lockdown withholds it."""


@dataclass(slots=True)
class Part:
    """An included list.

    Args:
        name: What was asked for.
        entries: Its items, each with the place behind it.
        total: How many there are; -1 if that isn't known.
        more: Whether there are more behind the last.
        weight: About how many characters it has.
        about: Said beside its name.
        item: Bytes of one item, at most.
    """

    name: str
    entries: list[tuple[Entry, Place]] = field(default_factory=list[tuple[Entry, Place]])
    total: int = -1
    more: bool = False
    weight: int = 0
    about: str = ""
    item: int = ITEM

    def render(self, room: int, question: object | None) -> str:
        """Its text within so many bytes.

        Args:
            room: Bytes.
            question: What a cursor will belong to; None if there can be none, since other lists are in the answer.
        """
        shown: list[str] = []
        left, more, place = room - 200, self.more, Place()
        count = 0
        for entry, behind in self.entries:
            # Where a cursor goes on, an item is cut only if it is too large for an answer.
            made = entry(self.item if question is not None and shown else max(200, min(self.item, left - 300)))
            size = len(made.encode("utf-8", "replace")) + 1
            if (shown or question is None) and size > left:
                more = True
                break
            left -= size
            count += 1
            place = behind
            shown += [made] if made else []
        total = f" of {self.total}" if self.total >= 0 else " of more" if more else ""
        lines = [f"== {self.name}: {self.about or f'shown {count}{total}'} ==", *shown]
        if more and question is not None and place:
            lines.append(f"cursor: {cursors.make(place, question)}")
        elif more and (place or question is None):
            lines.append(f'(cut; include=["{self.name}"] alone shows more, and gives a cursor)')
        elif more:
            lines.append(f"(cut: {len(self.entries) - count} more)")
        return "\n".join(lines)


async def parts_of(visit: Visit, pull: Pull, code: Mark, include: Sequence[Include], cursor: str, question: object) -> list[Part]:  # fmt: skip
    """Read what is included, side by side; what can't be read says why in its place.

    Args:
        visit: The answer.
        pull: The pull request.
        code: The mark of its code.
        include: What is wanted.
        cursor: Where the list goes on, if one alone is wanted.
        question: What the cursor belongs to.

    Raises:
        CallError: The only part can't be read.
    """
    reader = _Reader(visit, pull, code, cursor, question)
    found: dict[str, Part] = {}

    failed: list[CallError] = []

    async def one(name: Include) -> None:
        try:
            found[name] = await getattr(reader, name)()
        except CallError as error:
            failed.append(error)
            found[name] = Part(name, about=f"can't be read: {error}")

    async with anyio.create_task_group() as group:
        for name in dict.fromkeys(include):
            group.start_soon(one, name)
    if failed and len(found) == 1:
        raise failed[0]
    return [found[name] for name in dict.fromkeys(include)]


def shared(parts: Sequence[Part], room: int, question: object) -> list[str]:
    """The parts as text, in their order: the lightest take what they need, the others share what is left."""
    made: dict[str, str] = {}
    for done, part in enumerate(sorted(parts, key=lambda part: part.weight)):
        made[part.name] = part.render(room // (len(parts) - done), question if len(parts) == 1 else None)
        room -= len(made[part.name].encode("utf-8", "replace"))
    return [made[part.name] for part in parts]


class _Reader:
    """Reads each of the parts; the methods are named as what is included."""

    def __init__(self, visit: Visit, pull: Pull, code: Mark, cursor: str, question: object) -> None:
        self._visit, self._pull, self._code = visit, pull, code
        self._cursor, self._question = cursor, question

    async def _listed(self, path: str) -> paging.Page:
        return await paging.rest(self._visit.api, path, {}, limit=100, cursor=self._cursor, question=self._question)

    async def _marks(self, items: Sequence[dict[str, Any]]) -> list[Mark]:
        asked = [(item.get("user"), str(item.get("author_association") or "none")) for item in items]
        return await self._visit.desk.marks.all_of(self._visit.repo, asked)

    def _said(self, item: dict[str, Any], mark: Mark, what: str, surface: Literal["comment", "review"], most: int) -> str:  # fmt: skip
        """The text of a comment, cut if it is very long."""
        body = text(item.get("body"))
        piece, cut = fitting(body, most, markdown=True)
        source = f"{what} on pull request {self._pull.number} by {mark.author or 'nobody known'}"
        made = self._visit.view.text(mark, piece, source, surface)
        url = text(item.get("html_url"))
        size = len(body.encode("utf-8", "replace"))
        # The tool for issues goes on inside a comment.
        way = 'get_issue with include=["comments"] shows all of it' if surface == "comment" else url
        return f"{made}\n(cut: {len(piece.encode('utf-8', 'replace'))} of {size} bytes; {way})" if cut else made

    async def comments(self) -> Part:
        """Comments on the whole, oldest first."""
        page = await self._listed(f"{repo_path(self._visit.repo)}/issues/{self._pull.number}/comments")
        marks = await self._marks([item for item, _ in page.items])

        def entry(item: dict[str, Any], mark: Mark) -> Entry:
            def make(most: int) -> str:
                if not self._visit.view.admits(mark, "comment"):
                    return ""
                what = f"comment {item.get('id')}"
                head = f"{what} by {mark} {day(item.get('created_at'))}"
                return f"{head}\n{self._said(item, mark, what, 'comment', most)}"

            return make

        entries = [(entry(item, mark), behind) for (item, behind), mark in zip(page.items, marks, strict=True)]
        return Part("comments", entries, _total(page), page.more, _weight(page))

    async def reviews(self) -> Part:
        """Reviews, oldest first; with the commit that was looked at, if it isn't the head any more."""
        page = await self._listed(f"{pull_path(self._visit.repo, self._pull.number)}/reviews")
        marks = await self._marks([item for item, _ in page.items])

        def entry(item: dict[str, Any], mark: Mark) -> Entry:
            def make(most: int) -> str:
                if not self._visit.view.admits(mark, "review"):
                    return ""
                sha = text(item.get("commit_id"))
                old = f" of an older commit, {sha[:10]}" if sha and sha != self._pull.head.sha else ""
                state = text(item.get("state")).lower()
                head = f"{state} by {mark} {day(item.get('submitted_at'))}{old}"
                body = self._said(item, mark, "review", "review", most) if item.get("body") else ""
                return f"{head}\n{body}" if body else head

            return make

        entries = [(entry(item, mark), behind) for (item, behind), mark in zip(page.items, marks, strict=True)]
        return Part("reviews", entries, _total(page), page.more, _weight(page))

    async def commits(self) -> Part:
        """Commits, oldest first: who pushed them vouches for their text, since authors of commits can be made up."""
        page = await self._listed(f"{pull_path(self._visit.repo, self._pull.number)}/commits")
        view, code = self._visit.view, self._code

        def entry(item: dict[str, Any]) -> Entry:
            def make(_: int) -> str:
                if not view.admits(code, "pull"):
                    return ""
                commit = table(item.get("commit"))
                author = table(commit.get("author"))
                first = text(commit.get("message")).partition("\n")[0]
                name = view.line(code, text(author.get("name")), "commit", 40)
                return (
                    f"{text(item.get('sha'))[:10]} {day(author.get('date'))} {name}: {view.line(code, first, 'commit')}"
                )

            return make

        total = self._pull.data.get("commits")
        part = Part("commits", [(entry(item), behind) for item, behind in page.items], _total(page), page.more)
        part.total = total if isinstance(total, int) and total > 0 else part.total
        part.weight = 120 * len(page.items)
        return part

    async def checks(self) -> Part:
        """Checks of the head, failures first with what they say; those that passed by their names alone."""
        found = await checks_of(self._visit.api, self._visit.repo, self._pull.head.sha)
        view = self._visit.view

        def entry(check: Check) -> Entry:
            def make(_: int) -> str:
                # The workflow of a fork's head names them.
                line = f"{check.state}: {view.line(self._code, check.name, 'pull', 100)}"
                line += f" (job_id {check.job})" if check.job and check.state == "failed" else ""
                said = check.note if check.state == "failed" else ""
                return f"{line}: {view.line(PROGRAM, said, 'log')}" if said else line

            return make

        part = Part("checks", [(entry(check), {}) for check in found.items], found.total, about=str(found))
        part.weight = 120 * len(found.items)
        return part

    async def threads(self) -> Part:
        """Threads of comments on lines; only GraphQL knows which are resolved."""
        place = cursors.read(self._cursor, self._question)
        after, skip = place.get("a") or None, place.get("o") or 0
        owner, _, name = self._visit.repo.partition("/")
        asked: dict[str, Any] = {"owner": owner, "name": name, "number": self._pull.number, "after": after}
        size = min(THREADS, place.get("n") or THREADS)

        async def ask(first: int) -> Mapping[str, Any]:
            # What is skipped must be in it.
            return await self._visit.api.graphql("pull_threads", {**asked, "first": max(first, skip + 1)})

        data, size = await paging.smaller(ask, size)
        found = table(table(table(data.get("repository")).get("pullRequest")).get("reviewThreads"))
        nodes, info = rows(found.get("nodes")), table(found.get("pageInfo"))
        total = found.get("totalCount")
        part = Part("threads", total=total if isinstance(total, int) else -1, more=info.get("hasNextPage") is True)
        part.item = THREAD
        for at, node in enumerate(nodes):
            if at < skip:
                continue
            last = at + 1 == len(nodes)
            behind: Place = {"a": text(info.get("endCursor"))} if last else {"a": after or "", "o": at + 1}
            behind["n"] = size
            part.entries.append((await self._thread(node), behind))
            part.weight += 200 + sum(
                len(text(one.get("body"))) for one in rows(table(node.get("comments")).get("nodes"))
            )
        return part

    async def _thread(self, node: dict[str, Any]) -> Entry:
        view, comments = self._visit.view, table(node.get("comments"))
        said = rows(comments.get("nodes"))
        asked = [(one.get("author"), str(one.get("authorAssociation") or "none")) for one in said]
        marks = await self._visit.desk.marks.all_of(self._visit.repo, asked)

        def make(most: int) -> str:
            shown = [(one, mark) for one, mark in zip(said, marks, strict=True) if view.admits(mark, "review")]
            if not shown:
                return ""
            line, start = node.get("line") or node.get("originalLine"), node.get("startLine")
            where = f"{view.name(self._code, text(node.get('path')), 'diff')}:{f'{start}-' if start else ''}{line}"
            old = " of the old file" if node.get("diffSide") == "LEFT" else ""
            flags = [name for name, key in (("resolved", "isResolved"), ("outdated", "isOutdated")) if node.get(key)]
            lines = [f"thread on {where}{old}{' (' + ', '.join(flags) + ')' if flags else ''}"]
            few = shown[: max(1, (most - size_of(lines[0])) // _SAID)]
            each = (most - size_of(lines[0]) - 100) // len(few) - _SAID + 100
            for one, mark in few:
                identity = one.get("fullDatabaseId")
                lines.append(f"comment {identity} by {mark} {day(one.get('createdAt'))}")
                lines.append(self._said(one, mark, f"review comment {identity}", "review", max(100, each)))
            count = comments.get("totalCount")
            left = (count if isinstance(count, int) else 0) - len(said) + len(shown) - len(few)
            if left > 0:
                lines.append(f"({left} more comments in this thread)")
            return "\n".join(lines)

        return make


def _total(page: paging.Page) -> int:
    return -1 if page.at_most else page.total


def _weight(page: paging.Page) -> int:
    return sum(200 + len(text(item.get("body"))) for item, _ in page.items)
