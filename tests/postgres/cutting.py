"""A proxy before a server that hangs up around a COMMIT: before the server has it, or after it answered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Literal

from tests.postgres.seed import Home

Where = Literal["", "before", "after"]


class Cutter:
    """The proxy; use `cutting`."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.port = 0
        self.at: Where = ""
        """Where to hang up, once."""
        self.for_good = False
        """Whether nobody is let in after that."""
        self._shut = False
        self._tasks: set[asyncio.Task[None]] = set()

    def url(self, user: str) -> str:
        return self.home.url(user).replace(f":{self.home.bed.port}/", f":{self.port}/")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if self._shut:
            writer.transport.abort()
            return
        up, down = await asyncio.open_connection(self.home.bed.host, self.home.bed.port)
        answered, muted = asyncio.Event(), asyncio.Event()
        back = asyncio.create_task(_pump(up, writer, answered, muted))
        try:
            while data := await reader.read(65536):
                cut = self.at if b"COMMIT" in data else ""
                if cut:
                    self.at, self._shut = "", self.for_good
                    if self._shut:
                        # Another connection would still know what became of it.
                        for other in self._tasks - {task}:
                            other.cancel()
                if cut == "after":
                    muted.set()
                    answered.clear()
                    down.write(data)
                    await answered.wait()
                if cut:
                    break
                down.write(data)
        except asyncio.CancelledError:
            pass  # by `end`, or since all are to be cut; asyncio's own callback would complain
        finally:
            # At once, since nobody waits for this task again.
            back.cancel()
            down.transport.abort()
            writer.transport.abort()

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _pump(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, answered: asyncio.Event, muted: asyncio.Event
) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            answered.set()
            if not muted.is_set():
                sink.write(data)


@contextlib.asynccontextmanager
async def cutting(home: Home) -> AsyncGenerator[Cutter]:
    """A proxy before the home's server."""
    cutter = Cutter(home)
    server = await asyncio.start_server(cutter.serve, "127.0.0.1", 0)
    cutter.port = int(server.sockets[0].getsockname()[1])
    try:
        yield cutter
    finally:
        server.close()
        await cutter.end()
        await server.wait_closed()
