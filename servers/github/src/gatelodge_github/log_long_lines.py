"""Reading on inside of one long line of a log: a part of it, without colours, and the byte at which the rest begins."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gatelodge_github.log_lines import ANSI
from gatelodge_github.view import fitting

MOST = 24_000
"""Bytes of a line that are looked at for one answer; far more than any sequence that `ANSI` knows."""
_OPEN = re.compile(
    rb"\x1b(?:\[[0-?]{0,64}[ -/]{0,8}|\][^\x07\x1b\n]{0,4096}\x1b?|[PX^_][^\x1b\n]{0,4096}\x1b?|[ -/]{0,4})?\Z"
)
"""The beginning of such a sequence, of which the rest may follow."""


@dataclass(frozen=True, slots=True)
class LinePart:
    """A part of a line.

    Args:
        text: As it is shown.
        next: The byte of the line at which the rest begins; 0 if that was all.
        size: Bytes of the whole line; -1 if the log has no such line.
    """

    text: str
    next: int
    size: int


class LineReader:
    """Takes a log in pieces and keeps a part of one line, in bounded memory.

    Args:
        number: Of the line, from 1.
        begin: The byte of it to begin at.
    """

    def __init__(self, number: int, begin: int) -> None:
        self._number, self._begin = number, begin
        self._line = 1
        self._size = 0
        self._kept = bytearray()

    def feed(self, data: bytes) -> None:
        """Take the next bytes, as many as there are."""
        at = 0
        if self._line < self._number:
            ends = data.count(b"\n")
            if self._line + ends < self._number:
                self._line += ends
                return
            for _ in range(self._number - self._line):
                at = data.find(b"\n", at) + 1
            self._line = self._number
        if self._line > self._number:
            return
        end = data.find(b"\n", at)
        here = data[at:] if end < 0 else data[at:end]
        first = max(0, self._begin - self._size)
        self._kept += here[first : first + MOST - len(self._kept)]
        self._size += len(here)
        self._line += end >= 0

    def part(self, room: int) -> LinePart:
        """What was kept, as far as it fits in `room` bytes; something of it in any case."""
        if self._line < self._number or self._begin > self._size:
            return LinePart("", 0, -1)
        kept = bytes(self._kept)
        more = self._begin + len(kept) < self._size
        kept = kept[: _whole(kept)] if more else kept
        text, ends = _characters(kept)
        piece, cut = fitting(text, room)
        count = max(1, len(piece)) if cut else len(text)
        following = self._begin + (ends[count - 1] if cut else len(kept))
        rest = following < self._size
        return LinePart(text[:count] if rest else text[:count].removesuffix("\r"), following * rest, self._size)


def _whole(data: bytes) -> int:
    """The bytes before a sequence or a character that the end cuts."""
    if opened := _OPEN.search(data):
        return opened.start()
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            return len(data) - back if back < 2 + (byte >= 0xE0) + (byte >= 0xF0) else len(data)
        if byte < 0x80:
            break
    return len(data)


def _characters(data: bytes) -> tuple[str, list[int]]:
    """The text without sequences, and the byte behind each of its characters."""
    found, ends, at = list[str](), list[int](), 0
    for start, end in [*(match.span() for match in ANSI.finditer(data)), (len(data), len(data))]:
        # Each byte that is no UTF-8 is one character, so that none is counted twice.
        for character in data[at:start].decode("utf-8", "surrogateescape"):
            odd = "\udc80" <= character <= "\udcff"
            at += 1 if odd else len(character.encode())
            found.append("\ufffd" if odd else character)
            ends.append(at)
        at = end
    return "".join(found), ends
