"""uvicorn as it is run here: no signals of its own, and an end to everything a client can draw out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Literal, cast

import uvicorn
from starlette.types import ASGIApp

from gatelodge_core.errors import SettingsError
from gatelodge_core.launch.connections import HEAD_SECONDS, KEEP_SECONDS, Connection, listening

SHUTDOWN_SECONDS = 5.0
"""How long a client may take to say goodbye in TLS."""
MAX_HEAD_BYTES = 32 * 1024
BACKLOG = 128


SELDOM_SECONDS = 60.0


class Seldom(logging.Filter):
    """Lets each warning pass once a minute, with how many like it came meanwhile: clients choose how often they come."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log a record."""
        if record.levelno >= logging.ERROR:
            return True
        # By the line of the program: there are few. The text may hold what a caller chose.
        line, now = (record.pathname, record.lineno), self._clock()
        since, more = self._said.get(line, (-SELDOM_SECONDS, 0))
        if now - since < SELDOM_SECONDS:
            self._said[line] = since, more + 1
            return False
        self._said[line] = now, 0
        if more:
            record.msg = f"{record.msg} ({more} more like it since the last time)"
        return True


_SELDOM = Seldom()
_CHOSEN = (
    *("uvicorn.error", "mcp.server.streamable_http_manager"),
    *("mcp.server.sse", "mcp.server.transport_security"),
)
"""Loggers that warn as often as clients like."""


class WebServer(uvicorn.Server):
    """uvicorn without its own signal handling, which ends by killing the process before our teardown."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave them alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve the sockets; as uvicorn's, with bounds on how long TLS may take to begin and end."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise RuntimeError("the application did not start; the log says why")
        loop, secure = asyncio.get_running_loop(), self.config.ssl
        made = partial(
            self.config.http_protocol_class,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        self.servers = [
            await loop.create_server(
                made,
                sock=item,
                ssl=secure,
                backlog=BACKLOG,
                ssl_handshake_timeout=HEAD_SECONDS if secure else None,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS if secure else None,
            )
            for item in sockets or ()
        ]
        self.started = True


def configured(
    app: ASGIApp,
    most: int,
    drain: int,
    *,
    headers: list[tuple[str, str]] | None = None,
    secure: ssl.SSLContext | None = None,
    lifespan: Literal["on", "off"] = "off",
) -> uvicorn.Config:
    """How uvicorn serves an application of ours.

    Args:
        app: The application.
        most: The most connections at once.
        drain: Seconds for which calls may go on after the end has begun.
        headers: Put on every answer.
        secure: What speaks TLS.
        lifespan: Whether the application wants to know of its beginning and end.
    """

    def given(*_: object) -> ssl.SSLContext:
        assert secure is not None
        return secure

    made = uvicorn.Config(
        app,
        http=cast("Any", partial(Connection, most=most)),
        lifespan=lifespan,
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        ws="none",
        headers=headers,
        timeout_keep_alive=KEEP_SECONDS,
        timeout_graceful_shutdown=drain,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        # `Proxied` does that, after it has looked at who the peer is.
        proxy_headers=False,
        ssl_context_factory=given if secure else None,
    )
    made.load()
    for name in _CHOSEN:
        logging.getLogger(name).addFilter(_SELDOM)
    return made


def bound(setting: str, given: str, host: str, port: int, most: int) -> socket.socket:
    """A socket that listens, for a setting.

    Args:
        setting: The flag, for errors.
        given: Its value.
        host: An address.
        port: 0 for a free one.
        most: The most connections at once; there is room for some more, which are told so.

    Raises:
        SettingsError: It can't listen there.
    """
    try:
        return listening(host, port, most + most // 4)
    except OSError as error:
        raise SettingsError(f"{setting} {given}: can't listen there: {error.strerror}") from None
