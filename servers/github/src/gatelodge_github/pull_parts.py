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
from gatelodge_github.view import BUDGET, WITHHELD, fitting

Include = Literal["checks", "reviews", "threads", "comments", "commits"]
ITEM = 6_000
"""Bytes of one comment that are shown."""
THREAD = 14_000
"""Bytes of one thread that are shown."""
_SAID = 600
"""Bytes of a comment in a thread: its head, its envelope, its cursor, and some of its text."""
THREADS = 50
"""Threads a page; each brings up to 20 comments."""

Entry = Callable[[int], str]
"""Makes an item's text, its own part of which takes at most so many bytes; empty if lockdown withholds it."""


@dataclass(frozen=True, slots=True)
class _Body:
    """A text of an item.

    Args:
        name: The list that it is of.
        here: The place of the item.
        begin: The character to begin at.
    """

    name: Include
    here: Place
    begin: int = 0


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

    name: Include
    entries: list[tuple[Entry, Place]] = field(default_factory=list[tuple[Entry, Place]])
    total: int = -1
    more: bool = False
    weight: int = 0
    about: str = ""
    item: int = ITEM

    def render(self, room: int, question: object, *, alone: bool) -> str:
        """Its text within so many bytes.

        Args:
            room: Bytes.
            question: What a cursor will belong to.
            alone: Whether no other list is in the answer, so that one item is shown however little room there is.
        """
        shown: list[str] = []
        left, more, place = room - 200, self.more, Place()
        count = 0
        for entry, behind in self.entries:
            # Where a cursor goes on, an item is cut only if it is too large for an answer.
            made = entry(self.item if alone and shown else max(200, min(self.item, left - 500)))
            size = len(made.encode("utf-8", "replace")) + 1
            if (shown or not alone) and size > left:
                more = True
                break
            left -= size
            count += 1
            place = behind
            shown += [made] if made else []
        total = f" of {self.total}" if self.total >= 0 else " of more" if more else ""
        lines = [f"== {self.name}: {self.about or f'shown {count}{total}'} ==", *shown]
        if more and place:
            way = "" if alone else f' (with include=["{self.name}"] alone)'
            lines.append(f"cursor: {cursors.make(place, question)}{way}")
        elif more and not alone:
            lines.append(f'(cut; include=["{self.name}"] alone shows more)')
        elif more:
            lines.append(f"(cut: {len(self.entries) - count} more)")
        return "\n".join(lines)


async def parts_of(visit: Visit, pull: Pull, code: Mark, include: Sequence[Include], cursor: str) -> list[Part]:
    """Read what is included, side by side; what can't be read says why in its place.

    Args:
        visit: The answer.
        pull: The pull request.
        code: The mark of its code.
        include: What is wanted.
        cursor: Where the list goes on, if one alone is wanted.

    Raises:
        CallError: The only part can't be read.
    """
    reader = _Reader(visit, pull, code, cursor)
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


def of_one(repo: str, number: int, name: Include) -> object:
    """What the cursor of a list belongs to, whatever else is in the answer that gives it."""
    return ["get_pull", repo.lower(), number, name]


def shared(parts: Sequence[Part], room: int, repo: str, number: int) -> list[str]:
    """The parts as text, in their order: the lightest take what they need, the others share what is left."""
    made: dict[str, str] = {}
    for done, part in enumerate(sorted(parts, key=lambda part: part.weight)):
        made[part.name] = part.render(
            room // (len(parts) - done), of_one(repo, number, part.name), alone=len(parts) == 1
        )
        room -= len(made[part.name].encode("utf-8", "replace"))
    return [made[part.name] for part in parts]


