"""Streamable HTTP: both protocol eras on one endpoint, started by us so that it ends when told to."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from mcp.server.lowlevel.server import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp

from gatelodge_core.auth.door import Door
from gatelodge_core.auth.turned import TurnedAway
from gatelodge_core.errors import SettingsError
from gatelodge_core.guard.shedding import Shedding
from gatelodge_core.launch.aside import Aside, metrics_address
from gatelodge_core.launch.exposure import LOOPBACK_NAMES, Tls, split_address
from gatelodge_core.launch.front import Doors, Front
from gatelodge_core.launch.metrics import Exposition
from gatelodge_core.launch.proxies import Proxied
from gatelodge_core.launch.routes import MCP_PATH, Routes
from gatelodge_core.launch.sessions import Endpoint, Sessions
from gatelodge_core.launch.sse import OldTransport
from gatelodge_core.launch.tls import context
from gatelodge_core.launch.web import WebServer, bound, configured

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 25
"""How long calls in flight may go on after SIGTERM; open listen streams are cut then."""
GRACE_SECONDS = 3
"""How long connections are still taken after SIGTERM where a balancer watches, which has to learn of it first."""
METRICS_CONNECTIONS = 16
METRICS_SECONDS = 1
"""How long an answer with metrics may take at the end. With none at all uvicorn complains, though nothing is cut."""
HSTS = "max-age=31536000"
"""A year (RFC 6797); not for subdomains, which aren't ours."""


@dataclass(frozen=True)
class HttpOptions:
    """How to listen.

    Args:
        address: ``HOST:PORT``; port 0 takes a free one, which is logged.
        stateless: Keep no sessions for the 2025 revisions, so that any replica can answer.
        max_sessions: The most sessions of the 2025 revisions at once; a client over it is told to come back.
        session_idle_seconds: How long an unused session lives.
        allowed_hosts: Host names under which this server is called, besides the loopback names.
        allowed_origins: Browser origins that may call.
        drain_seconds: How long calls in flight may go on after a signal.
        tls: The server's own TLS.
        proxies: Addresses and networks from which forwarded headers are believed.
        door: Puts authentication around the endpoint; None on loopback.
        connect: TCP ports of those that the door asks.
        read: Files that it reads after the start.
        max_connections: The most connections at once.
        max_open: The most requests of one known caller that are answered at once; three quarters of the connections in
            any case. Beyond it a request is refused before it is read.
        metrics: What is shown to Prometheus; None to count nothing.
        metrics_address: ``HOST:PORT`` where that is shown to whoever asks; empty to show it behind the door.
        old: Whether the transport of 2024-11-05 is served too.
        prefix: What a proxy puts before our paths.
        turned: Told of requests that are turned away before it is known who calls.
        shedding: Refuses what is over a limit anyway.
    """

    address: str
    stateless: bool = False
    max_sessions: int = 64
    session_idle_seconds: float = 300
    allowed_hosts: Sequence[str] = ()
    allowed_origins: Sequence[str] = ()
    drain_seconds: int = DRAIN_SECONDS
    tls: Tls | None = None
    proxies: Sequence[str] = ()
    door: Callable[[ASGIApp], Door] | None = None
    connect: Sequence[int] = ()
    read: Sequence[str] = ()
    max_connections: int = 512
    max_open: int = 512
    metrics: Exposition | None = None
    metrics_address: str = ""
    old: bool = False
    prefix: str = ""
    turned: TurnedAway | None = None
    shedding: Shedding | None = None


