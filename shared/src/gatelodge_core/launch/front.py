"""The ASGI front that everything on HTTP passes: Host, Origin, strict bodies, health.

It wraps the whole application, since the SDK checks Host and Origin on its own endpoint alone, and not at all on
``0.0.0.0`` (a server bound there is just as reachable by DNS rebinding).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatelodge_core.guard.chain import RETRY_AFTER
from gatelodge_core.guard.wire import MAX_MESSAGE_BYTES, Json, WireError, decode_message

MCP_PATH = "/mcp"
BODY_SECONDS = 30
"""How long a client may take to send one body."""


@dataclass(frozen=True)
class Doors:
    """Which Host and Origin headers are let in.

    Args:
        hosts: Names without port; an IPv6 address without brackets.
        origins: Full origins, such as ``https://app.example``; those of `hosts` over http are let in besides.
    """

    hosts: frozenset[str]
    origins: frozenset[str] = frozenset()

    def admits_host(self, header: str | None) -> bool:
        """Whether a Host header names us, with any port."""
        if not header or any(char in header for char in "/@?# "):
            return False
        try:
            name = urlsplit(f"//{header}").hostname
        except ValueError:
            return False
        return name is not None and name in self.hosts

    def admits_origin(self, header: str | None) -> bool:
        """Whether an Origin header may call us; none at all means it isn't a browser."""
        if header is None or header in self.origins:
            return True
        try:
            parts = urlsplit(header)
            return parts.scheme == "http" and parts.hostname in self.hosts and not parts.path
        except ValueError:
            return False


class Front:
    """The outermost ASGI application.

    Args:
        app: The SDK's application; it gets the lifespan events, and requests that passed.
        doors: Host and Origin lists.
        ready: Reasons why calls would fail now; empty when they would not.
        cap: The largest body, in bytes.
    """

    def __init__(
        self, app: ASGIApp, doors: Doors, ready: Callable[[], list[str]], cap: int = MAX_MESSAGE_BYTES
    ) -> None:
        self._app = app
        self._doors = doors
        self._ready = ready
        self._cap = cap
        self.level = ""
        """The level of confinement, for /readyz."""
        self.draining = False
        """Set when shutdown begins: /readyz then answers 503, so that a balancer looks elsewhere."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:  # a WebSocket: nothing here speaks it
            await send({"type": "websocket.close", "code": 1003})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._doors.admits_host(_only(scope, b"host")):
            await _say(send, 421, {"error": "this Host is not served here; see --allowed-hosts"})
        elif not self._doors.admits_origin(_only(scope, b"origin") if _has(scope, b"origin") else None):
            await _say(send, 403, {"error": "this Origin may not call here; see --allowed-origins"})
        elif scope["path"] == "/livez":
            await _say(send, 200, {"status": "ok"})
        elif scope["path"] == "/readyz":
            waiting = self.draining or bool(self._ready())
            status = {"status": "unavailable" if waiting else "ok", "sandbox": self.level}
            await _say(send, 503 if waiting else 200, status)
        elif scope["path"] != MCP_PATH:
            await _say(send, 404, {"error": f"not found; MCP is served at {MCP_PATH}"})
        elif scope["method"] == "POST":
            await self._post(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _post(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with anyio.fail_after(BODY_SECONDS):
                body = await _body(receive, self._cap)
        except TimeoutError:
            await _say(send, 408, {"error": "the body took too long"})
            return
        if body is None:
            await _say(send, 413, {"error": f"a message may have {self._cap} bytes at most"})
            return
        try:
            decode_message(body)
        except WireError as error:
            await _say(send, 400, error.response())
            return
        given = False

        async def replay() -> Message:
            nonlocal given
            if not given:
                given = True
                return {"type": "http.request", "body": body, "more_body": False}
            return await receive()

        await self._app(scope, replay, _with_retry_after(scope, send))


def _with_retry_after(scope: Scope, send: Send) -> Send:
    """`send`, with 429 and Retry-After for a call that the guard refused over a limit (RFC 6585 section 4)."""

    async def wrapped(message: Message) -> None:
        wait = scope.get(RETRY_AFTER)
        if message["type"] == "http.response.start" and wait is not None and message["status"] == 200:
            retry = (b"retry-after", str(math.ceil(float(wait))).encode())
            message = {**message, "status": 429, "headers": [*message.get("headers", []), retry]}
        await send(message)

    return wrapped


async def _body(receive: Receive, cap: int) -> bytes | None:
    """The whole body, or None if it is over the cap."""
    held = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        held += message.get("body", b"")
        if len(held) > cap:
            return None
        more = bool(message.get("more_body"))
    return bytes(held)


def _values(scope: Scope, name: bytes) -> Sequence[bytes]:
    return [value for key, value in scope["headers"] if key == name]


def _has(scope: Scope, name: bytes) -> bool:
    return bool(_values(scope, name))


def _only(scope: Scope, name: bytes) -> str:
    """The header's one value; empty, which nothing admits, if there are none or several."""
    values = _values(scope, name)
    return values[0].decode("latin-1").lower() if len(values) == 1 else ""


async def _say(send: Send, status: int, body: dict[str, Json] | dict[str, str]) -> None:
    payload = json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(payload)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": payload})
