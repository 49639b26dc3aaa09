"""The SDK's end of a stdio connection: what is sent to it, what it says, and how a connection begins anew.

The SDK fixes a connection's era at its first request. A host that falls back to ``initialize`` after ``server/discover``
therefore gets another connection inside the same one; nothing is lost, since nothing else was asked.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.lowlevel.server import Server
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCRequest, JSONRPCResponse

from gatelodge_core.launch.porter.words import CLIENT_CAPABILITIES, DISCOVER, MODERN, PROTOCOL_VERSION

_ENVELOPE: dict[str, Any] = {"_meta": {PROTOCOL_VERSION: MODERN, CLIENT_CAPABILITIES: {}}}

Deliver = Callable[[JSONRPCMessage], Awaitable[None]]


class Speaker:
    """One SDK server on one host's connection.

    Args:
        server: The SDK's low-level server; its lifespan is entered and left with each connection.
        group: Where it runs.
        deliver: Takes what it says to the host.
    """

    def __init__(self, server: Server[Any], group: TaskGroup, deliver: Deliver) -> None:
        self._server = server
        self._group = group
        self._deliver = deliver
        self._private: set[str] = set()
        self.opened = False
        """Whether it has had a request, which decides its era."""
        self._begin()

    def _begin(self) -> None:
        self._to_server, from_host = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        to_host, from_server = anyio.create_memory_object_stream[SessionMessage](0)
        self._over = anyio.Event()
        self._group.start_soon(self._run, from_host, to_host, self._over)
        self._group.start_soon(self._listen, from_server)

    async def _run(
        self,
        from_host: MemoryObjectReceiveStream[SessionMessage | Exception],
        to_host: MemoryObjectSendStream[SessionMessage],
        over: anyio.Event,
    ) -> None:
        try:
            await self._server.run(from_host, to_host, self._server.create_initialization_options())
        finally:
            over.set()

    async def _listen(self, from_server: MemoryObjectReceiveStream[SessionMessage]) -> None:
        async with from_server:
            async for item in from_server:
                message = item.message
                if isinstance(message, (JSONRPCResponse, JSONRPCError)) and message.id in self._private:
                    self._private.discard(str(message.id))
                else:
                    await self._deliver(message)

    async def send(self, message: JSONRPCMessage) -> None:
        """Give it a message."""
        self.opened = self.opened or isinstance(message, JSONRPCRequest)
        await self._to_server.send(SessionMessage(message))

    async def tell(self, method: str, params: Mapping[str, Any]) -> None:
        """Ask it something in the host's place; the host, who has its answer or wants none, doesn't get this one."""
        # Of its own, since the host may have used any number.
        request_id = f"gatelodge-{os.urandom(12).hex()}"
        self._private.add(request_id)
        await self.send(JSONRPCRequest(jsonrpc="2.0", id=request_id, method=method, params=dict(params)))

    async def open_modern(self) -> None:
        """Decide for 2026-07-28, as what was answered without it has."""
        await self.tell(DISCOVER, _ENVELOPE)

    async def begin_anew(self) -> None:
        """Forget what was said so far; nothing may be unanswered."""
        await self.end()
        self.opened = False
        self._begin()

    async def end(self) -> None:
        """End the connection, and wait until it has ended."""
        await self._to_server.aclose()
        await self._over.wait()
