"""Lines of a file that is too large to be held: from a line on, or from one counted from the end.

Memory is bounded whatever the lines are: of each no more is kept than is asked for, and the rest is only counted.
"""

from __future__ import annotations

import codecs
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from gatelodge_core.errors import CallError

from gatelodge_filesystem.encoding import LINE_END, Encoding, split_lines

CHUNK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """A line, or the beginning of one.

    Args:
        text: What is kept of it, its end included.
        lost: How many characters of it follow.
    """

    text: str
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """Where lines come from.

    Args:
        fd: A readable descriptor; its offset isn't used.
        encoding: How it is read.
        stop: Set when nobody waits any more.
    """

    fd: int
    encoding: Encoding
    stop: threading.Event


def lines_from(source: Source, start: int, *, offset: int, skip: int, keep: int) -> Iterator[Line]:
    """The lines from one on.

    Args:
        source: The file.
        start: The first line, from 1, counted from `offset`.
        offset: Where a line begins, in bytes.
        skip: Characters to leave out at the beginning of the first line.
        keep: Characters that are kept of each line. All of the first line is counted; of a later one that is longer, `lost`
            is 1 or more, and it is the last.

    Raises:
        CallError: `past_the_end` with the number of lines.
    """
    passed = 0
    begun = yielded = False  # whether a line was begun that has no end yet; whether there was any
    kept, lost = "", 0
    for chunk in _texts(source, offset):
        text = chunk
        if passed < start - 1:
            ends = text.count("\n") if "\r" not in text else len(LINE_END.findall(text))
            if passed + ends < start - 1:
                passed += ends
                begun = not text.endswith(("\n", "\r"))
                continue
            text = "".join(split_lines(text)[start - 1 - passed :])
            passed, begun = start - 1, False
        for piece in split_lines(text):
            begun = True
            left = piece[skip:]
            skip -= min(skip, len(piece))
            room = keep - len(kept)
            kept, lost = kept + left[:room], lost + max(len(left) - room, 0)
            if piece.endswith(("\n", "\r")) or (lost and yielded):
                yield Line(kept, lost)
                if lost and yielded:
                    return
                kept, lost, skip, begun, yielded = "", 0, 0, False, True
    if begun and passed == start - 1:
        yield Line(kept, lost)
    elif not yielded and start > 1 and not source.stop.is_set():
        count = passed + begun
        raise CallError("past_the_end", f"the file has {count} lines.", "Give a start_line within that.")


def _texts(source: Source, offset: int) -> Iterator[str]:
    r"""The text from a place on, in parts that don't end within a character or between ``\r`` and ``\n``."""
    decoder = codecs.getincrementaldecoder(source.encoding.codec)("backslashreplace")
    held = ""
    while not source.stop.is_set():
        data = os.pread(source.fd, CHUNK, offset)
        offset += len(data)
        text = held + decoder.decode(data, final=not data)
        held = ""
        if data and text.endswith("\r"):
            text, held = text[:-1], "\r"
        if text:
            yield text
        if not data:
            return


def last_lines(source: Source, size: int, count: int) -> int | None:
    """Where the last lines begin, in bytes; None if the file has no more than so many.

    Args:
        source: The file.
        size: Its length.
        count: How many lines, from 1.
    """
    encoding = source.encoding
    wide = re.search(r"(16|32)", encoding.codec) if not encoding.by_bytes else None
    unit = int(wide[0]) // 8 if wide else 1
    cr, lf = ("\r".encode(encoding.codec), "\n".encode(encoding.codec)) if wide else (b"\r", b"\n")
    ends = re.compile(b"|".join(re.escape(end) for end in (cr + lf, cr, lf)))
    first = len(encoding.bom)
    high = size - (size - first) % unit
    step = max(CHUNK - CHUNK % unit, unit)
    while high > first and not source.stop.is_set():
        low = max(high - step, first)
        data = os.pread(source.fd, high - low, low)
        # A pair is one end, so it is not taken apart.
        if data.startswith(lf) and low > first and os.pread(source.fd, unit, low - unit) == cr:
            data, low = cr + data, low - unit
        if unit == 1 and cr not in data and data.count(lf, 0, size - 1 - low) < count:
            count -= data.count(lf, 0, size - 1 - low)
        else:
            # What stands across two characters is no line end; behind the last one there is no line.
            places = [low + found.end() for found in ends.finditer(data) if found.start() % unit == 0]
            places = [place for place in places if place < size]
            if len(places) >= count:
                return places[-count]
            count -= len(places)
        high = low
    return None
