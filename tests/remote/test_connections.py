"""What strangers can hold of a server before anybody knows them: connections, heads, bodies; and one caller of the rest."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import anyio
import anyio.abc
import httpx2
import pytest
from gatelodge_core.launch import connections
from gatelodge_core.launch.connections import let_in, listening
from gatelodge_core.launch.front import Doors, Front
from gatelodge_core.launch.routes import Routes
from gatelodge_core.launch.web import WebServer, configured
from starlette.types import Receive, Scope, Send

from tests.support.remote import Remote, remote

OPEN_FILES = 128
CONNECTIONS = OPEN_FILES // 2


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Generator[Remote]:
    with remote(tmp_path_factory.mktemp("bounded"), "--open-files", str(OPEN_FILES), "--max-sessions", "8") as made:
        yield made


def test_a_flood_of_idle_connections_keeps_nobody_out(place: Remote) -> None:
    held = [socket.create_connection(("127.0.0.1", place.port), timeout=10) for _ in range(4 * CONNECTIONS)]
    try:
        with httpx2.Client() as client:
            for _ in range(3):
                assert client.post(place.url, **place.call("echo_text", {"text": "hi"})).status_code == 200
        # The server has dropped all that it has no room for.
        assert sum(gone(item) for item in held) >= len(held) - CONNECTIONS - CONNECTIONS // 4
    finally:
        for item in held:
            item.close()


def test_a_flood_of_strangers_requests_is_refused_and_leaves_nothing_behind(place: Remote) -> None:
    refused: dict[str, object] = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}
    with httpx2.Client() as client:
        for _ in range(300):
            headers = {"accept": "application/json, text/event-stream", "authorization": "Bearer glk_nobody"}
            assert client.post(place.url, json=refused, headers=headers).status_code == 401
        # No session was opened by any of them.
        assert opened(client, place, "alice") == 200


def test_one_caller_can_take_a_quarter_of_the_sessions(place: Remote) -> None:
    with httpx2.Client() as client:
        statuses = [opened(client, place, "bob") for _ in range(4)]
        assert statuses == [200, 200, 503, 503]
        assert opened(client, place, "alice") == 200


def opened(client: httpx2.Client, place: Remote, caller: str) -> int:
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    return client.post(place.url, json=message, headers=place.headers(caller)).status_code


def test_a_head_that_is_too_long_is_refused(place: Remote) -> None:
    with socket.create_connection(("127.0.0.1", place.port), timeout=10) as raw:
        raw.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 100_000 + b"\r\n\r\n")
        assert raw.recv(100).split(b" ")[1] == b"431"
    # The same in pieces: it isn't even collected.
    with socket.create_connection(("127.0.0.1", place.port), timeout=10) as raw:
        raw.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx: ")
        with contextlib.suppress(OSError):
            for _ in range(200):
                raw.sendall(b"a" * 10_000)
        with contextlib.suppress(ConnectionResetError):
            assert raw.recv(100).split(b" ")[1] == b"400"


@pytest.mark.parametrize(
    "head",
    [
        b"POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: +5\r\n\r\n",
        b"POST /mcp HTTP/1.1\r\nhost : localhost\r\n\r\n",
        b"POST /mcp HTTP/1.1\nhost: localhost\n x: y\n\n\n",
    ],
    ids=["both lengths", "two lengths", "signed length", "space before colon", "folded line"],
)
def test_a_request_that_two_servers_could_read_in_two_ways_is_never_let_in(place: Remote, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", place.port), timeout=10) as raw:
        raw.sendall(head + b"0\r\n\r\nGET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
        first = raw.recv(4096)
    assert first.split(b" ")[1] in (b"400", b"401", b"421")
    assert b'"ok"' not in first


def gone(item: socket.socket) -> bool:
    """Whether the other side has ended a connection."""
    ready, _, _ = select.select([item], [], [], 0)
    if not ready:
        return False
    try:
        return item.recv(1) == b""
    except OSError:
        return True


class Served:
    """A server of one application in this process, with shorter times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int = 8) -> None:
        monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
        monkeypatch.setattr(connections, "STALL_SECONDS", 0.3)
        self.listener = listening("127.0.0.1", 0, most + 2)
        self.port: int = self.listener.getsockname()[1]
        self.hold = anyio.Event()
        self.server = WebServer(configured(self.app, most, 1))

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers /hold, /mcp and /stranger when told to, /much with 50 MB, the rest at once; reads no body."""
        if scope["path"] == "/hold":
            let_in(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] in ("/hold", "/mcp", "/stranger"):
            await self.hold.wait()
        blocks = 50 if scope["path"] == "/much" else 0
        for _ in range(blocks):
            await send({"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True})
        await send({"type": "http.response.body", "body": b"done", "more_body": False})

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run; the socket listens already."""
        task_status.started()
        await self.server.serve(sockets=[self.listener])


