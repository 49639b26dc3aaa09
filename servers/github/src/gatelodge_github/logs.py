"""Reading the log of an Actions job as it comes, in bounded memory: its end, what matches, or what is around its errors.

A log is a stream of lines, each with a time before it (`2024-01-01T00:00:00.0000000Z `). Some are marked: `##[group]`,
`##[endgroup]`, `##[error]`, `##[warning]`, `##[command]` and the like, as the runner writes them
(github.com/actions/runner, docs of "workflow commands"). Logs are written by whatever ran, so nothing in them is trusted
and every length is bounded.
"""

from __future__ import annotations

import bisect
import re
from collections import deque
from dataclasses import dataclass, replace

from gatelodge_github.log_lines import ANSI, MARK, RAW, SECONDS, TIME, Line, LogSearch, Raw, line_of

MAX_LINES = 1000
"""Lines that are kept at most."""
_STEP = 1 << 17
"""Bytes that are looked at in one go."""
_NAME = 200
"""Characters of a group's name."""
_MARK_REACH = 64
_BOM = b"\xef\xbb\xbf"
_NAMED = re.compile(rb"[^\n]{0,800}")


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a log.

    Args:
        lines: How many, at most 1,000.
    """

    lines: int = 200


@dataclass(frozen=True, slots=True)
class Grep:
    """The lines that match.

    Args:
        pattern: A text, or an expression of at most 200 characters.
        regex: Whether it is an expression; see `Expression`. It is searched for in linear time.
        ignore_case: Whether `error` finds `Error`.
        context: Lines before and after each match, at most 20.
        limit: Matches that are kept; all are counted.
    """

    pattern: str
    regex: bool = False
    ignore_case: bool = True
    context: int = 2
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Failed:
    """What is around the lines marked as errors; the end of the log if there are none.

    Args:
        before: Lines before each error, at most 200.
        after: Lines after it, at most 20.
        limit: Errors that are kept; all are counted.
    """

    before: int = 30
    after: int = 2
    limit: int = 10


@dataclass(frozen=True, slots=True)
class LogExcerpt:
    """What was chosen of a log.

    Args:
        lines: In order; where numbers are missing, lines were left out.
        total_lines: Lines of the whole log.
        total_bytes: Bytes of the whole log.
        matches: Lines that match, or are marked as errors; also those that weren't kept.
        errors: Lines marked as errors.
        warnings: Lines marked as warnings.
        omitted: Matches that weren't kept.
        whole: Whether the log was read to its end.
    """

    lines: tuple[Line, ...]
    total_lines: int
    total_bytes: int
    matches: int
    errors: int
    warnings: int
    omitted: int
    whole: bool


class LogReader:
    """Takes a log in pieces and keeps what is asked for.

    Memory is bounded by the lines kept, and work is linear, whatever the log and the pattern. Longer lines are searched
    in their first 2,000 characters.

    Args:
        mode: What to keep.
        timestamps: Whether to leave the time before each line. It isn't searched in any case.
        seconds: The longest that searching may take, in all pieces together.

    Raises:
        CallError: ``bad_pattern``, with what is wrong.
    """

    def __init__(self, mode: Tail | Grep | Failed, *, timestamps: bool = False, seconds: float = SECONDS) -> None:
        self._timestamps = timestamps
        self._mode = mode
        self._search = (
            LogSearch(mode.pattern, regex=mode.regex, ignore_case=mode.ignore_case, seconds=seconds)
            if isinstance(mode, Grep)
            else None
        )
        self._after = self._limit = 0
        if isinstance(mode, Tail):
            self._before = _within(mode.lines, 1, MAX_LINES)
        elif isinstance(mode, Grep):
            self._before = self._after = _within(mode.context, 0, 20)
            self._limit = _within(mode.limit, 1, MAX_LINES)
        else:
            self._before = _within(mode.before, 1, 200)
            self._after = _within(mode.after, 0, 20)
            self._limit = _within(mode.limit, 1, MAX_LINES)
        self._recent: deque[bytes | Raw] = deque(maxlen=self._before)
        self._kept: dict[int, Line] = {}
        self._until = 0
        self._shown = self._matches = self._errors = self._warnings = self._lines = self._bytes = 0
        self._group = ""
        self._partial = b""
        self._dropped = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes, as many as there are.

        Args:
            data: They may end within a line or a character.

        Raises:
            CallError: ``too_slow``: searching took too long, or was stopped.
        """
        self._bytes += len(data)
        for start in range(0, len(data), _STEP):
            self._take(data[start : start + _STEP])

    def stop(self) -> None:
        """From any thread: nobody waits for what is found any more, so a search that is under way ends."""
        if self._search:
            self._search.stopped = True

    def finish(self, *, whole: bool = True) -> LogExcerpt:
        """What was kept.

        Args:
            whole: Whether this was the log's end; otherwise its last line may be incomplete.
        """
        if self._partial:
            self._end_line()
        if isinstance(self._mode, Tail) or (isinstance(self._mode, Failed) and not self._errors):
            for number, raw in enumerate(self._recent, self._lines - len(self._recent) + 1):
                self._keep(number, _raw(raw))
        return LogExcerpt(
            tuple(self._kept[number] for number in sorted(self._kept)),
            total_lines=self._lines,
            total_bytes=self._bytes,
            matches=self._matches,
            errors=self._errors,
            warnings=self._warnings,
            omitted=self._matches - self._shown,
            whole=whole,
        )

    # From bytes to lines

    def _take(self, data: bytes) -> None:
        if self._dropped:
            # The end of a line that was too long to be kept.
            end = data.find(b"\n")
            self._grow(data if end < 0 else data[:end])
            if end < 0:
                return
            self._end_line()
            data = data[end + 1 :]
        block, newline, rest = data.rpartition(b"\n")
        if newline:
            block = self._partial + block
            self._partial = b""
            self._read(block)
        self._grow(rest)

    def _grow(self, data: bytes) -> None:
        """Add to the line that isn't complete yet."""
        room = max(0, RAW - len(self._partial))
        self._partial += data[:room]
        self._dropped += max(0, len(data) - room)

    def _end_line(self) -> None:
        line, size = self._partial, len(self._partial) + self._dropped
        self._partial, self._dropped = b"", 0
        self._read(line, size)

    def _read(self, block: bytes, size: int = 0) -> None:
        """Look at some lines.

        Args:
            block: The lines, without the line feed of the last.
            size: The bytes of a line that is no longer whole, and stands alone.
        """
        if self._lines == 0:
            block = block.removeprefix(_BOM)
        if b"\x1b" in block:
            block = ANSI.sub(b"", block)
        groups: list[tuple[int, str]] = [(0, self._group)]
        hits = self._marked(block, groups) if b"##[" in block else []
        if self._search:
            hits = self._search.lines(block)
        elif not self._limit:
            hits = []
        if hits or self._until > self._lines:
            self._choose(block.split(b"\n"), size, hits, groups)
        if self._before:
            lines = block.rsplit(b"\n", self._before)[-self._before :]
            self._recent.extend(
                lines if not size and max(map(len, lines)) <= RAW else [Raw(line, size) for line in lines]
            )
        self._lines += block.count(b"\n") + 1

    def _marked(self, block: bytes, groups: list[tuple[int, str]]) -> list[int]:
        """Follow the marks: the lines marked as errors, from 0; appends where groups begin and end."""
        errors: list[int] = []
        index = last = 0
        for match in MARK.finditer(block):
            near = max(0, match.start() - _MARK_REACH)
            begin = block.rfind(b"\n", near, match.start()) + 1
            before = block[begin or near : match.start()]
            if (near and not begin) or (before and not TIME.fullmatch(before)):
                continue
            index += block.count(b"\n", last, match.start())
            last = match.start()
            kind = match[1]
            if kind == b"error":
                self._errors += 1
                errors.append(index)
            elif kind == b"warning":
                self._warnings += 1
            elif kind in (b"group", b"endgroup"):
                name = _NAMED.match(block, match.end())
                self._group = name[0].decode("utf-8", "replace").strip()[:_NAME] if name and kind == b"group" else ""
                groups.append((index, self._group))
        return errors

    def _choose(self, lines: list[bytes], size: int, hits: list[int], groups: list[tuple[int, str]]) -> None:
        """Keep the lines around some of them, and those that still follow earlier ones."""
        for index in range(min(self._until - self._lines, len(lines))):
            self._keep(self._lines + 1 + index, Raw(lines[index], size))
        recent = list(self._recent)
        self._matches += len(hits)
        for hit in hits:
            if self._shown >= self._limit or len(self._kept) >= MAX_LINES:
                break
            self._shown += 1
            for index in range(max(hit - self._before, -len(recent)), min(hit + self._after + 1, len(lines))):
                self._keep(self._lines + 1 + index, _raw(lines[index], size) if index >= 0 else _raw(recent[index]))
            number = self._lines + 1 + hit
            self._until = number + self._after
            group = groups[bisect.bisect_right(groups, hit, key=lambda event: event[0]) - 1][1]
            self._kept[number] = replace(
                line_of(number, Raw(lines[hit], size), times=self._timestamps), group=group, match=True
            )

    def _keep(self, number: int, raw: Raw) -> None:
        if number not in self._kept and len(self._kept) < MAX_LINES:
            self._kept[number] = line_of(number, raw, times=self._timestamps)


def _raw(line: bytes | Raw, size: int = 0) -> Raw:
    return Raw(line, size) if isinstance(line, bytes) else line


def _within(value: int, least: int, most: int) -> int:
    return max(least, min(value, most))
