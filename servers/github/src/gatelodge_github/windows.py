"""Some lines of a text that comes in pieces, in bounded memory whatever the text's size.

A line ends with a newline, and with nothing else: as editors, git and GitHub's links count them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gatelodge_github.blobs import HEAD, is_text


@dataclass(slots=True)
class Window:
    """Takes the lines asked for, as far as there is room; feed it, then `close` it if the text has ended.

    Args:
        first: The first line wanted, from 1.
        last: The last one; 0 for the end.
        room: The most bytes kept.
        skip: Bytes of the first line that are left out, since they were read before.
    """

    first: int
    last: int
    room: int
    skip: int = 0
    head: bytes = b""
    """The beginning of the text, by which its kind is told."""
    lines: list[bytes] = field(default_factory=list[bytes])
    """What was taken, with the ends of lines."""
    line: int = 1
    """The line that comes next."""
    ended: bool = False
    """Whether the text has no more lines."""
    full: bool = False
    """Whether lines that were wanted found no room."""
    broken: bool = False
    """Whether a single line was too long, so that only its beginning was taken."""
    _size: int = 0
    _skipped: int = 0
    _open: bool = False
    _part: bytearray = field(default_factory=bytearray)

    def feed(self, piece: bytes) -> bool:
        """Take a piece; False if no more are needed: all is there, there is no room, or this is no text."""
        if len(self.head) < HEAD:
            self.head += piece[: HEAD - len(self.head)]
            if not is_text(self.head):
                return False
        self._open = not piece.endswith(b"\n") if piece else self._open
        if self.line < self.first:
            ends = piece.count(b"\n")
            if self.line + ends < self.first:
                self.line += ends
                return True
            at = -1
            for _ in range(self.first - self.line):
                at = piece.find(b"\n", at + 1)
            piece = piece[at + 1 :]
            self.line = self.first
        *whole, rest = piece.split(b"\n")
        return all(self._take(part, end=b"\n") for part in whole) and self._take(rest, end=b"")

    def close(self) -> None:
        """The text has ended: its last line may lack an end."""
        if self._part and not self.full:
            self._keep()
        elif self._open and self.line < self.first:
            self.line += 1
        self.ended = not self.full

    def keep(self, count: int) -> None:
        """Let go of all lines but the first few: the others have no room in the end."""
        if count < len(self.lines):
            del self.lines[count:]
            self.line = self.first + count
            self.full = True

    @property
    def next_line(self) -> int:
        """Where to go on; 0 if all that was wanted is there."""
        return self.line if self.full and not (self.last and self.line > self.last) else 0

    @property
    def data(self) -> bytes:
        """What was taken."""
        return b"".join(self.lines)

    @property
    def shown(self) -> str:
        """The lines that were taken, such as ``5-12``; empty if there are none."""
        return f"{self.first}-{self.first + len(self.lines) - 1}" if self.lines else ""

    def _take(self, part: bytes, end: bytes) -> bool:
        if self.last and self.line > self.last:
            return False
        # What was skipped counts down, so that it is of the first line alone.
        gone = min(self.skip - self._skipped, len(part)) if self.line == self.first else 0
        self._skipped += gone
        self._part += part[gone:]
        self._part += end
        if self._size + len(self._part) > self.room:
            self.full = True
            if not self.lines:
                self.broken = True
                del self._part[self.room :]
                self._keep()
            return False
        if end:
            self._keep()
        return True

    def _keep(self) -> None:
        self.lines.append(bytes(self._part))
        self._size += len(self._part)
        self._part.clear()
        self.line += 1
