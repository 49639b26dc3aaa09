"""The HTTP+SSE transport of 2024-11-05, for clients that know nothing newer: an event stream at /sse, messages to /messages.

A message is judged by the credential that it comes with itself; the SDK takes it only with the one that opened the stream.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, cast

import anyio
from mcp.server.lowlevel.server import Server
from mcp.server.sse import SseServerTransport
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.message import SessionMessage
from mcp_types import INVALID_REQUEST, ErrorData, JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse
from starlette.types import Receive, Scope, Send

from gatelodge_core.auth.model import PRINCIPAL
from gatelodge_core.guard.wire import MAX_MESSAGE_BYTES
from gatelodge_core.launch.in_flight import IN_FLIGHT, InFlight
from gatelodge_core.launch.sessions import share

SSE_PATH = "/sse"
MESSAGES_PATH = "/messages"


class OldTransport:
    """All streams of the old transport.

    Args:
        server: The SDK's low-level server.
        most: The most streams at once; one known caller may have a quarter.
        security: The SDK's own check of Host and Origin, behind ours.
        prefix: What a proxy puts before our paths, such as ``/files``; the client is told where to send messages.
    """

    def __init__(
        self, server: Server[Any], *, most: int, security: TransportSecuritySettings, prefix: str = ""
    ) -> None:
        self._server, self._most, self._prefix = server, most, prefix
        self._transport = SseServerTransport(MESSAGES_PATH, security, MAX_MESSAGE_BYTES)
        self._streams: dict[InFlight, Callable[[], None] | None] = {}
        self._callers: Counter[str] = Counter()
        self._draining = False

    @property
    def count(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    async def stream(self, scope: Scope, receive: Receive, send: Send, refuse: Callable[[int, str], Any]) -> None:
        """Serve an event stream until its client leaves, or `drain`.

        Args:
            scope: Of the request; it is let in already.
            receive: The connection's.
            send: The connection's.
            refuse: Answers with a status and a reason instead.
        """
        known: object = scope.get(PRINCIPAL)
        caller = "" if known is None else str(known)
        full = len(self._streams) >= self._most or (caller and self._callers[caller] >= share(self._most))
        if full or self._draining:
            await refuse(503, "too many open sessions" if full else "this server is ending")
            return
        scope = {**scope, "root_path": self._prefix}
        unanswered = InFlight()
        self._callers[caller] += 1
        # From here on it counts; there is no await between this and the check above.
        self._streams[unanswered] = None
        try:
            async with self._transport.connect_sse(scope, receive, send) as (read, write):
                # Closing this side sends what is left and ends the stream as the protocol has it.
                self._streams[unanswered] = write.close
                self._rest(unanswered)
                await self._server.run(
                    _Read(read, unanswered, write.send, self._rest),
                    _Write(write, unanswered, self._rest),
                    self._server.create_initialization_options(),
                )
        finally:
            del self._streams[unanswered]
            self._callers[caller] -= 1
            if not self._callers[caller]:
                del self._callers[caller]

    async def message(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take a message; its answer comes on the stream."""
        await self._transport.handle_post_message(scope, receive, send)

    def drain(self) -> None:
        """End each stream as soon as nothing on it waits for an answer."""
        self._draining = True
        for unanswered in list(self._streams):
            self._rest(unanswered)

    def _rest(self, unanswered: InFlight) -> None:
        """Called whenever a stream has answered all it was asked."""
        end = self._streams.get(unanswered)
        if self._draining and unanswered.empty and end is not None:
            end()


class _Stream:
    """What both have in common: the SDK's stream under it."""

    def __init__(self, inner: Any, unanswered: InFlight, rest: Callable[[InFlight], None]) -> None:
        self._inner, self._unanswered, self._rest = inner, unanswered, rest

    async def aclose(self) -> None:
        """Close it."""
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None:
        await self.aclose()
        return None


class _Read(_Stream):
    """A stream of what a client sends, with its requests noted; see the SDK's `ReadStream`.

    A request whose id is in flight goes no further: it is answered here, as on stdio.
    """

    def __init__(
        self,
        inner: Any,
        unanswered: InFlight,
        answer: Callable[[SessionMessage], Awaitable[None]],
        rest: Callable[[InFlight], None],
    ) -> None:
        super().__init__(inner, unanswered, rest)
        self._answer = answer

    @property
    def last_context(self) -> Any:
        """The context of the request that brought the last message: whose it is."""
        return self._inner.last_context

    async def receive(self) -> SessionMessage | Exception:
        """The next message."""
        while True:
            found = cast("SessionMessage | Exception", await self._inner.receive())
            message = found.message if isinstance(found, SessionMessage) else None
            if not isinstance(message, JSONRPCRequest):
                if isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
                    self._cancelled((message.params or {}).get("requestId"))
                return found
            if not self._unanswered.holds(message.id):
                self._unanswered.accept(message.id)
                return found
            error = ErrorData(code=INVALID_REQUEST, message=IN_FLIGHT)
            await self._answer(SessionMessage(JSONRPCError(jsonrpc="2.0", id=message.id, error=error)))

    def _cancelled(self, request_id: object) -> None:
        # Nothing is answered after it: whoever waited for that would wait until the end of all.
        self._unanswered.settle(request_id)
        self._rest(self._unanswered)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


class _Write(_Stream):
    """A stream of what is sent to a client, with its answers noted; see the SDK's `WriteStream`."""

    async def send(self, item: SessionMessage) -> None:
        """Send one message."""
        await self._inner.send(item)
        if isinstance(item.message, (JSONRPCResponse, JSONRPCError)) and item.message.id is not None:
            self._unanswered.settle(item.message.id)
            self._rest(self._unanswered)
