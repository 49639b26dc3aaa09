"""The connection to a shared store: in time, never an answer to another question, closed while it is down, back by itself."""

from __future__ import annotations

import asyncio
import logging
import random
import tempfile
import time
from pathlib import Path

import pytest
import trustme
from gatelodge_core.errors import SettingsError
from gatelodge_core.store.address import parsed
from gatelodge_core.store.connecting import client
from gatelodge_core.store.errors import StoreBusyError, StoreError
from gatelodge_core.store.shared import CONNECTIONS, MAX_WAITING, Script, SharedStore

from tests.support.valkey import Valkey, eventually, valkey

ECHO = Script.of("return ARGV[1]")
SET = Script.of("redis.call('SET', KEYS[1], ARGV[1]) return 1")


async def until_well(store: SharedStore, *, well: bool = True) -> float:
    """Seconds until it can, or can't, be used."""
    began = time.monotonic()
    await eventually(lambda: bool(store.failure) is not well)
    return time.monotonic() - began


async def clients(server: Valkey) -> list[object]:
    """Who is connected, this look included."""
    asking = client(parsed(server.url), seconds=2, connections=1)
    try:
        return list(await asking.client_list())  # pyright: ignore[reportUnknownMemberType] - the library leaves its type open
    finally:
        await asking.aclose()


def test_a_cancelled_question_never_leaves_its_answer_to_the_next(server: Valkey) -> None:
    wrong: list[tuple[bytes, str]] = []

    async def main() -> int:
        chance, answered = random.Random(9), 0

        async def one(number: int) -> None:
            nonlocal answered
            said = f"canary {number}"
            got = await store.run(ECHO, [], said)
            answered += 1
            if got != said.encode():
                wrong.append((got, said))

        async with server.opened() as store:
            for round_ in range(60):
                tasks = [asyncio.create_task(one(round_ * 40 + number)) for number in range(40)]
                await asyncio.sleep(chance.random() * 0.004)
                for task in chance.sample(tasks, 20):
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return answered

    answered = asyncio.run(main())
    assert not wrong
    assert 60 * 20 <= answered < 60 * 40


def test_while_it_is_down_all_is_refused_at_once_and_it_comes_back_by_itself(tmp_path: Path) -> None:
    async def main(server: Valkey) -> None:
        async with server.opened(deadline=0.5) as store, server.opened(deadline=0.5) as other:
            assert await store.run(ECHO, [], "before") == b"before"
            server.kill()
            for _ in range(3):
                with pytest.raises(StoreError, match="can't be reached"):
                    await store.run(ECHO, [], "x")
            await until_well(other, well=False)
            began = time.perf_counter()
            for _ in range(500):
                with pytest.raises(StoreError):
                    await store.run(ECHO, [], "x")
            # Not one of these was a connection that was tried.
            assert time.perf_counter() - began < 500 * 0.01
            server.start()
            await until_well(store)
            await until_well(other)
            # Its scripts are gone, and are sent again.
            assert await store.run(ECHO, [], "after") == b"after"

    with valkey(tmp_path) as server:
        asyncio.run(main(server))


def test_a_store_that_hangs_costs_its_deadline_and_is_then_left_alone(tmp_path: Path) -> None:
    async def main(server: Valkey) -> None:
        async with server.opened(deadline=0.2) as store:
            server.freeze()
            with pytest.raises(StoreError):
                await store.run(ECHO, [], "x")
            await until_well(store, well=False)
            assert "in time" in store.failure
            server.thaw()
            await until_well(store)
            assert await store.run(ECHO, [], "after") == b"after"

    with valkey(tmp_path) as server:
        asyncio.run(main(server))


def test_a_process_that_is_held_up_itself_does_not_take_that_for_a_failure_of_the_store(server: Valkey) -> None:
    async def main() -> None:
        async with server.opened(deadline=0.1) as store:
            assert await store.run(ECHO, [], "x") == b"x"
            for _ in range(5):
                asked = asyncio.create_task(store.run(ECHO, [], "x"))
                while not asked.done() and not asked.get_stack():  # noqa: ASYNC110 - until the task has begun
                    await asyncio.sleep(0)
                await asyncio.sleep(0)
                time.sleep(0.3)  # noqa: ASYNC251 - holding it up is the point
                assert await asked == b"x"

    asyncio.run(main())


