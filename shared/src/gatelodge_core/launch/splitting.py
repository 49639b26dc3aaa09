"""A stream of bytes cut into lines, holding a bounded part of it. Standard library only: the porter cuts the same way."""

from __future__ import annotations

from codecs import BOM_UTF8
from enum import Enum
from typing import cast

from gatelodge_core.guard.wire import INVALID_REQUEST, Json, WireError, decode_message


class Oversized(Enum):
    """Stands for a line over the cap; its bytes were dropped."""

    LINE = "line"


class LineSplitter:
    """Cuts a stream of chunks into lines, holding at most `cap` bytes.

    A byte order mark at the beginning of a line is left out (RFC 8259, section 8.1): hosts that write through .NET or
    PowerShell send one before their first message, and wait for ever where that is refused.

    Args:
        cap: The longest line, in bytes without its newline. A longer one yields `Oversized.LINE` once.
        held: What another has read of a line already.
        dropping: Whether the rest of a line over the cap is to come, which another has told of.
    """

    def __init__(self, cap: int, held: bytes = b"", *, dropping: bool = False) -> None:
        self._cap = cap
        self._held = bytearray(held)
        self._dropping = dropping

    @property
    def held(self) -> bytes:
        """What has arrived of a line that has not ended."""
        return bytes(self._held)

    @property
    def dropping(self) -> bool:
        """Whether the rest of a line over the cap is still to come."""
        return self._dropping

    def feed(self, chunk: bytes) -> list[bytes | Oversized]:
        """The lines that end in this chunk."""
        lines: list[bytes | Oversized] = []
        # Searching only the new bytes keeps a long line linear.
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            piece = chunk[start:end]
            start = end + 1
            if self._dropping:
                self._dropping = False
                continue
            if len(self._held) + len(piece) > self._cap:
                lines.append(Oversized.LINE)
            else:
                lines.append((bytes(self._held) + piece).removeprefix(BOM_UTF8))
            self._held.clear()
        rest = chunk[start:]
        if not self._dropping:
            if len(self._held) + len(rest) > self._cap:
                self._held.clear()
                self._dropping = True
                lines.append(Oversized.LINE)
            else:
                self._held += rest
        return lines

    def end(self) -> list[bytes | Oversized]:
        """What is left when the stream ends without a newline."""
        left = [] if self._dropping or not self._held else [bytes(self._held).removeprefix(BOM_UTF8)]
        self._held.clear()
        return cast("list[bytes | Oversized]", left)


def decoded(line: bytes | Oversized, cap: int) -> dict[str, Json] | WireError | None:
    """The message on a line; what is wrong with it; None if there is nothing on it.

    Args:
        line: As it was split off.
        cap: The most bytes that one may have.
    """
    if isinstance(line, Oversized):
        return WireError(INVALID_REQUEST, f"Invalid request: a message may have {cap} bytes at most")
    if not line.strip():
        return None
    try:
        return decode_message(line)
    except WireError as error:
        return error
