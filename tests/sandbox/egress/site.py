"""A real HTTP server on loopback, and a network in which public addresses lead to it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpcore2

PUBLIC = "93.184.215.14"
OTHER = "151.101.1.69"
Writer = asyncio.StreamWriter


@dataclass(frozen=True)
class Asked:
    """One request, as the server read it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Site:
    """The server."""

    port: int
    asked: list[Asked] = field(default_factory=list[Asked])
    closed: list[int] = field(default_factory=list[int])
    """Connections that the client closed, as the server saw it."""
    names: list[str | None] = field(default_factory=list[str | None])
    """Server names of TLS handshakes."""
    opened: int = 0
    saw_end: asyncio.Event = field(default_factory=asyncio.Event)


Answerer = Callable[[Asked, Writer], Awaitable[None]]


def reply(
    status: int = 200, body: bytes = b"", headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()
) -> Answerer:
    """Always the same answer."""

    async def answer(_: Asked, writer: Writer) -> None:
        pairs = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        pairs.append(("Content-Length", str(len(body))))
        lines = "".join(f"{name}: {value}\r\n" for name, value in pairs)
        writer.write(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body)

    return answer


def paths(**answers: Answerer) -> Answerer:
    """By the path's first part; `index` for none."""

    async def answer(asked: Asked, writer: Writer) -> None:
        await answers[asked.path.strip("/").split("/")[0] or "index"](asked, writer)

    return answer


async def _read(reader: asyncio.StreamReader, connection: int) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.split("\r\n")[:-2]
    method, path, _ = first.split(" ")
    headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method, path, headers, body, connection)


@contextlib.asynccontextmanager
async def serving(answer: Answerer, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Site]:
    """Serve on a port of 127.0.0.1 until the block ends."""
    tasks: set[asyncio.Task[Any] | None] = set()

    async def handle(reader: asyncio.StreamReader, writer: Writer) -> None:
        tasks.add(asyncio.current_task())
        site.opened += 1
        number = site.opened
        try:
            while (asked := await _read(reader, number)) is not None:
                site.asked.append(asked)
                await answer(asked, writer)
                await writer.drain()
                if writer.is_closing():
                    break
            site.closed.append(number)
        except ConnectionError:
            site.closed.append(number)
        except asyncio.CancelledError:
            pass
        finally:
            site.saw_end.set()
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError, ssl.SSLError):
                await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    site = Site(server.sockets[0].getsockname()[1])
    try:
        yield site
    finally:
        server.close()
        for task in tasks:
            if task is not None:
                task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.gather(*(task for task in tasks if task is not None), return_exceptions=True)


class _Elsewhere(httpcore2.AsyncNetworkStream):
    """A connection to loopback that says it leads to the address that was asked for."""

    def __init__(self, inner: httpcore2.AsyncNetworkStream, address: tuple[str, int]) -> None:
        self._inner = inner
        self._address = address

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore2.AsyncNetworkStream:
        return _Elsewhere(await self._inner.start_tls(ssl_context, server_hostname, timeout), self._address)

    def get_extra_info(self, info: str) -> Any:
        return self._address if info == "server_addr" else self._inner.get_extra_info(info)


class Network(httpcore2.AsyncNetworkBackend):
    """Public addresses lead to the site, whatever the port; every other is out of reach. What was tried is kept."""

    def __init__(self, site: Site | None = None, lie: str = "") -> None:
        self._inner: Any = httpcore2.AnyIOBackend()
        self._site = site
        self._lie = lie
        self.tried: list[str] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        self.tried.append(host)
        if self._site is None or host not in (PUBLIC, OTHER):
            raise httpcore2.ConnectError("out of reach")
        stream: httpcore2.AsyncNetworkStream = await self._inner.connect_tcp("127.0.0.1", self._site.port, timeout)
        return _Elsewhere(stream, (self._lie or host, port))

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)


class Names:
    """A resolver with a table; each look-up takes the next answer, the last one stays."""

    def __init__(self, table: Mapping[str, Sequence[Sequence[str]]] | None = None) -> None:
        self._table = {name: list(answers) for name, answers in (table or {}).items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self._table.get(host)
        if answers is None:
            return [PUBLIC]
        if not answers[0]:
            raise OSError("no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]