def application(server: Server[Any], options: HttpOptions, host: str, ready: Callable[[], list[str]]) -> Front:
    """The whole ASGI application; Host and Origin are checked whatever `host` is."""
    hosts = frozenset({*LOOPBACK_NAMES, host, *options.allowed_hosts} - {"0.0.0.0", "::"})  # noqa: S104 - excluded here
    doors = Doors(hosts, frozenset(options.allowed_origins))
    written = [f"[{name}]" if ":" in name else name for name in sorted(hosts)]
    # The front decides; the SDK's own check behind it stays on with the same lists.
    security = TransportSecuritySettings(
        allowed_hosts=[*written, *(f"{name}:*" for name in written)],
        allowed_origins=[
            *(f"http://{name}" for name in written),
            *(f"http://{name}:*" for name in written),
            *options.allowed_origins,
        ],
    )
    most = options.max_sessions
    sessions = Sessions(
        server,
        most=most,
        stateless=options.stateless,
        idle_seconds=options.session_idle_seconds,
        security=security,
    )
    old = OldTransport(server, most=most, security=security, prefix=options.prefix) if options.old else None
    metrics = options.metrics
    if metrics is not None:
        metrics.sessions = lambda: {"http": sessions.count, **({"sse": old.count} if old else {})}
    endpoint = Endpoint(sessions)
    routes = Routes(
        endpoint,
        metrics=None if options.metrics_address else metrics,
        old=old,
        most=min(options.max_connections * 3 // 4, options.max_open),
        shedding=options.shedding,
    )
    return Front(endpoint, doors, ready, routes, options.door, metrics, options.turned)


class HttpService:
    """One listening server.

    Args:
        server: The SDK's low-level server.
        options: How to listen.
        ready: Reasons why calls would fail now.

    Raises:
        SettingsError: An address or the TLS files can't be used.
    """

    def __init__(self, server: Server[Any], options: HttpOptions, ready: Callable[[], list[str]]) -> None:
        host, port = split_address(options.address)
        # Files are read and sockets bound now: a confined process can't.
        secure = context(options.tls) if options.tls else None
        self._socket = bound("--http", options.address, host, port, options.max_connections)
        self._scope: anyio.CancelScope | None = None
        self._grace = min(GRACE_SECONDS, options.drain_seconds)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if secure else 'http'}://{shown}:{self._socket.getsockname()[1]}{MCP_PATH}"
        self.front = application(server, options, host, ready)
        app: ASGIApp = self.front
        if options.proxies:
            app = Proxied(app, options.proxies, direct=secure is not None, turned=options.turned)
        headers = [("strict-transport-security", HSTS)] if secure or options.proxies else []
        self._uvicorn = WebServer(
            configured(
                app,
                options.max_connections,
                options.drain_seconds,
                headers=headers,
                secure=secure,
                lifespan="on",
            )
        )
        self._aside = self._metrics(options) if options.metrics and options.metrics_address else None

    def _metrics(self, options: HttpOptions) -> tuple[WebServer, socket.socket]:
        """The listener of the metrics alone."""
        host, port = metrics_address(options.metrics_address)
        assert options.metrics is not None
        try:
            listener = bound("--metrics", options.metrics_address, host, port, METRICS_CONNECTIONS)
        except SettingsError:
            self._socket.close()
            raise
        app = Aside(options.metrics, frozenset({*LOOPBACK_NAMES, *options.allowed_hosts}))
        return WebServer(configured(app, METRICS_CONNECTIONS, METRICS_SECONDS)), listener

    async def serve(self) -> None:
        """Serve until `stop`."""
        async with anyio.create_task_group() as group:
            if self._aside is not None:
                aside, listener = self._aside
                logger.warning("metrics, without authentication, on %s:%s", *listener.getsockname()[:2])
                group.start_soon(aside.serve, [listener])
            logger.warning("listening on %s", self.url)
            with anyio.CancelScope() as self._scope:
                await self._uvicorn.serve(sockets=[self._socket])
            if self._aside is not None:
                self._aside[0].should_exit = True

    def stop(self) -> None:
        """Turn /readyz, take no new connections, let calls in flight end, then return from `serve`.

        While a balancer watches /readyz, connections are still taken for `GRACE_SECONDS`, so that it can look elsewhere
        first. A second time: at once.
        """
        if self.front.draining:
            self._uvicorn.should_exit = self._uvicorn.force_exit = True
            # From Python 3.12 on, uvicorn's last step waits for every connection, whatever it was told.
            if self._scope is not None:
                self._scope.cancel()
            return
        watched = self.front.watched
        self.front.drain()
        if watched:
            asyncio.get_running_loop().call_later(self._grace, self._end)
        else:
            self._end()

    def _end(self) -> None:
        self._uvicorn.should_exit = True
