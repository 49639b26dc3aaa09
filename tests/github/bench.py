"""The transport alone before a server on loopback: a hub without tools, raw sockets, and what a process has open."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import anyio
from gatelodge_core.auth.principal import CALLER, Principal
from gatelodge_core.errors import CallError
from gatelodge_github.credentials import Credential, NoCredential, Sealed, StaticCredential
from gatelodge_github.hub import Hub
from gatelodge_github.settings import GithubSettings

PATIENCE = 20.0
"""Seconds after which something that should have happened hasn't; it takes milliseconds."""


def token(letter: str = "a", prefix: str = "ghp") -> str:
    """A token of the real shape, put together here so that no file holds one."""
    return f"{prefix}_{letter * 36}"


def static(text: str) -> Credential:
    return StaticCredential(Sealed(text), "token") if text else NoCredential()


@contextlib.asynccontextmanager
async def hub(
    folder: Path,
    url: str,
    credential: Credential | str = "",
    accounts: dict[str, Credential] | None = None,
    clock: Callable[[], float] = time.time,
    **given: Any,
) -> AsyncGenerator[Hub]:
    """A hub before a GitHub at `url`, with settings; `credential` may be a token."""
    settings = GithubSettings.model_validate({"state_dir": str(folder / "state"), "api_url": url, **given})
    made = Hub(settings, static(credential) if isinstance(credential, str) else credential, accounts, clock)
    try:
        yield made
    finally:
        made.close()
        await made.aclose()


@contextlib.contextmanager
def caller(subject: str) -> Generator[Principal]:
    """As a principal over HTTP."""
    principal = Principal("api-key", subject)
    before = CALLER.set(principal)
    try:
        yield principal
    finally:
        CALLER.reset(before)


async def refusal(awaited: Any) -> CallError:
    """The error that must come."""
    try:
        await awaited
    except CallError as error:
        return error
    raise AssertionError("it was accepted")


async def until(seen: Callable[[], bool]) -> None:
    """Wait until something is so, in steps; it must become so."""
    with anyio.fail_after(PATIENCE):
        while not seen():  # noqa: ASYNC110 - what is waited for is in threads and in the kernel
            await anyio.sleep(0.005)


def sockets() -> int:
    """How many sockets this process has open."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    return found


def busy(made: Hub) -> int:
    """Worker threads that are inside a request, those of calls that were given up among them."""
    threads = made.desk().pool.threads
    return threads.left + threads.limiter.borrowed_tokens


Talk = Callable[[socket.socket, bytes], None]
"""Gets a connection and a request's head, and answers as badly as it likes."""


@contextlib.contextmanager
def raw_server(talk: Talk, context: ssl.SSLContext | None = None) -> Generator[RawServer]:
    """A server that gives each request's head to `talk`, in a thread for each connection; with TLS if there is a context."""
    server = RawServer(talk, context)
    try:
        yield server
    finally:
        server.end()


class RawServer:
    """What `raw_server` gives.

    Args:
        url: Where it listens.
        heads: Of the requests that came.
        bodies: Of the same.
        live: Connections that are open.
    """

    def __init__(self, talk: Talk, context: ssl.SSLContext | None) -> None:
        self._talk, self._context = talk, context
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listening.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.live: set[socket.socket] = set()
        self.ended = threading.Event()
        """Set when the server ends; for answers that wait."""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.live.add(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        talking = connection
        with contextlib.suppress(OSError):
            if self._context is not None:
                talking = self._context.wrap_socket(connection, server_side=True)
                self.live.add(talking)
            for head, body in requests_on(talking):
                self.heads.append(head)
                self.bodies.append(body)
                self._talk(talking, head)
        for one in (connection, talking):
            self.live.discard(one)
            one.close()

    def end(self) -> None:
        self.ended.set()
        # Closing alone would not wake the thread that accepts.
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in list(self.live):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def requests_on(connection: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """Head and body of each request, until the client ends."""
    held = b""
    while True:
        while b"\r\n\r\n" not in held:
            part = connection.recv(65536)
            if not part:
                return
            held += part
        head, _, held = held.partition(b"\r\n\r\n")
        length = int(field(head, b"content-length") or 0)
        while len(held) < length:
            part = connection.recv(65536)
            if not part:
                return
            held += part
        yield head, held[:length]
        held = held[length:]


def field(head: bytes, name: bytes) -> bytes:
    """A header's value."""
    for line in head.split(b"\r\n")[1:]:
        found, _, value = line.partition(b":")
        if found.strip().lower() == name:
            return value.strip()
    return b""


def target(head: bytes) -> str:
    """Path and query of a request."""
    return head.split(b" ", 2)[1].decode("ascii")


def answer(body: bytes, status: str = "200 OK", kind: str = "application/json", *more: str) -> bytes:
    """An answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *more, "", ""]
    return "\r\n".join(lines).encode() + body
