"""What a caller that is known gets to: the endpoint with strict bodies, and beside it metrics and the old transport."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Mapping

import anyio
from mcp_types import HEADER_MISMATCH, PROTOCOL_VERSION_META_KEY
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatelodge_core.answering import say
from gatelodge_core.auth.model import PRINCIPAL, peer
from gatelodge_core.auth.principal import Principal
from gatelodge_core.guard.chain import RETRY_AFTER
from gatelodge_core.guard.shedding import Shedding
from gatelodge_core.guard.wire import MAX_MESSAGE_BYTES, Json, WireError, decode_message
from gatelodge_core.launch.connections import let_in
from gatelodge_core.launch.in_flight import REQUEST_ID
from gatelodge_core.launch.metrics import METRICS_PATH, Exposition
from gatelodge_core.launch.separators import in_lines
from gatelodge_core.launch.sse import MESSAGES_PATH, SSE_PATH, OldTransport

MCP_PATH = "/mcp"
_PLAIN = (b"accept-encoding", b"identity")
_RESUMING = b"last-event-id"
_VERSION = b"mcp-protocol-version"
BODY_SECONDS = 30
"""How long a client may take to send one body."""


class Routes:
    """An ASGI application for HTTP requests that are let in.

    Args:
        app: The SDK's application.
        cap: The largest body, in bytes.
        metrics: What is shown at /metrics; None to show nothing.
        old: The transport of 2024-11-05, if it is served.
        most: The most requests of one known caller that are answered at once.
        shedding: Refuses what is over a limit anyway.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        cap: int = MAX_MESSAGE_BYTES,
        metrics: Exposition | None = None,
        old: OldTransport | None = None,
        most: int = 384,
        shedding: Shedding | None = None,
    ) -> None:
        self._shedding = shedding
        self._app = app
        self._cap, self._metrics, self._old, self._most = cap, metrics, old, most
        self._open: Counter[str] = Counter()
        self._streams: set[anyio.CancelScope] = set()
        self._draining = False

    def drain(self) -> None:
        """End what would stay open for as long as its clients like; calls go on."""
        self._draining = True
        for stream in list(self._streams):
            stream.cancel()
        if self._old is not None:
            self._old.drain()

    def settle(self) -> None:
        """Have written down who was refused since that last was."""
        if self._shedding is not None:
            self._shedding.settle()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; see the ASGI specification."""
        let_in(scope)
        known = _principal(scope)
        if known is None:
            await self._routed(scope, receive, send)
            return
        caller = str(known)
        if self._open[caller] >= self._most:
            if self._shedding is not None:
                self._shedding.unread(known, peer(scope))
            await say(send, 429, {"error": f"{self._most} requests of this caller are open"}, [(b"retry-after", b"1")])
            return
        self._open[caller] += 1
        try:
            await self._routed(scope, receive, send)
        finally:
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]

    async def _routed(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method, send = scope["path"], scope["method"], in_lines(send)
        if path == MCP_PATH:
            if method == "POST":
                await self._post(scope, receive, send, self._app)
            elif method == "GET":
                await self._listen(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        elif path == METRICS_PATH and self._metrics is not None:
            await self._metrics.answer(scope, receive, send)
        elif path == SSE_PATH and self._old is not None and method == "GET":
            await self._old.stream(scope, receive, send, lambda status, text: say(send, status, {"error": text}))
        elif path == MESSAGES_PATH and self._old is not None and method == "POST":
            await self._post(scope, receive, send, self._old.message)
        else:
            await say(send, 404, {"error": f"not found; MCP is served at {MCP_PATH}"})

    async def _listen(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A stream of a 2025 session's notifications; no answer comes on it, so it ends as soon as the server does."""
        if self._draining:
            # A client that was just cut, and comes again before the socket closes.
            await say(send, 503, {"error": "this server is ending"}, [(b"retry-after", b"1")])
            return
        # Nothing is kept to be told again; asked to, the SDK would give no answer at all.
        scope = {**scope, "headers": [item for item in scope["headers"] if item[0] != _RESUMING]}
        begun = False

        async def noting(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        with anyio.CancelScope() as stream:
            self._streams.add(stream)
            try:
                await self._app(scope, receive, noting)
            finally:
                self._streams.discard(stream)
        if stream.cancelled_caught and begun:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _post(self, scope: Scope, receive: Receive, send: Send, app: ASGIApp) -> None:
        if any(name == b"content-encoding" and value.lower() != b"identity" for name, value in scope["headers"]):
            # Nothing is unpacked here; whoever looked at the request before us may have, and seen another one.
            await say(send, 415, {"error": "a body is taken as it is, without Content-Encoding"}, [_PLAIN])
            return
        try:
            # Not a scope of anyio's, which costs a fiftieth of a short call; uvicorn's tasks are asyncio's own.
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(receive, self._cap)
        except TimeoutError:
            await say(send, 408, {"error": "the body took too long"})
            return
        except _Cut:
            return
        if body is None:
            await say(send, 413, {"error": f"a message may have {self._cap} bytes at most"})
            return
        try:
            message = decode_message(body)
        except WireError as error:
            await say(send, 400, error.response())
            return
        if app is self._app and _misled(scope, message):
            error = {
                "code": HEADER_MISMATCH,
                "message": "mcp-protocol-version header does not match the body's version",
            }
            await say(send, 400, {"jsonrpc": "2.0", "id": message.get("id"), "error": error})
            return
        # The old transport answers on its stream alone: a client takes a refused POST for the end of its connection.
        if (
            app is self._app
            and self._shedding
            and (over := self._shedding.refusal(_principal(scope), message, peer(scope)))
        ):
            said = {"jsonrpc": "2.0", "id": message["id"], "error": over.error.model_dump(exclude_none=True)}
            await say(send, 429, said, [_retry_after(over.wait)])
            return
        if "method" in message and message.get("id") is not None:
            scope[REQUEST_ID] = message["id"]
        given = False

        async def replay() -> Message:
            nonlocal given
            if not given:
                given = True
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        await app(scope, replay, _with_retry_after(scope, send))


def _misled(scope: Scope, message: Mapping[str, Json]) -> bool:
    """Whether the body is of 2026-07-28 or later, and the head isn't: by the head alone, the SDK would take it for older."""
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    version = meta.get(PROTOCOL_VERSION_META_KEY) if isinstance(meta, dict) else None
    return (
        isinstance(version, str)
        and version in MODERN_PROTOCOL_VERSIONS
        and (_VERSION, version.encode()) not in scope["headers"]
    )


def _with_retry_after(scope: Scope, send: Send) -> Send:
    """`send`, with 429 and Retry-After for a call that the guard refused over a limit (RFC 6585 section 4)."""

    async def wrapped(message: Message) -> None:
        wait = scope.get(RETRY_AFTER)
        if message["type"] == "http.response.start" and wait is not None and message["status"] == 200:
            message = {**message, "status": 429, "headers": [*message.get("headers", []), _retry_after(float(wait))]}
        await send(message)

    return wrapped


def _principal(scope: Scope) -> Principal | None:
    """Who calls, if there is a door that knows."""
    found: object = scope.get(PRINCIPAL)
    return found if isinstance(found, Principal) else None


def _retry_after(seconds: float) -> tuple[bytes, bytes]:
    return b"retry-after", str(math.ceil(seconds)).encode()


class _Cut(Exception):
    """A client that left before its body was whole: nobody waits for an answer."""


async def _body(receive: Receive, cap: int) -> bytes | None:
    """The whole body, or None if it is over the cap.

    Raises:
        _Cut: It never became whole; what is there must not be taken for it (RFC 9112, section 8).
    """
    held = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise _Cut
        held += message.get("body", b"")
        if len(held) > cap:
            return None
        more = bool(message.get("more_body"))
    return bytes(held)
