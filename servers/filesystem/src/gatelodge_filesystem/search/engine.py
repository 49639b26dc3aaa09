"""The search itself: walk, choose files, match, number the lines.

Small trees are walked. In large ones ripgrep says which files may match; what it says is judged by the same rules and read
by the same code as on a walk, so the answers are the same.
"""

from __future__ import annotations

import bisect
import os
import stat
from dataclasses import replace

from gatelodge_core.errors import CallError
from gatelodge_core.globs import Globs
from gatelodge_core.sandbox.credentials import Check

from gatelodge_filesystem.encoding import LINE_END, etag
from gatelodge_filesystem.ignore import Rules
from gatelodge_filesystem.search.matcher import Matcher, SlowError, matcher, text_of
from gatelodge_filesystem.search.model import FileHits, Hit, Hits, Request
from gatelodge_filesystem.search.reach import Reach
from gatelodge_filesystem.search.ripgrep import Scout, usable
from gatelodge_filesystem.search.trust import trustworthy
from gatelodge_filesystem.walk import Budget, Folder, Walk, below

MAX_FILE_BYTES = 10 * 1024 * 1024
MAX_LINE = 300
MAX_SLOW = 5
"""Files on which an expression may be too slow before that ends the search."""
SCOUT_FROM = 500
"""Files from which on a scout is worth its start."""


class _ManyFiles(Exception):
    """The tree is large enough for a scout."""


_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def search(
    fd: int,
    request: Request,
    budget: Budget,
    *,
    prefix: str = "",
    above: Rules | None = None,
    use_ripgrep: bool = True,
    refuses: Check | None = None,
) -> Hits:
    """Search below a folder.

    Args:
        fd: Its descriptor, fresh.
        request: What to search for.
        budget: What it may spend.
        prefix: The folder's path from the root, empty or ending in a slash.
        above: The ignore rules from above it.
        use_ripgrep: Whether ripgrep may scout, if it is installed.
        refuses: What is not searched, by its path from the root.

    Raises:
        CallError: `bad_pattern`, `bad_glob`, `slow_pattern` (the expression takes too long on many files, or on all that it
            was tried on), `timeout`, `too_many_entries`.
    """
    return _Search(request, budget, prefix, refuses).run(fd, prefix, above, use_ripgrep=use_ripgrep)


def search_file(
    fd: int, name: str, request: Request, budget: Budget, *, prefix: str = "", refuses: Check | None = None
) -> Hits:
    """Search one file, whether or not ignore rules leave it out: it was named.

    Args:
        fd: The descriptor of the folder it is in.
        name: Its name there.
        request: What to search for; its globs count.
        budget: What it may spend.
        prefix: The folder's path from the root, empty or ending in a slash.
        refuses: What is not searched, by its path from the root.

    Raises:
        CallError: `bad_pattern`, `bad_glob`, `slow_pattern`, `timeout`.
    """
    return _Search(request, budget, prefix, refuses).run_file(fd, name)


