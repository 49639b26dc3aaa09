"""The body of an answer, bounded while it is read."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterator
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.lowlevel

from gatelodge_core.sandbox.egress.decode import Decoder, steps
from gatelodge_core.sandbox.egress.errors import EgressError
from gatelodge_core.sandbox.egress.failures import translated
from gatelodge_core.sandbox.egress.limits import EgressLimits

_PARTS_PER_TURN = 64
"""Parts after which other tasks get a turn: a body in chunks of one byte is parsed without waiting for anything."""

_CRUMBS = 4096
_CRUMB = 16
"""After so many parts, one must have so many bytes on average: parsing a chunk costs much the same, however small, and
a megabyte of chunks of one byte keeps a processor busy for many seconds."""


@dataclass(frozen=True, slots=True)
class Caps:
    """What one body may be.

    Args:
        wire: Bytes as sent.
        body: Bytes after decompression.
        cut: End the body at the cap, rather than fail.
        deadline: On the event loop's clock.
    """

    wire: int
    body: int
    cut: bool
    deadline: float


class Body:
    """Iterates over the decoded pieces, each at most about 64 KiB unless the wire brought it larger.

    Args:
        stream: From the pool; it and its iterator have an ``aclose``.
        decoder: For its content coding.
        limits: For the ratio.
        caps: For all else.
    """

    def __init__(self, stream: AsyncIterable[bytes], decoder: Decoder, limits: EgressLimits, caps: Caps) -> None:
        self._stream: Any = stream
        self._parts: Any = stream.__aiter__()
        self._decoder = decoder
        self._limits = limits
        self._caps = caps
        self._pieces: Iterator[bytes] = iter(())
        self._turn = 0
        self._ended = False
        self._closed = False
        self.wire = 0
        """Bytes received, as sent."""
        self.size = 0
        """Bytes given."""
        self.truncated = False
        """Whether a cap ended it."""

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        """The next piece.

        Raises:
            EgressError: `too_large`, `too_slow`, `bad_encoding`, `unreachable` or `bad_answer`; it is closed then.
        """
        try:
            return await self._next()
        except StopAsyncIteration:
            raise
        except BaseException:
            await self.aclose()
            raise

    async def _next(self) -> bytes:
        while not self._ended:
            piece = next(self._pieces, None)
            if piece is not None:
                if piece:
                    return await self._counted(piece)
                continue
            part = None if self.truncated else await self._part()
            if part is None:
                self._ended = True
                if self.wire and not self._decoder.finished and not self.truncated:
                    raise EgressError("bad_encoding", "The compressed answer ends too early.")
                break
            self.wire += len(part)
            if self._turn > _CRUMBS and self.wire < _CRUMB * self._turn:
                raise EgressError("bad_answer", "The answer comes in far too many small parts.")
            if self.wire > self._caps.wire:
                part = part[: len(part) - (self.wire - self._caps.wire)]
                self._over()
            self._pieces = steps(self._decoder, part)
        await self.aclose()
        raise StopAsyncIteration

    async def _part(self) -> bytes | None:
        self._turn += 1
        if self._turn % _PARTS_PER_TURN == 0:
            await anyio.lowlevel.checkpoint()
        with anyio.CancelScope(deadline=self._caps.deadline) as scope, translated():
            try:
                part: bytes = await self._parts.__anext__()
            except StopAsyncIteration:
                return None
            except EgressError as error:
                # Its framing came over the cap before the body did.
                if error.code != "too_large":
                    raise
                self._over()
                return None
            return part
        assert scope.cancelled_caught
        raise EgressError("too_slow", "The answer took too long.")

    async def _counted(self, piece: bytes) -> bytes:
        self.size += len(piece)
        if self.size > self._caps.body:
            piece = piece[: len(piece) - (self.size - self._caps.body)]
            self._over()
            self.size = self._caps.body
            self._ended = True
            await self.aclose()
        elif self.size > self._limits.ratio_floor and self.size > self._limits.ratio * self.wire:
            raise EgressError("too_large", "The answer unpacks to far more than was sent.")
        return piece

    def _over(self) -> None:
        if not self._caps.cut:
            raise EgressError("too_large", "The answer is larger than may be received.")
        self.truncated = True

    async def aclose(self) -> None:
        """Let go of the connection: back to the pool if the body was read to its end, else closed."""
        if self._closed:
            return
        self._closed = self._ended = True
        with anyio.CancelScope(shield=True), translated():
            for opened in (self._parts, self._stream):
                await opened.aclose()