async def ended(stream: anyio.abc.ByteStream) -> bytes:
    """All that comes until the other side ends the connection, within a bound."""
    found = b""
    with anyio.fail_after(20):
        try:
            while True:
                found += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return found


GET = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        [b""],
        [b"GET / HTTP/1.1\r\nhost: loc"],
        [GET, b"GET / HT"],
        [b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n", b"abc"],
    ],
    ids=["nothing", "half a head", "half a head after a request", "a body that nobody reads"],
)
def test_a_client_that_dawdles_is_cut(parts: Sequence[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    async def attack() -> bytes:
        served, answered = Served(monkeypatch), b""
        async with anyio.create_task_group() as group:
            await group.start(served.serve)
            stream = await anyio.connect_tcp("127.0.0.1", served.port)
            for part in parts:
                if part:
                    await stream.send(part)
                if part is not parts[-1]:
                    while b"done" not in answered:
                        answered += await stream.receive()
            async with anyio.create_task_group() as dripping:

                async def drip() -> None:
                    # More bytes buy no more time.
                    while parts[-1]:
                        await stream.send(b"x")
                        await anyio.sleep(0.05)

                async def judge() -> None:
                    nonlocal answered
                    answered += await ended(stream)
                    dripping.cancel_scope.cancel()

                dripping.start_soon(judge)
                with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                    await drip()
            await stream.aclose()
            served.server.should_exit = True
        return answered

    answered = anyio.run(attack)
    assert answered.count(b"done") == len(parts) - 1


def test_a_client_that_reads_nothing_is_cut_and_one_that_reads_slowly_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async def attack() -> int:
        served, read = Served(monkeypatch), 0
        async with anyio.create_task_group() as group:
            await group.start(served.serve)
            stalled = await anyio.connect_tcp("127.0.0.1", served.port)
            slow = await anyio.connect_tcp("127.0.0.1", served.port)
            for stream in (stalled, slow):
                await stream.send(b"GET /much HTTP/1.1\r\nhost: localhost\r\n\r\n")
            with anyio.fail_after(60):
                while read < 50_000_000:
                    read += len(await slow.receive(500_000))
                    await anyio.sleep(0.005)
            # By now the other one has been cut, so that of its 50 MB at most what the buffers held is there.
            assert len(await ended(stalled)) < 50_000_000
            await stalled.aclose()
            await slow.aclose()
            served.server.should_exit = True
        return read

    assert anyio.run(attack) >= 50_000_000


def test_when_all_connections_are_at_work_another_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def attack() -> bytes:
        served, told = Served(monkeypatch, most=4), b""
        async with anyio.create_task_group() as group:
            await group.start(served.serve)
            busy = [await anyio.connect_tcp("127.0.0.1", served.port) for _ in range(4)]
            for stream in busy:
                await stream.send(b"GET /hold HTTP/1.1\r\nhost: localhost\r\n\r\n")
                await stream.receive()
            async with await anyio.connect_tcp("127.0.0.1", served.port) as late:
                told = await ended(late)
            served.hold.set()
            for stream in busy:
                while b"done" not in await stream.receive():
                    pass
            # An idle one makes way.
            async with await anyio.connect_tcp("127.0.0.1", served.port) as fresh:
                await fresh.send(GET)
                assert b"200" in await fresh.receive()
            for stream in busy:
                await stream.aclose()
            served.server.should_exit = True
        return told

    answer = anyio.run(attack)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after" in answer


def test_where_all_are_at_work_the_oldest_stranger_makes_way(monkeypatch: pytest.MonkeyPatch) -> None:
    async def attack() -> list[bytes]:
        served, told = Served(monkeypatch, most=4), list[bytes]()
        async with anyio.create_task_group() as group:
            await group.start(served.serve)
            paths = ("/hold", "/stranger", "/stranger", "/hold")
            held = [await anyio.connect_tcp("127.0.0.1", served.port) for _ in paths]
            for stream, path in zip(held, paths, strict=True):
                await stream.send(GET.replace(b" / ", f" {path} ".encode()))
                await stream.receive()
            async with await anyio.connect_tcp("127.0.0.1", served.port) as fresh:
                await fresh.send(GET)
                assert b"200" in await fresh.receive()
                assert await ended(held[1]) == b""
                served.hold.set()
                for number in (0, 2, 3):
                    told.append(await held[number].receive())
            for stream in held:
                await stream.aclose()
            served.server.should_exit = True
        return told

    assert [b"done" in answer for answer in anyio.run(attack)] == [True] * 3


def test_whoever_was_let_in_makes_no_way(monkeypatch: pytest.MonkeyPatch) -> None:
    async def attack() -> bytes:
        served, told = Served(monkeypatch, most=4), b""
        front = Front(served.app, Doors(frozenset({"localhost"})), list[str], Routes(served.app))
        served.server = WebServer(configured(front, 4, 1))
        async with anyio.create_task_group() as group:
            await group.start(served.serve)
            held = [await anyio.connect_tcp("127.0.0.1", served.port) for _ in range(4)]
            for stream in held:
                await stream.send(GET.replace(b" / ", b" /mcp "))
                await stream.receive()
            async with await anyio.connect_tcp("127.0.0.1", served.port) as late:
                await late.send(GET.replace(b" / ", b" /livez "))
                told = await ended(late)
            served.hold.set()
            for stream in held:
                await stream.aclose()
            served.server.should_exit = True
        return told

    assert anyio.run(attack).startswith(b"HTTP/1.1 503 ")


def test_one_caller_cannot_have_all_requests_open(tmp_path: Path) -> None:
    arguments = ("--open-files", str(OPEN_FILES), "--calls-at-once", "1000", "--calls-waiting", "1000")
    with remote(tmp_path, *arguments) as place:
        most = CONNECTIONS * 3 // 4
        held: list[socket.socket] = []
        call = place.call("wait_long", {"seconds": 30})
        body = json.dumps(call["json"]).encode()
        lines = "".join(f"{name}: {value}\r\n" for name, value in call["headers"].items())
        head = f"POST /mcp HTTP/1.1\r\nhost: localhost\r\n{lines}content-length: {len(body)}\r\n\r\n".encode()
        try:
            for _ in range(most):
                item = socket.create_connection(("127.0.0.1", place.port), timeout=10)
                held.append(item)
                item.sendall(head + body)
            with httpx2.Client() as client:
                deadline = time.monotonic() + 20
                while True:
                    answer = client.post(place.url, **place.call("echo_text", {"text": "hi"}))
                    if answer.status_code == 429 or time.monotonic() > deadline:
                        break
                assert answer.status_code == 429
                assert answer.headers["retry-after"]
                assert client.post(place.url, **place.call("echo_text", {"text": "hi"}, "bob")).status_code == 200
        finally:
            for item in held:
                item.close()