class _Reader:
    """Reads each of the parts; the methods are named as what is included."""

    def __init__(self, visit: Visit, pull: Pull, code: Mark, cursor: str) -> None:
        self._visit, self._pull, self._code = visit, pull, code
        self._cursor = cursor

    def _question(self, name: Include) -> object:
        return of_one(self._visit.repo, self._pull.number, name)

    def _place(self, name: Include) -> Place:
        return cursors.read(self._cursor, self._question(name))

    async def _listed(self, path: str, name: Include) -> paging.Page:
        """A part of a REST list; only the one item that a cursor goes on inside of.

        Raises:
            CallError: `changed`: that item isn't there any more.
        """
        place = self._place(name)
        limit = 1 if "c" in place else 100
        question = self._question(name)
        page = await paging.rest(self._visit.api, path, {}, limit=limit, cursor=self._cursor, question=question)
        if "c" not in place:
            return page
        if not page.items or page.items[0][0].get("id") != place.get("id"):
            raise cursors.changed("the text")
        return paging.Page(page.items, page.total, page.at_most, later=True)

    def _bodies(self, page: paging.Page, name: Include) -> list[_Body]:
        """Where the text of each item begins, and where it goes on if it is cut: a page of that item alone."""
        place = self._place(name)
        if "c" in place:
            return [_Body(name, place, place["c"])]
        found, before = list[_Body](), place
        for item, behind in page.items:
            index = ((before.get("p") or 1) - 1) * (before.get("n") or 100) + (before.get("o") or 0)
            found.append(_Body(name, {"p": index + 1, "n": 1, "id": item.get("id")}))
            before = behind
        return found

    async def _marks(self, items: Sequence[dict[str, Any]]) -> list[Mark]:
        asked = [(item.get("user"), str(item.get("author_association") or "none")) for item in items]
        return await self._visit.desk.marks.all_of(self._visit.repo, asked)

    def _said(self, item: dict[str, Any], mark: Mark, what: str, surface: Literal["comment", "review"], most: int, at: _Body) -> str:  # fmt: skip
        """The text of a comment, cut if it is very long; its own cursor goes on inside it."""
        body = text(item.get("body"))
        if at.begin and at.begin >= len(body):
            raise cursors.changed("the text")
        piece, cut = fitting(body[at.begin :], most, markdown=True)
        # However little room there is, something of it is read.
        piece = piece or body[at.begin : at.begin + 1]
        source = f"{what} on pull request {self._pull.number} by {mark.author or 'nobody known'}"
        made = self._visit.view.text(mark, piece, source, surface)
        if made == WITHHELD or not (cut or at.begin):
            return made
        end = at.begin + len(piece)
        told = f"(characters {at.begin + 1} to {end} of {len(body)}"
        if end == len(body):
            return f"{made}\n{told})"
        onward = cursors.make({**at.here, "c": end}, self._question(at.name))
        return f'{made}\n{told}; the rest: include=["{at.name}"] alone, cursor={onward})'

    async def comments(self) -> Part:
        """Comments on the whole, oldest first."""
        page = await self._listed(f"{repo_path(self._visit.repo)}/issues/{self._pull.number}/comments", "comments")
        marks = await self._marks([item for item, _ in page.items])

        def entry(item: dict[str, Any], mark: Mark, at: _Body) -> Entry:
            def make(most: int) -> str:
                if not self._visit.view.admits(mark, "comment"):
                    return ""
                what = f"comment {item.get('id')}"
                head = f"{what} by {mark} {day(item.get('created_at'))}"
                return f"{head}\n{self._said(item, mark, what, 'comment', most, at)}"

            return make

        entries = [
            (entry(item, mark, at), behind)
            for (item, behind), mark, at in zip(page.items, marks, self._bodies(page, "comments"), strict=True)
        ]
        return self._part("comments", entries, page)

    async def reviews(self) -> Part:
        """Reviews, oldest first; with the commit that was looked at, if it isn't the head any more."""
        page = await self._listed(f"{pull_path(self._visit.repo, self._pull.number)}/reviews", "reviews")
        marks = await self._marks([item for item, _ in page.items])

        def entry(item: dict[str, Any], mark: Mark, at: _Body) -> Entry:
            def make(most: int) -> str:
                if not self._visit.view.admits(mark, "review"):
                    return ""
                sha = text(item.get("commit_id"))
                old = f" of an older commit, {sha[:10]}" if sha and sha != self._pull.head.sha else ""
                state = text(item.get("state")).lower()
                head = f"{state} by {mark} {day(item.get('submitted_at'))}{old}"
                body = self._said(item, mark, "review", "review", most, at) if item.get("body") else ""
                return f"{head}\n{body}" if body else head

            return make

        entries = [
            (entry(item, mark, at), behind)
            for (item, behind), mark, at in zip(page.items, marks, self._bodies(page, "reviews"), strict=True)
        ]
        return self._part("reviews", entries, page)

    def _part(self, name: Include, entries: list[tuple[Entry, Place]], page: paging.Page) -> Part:
        part = Part(name, entries, _total(page), page.more, _weight(page))
        return _single(part) if "c" in self._place(name) else part

    async def commits(self) -> Part:
        """Commits, oldest first: who pushed them vouches for their text, since authors of commits can be made up."""
        page = await self._listed(f"{pull_path(self._visit.repo, self._pull.number)}/commits", "commits")
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
        place = self._place("threads")
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
        if "c" in place:
            nodes = nodes[: skip + 1]
            if len(nodes) <= skip:
                raise cursors.changed("the text")
        for at, node in enumerate(nodes):
            if at < skip:
                continue
            last = at + 1 == len(nodes)
            behind: Place = {"a": text(info.get("endCursor"))} if last else {"a": after or "", "o": at + 1}
            behind["n"] = size
            here: Place = {"a": after or "", "o": at, "n": size}
            part.entries.append((await self._thread(node, here, place if "c" in place else {}), behind))
            part.weight += 200 + sum(
                len(text(one.get("body"))) for one in rows(table(node.get("comments")).get("nodes"))
            )
        return _single(part) if "c" in place else part

    async def _thread(self, node: dict[str, Any], here: Place, onward: Place) -> Entry:
        """A thread; or of one of its comments alone the rest, where `onward` says which."""
        view, comments = self._visit.view, table(node.get("comments"))
        said = rows(comments.get("nodes"))
        if onward:
            said = [one for one in said if one.get("fullDatabaseId") == onward.get("id")]
            if not said:
                raise cursors.changed("the text")
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
                at = _Body("threads", {**here, "id": identity}, onward.get("c") or 0)
                lines.append(self._said(one, mark, f"review comment {identity}", "review", max(100, each), at))
            count = comments.get("totalCount")
            left = (count if isinstance(count, int) else 0) - len(said) + len(shown) - len(few)
            if left > 0 and not onward:
                lines.append(f"({left} more comments in this thread)")
            return "\n".join(lines)

        return make


def _single(part: Part) -> Part:
    """A part that goes on inside of one item, which has all of an answer."""
    part.about, part.more, part.item = "the rest of one text", False, BUDGET
    return part


def _total(page: paging.Page) -> int:
    return -1 if page.at_most else page.total


def _weight(page: paging.Page) -> int:
    return sum(200 + len(text(item.get("body"))) for item, _ in page.items)
