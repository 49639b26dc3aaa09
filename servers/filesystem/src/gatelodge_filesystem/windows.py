"""A window of lines out of a file: from a line on, or the last ones, under a budget of characters.

Files up to `WHOLE_BYTES` are read and named whole; of larger ones only what the window needs is read, from the front
or from the back, so that the head or tail of a log costs the same whatever its length.
"""

from __future__ import annotations

import codecs
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from gatelodge_core.errors import CallError

from gatelodge_filesystem.encoding import (
    LINE_END,
    Encoding,
    count_lines,
    detect,
    eol_name,
    etag,
    line_ends,
    nth_line_end,
    split_lines,
)

WHOLE_BYTES = 4 * 1024 * 1024
SAMPLE_BYTES = 64 * 1024
_CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Window:
    """Some lines of a file.

    Args:
        text: The lines as they are, line ends included.
        first: Number of the first line shown, from 1; 0 if not known (the tail of a large file) or nothing is shown.
        last: Number of the last line shown.
        total: Lines in the file; None if the file is too large to count.
        encoding: How it was read.
        eol: Its line ends, in words.
        etag: Of the whole file; empty if that is too large to hash on the way.
        next_line: Where to go on; 0 at the end.
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


def read_window(
    fd: int, *, start: int, max_lines: int, budget: int, skip: int = 0, stop: threading.Event | None = None
) -> Window:
    """Read a window of a file.

    Args:
        fd: A readable descriptor of a regular file; its offset isn't used.
        start: The first line, from 1; negative for the last ``-start`` lines.
        max_lines: The most lines.
        budget: The most characters.
        skip: Characters to leave out at the beginning of the first line, for lines longer than the budget.
        stop: Set when nobody waits any more.

    Raises:
        CallError: `is_binary`, or `past_the_end` with the number of lines.
    """
    size = os.fstat(fd).st_size
    sample = os.pread(fd, SAMPLE_BYTES, 0)
    encoding = detect(sample, whole=size <= len(sample))
    if not encoding.is_text:
        raise CallError("is_binary", "this is not text.", "Call get_file_info for its type and size.")
    if size <= WHOLE_BYTES:
        data = read_all(fd, WHOLE_BYTES)
        body = data[len(encoding.bom) :]
        total = count_lines(body, encoding)
        first = start if start > 0 else max(total + start + 1, 1)
        if first > max(total, 1):
            raise CallError("past_the_end", f"the file has {total} lines.", "Give a start_line within that.")
        eol = eol_name(line_ends(body, encoding))
        lines = _lines_of(body, encoding, first, max_lines, budget + skip)
        return _cut(iter(lines), first, max_lines, budget, skip, total, encoding, eol, etag(data))
    eol = eol_name(line_ends(sample, encoding))
    if start > 0:
        lines = _lines_from(fd, encoding, start, stop or threading.Event())
        return _cut(lines, start, max_lines, budget, skip, None, encoding, eol, "")
    return _tail(fd, size, encoding, eol, -start, budget)


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
    lines: Iterator[str],
    first: int,
    max_lines: int,
    budget: int,
    skip: int,
    total: int | None,
    encoding: Encoding,
    eol: str,
    tag: str,
) -> Window:
    shown: list[str] = []
    room = budget
    lost = 0
    more = False
    for line in lines:
        given = line[skip:] if not shown else line
        if len(shown) >= max_lines or (shown and len(given) > room):
            more = True
            break
        if len(given) > room:
            lost = len(given) - room
            given = given[:room]
        shown.append(given)
        room -= len(given)
        if lost:
            more = True
            break
    last = first + len(shown) - 1
    if total is not None:
        more = last < total
    return Window("".join(shown), first, last, total, encoding, eol, tag, last + 1 if more else 0, lost)


def _lines_from(fd: int, encoding: Encoding, start: int, stop: threading.Event) -> Iterator[str]:
    """The lines of a large file from line `start` on.

    Raises:
        CallError: `past_the_end`.
    """
    decoder = codecs.getincrementaldecoder(encoding.codec)("backslashreplace")
    offset = len(encoding.bom)
    passed = 0
    held = ""
    while not stop.is_set():
        data = os.pread(fd, _CHUNK, offset)
        offset += len(data)
        text = held + decoder.decode(data, final=not data)
        if not data:
            if text:
                passed += 1
                if passed == start:
                    yield text
            break
        # A chunk may end between \r and \n, or within a line.
        keep = len(text) if text.endswith("\n") else max(text.rfind("\n"), text.rfind("\r", 0, -1)) + 1
        text, held = text[:keep], text[keep:]
        if passed < start - 1:
            ends = text.count("\n") if "\r" not in text else len(LINE_END.findall(text))
            if passed + ends < start:
                passed += ends
                continue
            lines = split_lines(text)
            text = "".join(lines[start - 1 - passed :])
            passed = start - 1
        yield from split_lines(text)
        passed = start - 1
        if len(held) > 8 * _CHUNK:
            # One line without end: give what is there; the window cuts it.
            yield held
            return
    if passed < start - 1:
        raise CallError("past_the_end", f"the file has {passed} lines.", "Give a start_line within that.")


def _tail(fd: int, size: int, encoding: Encoding, eol: str, count: int, budget: int) -> Window:
    """The last lines of a large file, read backwards no further than the budget reaches."""
    # Four bytes hold any character; one line more than the budget shows where its first whole line begins.
    reach = min(size, budget * 4 + SAMPLE_BYTES)
    reach -= reach % 4
    data = b""
    block = SAMPLE_BYTES
    while True:
        wanted = min(reach, block)
        data = os.pread(fd, wanted, size - wanted)
        lines = split_lines(encoding.decode(data))
        if len(lines) > count + 1 or wanted == reach:
            break
        block *= 4
    kept: list[str] = []
    room = budget
    for line in reversed(lines[1:] if len(lines) > 1 else lines):
        if len(kept) >= count or (kept and len(line) > room):
            break
        kept.append(line[-room:])
        room -= len(kept[-1])
    lost = max(len(lines[-1]) - budget, 0) if kept else 0
    return Window("".join(reversed(kept)), 0, len(kept), None, encoding, eol, "", 0, lost)