def test_a_flood_waits_for_few_connections_and_what_is_too_much_is_told_so(server: Valkey) -> None:
    async def main() -> tuple[int, int]:
        async with server.opened(deadline=5) as store:

            async def one() -> bool:
                try:
                    return bool(await store.run(ECHO, [], "x") == b"x")
                except StoreBusyError:
                    return False

            done = await asyncio.gather(*(one() for _ in range(3000)))
            assert not store.failure, "a flood of ours is no failure of the store"
            assert len(await clients(server)) <= CONNECTIONS + 2
            return sum(done), len(done)

    answered, asked = asyncio.run(main())
    assert CONNECTIONS < answered <= MAX_WAITING + CONNECTIONS < asked


def test_a_server_starts_without_its_store_and_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatelodge_core.store.shared.START_SECONDS", 0.2)

    async def main(server: Valkey) -> None:
        server.kill()
        async with server.opened() as store:
            assert "can't be reached" in store.failure
            server.start()
            await until_well(store)

    with valkey(tmp_path) as server:
        asyncio.run(main(server))


def test_a_wrong_password_ends_the_start_and_is_told_to_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def enter(url: str) -> str:
        store = SharedStore(parsed(url), deadline=2)
        try:
            async with store.life():
                return store.failure
        except SettingsError as error:
            return f"refused: {error}"

    with valkey(tmp_path, "--requirepass", "right-right") as server:
        place = f"127.0.0.1:{server.port}/0"
        assert asyncio.run(enter(f"redis://:right-right@{place}")) == ""
        for user in ("", "nobody"):
            said = asyncio.run(enter(f"redis://{user}:wrong-wrong@{place}"))
            assert said.startswith("refused: GATELODGE_STORE_URL: ")
            assert "does not take our name and password" in said
            assert "wrong-wrong" not in said
        assert asyncio.run(enter(f"redis://{place}")).startswith("refused")
    assert "wrong-wrong" not in caplog.text
    assert "right-right" not in caplog.text


def test_a_store_that_can_not_be_written_is_no_store(tmp_path: Path) -> None:
    async def main(server: Valkey) -> str:
        async with server.opened() as store:
            with pytest.raises(StoreError):
                await store.run(SET, ["x"], "y" * 200_000)
            return store.failure

    with valkey(tmp_path, "--maxmemory", "1b", "--maxmemory-policy", "noeviction") as server:
        failure = asyncio.run(main(server))
    assert "refuses to do its work" in failure


def test_a_store_that_lost_all_it_knew_is_known_by_that(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main(server: Valkey) -> tuple[str, str]:
        async with server.opened() as store:
            before = store.memory
            server.kill()
            await until_well(store, well=False)
            server.start()
            await until_well(store)
            return before, store.memory

    for keeps in (True, False):
        caplog.clear()
        with valkey(tmp_path / str(keeps), keeps=keeps) as server:
            before, after = asyncio.run(main(server))
        assert (before == after) is keeps
        assert ("has lost what it knew" in caplog.text) is not keeps


def test_a_unix_socket_is_as_good(tmp_path: Path) -> None:
    # Not below tmp_path, which can be too long for one.
    with tempfile.TemporaryDirectory() as short, valkey(tmp_path, "--unixsocket", f"{short}/s"):

        async def main() -> object:
            async with (store := SharedStore(parsed(f"unix://{short}/s"), deadline=2)).life():
                return await store.run(ECHO, [], "x")

        assert asyncio.run(main()) == b"x"


def test_tls_is_spoken_with_the_one_whose_certificate_is_right_and_no_other(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    stranger.cert_pem.write_to_path(str(tmp_path / "other.pem"))

    async def failure(port: int, ca: str) -> str:
        store = SharedStore(parsed(f"rediss://:pw-pw@127.0.0.1:{port}/0", str(tmp_path / ca)), deadline=2)
        async with store.life():
            if store.failure:
                return store.failure
            return str(await store.run(ECHO, [], "secret"))

    for name, ca, good in (
        ("127.0.0.1", "ca.pem", True),
        ("127.0.0.1", "other.pem", False),
        ("other.example", "ca.pem", False),
    ):
        issued = authority.issue_cert(name)
        issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
        issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
        port = Valkey.free_port()
        tls = ["--tls-port", str(port), "--tls-cert-file", str(tmp_path / "cert.pem"), "--tls-key-file", str(tmp_path / "key.pem"),
               "--tls-auth-clients", "no", "--requirepass", "pw-pw"]  # fmt: skip
        with valkey(tmp_path / f"{name}-{ca}", *tls):
            said = asyncio.run(failure(port, ca))
        assert said == str(b"secret") if good else "can't be reached" in said
