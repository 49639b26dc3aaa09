"""Streamable HTTP: both protocol eras on one endpoint, started by us so that it ends when told to."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import uvicorn
from mcp.server.lowlevel.server import Server
from mcp.server.transport_security import TransportSecuritySettings

from gatelodge_core.errors import SettingsError
from gatelodge_core.guard.wire import MAX_MESSAGE_BYTES
from gatelodge_core.launch.front import MCP_PATH, Doors, Front

logger = logging.getLogger(__name__)

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
DRAIN_SECONDS = 25
"""How long calls in flight may go on after SIGTERM; open listen streams are cut then."""


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
    """

    address: str
    stateless: bool = False
    max_sessions: int = 64
    session_idle_seconds: float = 300
    allowed_hosts: Sequence[str] = ()
    allowed_origins: Sequence[str] = ()
    drain_seconds: int = DRAIN_SECONDS


def split_address(address: str) -> tuple[str, int]:
    """``127.0.0.1:8000`` or ``[::1]:8000`` as host and port.

    Raises:
        SettingsError: It isn't an address, or not one of this machine's own (see `refuse_unguarded`).
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise SettingsError(f"--http {address!r}: write HOST:PORT, for example --http 127.0.0.1:8000")
    refuse_unguarded(host)
    return host, int(port)


def refuse_unguarded(host: str) -> None:
    """Refuse to listen where others can reach us: nothing authenticates them yet.

    Raises:
        SettingsError: `host` isn't a loopback address.
    """
    if host == "localhost":
        return
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise SettingsError(f"--http: {host!r} is not an address; write 127.0.0.1 or [::1]") from None
    if not address.is_loopback:
        raise SettingsError(
            f"--http {host}: this version listens on loopback only, since it doesn't authenticate HTTP callers. "
            "Use 127.0.0.1 or [::1]."
        )


def application(server: Server[Any], options: HttpOptions, host: str, ready: Callable[[], list[str]]) -> Front:
    """The whole ASGI application; Host and Origin are checked whatever `host` is."""
    hosts = frozenset({*LOOPBACK_NAMES, host, *options.allowed_hosts} - {"0.0.0.0", "::"})  # noqa: S104 - excluded here
    doors = Doors(hosts, frozenset(options.allowed_origins))
    written = [f"[{name}]" if ":" in name else name for name in sorted(hosts)]
    app = server.streamable_http_app(
        streamable_http_path=MCP_PATH,
        stateless_http=options.stateless,
        max_request_body_size=MAX_MESSAGE_BYTES,
        session_idle_timeout=None if options.stateless else options.session_idle_seconds,
        max_sessions=options.max_sessions,
        host=host,
        # The front decides; the SDK's own check behind it stays on with the same lists.
        transport_security=TransportSecuritySettings(
            allowed_hosts=[*written, *(f"{name}:*" for name in written)],
            allowed_origins=[
                *(f"http://{name}" for name in written),
                *(f"http://{name}:*" for name in written),
                *options.allowed_origins,
            ],
        ),
    )
    return Front(app, doors, ready)


class _Uvicorn(uvicorn.Server):
    """uvicorn without its own signal handling, which ends by killing the process before our teardown."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


class HttpService:
    """One listening server.

    Args:
        server: The SDK's low-level server.
        options: How to listen.
        ready: Reasons why calls would fail now.

    Raises:
        SettingsError: The address can't be used.
    """

    def __init__(self, server: Server[Any], options: HttpOptions, ready: Callable[[], list[str]]) -> None:
        host, port = split_address(options.address)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen(128)
        except OSError as error:
            self._socket.close()
            raise SettingsError(f"--http {options.address}: can't listen there: {error.strerror}") from None
        self._scope: anyio.CancelScope | None = None
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._socket.getsockname()[1]}{MCP_PATH}"
        self.front = application(server, options, host, ready)
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                self.front,
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                ws="none",
                timeout_keep_alive=75,
                timeout_graceful_shutdown=options.drain_seconds,
                h11_max_incomplete_event_size=32 * 1024,
            )
        )

    async def serve(self) -> None:
        """Serve until `stop`."""
        logger.warning("listening on %s", self.url)
        with anyio.CancelScope() as self._scope:
            await self._uvicorn.serve(sockets=[self._socket])

    def stop(self) -> None:
        """Take no new connections, let calls in flight end, then return from `serve`. A second time: at once."""
        self.front.draining = True
        if self._uvicorn.should_exit:
            self._uvicorn.force_exit = True
            # From Python 3.12 on, uvicorn's last step waits for every connection, whatever it was told.
            if self._scope is not None:
                self._scope.cancel()
        self._uvicorn.should_exit = True
