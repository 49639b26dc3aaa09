"""The diff of a pull request as text: statistics first, then raw patches in their order, and where the rest begins.

Pages of files are read only as far as the answer has room, so that neither ten thousand files nor a patch of megabytes
takes long. A patch is shown as GitHub has it; only a line of thousands of characters is cut, and a place of its own goes on
inside it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from gatelodge_github import cursors, paging
from gatelodge_github.cursors import Place
from gatelodge_github.data import rows
from gatelodge_github.patches import Changed, Chosen, fenced
from gatelodge_github.pull_requests import pull_path
from gatelodge_github.transport.api import Api
from gatelodge_github.transport.request import Answer
from gatelodge_github.view import fitting, shown_size

MOST_FILES = 3000
"""GitHub lists no more of a pull request."""
PAGE = 100
MOST_REQUESTS = 40
"""Of one answer: all pages that there are, and some that were too large."""
LONGEST_LINE = 1_500
"""Characters of a line that are shown: minified code would fill an answer."""
_LEAST = 300
"""Bytes that must be left for another patch to be begun."""
_FENCES = re.compile(r"`{3,}")


@dataclass(slots=True)
class Diff:
    """The text, in the making.

    Args:
        room: Bytes for everything; statistics take at most a third.
    """

    room: int
    listed: int = 0
    """Files in the statistics."""
    shown: int = 0
    """Patches, the last perhaps in part."""
    cut: list[tuple[Changed, int, int]] = field(default_factory=list[tuple[Changed, int, int]])
    """Lines that were cut: the file, the line of its patch, and the character that the rest begins at."""
    _lines: list[str] = field(default_factory=list[str])
    _names: set[str] = field(default_factory=set[str])
    """Those in the statistics."""
    _blocks: list[str] = field(default_factory=list[str])
    _used: int = 0
    _listing: int = 0

    def count(self, change: Changed) -> None:
        """Put a file into the statistics, if it fits."""
        size = shown_size(change.line) + 1
        if self._listing + size <= min(self.room // 3, self.room - self._used):
            self._lines.append(change.line)
            self._names.add(change.path)
            self._listing += size
            self._used += size
            self.listed += 1

    def show(self, change: Changed, start: int = 0) -> int:
        """Show the patch of a file, from a line of it on.

        Returns:
            The line at which the rest begins, which did not fit; -1 if there is no rest.
        """
        if not change.patch:
            return self._tell(change, start)
        head = f"{change.name}{f' (from line {start + 1} of its patch)' if start else ''}"
        left = self.room - self._used - shown_size(head) - 60
        if left < _LEAST and self.shown:
            return start
        lines = change.patch.split("\n")
        at, taken, ticks = start, list[str](), 3
        while at < len(lines):
            line, going_on = _cut(lines[at], len(self.cut) + 1)
            # A line of the patch must not end the block.
            longer = max([ticks, *(len(run) + 1 for run in _FENCES.findall(line))])
            # With its line end: what is usual at a text's beginning alone isn't one here.
            left -= shown_size(f"\n{line}") + 2 * (longer - ticks)
            if left < 0 and taken:
                break
            taken.append(line)
            if going_on:
                self.cut.append((change, at, going_on))
            at, ticks = at + 1, longer
        body, fence = "\n".join(taken), "`" * ticks
        rest = at < len(lines)
        block = f"{head}\n{fence}diff\n{body}\n{fence}" + (f"\n(cut at line {at} of {len(lines)})" if rest else "")
        self._blocks.append(block)
        self._used += shown_size(block) + 2
        self.shown += 1
        return at if rest else -1

    def go_on(self, change: Changed, number: int, begin: int) -> int:
        """Show the rest of one line of a patch, from a character on.

        Returns:
            The character at which the rest of that begins, which did not fit; 0 if there is none.
        """
        line = change.patch.split("\n")[number]
        head = f"{change.name} (line {number + 1} of its patch, from character {begin + 1} of {len(line)})"
        block, taken = fenced(line[begin:], max(_LEAST, self.room - shown_size(head)))
        self._blocks.append(f"{head}\n{block}")
        return begin + taken if begin + taken < len(line) else 0

    def _tell(self, change: Changed, start: int) -> int:
        """Name a file without a patch, which the statistics alone would tell of otherwise; they don't hold all."""
        if change.path in self._names:
            return -1
        size = shown_size(change.full_line) + 2
        if self._used + size > self.room and self._blocks:
            return start
        self._blocks.append(change.full_line)
        self._used += size
        return -1

    def text(self, total: int) -> str:
        """Statistics, of so many files in all, and patches."""
        more = [f"and {total - self.listed} more files"] if self.listed and total > self.listed else []
        return "\n\n".join(part for part in ["\n".join([*self._lines, *more]), *self._blocks] if part)


