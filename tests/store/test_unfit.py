"""A store that answers, and yet can't be counted on: what it says makes no sense, or it forgets what it was told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from gatelodge_core.store.address import parsed
from gatelodge_core.store.errors import StoreError
from gatelodge_core.store.rates import Rate, SharedRates
from gatelodge_core.store.revocations import Revocations
from gatelodge_core.store.shared import Script, SharedStore

from tests.support.valkey import eventually, valkey

ECHO = Script.of("return ARGV[1]")
WELL = b"*3\r\n$4\r\nname\r\n$1\r\n0\r\n$10\r\nnoeviction\r\n"
NONSENSE = {
    "nothing": b"$-1\r\n",
    "a number": b":1\r\n",
    "a number that is none": b":abc\r\n",
    "bytes that are no text": b"*3\r\n$2\r\n\xff\xfe\r\n$0\r\n\r\n$0\r\n\r\n",
    "a short list": b"*1\r\n$4\r\nname\r\n",
    "a list in lists": b"*1\r\n" * 3000 + b":1\r\n",
    "a length that is none": b"$x\r\n",
    "another protocol": b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n",
}


class Babbler:
    """Says the same to every question."""

    def __init__(self, answer: bytes) -> None:
        self.answer, self.port = answer, 0
        self._writers: list[asyncio.StreamWriter] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(OSError):
            while await reader.read(65536):
                writer.write(self.answer)
                await writer.drain()

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncGenerator[SharedStore]:
        """One client of it."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        store = SharedStore(parsed(f"redis://127.0.0.1:{self.port}/0"), deadline=2)
        try:
            async with store.life():
                yield store
        finally:
            server.close()
            for writer in self._writers:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()


@pytest.mark.parametrize("kind", NONSENSE)
def test_a_store_that_talks_nonsense_is_down_until_it_makes_sense_again(kind: str) -> None:
    async def main() -> None:
        babbler = Babbler(WELL)
        async with babbler.opened() as store:
            assert not store.failure
            babbler.answer = NONSENSE[kind]
            await eventually(lambda: bool(store.failure))
            with pytest.raises(StoreError):
                await store.run(ECHO, [], "x")
            babbler.answer = WELL
            await eventually(lambda: not store.failure)

    asyncio.run(main())


def test_a_server_whose_store_talks_nonsense_starts_and_is_not_ready() -> None:
    async def main() -> str:
        async with Babbler(b"$-1\r\n").opened() as store:
            return store.failure

    assert "what can't be understood" in asyncio.run(main())


@pytest.mark.parametrize("answer", [b"$-1\r\n", b"$1\r\n0\r\n", b"*0\r\n", b":2\r\n", b":abc\r\n"])
def test_nobody_is_let_in_by_an_answer_that_makes_no_sense(answer: bytes) -> None:
    async def main() -> None:
        babbler = Babbler(WELL)
        async with babbler.opened() as store:
            babbler.answer = answer
            with pytest.raises(StoreError):
                await Revocations(store).revoked("key:alice")
            store.failure = ""
            with pytest.raises(StoreError):
                await SharedRates(store, "toy").take("key:alice", [Rate(1, 1)])

    asyncio.run(main())


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_a_store_that_forgets_when_it_is_full_is_no_store(tmp_path: Path, policy: str) -> None:
    # A revoked key that is forgotten would be taken again, and an answer that was used be used twice.
    async def main(port: int) -> None:
        store = SharedStore(parsed(f"redis://127.0.0.1:{port}/0"), deadline=2)
        async with store.life():
            assert f"maxmemory-policy {policy}" in store.failure
            assert "noeviction" in store.failure
            with pytest.raises(StoreError):
                await Revocations(store).revoke("key:alice", 60)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"CONFIG SET maxmemory-policy noeviction\r\n")
            assert await reader.readline() == b"+OK\r\n"
            writer.close()
            await writer.wait_closed()
            await eventually(lambda: not store.failure)

    with valkey(tmp_path, "--maxmemory", "50mb", "--maxmemory-policy", policy) as server:
        asyncio.run(main(server.port))


def test_a_store_without_a_bound_forgets_nothing_whatever_its_policy(tmp_path: Path) -> None:
    async def main(port: int) -> str:
        store = SharedStore(parsed(f"redis://127.0.0.1:{port}/0"), deadline=2)
        async with store.life():
            return store.failure

    with valkey(tmp_path, "--maxmemory", "0", "--maxmemory-policy", "allkeys-lru") as server:
        assert asyncio.run(main(server.port)) == ""


def test_whoever_may_not_ask_whether_it_forgets_is_told_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    account = "gate on >pw-pw ~gatelodge:* -@all +@read +@write +@scripting +time +select"

    async def main(port: int) -> None:
        store = SharedStore(parsed(f"redis://gate:pw-pw@127.0.0.1:{port}/0"), deadline=2)
        async with store.life():
            assert not store.failure
            for _ in range(3):
                store._look.set()  # pyright: ignore[reportPrivateUsage] - a look now, rather than after a second
                await eventually(lambda: not store._look.is_set())  # pyright: ignore[reportPrivateUsage] - as above
            assert await store.run(ECHO, [], "x") == b"x"

    with caplog.at_level(logging.WARNING), valkey(tmp_path, "--user", *account.split()) as server:
        asyncio.run(main(server.port))
    assert caplog.text.count("+info") == 1
