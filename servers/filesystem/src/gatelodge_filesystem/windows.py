"""A window of lines out of a file: from a line on, or the last ones, under a budget of characters.

Files up to `WHOLE_BYTES` are read and named whole; of larger ones only what the window needs is read, from the front
or from the back, so that the head or tail of a log costs the same whatever its length. Lines that are longer than the window
are read to their end, to tell how much is left out.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from gatelodge_core.errors import CallError

from gatelodge_filesystem.encoding import (
    Encoding,
    count_lines,
    detect,
    eol_name,
    etag,
    line_ends,
    nth_line_end,
    split_lines,
)
from gatelodge_filesystem.streaming import Line, Source, last_lines, lines_from

WHOLE_BYTES = 4 * 1024 * 1024
SAMPLE_BYTES = 64 * 1024
_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Window:
    """Some lines of a file.

    Args:
        text: The lines as they are, line ends included.
        first: Number of the first line shown, from 1; in the tail of a large file negative, -1 for the last.
        last: Number of the last line shown, counted likewise.
        total: Lines in the file; None if the file is too large to count.
        encoding: How it was read.
        eol: Its line ends, in words.
        etag: Of the whole file; empty if that is too large to hash on the way.
        next_line: Where to go on, counted likewise; 0 at the end.
        cut_characters: How much of a single line longer than the budget is left out.
    """

    text: str
    first: int
    last: int
    total: int | None
    encoding: Encoding
    eol: str
    etag: str
    next_line: int = 0
    cut_characters: int = 0


@dataclass(frozen=True, slots=True)
class _Limits:
    """What a window may hold."""

    lines: int
    characters: int
    skip: int
    numbered: bool


def number_mark(number: int) -> str:
    """What stands before a line whose number is shown."""
    return f"{number:6}\t"


def numbered(window: Window) -> str:
    r"""The text of a window with numbers before its lines, each ended by ``\n``; as it is where they aren't known."""
    if window.first < 1:
        return window.text
    return "".join(
        f"{number_mark(number)}{_ended(line)}" for number, line in enumerate(split_lines(window.text), window.first)
    )


def _ended(line: str) -> str:
    body = line.rstrip("\r\n")
    return line if body == line else f"{body}\n"


def read_window(
    fd: int,
    *,
    start: int,
    max_lines: int,
    budget: int,
    skip: int = 0,
    numbers: bool = False,
    stop: threading.Event | None = None,
) -> Window:
    """Read a window of a file.

    Args:
        fd: A readable descriptor of a regular file; its offset isn't used.
        start: The first line, from 1; negative for the last ``-start`` lines.
        max_lines: The most lines.
        budget: The most characters.
        skip: Characters to leave out at the beginning of the first line, for lines longer than the budget.
        numbers: Whether the budget has to hold the lines' numbers too.
        stop: Set when nobody waits any more.

    Raises:
        CallError: `is_binary`, or `past_the_end` with the number of lines.
    """
    size = os.fstat(fd).st_size
    sample = os.pread(fd, SAMPLE_BYTES, 0)
    encoding = detect(sample, whole=size <= len(sample))
    if not encoding.is_text:
        raise CallError("is_binary", "this is not text.", "Call get_file_info for its type and size.")
    limits = _Limits(max_lines, budget, skip, numbers)
    if size <= WHOLE_BYTES:
        data = read_all(fd, WHOLE_BYTES)
        body = data[len(encoding.bom) :]
        total = count_lines(body, encoding)
        first = start if start > 0 else max(total + start + 1, 1)
        if first > max(total, 1):
            raise CallError("past_the_end", f"the file has {total} lines.", "Give a start_line within that.")
        eol = eol_name(line_ends(body, encoding))
        lines = _lines_of(body, encoding, first, max_lines, budget + skip)
        given = (Line(line if number else line[skip:]) for number, line in enumerate(lines))
        return _cut(given, first, limits, total, encoding, eol, etag(data))
    eol = eol_name(line_ends(sample, encoding))
    source = Source(fd, encoding, stop or threading.Event())
    # The beginning of a file that has no more lines than are asked for from its end.
    offset, first, ahead = len(encoding.bom), max(start, 1), max(start, 1)
    if start < 0 and (found := last_lines(source, size, -start)) is not None:
        offset, first, ahead = found, start, 1
    streamed = lines_from(source, ahead, offset=offset, skip=skip, keep=budget)
    return _cut(streamed, first, limits, None, encoding, eol, "")


def _lines_of(data: bytes, encoding: Encoding, first: int, max_lines: int, budget: int) -> list[str]:
    """Lines of a whole file from `first` on, at least as many as fit; the rest isn't decoded where bytes show the ends."""
    if not encoding.by_bytes:
        return split_lines(encoding.decode(data))[first - 1 :]
    begin = 0
    if first > 1:
        begin = nth_line_end(data, first - 1)
    # Four bytes hold any character.
    end = min(begin + 4 * (budget + 1), len(data))
    cut = data.find(b"\n", end)
    return split_lines(encoding.decode(data[begin : len(data) if cut < 0 else cut + 1]))[: max_lines + 1]


def read_all(fd: int, cap: int) -> bytes:
    """A whole file, as it is now, whatever its size was said to be.

    Raises:
        CallError: `too_large`, if it has more than `cap` bytes.
    """
    parts: list[bytes] = []
    offset = 0
    while part := os.pread(fd, min(_CHUNK * 4, cap + 1 - offset), offset):
        parts.append(part)
        offset += len(part)
        if offset > cap:
            raise CallError("too_large", f"the file has more than {cap} bytes.", "Read a part of it with read_file.")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _cut(
    lines: Iterator[Line], first: int, limits: _Limits, total: int | None, encoding: Encoding, eol: str, tag: str
) -> Window:
    shown: list[str] = []
    room = limits.characters
    lost = 0
    more = False
    for line in lines:
        mark = len(number_mark(first + len(shown))) if limits.numbered and first > 0 else 0
        fit = max(room - mark, 1)
        if len(shown) >= limits.lines or (shown and len(line.text) + line.lost + mark > room):
            more = True
            break
        lost = line.lost + max(len(line.text) - fit, 0)
        shown.append(line.text[:fit])
        room -= len(shown[-1]) + mark
        if lost:
            more = next(lines, None) is not None
            break
    last = first + len(shown) - 1
    if total is not None:
        more = last < total
    return Window("".join(shown), first, last, total, encoding, eol, tag, last + 1 if more else 0, lost)