class PullFiles:
    """The files of one pull request, put into a diff.

    Args:
        api: Asks.
        repo: ``owner/name``.
        number: Of the pull request.
        paths: Files, folders or globs wanted; all if there are none.

    Raises:
        CallError: `bad_glob`.
    """

    def __init__(self, api: Api, repo: str, number: int, paths: Sequence[str]) -> None:
        self._api, self._path = api, f"{pull_path(repo, number)}/files"
        self._wanted, self._missing = Chosen(paths), set(paths)
        self._all = not paths
        self._size = PAGE
        self._requests = 0
        self.cut: list[Place] = []
        """Where each line that was cut goes on."""
        self.matched = 0
        """Files that were wanted, as far as was read."""

    async def fill(self, diff: Diff, place: Place) -> Place:
        """Put files into `diff` from a place on: ``o`` files are behind us, and ``n`` lines of the next one's patch.

        ``a`` is a digest of that file: if another one stands there now, since the base has moved, it is shown whole.

        With ``c`` only that line of the patch is shown, of ``l`` characters, from that character on.

        Pages are read until a patch doesn't fit; none behind the one with the last of the wanted files.

        Returns:
            Where the rest begins; empty if there is none.

        Raises:
            CallError: As `Api.get`; `changed`: that line is another one by now.
        """
        if place.get("c"):
            return await self._inside(diff, place)
        index = first = place.get("o") or 0
        while index < MOST_FILES:
            if self._requests >= MOST_REQUESTS:
                return {"o": index}
            changes, more = await self._page(index)
            wanted = [(index + at, change) for at, change in enumerate(changes) if self._wanted(change)]
            for _, change in wanted:
                self.matched += 1
                self._missing -= {change.path, change.was}
                if not place:
                    diff.count(change)
            for at, change in wanted:
                same = at == first and place.get("a") == _digest(change)
                rest = diff.show(change, place.get("n") or 0 if same else 0)
                self.cut += [_place(at, *cut) for cut in diff.cut[len(self.cut) :]]
                if rest >= 0:
                    return {"o": at, "n": rest, "a": _digest(change)}
            index += len(changes)
            if not more or not (self._all or self._missing):
                break
        return {}

    async def _inside(self, diff: Diff, place: Place) -> Place:
        """The rest of one line."""
        at, number, begin = place.get("o") or 0, place.get("n") or 0, place["c"]
        changes, _ = await self._page(at)
        change = changes[0] if changes else Changed("", "", "", 0, 0, "")
        lines = change.patch.split("\n")
        known = place.get("a") == _digest(change) and number < len(lines) and len(lines[number]) == place.get("l")
        if not known or begin >= len(lines[number]):
            raise cursors.changed("the patch")
        self.matched = 1
        rest = diff.go_on(change, number, begin)
        return _place(at, change, number, rest) if rest else {}

    async def _page(self, index: int) -> tuple[list[Changed], bool]:
        """The files from an index to the end of their page, and whether there are more; smaller pages if one is too large."""

        async def ask(size: int) -> Answer:
            self._requests += 1
            return await self._api.get(self._path, {"per_page": size, "page": index // size + 1})

        answer, self._size = await paging.smaller(ask, self._size)
        found = rows(answer.data)[index % self._size :]
        return [Changed.of(item) for item in found], bool(answer.next_page) and bool(found)


def _cut(line: str, number: int) -> tuple[str, int]:
    """A line as it is shown, and the character that the rest of it begins at; 0 if there is none. `number` is of the cut."""
    shown, cut = fitting(line[:LONGEST_LINE], 3 * LONGEST_LINE)
    if not cut and len(line) <= LONGEST_LINE:
        return line, 0
    return f"{shown}… (cut line {number}: {len(line)} characters)", len(shown)


def _place(at: int, change: Changed, number: int, begin: int) -> Place:
    """Where a line of the patch of a file goes on."""
    return {"o": at, "n": number, "a": _digest(change), "l": len(change.patch.split("\n")[number]), "c": begin}


def _digest(change: Changed) -> str:
    return hashlib.sha256(change.path.encode("utf-8", "replace")).hexdigest()[:8]
