"""Two callers that listen to the list of resources, each of whom must hear of its own catalog alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.support.several import Several
from tests.support.wire import MODERN


async def each_hears_its_own(
    served: Several, names: Sequence[str], change: Callable[[str], None], *, quiet: float
) -> None:
    """Change what one caller has, then what the other has; fail unless that caller is told each time, and nobody else.

    Args:
        served: The server.
        names: The two callers.
        change: Changes what a caller of this name has; may block.
        quiet: Seconds in which nothing else may come.
    """
    heard: asyncio.Queue[str] = asyncio.Queue()
    ready = {name: anyio.Event() for name in names}

    async def listen(name: str) -> None:
        headers = {"authorization": f"Bearer {served.keys[name]}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(served.url, http_client=http), mode=MODERN, cache=None) as client,
            client.listen(resources_list_changed=True) as stream,
        ):
            ready[name].set()
            async for _ in stream:
                heard.put_nowait(name)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for name, event in ready.items():
                # One after the other, so that the first is whose role is looked at first.
                group.start_soon(listen, name)
                await event.wait()
            for name in reversed(names):
                await anyio.to_thread.run_sync(change, name)
                assert await heard.get() == name
                with anyio.move_on_after(quiet):
                    while True:
                        assert await heard.get() == name
            group.cancel_scope.cancel()
