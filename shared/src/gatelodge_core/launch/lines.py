"""Lines of bytes in and out of two descriptors, with bounds on both sides.

Pipes and sockets are driven by the event loop itself: no thread, so tools can't starve the transport, and the kernel
sandbox can be entered while the process has one thread. Anything else (a file, a terminal, Windows) goes through one
worker thread of its own.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator
from typing import Self, cast

import anyio
import anyio.to_thread

from gatelodge_core.launch.descriptors import pollable
from gatelodge_core.launch.separators import one_line

CHUNK = 64 * 1024


class _Incoming(asyncio.Protocol):
    """Receives chunks from a pipe; reading pauses while `LIMIT` chunks wait."""

    LIMIT = 16

    def __init__(self) -> None:
        self.chunks: deque[bytes] = deque()
        self.ended = False
        self.wake = asyncio.Event()
        self.transport: asyncio.ReadTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.ReadTransport", transport)

    def data_received(self, data: bytes) -> None:
        self.chunks.append(data)
        if len(self.chunks) >= self.LIMIT and self.transport is not None:
            self.transport.pause_reading()
        self.wake.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.ended = True
        self.wake.set()


async def chunks(descriptor: int) -> AsyncIterator[bytes]:
    """Everything that arrives on a descriptor, until its end."""
    if not pollable(descriptor):
        # Its own limiter: the shared pool of forty threads is the tools'.
        limiter = anyio.CapacityLimiter(1)
        while data := await anyio.to_thread.run_sync(
            os.read, descriptor, CHUNK, limiter=limiter, abandon_on_cancel=True
        ):
            yield data
        return
    incoming = _Incoming()
    source = os.fdopen(descriptor, "rb", buffering=0, closefd=False)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: incoming, source)
    try:
        while True:
            while incoming.chunks:
                yield incoming.chunks.popleft()
                if len(incoming.chunks) < incoming.LIMIT and not incoming.ended:
                    transport.resume_reading()
            if incoming.ended:
                return
            incoming.wake.clear()
            await incoming.wake.wait()
    finally:
        transport.close()


class _Outgoing(asyncio.BaseProtocol):
    """Tells the writer when the pipe is full and when its reader is gone."""

    def __init__(self) -> None:
        self.room = asyncio.Event()
        self.room.set()
        self.lost = asyncio.Event()

    def pause_writing(self) -> None:
        self.room.clear()

    def resume_writing(self) -> None:
        self.room.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.lost.set()
        self.room.set()


class LineWriter:
    """Writes whole lines to a descriptor, waiting while the reader is slow.

    Use as an async context manager; leaving it waits at most `FLUSH_SECONDS` for what is still buffered.
    """

    FLUSH_SECONDS = 1.0

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._transport: asyncio.WriteTransport | None = None
        self._outgoing = _Outgoing()
        self._limiter = anyio.CapacityLimiter(1)
        self.closed = False
        """Whether the reader is gone: nothing more can be said, and that is not an error."""

    async def __aenter__(self) -> Self:
        if pollable(self._descriptor):
            target = os.fdopen(self._descriptor, "wb", buffering=0, closefd=False)
            loop = asyncio.get_running_loop()
            self._transport, _ = await loop.connect_write_pipe(lambda: self._outgoing, target)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._transport is None:
            return
        self._transport.close()  # sends what is buffered, then calls `connection_lost`
        with anyio.move_on_after(self.FLUSH_SECONDS, shield=True):
            await self._outgoing.lost.wait()
        if not self._outgoing.lost.is_set():
            self._transport.abort()

    async def write(self, line: bytes) -> None:
        """Write one line of JSON; `line` has no newline. A reader that has left ends in `closed`, quietly."""
        if self.closed:
            return
        line = one_line(line)
        if self._transport is None:
            try:
                await anyio.to_thread.run_sync(_write_all, self._descriptor, line + b"\n", limiter=self._limiter)
            except OSError:
                self.closed = True
            return
        self._transport.write(line + b"\n")
        await self._outgoing.room.wait()
        self.closed = self._outgoing.lost.is_set()


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
