"""The ASGI front that everything on HTTP passes: Host, Origin, health; behind it the door and `routes`.

It wraps the whole application, since the SDK checks Host and Origin on its own endpoint alone, and not at all on
``0.0.0.0`` (a server bound there is just as reachable by DNS rebinding).
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from gatelodge_core.answering import say
from gatelodge_core.auth.door import Door
from gatelodge_core.auth.model import peer
from gatelodge_core.auth.turned import TurnedAway
from gatelodge_core.launch.cors import answer_preflight, sharing
from gatelodge_core.launch.cutting import cut
from gatelodge_core.launch.metrics import Exposition
from gatelodge_core.launch.proxies import HEALTH
from gatelodge_core.launch.routes import Routes

logger = logging.getLogger(__name__)

MAX_HEAD_BYTES = 32 * 1024
_READING = ("GET", "HEAD")
_LENGTHS = (b"content-length", b"transfer-encoding")
_NAMES = (b"host", b"origin")
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\s\[\]:/@?#\\]+))(?::[0-9]{0,5})?")
"""A host and perhaps a port, without a user (RFC 9110, section 7.2)."""
WATCHED_SECONDS = 30
"""For how long after a look at /readyz somebody is taken to be watching it."""


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
        found = _AUTHORITY.fullmatch(header or "")
        return found is not None and (found[1] or found[2]) in self.hosts

    def admits_origin(self, header: str | None) -> bool:
        """Whether an Origin header may call us; none at all means it isn't a browser."""
        if header is None or header in self.origins:
            return True
        scheme, _, rest = header.partition("://")
        return scheme == "http" and self.admits_host(rest)


class Front:
    """The outermost ASGI application.

    Args:
        app: The SDK's application; it gets the lifespan events, and requests that passed.
        doors: Host and Origin lists.
        ready: Reasons why calls would fail now; empty when they would not.
        routes: What a caller that is known gets to.
        door: Puts authentication around that.
        metrics: Counts answers; None where nobody asks for metrics.
        turned: Told of requests with a Host or an Origin that is not let in.
    """

    def __init__(
        self,
        app: ASGIApp,
        doors: Doors,
        ready: Callable[[], list[str]],
        routes: Routes,
        door: Callable[[ASGIApp], Door] | None = None,
        metrics: Exposition | None = None,
        turned: TurnedAway | None = None,
    ) -> None:
        self._app, self._turned = app, turned
        self._routes, self._metrics = routes, metrics
        self._said: list[str] = []
        self._asked = -math.inf
        self._doors = doors
        self._ready = ready
        self.door = door(routes) if door else None
        if metrics is not None and self.door is not None:
            metrics.door = self.door.ready
        self._inside: ASGIApp = self.door or routes
        self.draining = False
        """Set when shutdown begins: /readyz then answers 503, so that a balancer looks elsewhere."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await cut(self._http, scope, receive, self._metrics.counting(send) if self._metrics else send)
        else:  # a WebSocket: nothing here speaks it
            await send({"type": "websocket.close", "code": 1003})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if flaw := _flaw(scope):
            # What follows on such a connection can't be trusted to be what a proxy took it for.
            await say(send, flaw[0], {"error": flaw[1]}, [(b"connection", b"close")])
        elif not self._doors.admits_host(_only(scope, b"host")):
            self._note(scope, "foreign_host")
            await say(send, 421, {"error": "this Host is not served here; see --allowed-hosts"})
        elif not self._doors.admits_origin(_only(scope, b"origin") if _has(scope, b"origin") else None):
            self._note(scope, "foreign_origin")
            await say(send, 403, {"error": "this Origin may not call here; see --allowed-origins"})
        elif (origin := _only(scope, b"origin")) and origin in self._doors.origins:
            scope = _lowered(scope)
            if not await answer_preflight(scope, origin.encode("latin-1"), send):
                await self._admitted(scope, receive, sharing(origin.encode("latin-1"), send))
        else:
            await self._admitted(_lowered(scope), receive, send)

    def _note(self, scope: Scope, reason: str) -> None:
        if self._turned is not None:
            self._turned.note(reason, peer(scope))

    async def _admitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What a request with a good Host and Origin gets to."""
        if scope["path"] in HEALTH and scope["method"] not in _READING:
            # A good answer to CONNECT, too, would be the end of HTTP on its connection (RFC 9110, section 9.3.6).
            await say(send, 405, {"error": "read it with GET"}, [(b"allow", b"GET, HEAD")])
        elif scope["path"] == "/livez":
            await say(send, 200, {"status": "ok"})
        elif scope["path"] == "/readyz":
            self._asked = time.monotonic()
            waiting = self.draining or bool(self._reasons())
            await say(send, 503 if waiting else 200, {"status": "unavailable" if waiting else "ok"})
        else:
            await self._inside(scope, receive, send)

    @property
    def watched(self) -> bool:
        """Whether a balancer looks at /readyz."""
        return time.monotonic() - self._asked < WATCHED_SECONDS

    def drain(self) -> None:
        """Turn /readyz, and end what would stay open for as long as its clients like; calls go on."""
        self.draining = True
        self._routes.drain()

    async def aclose(self) -> None:
        """Close what the door has open, and have written down who was turned away since it last was."""
        if self.door is not None:
            await self.door.aclose()
        self._routes.settle()
        if self._turned is not None:
            self._turned.settle()

    def _reasons(self) -> list[str]:
        """Why calls would fail now. They are for the log: /readyz is shown to everybody."""
        found = [*self._ready(), *(self.door.ready() if self.door else ())]
        if found != self._said:
            self._said = found
            logger.warning("not ready: %s", "; ".join(found)) if found else logger.warning("ready again")
        return found


def _flaw(scope: Scope) -> tuple[int, str] | None:
    """What is wrong with the head of a request that h11 lets pass, as a status and a reason."""
    version: str = scope["http_version"]
    if not version.startswith("1."):
        return 505, "HTTP/1.1 is spoken here"
    size, lengths = 0, set[bytes]()
    for name, value in scope["headers"]:
        size += len(name) + len(value)
        if name in _LENGTHS:
            lengths.add(name)
    if len(lengths) > 1:
        # RFC 9112, section 6.1: an attempt to make two servers see two requests.
        return 400, "a body has one length"
    if version == "1.0" and b"transfer-encoding" in lengths:
        # The same section: who knows 1.0 alone sees no body there, and another request in it.
        return 400, "HTTP/1.0 has no Transfer-Encoding"
    # h11 bounds a head only while it waits for the rest of it.
    return (431, f"a head may have {MAX_HEAD_BYTES} bytes at most") if size > MAX_HEAD_BYTES else None


def _lowered(scope: Scope) -> Scope:
    """A request with Host and Origin in lower case, where they mean the same (RFC 9110, section 4.2.3).

    The SDK's own check behind ours compares letters.
    """
    if all(value == value.lower() for name, value in scope["headers"] if name in _NAMES):
        return scope
    headers = [(name, value.lower() if name in _NAMES else value) for name, value in scope["headers"]]
    return {**scope, "headers": headers}


def _values(scope: Scope, name: bytes) -> Sequence[bytes]:
    return [value for key, value in scope["headers"] if key == name]


def _has(scope: Scope, name: bytes) -> bool:
    return bool(_values(scope, name))


def _only(scope: Scope, name: bytes) -> str:
    """The header's one value; empty, which nothing admits, if there are none or several."""
    values = _values(scope, name)
    return values[0].decode("latin-1").lower() if len(values) == 1 else ""
