"""Sessions of the 2025 revisions: so many in all, and so many of one caller, that none keeps the others out."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthorizationContext
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http import GET_STREAM_KEY, MCP_SESSION_ID_HEADER, StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import INVALID_REQUEST
from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from gatelodge_core.answering import say
from gatelodge_core.auth.model import PRINCIPAL
from gatelodge_core.guard.wire import MAX_MESSAGE_BYTES
from gatelodge_core.launch.in_flight import IN_FLIGHT, REQUEST_ID

_SESSION = MCP_SESSION_ID_HEADER.encode()
LEFT_SECONDS = 10.0
"""After how long without a request a session may make way for another one of its caller's."""


def share(most: int) -> int:
    """How many of `most` sessions one caller may have: a quarter, so that it takes several to fill a server."""
    return max(1, most // 4)


class Sessions(StreamableHTTPSessionManager):
    """The SDK's sessions, with a bound for each caller. Without authentication there is one caller, and no such bound.

    Args:
        server: The SDK's low-level server.
        most: The most sessions at once.
        stateless: Keep none.
        idle_seconds: How long an unused one lives.
        security: The SDK's own check of Host and Origin, behind ours.
    """

    def __init__(
        self,
        server: Server[Any],
        *,
        most: int,
        stateless: bool,
        idle_seconds: float,
        security: TransportSecuritySettings,
    ) -> None:
        super().__init__(
            server,
            stateless=stateless,
            security_settings=security,
            session_idle_timeout=None if stateless else idle_seconds,
            max_request_body_size=MAX_MESSAGE_BYTES,
            max_sessions=most,
        )
        self._share = share(most)
        self._in_flight: set[tuple[str, str, str]] = set()
        """Session, caller and id of each request that waits for its answer."""

    async def handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; an id that is in flight in its session goes no further.

        The SDK would let the second one take the place of the first, which then never has its answer (`in_flight`).
        """
        request_id, session = scope.get(REQUEST_ID), _session(scope)
        if request_id is None or session not in self._server_instances:
            await super().handle_request(scope, receive, send)
            return
        # With the caller, so that nobody can take or find out an id of another's session.
        key = (session, str(scope.get(PRINCIPAL)), str(request_id))
        if key in self._in_flight or key[2] == GET_STREAM_KEY:
            error = {"code": INVALID_REQUEST, "message": IN_FLIGHT}
            await say(send, 400, {"jsonrpc": "2.0", "id": request_id, "error": error})
            return
        self._in_flight.add(key)
        try:
            await super().handle_request(scope, receive, send)
        finally:
            self._in_flight.discard(key)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._server_instances)

    def _admit_session(self, requestor: AuthorizationContext | None) -> StreamableHTTPServerTransport | None:
        # The SDK's one place where a session is let in; None is answered with 503.
        most = self._share if requestor is not None else self.max_sessions
        mine = [name for name in self._server_instances if self._session_owners.get(name) == requestor]
        if most is not None and len(mine) >= most and not self._made_way(mine):
            return None
        return super()._admit_session(requestor)

    def _made_way(self, mine: list[str]) -> bool:
        """Whether one of a caller's sessions could be ended: the one without a request or a stream for longest.

        Many clients of these revisions just leave. Without this, one that starts every few seconds would be refused for
        minutes. A client that comes back is told 404, and opens another one (MCP 2025-11-25, session management).
        """
        ends = {name: scope.deadline for name in mine if (scope := self._server_instances[name].idle_scope) is not None}
        oldest = min(ends, key=lambda name: ends[name], default="")
        idle = self.session_idle_timeout
        if not oldest or idle is None or ends[oldest] - idle > anyio.current_time() - LEFT_SECONDS:
            return False
        scope = self._server_instances.pop(oldest).idle_scope
        self._session_owners.pop(oldest, None)
        # Its task ends it as if its time were over.
        if scope is not None:
            scope.cancel()
        return True

    async def _serve_opening_request(
        self, http_transport: StreamableHTTPServerTransport, scope: Scope, receive: Receive, send: Send
    ) -> None:
        # The SDK forgets a session that began with an HTTP error; one that began with an error of JSON-RPC would be kept,
        # and a client that tries again would soon be told that it has too many.
        # It is forgotten before its answer goes, so that whoever has the answer finds it gone.
        name, refused = http_transport.mcp_session_id or "", False

        async def watching(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.body" and _is_error(message.get("body", b"")):
                refused = True
                self._server_instances.pop(name, None)
                self._session_owners.pop(name, None)
            await send(message)

        await super()._serve_opening_request(http_transport, scope, receive, watching)
        if refused:
            await self._discard_session(name, http_transport)


def _session(scope: Scope) -> str:
    """The session that a request names; empty if it names none."""
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == _SESSION), "")


def _is_error(body: bytes) -> bool:
    """Whether a part of an answer, as JSON or as an event, is an error of JSON-RPC."""
    for line in body.splitlines():
        with contextlib.suppress(ValueError):
            found: object = json.loads(line.removeprefix(b"data:"))
            if isinstance(found, dict) and "error" in found:
                return True
    return False


class Endpoint:
    """The SDK's endpoint as an ASGI application. The front has looked at the path already, so nothing routes.

    Args:
        sessions: Its sessions.
    """

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self._life = Starlette(lifespan=lambda _: sessions.run())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""
        if scope["type"] == "lifespan":
            await self._life(scope, receive, send)
        else:
            await self.sessions.handle_request(scope, receive, send)
