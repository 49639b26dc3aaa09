"""A TCP proxy on loopback that stops forwarding at a chosen moment, as a network does that went away without a word."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Generator
from typing import Literal

CANCEL = b"\x00\x00\x00\x10\x04\xd2\x16\x2e"
"""How a cancel request begins."""
Moment = Literal["", "connect", "cancel"] | bytes


class Proxy:
    """Forwards to a port; runs in a thread of its own.

    Args:
        target: The port.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self.moment: Moment = ""
        """When to stop: at a new connection, at a request to cancel, or once a client sent these bytes."""
        self.connections = 0
        self.stalled = threading.Event()
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._ending = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._run()], daemon=True)

    def stall(self, moment: Moment) -> None:
        self.stalled.clear()
        self.moment = moment

    def stop(self) -> None:
        """Forward nothing from now on."""
        self._loop.call_soon_threadsafe(self._stop)
        assert self.stalled.wait(10)

    def resume(self) -> None:
        """Forward what came meanwhile, and all that comes."""
        self.moment = ""
        self._loop.call_soon_threadsafe(self._flows.set)

    def _stop(self) -> None:
        self.moment = ""
        self._flows.clear()
        self.stalled.set()

    async def _run(self) -> None:
        self._flows.set()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ending.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if self.moment == "connect":
            self._stop()
        try:
            await self._flows.wait()
            there, out = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                await asyncio.gather(self._copy(reader, out, watched=True), self._copy(there, writer, watched=False))
            finally:
                out.close()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, watched: bool) -> None:
        while data := await source.read(65536):
            if watched and (
                (isinstance(self.moment, bytes) and self.moment in data)
                or (self.moment == "cancel" and data.startswith(CANCEL))
            ):
                self._stop()
            await self._flows.wait()
            sink.write(data)
            await sink.drain()
        await self._flows.wait()
        with contextlib.suppress(OSError, RuntimeError):
            sink.write_eof()

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(10)
        self._loop.close()


@contextlib.contextmanager
def proxy(target: int) -> Generator[Proxy]:
    made = Proxy(target)
    made.start()
    try:
        yield made
    finally:
        made.resume()
        made.end()