class _Search:
    def __init__(self, request: Request, budget: Budget, prefix: str, refuses: Check | None) -> None:
        self._prefix = prefix
        self._refuses = refuses
        self._request = request
        self._budget = budget
        self._matcher: Matcher = matcher(request)
        self._wanted = Globs(request.globs, empty_matches=True)
        self._unwanted = Globs(request.exclude, empty_matches=False)
        self._hits = Hits()
        # Only paths and counts are kept of all files; the lines of those that are shown are read again.
        self._counts: list[tuple[str, int]] = []
        self._matched = 0

    def run(self, fd: int, prefix: str, above: Rules | None, *, use_ripgrep: bool) -> Hits:
        request = self._request
        self._may_scout = use_ripgrep and usable(request)
        walk = Walk(
            self._visit, self._budget, use_ignore=request.use_ignore, hidden=request.hidden, refuses=self._refuses
        )
        try:
            walk.run(fd, prefix, above)
        except _ManyFiles:
            self._counts.clear()
            self._hits = Hits()
            self._matched = 0
            if not self._scouted(fd, prefix, above):
                self._may_scout = False
                os.lseek(fd, 0, os.SEEK_SET)
                walk.run(fd, prefix, above)
        self._hits.unreadable += walk.unreadable
        return self._finished(fd)

    def run_file(self, fd: int, name: str) -> Hits:
        if self._wanted.matches(name) and not self._unwanted.matches(name):
            self._hits.scanned = 1
            self._file(fd, name, name)
        return self._finished(fd)

    def _finished(self, fd: int) -> Hits:
        if self._hits.slow and len(self._hits.slow) == self._matched:
            raise _slow()
        self._counts.sort()
        self._hits.total_files = len(self._counts)
        self._hits.total_lines = sum(count for _, count in self._counts)
        self._page(fd)
        return self._hits

    def _visit(self, folder: Folder) -> None:
        rel = folder.rel
        if self._request.exclude:
            folder.folders[:] = [name for name in folder.folders if not self._unwanted.matches(rel + name)]
        matches, unwanted = self._wanted.matches, self._unwanted.matches
        names = [name for name in folder.files if matches(rel + name) and not unwanted(rel + name)]
        self._hits.scanned += len(names)
        if self._may_scout and self._hits.scanned > SCOUT_FROM:
            raise _ManyFiles
        for name in names:
            self._file(folder.fd, name, rel + name)

    def _scouted(self, fd: int, prefix: str, above: Rules | None) -> bool:
        """Search the files that ripgrep finds; False if it could not answer."""
        request = self._request
        found = self._candidates(fd, prefix, above)
        if found is None:
            return False
        self._hits.engine = "ripgrep"
        reach = Reach(
            fd, prefix, above, use_ignore=request.use_ignore, hidden=request.hidden, unwanted=self._unwanted,
        )  # fmt: skip
        for path in sorted(found):
            if not self._wanted.matches(path) or self._unwanted.matches(path) or not reach.reaches(path):
                continue
            if self._refuses is not None and self._refuses(self._prefix + path):
                continue  # not even counted: that would tell whether it matches
            try:
                with below(fd, path) as (folder, name):
                    self._file(folder, name, path)
            except OSError:
                self._hits.unreadable.append(path)
        return True

    def _candidates(self, fd: int, prefix: str, above: Rules | None) -> set[str] | None:
        """The files that may match, whatever ripgrep makes of rules; None if it could not answer."""
        request, stop, seconds = self._request, self._budget.stop, self._budget.seconds
        scout = Scout(fd, request)
        try:
            # While it is at work, as this takes a part of its time.
            trusted = not request.use_ignore or self._trusted(fd, prefix, above)
            if trusted:
                return scout.candidates(stop, seconds)
        finally:
            scout.end()
        return Scout(fd, request, trusting=False).candidates(stop, seconds)

    def _trusted(self, fd: int, prefix: str, above: Rules | None) -> bool:
        os.lseek(fd, 0, os.SEEK_SET)
        return trustworthy(
            fd, self._budget, prefix=prefix, above=above, hidden=self._request.hidden, unwanted=self._unwanted,
            refuses=self._refuses,
        )  # fmt: skip

    def _file(self, fd: int, name: str, path: str) -> None:
        data = self._read(fd, name, path)
        if data is None or (data[:2] not in _UTF16 and not self._matcher.may_match(data)):
            return
        text = text_of(data)
        if text is None:
            self._hits.binary += 1
            return
        self._budget.spend(0)
        self._matched += 1
        try:
            count, _ = self._lines(text, keep=0)
        except SlowError:
            self._hits.slow.append(path)
            if len(self._hits.slow) > MAX_SLOW:
                raise _slow() from None
            return
        if count:
            self._counts.append((path, count))

    def _read(self, fd: int, name: str, path: str) -> bytes | None:
        """A regular file of moderate size; None for anything else, which is counted or noted."""
        if self._refuses is not None and self._refuses(self._prefix + path):
            self._hits.refused += 1
            return None
        try:
            opened = os.open(name, _OPEN, dir_fd=fd)
        except OSError:
            self._hits.unreadable.append(path)
            return None
        try:
            found = os.fstat(opened)
            if not stat.S_ISREG(found.st_mode):
                return None
            if found.st_size > MAX_FILE_BYTES:
                self._hits.large += 1
                return None
            return os.read(opened, MAX_FILE_BYTES)
        except OSError:
            self._hits.unreadable.append(path)
            return None
        finally:
            os.close(opened)

    def _lines(self, text: str, *, keep: int) -> tuple[int, list[Hit]]:
        """How many lines match, and the first `keep` of them. No line is around two of them."""
        if "\r" in text:
            text = LINE_END.sub("\n", text)
        hits: list[Hit] = []
        count = done = counted = 0
        number, given = 1, 0
        for offset, sure in self._matcher.offsets(text):
            if offset < done:
                continue
            begin, end = text.rfind("\n", 0, offset) + 1, text.find("\n", offset)
            end = len(text) if end < 0 else end
            done = end + 1
            if begin == len(text):
                break  # behind the last line end there is no line
            column = offset - begin if sure else self._matcher.first(text[begin:end])
            if column is None:
                continue
            count += 1
            if count > keep + 1:
                continue
            number += text.count("\n", counted, begin)
            counted = begin
            if hits and given >= number:
                last = hits[-1]
                hits[-1] = replace(last, after=tuple(line for line in last.after if line[0] < number))
                given = number - 1
            if count <= keep:
                before, after = self._around(text, begin, end, number)
                before = tuple(line for line in before if line[0] > given)
                hits.append(Hit(number, column + 1, _cut(text[begin:end], column), before, after))
                given = after[-1][0] if after else number
        return count, hits

    def _around(
        self, text: str, begin: int, end: int, number: int
    ) -> tuple[tuple[tuple[int, str], ...], tuple[tuple[int, str], ...]]:
        """The numbered lines before and after a line."""
        before: list[tuple[int, str]] = []
        after: list[tuple[int, str]] = []
        at, upto = begin, end
        for step in range(1, self._request.context + 1):
            if at > 0:
                start = text.rfind("\n", 0, at - 1) + 1
                before.insert(0, (number - step, _cut(text[start : at - 1], 0)))
                at = start
            if upto + 1 < len(text):
                stop = text.find("\n", upto + 1)
                stop = len(text) if stop < 0 else stop
                after.append((number + step, _cut(text[upto + 1 : stop], 0)))
                upto = stop
        return tuple(before), tuple(after)

    def _page(self, fd: int) -> None:
        """Read the files of this page again, and keep of each the lines that are shown.

        A file whose lines don't all fit begins the next page. Only one that begins a page is divided.
        """
        room = self._request.limit
        for path, _ in self._counts[self._start() :]:
            if room <= 0:
                self._hits.more = True
                return
            item = self._shown(fd, path)
            if item is None:
                continue
            if len(item.hits) > room:
                self._hits.more = True
                if self._hits.files:
                    return
                item = replace(item, hits=item.hits[:room], goes_on=True)
            room -= len(item.hits)
            self._hits.files.append(item)
            if item.goes_on:
                return

    def _start(self) -> int:
        """Where this page begins among the files with a match."""
        if self._request.after is None:
            return 0
        line, path = self._request.after
        find = bisect.bisect_left if line else bisect.bisect_right
        return find(self._counts, path, key=lambda item: item[0])

    def _shown(self, fd: int, path: str) -> FileHits | None:
        """The lines of a file that are to be shown from here on; None if there are none by now."""
        try:
            with below(fd, path) as (folder, name):
                data = self._read(folder, name, path)
        except OSError:
            return None
        text = text_of(data) if data is not None else None
        if data is None or text is None:
            return None
        try:
            count, hits = self._lines(text, keep=self._request.per_file)
        except SlowError:
            return None
        line, of = self._request.after or (0, "")
        rest = [hit for hit in hits if hit.line > line] if of == path else hits
        return FileHits(path, etag(data), count, rest, len(hits) - len(rest)) if rest else None


def _slow() -> CallError:
    return CallError(
        "slow_pattern", "the expression takes too long, as nested repetitions do.", "Simplify it, or set regex=false."
    )


def _cut(line: str, column: int) -> str:
    """A long line, around what matters in it."""
    if len(line) <= MAX_LINE:
        return line
    begin = max(min(column - MAX_LINE // 3, len(line) - MAX_LINE), 0)
    head, tail = ("..." if begin else ""), ("..." if begin + MAX_LINE < len(line) else "")
    return f"{head}{line[begin : begin + MAX_LINE]}{tail}"
