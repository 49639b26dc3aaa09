"""Servers that restart, backends that die, networks that stall: each call ends in time, and the next one works."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import LiteralString

import anyio
import psycopg
import pytest
from gatelodge_core.errors import CallError
from gatelodge_postgres.connect import lease
from gatelodge_postgres.connect import pool as pools
from gatelodge_postgres.connect.pool import Pool
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.connect.target import parse

from tests.postgres.bed import Bed
from tests.postgres.beds import system
from tests.postgres.conftest import had
from tests.postgres.processing import until
from tests.postgres.proxy import Moment, Proxy, proxy
from tests.postgres.support import Called, server

HEAVY = "SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 1000000) b"
"""Takes hours, and neither memory nor disk."""
USER = "reader"


@pytest.fixture(scope="module")
def own() -> Generator[Bed]:
    """A server of the module's own, since it is restarted, and filled up."""
    for bed in had(system(settings={"max_connections": "16"})):
        with bed.admin() as admin:
            admin.execute(f"CREATE ROLE {USER} LOGIN")
        yield bed


@pytest.fixture
def way(own: Bed) -> Generator[Proxy]:
    """A proxy before it."""
    with proxy(own.port) as made:
        yield made


def through(bed: Bed, way: Proxy) -> str:
    return bed.url(user=USER).replace(f":{bed.port}", f":{way.port}")


def active(bed: Bed) -> list[int]:
    """Backends that run something for us."""
    with bed.admin() as admin:
        found = admin.execute(
            "SELECT pid FROM pg_stat_activity WHERE usename = %s AND state <> 'idle' ORDER BY pid", [USER]
        )
        return [pid for (pid,) in found]


def running(bed: Bed) -> int:
    """How many of them are in the middle of fetching."""
    with bed.admin() as admin:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND state = 'active' AND query ~ '^FETCH'"
        found = admin.execute(sql, [USER]).fetchone()
    return int(found[0]) if found else 0


def locks(bed: Bed) -> int:
    with bed.admin() as admin:
        (count,) = admin.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() or (0,)
        return int(count)


async def soon(seen: Callable[[], object], seconds: float = 10) -> float:
    """`until`, beside the server that runs in this very loop."""
    return await anyio.to_thread.run_sync(until, seen, seconds)


async def works(called: Called, number: int = 7) -> None:
    assert f"\n{number}\n" in await called.text("run_query", sql=f"SELECT {number} AS n")


async def timed(call: Awaitable[str]) -> tuple[float, str]:
    begun = time.monotonic()
    said = await call
    return time.monotonic() - begun, said


async def whole(called: Called, bed: Bed, size: int) -> None:
    """All of the pool's connections can be had at once; and no more than these are there."""
    async with anyio.create_task_group() as group:
        for _ in range(size):
            group.start_soon(lambda: called.call("run_query", sql=HEAVY, timeout_ms=20_000))
        await soon(lambda: running(bed) == size)
        group.cancel_scope.cancel()
    await soon(lambda: not active(bed))
    with bed.admin() as admin:
        found = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = %s", [USER]).fetchone()
    assert found == (size,)


# A bed's server lives no longer than the thread that started it, so restarts happen in this one, and hold the loop.


def test_after_a_restart_of_the_server_the_next_call_works(own: Bed, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, own.url(user=USER), max_cost=0) as called:
            async with anyio.create_task_group() as group:
                for _ in range(4):
                    group.start_soon(works, called)
            own.restart()
            await works(called)
            own.stop()
            seconds, said = await timed(called.error("run_query", sql="SELECT 1"))
            assert seconds < 2
            assert "Connection refused" in said
            assert "the next call tries again" in said
            own.start()
            await works(called)

    anyio.run(main)


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_query_that_a_restart_ends_says_so_and_the_next_one_works(own: Bed, tmp_path: Path, how: str) -> None:
    said: list[str] = []

    async def main() -> None:
        async with server(tmp_path, own.url(user=USER), max_cost=0, pool_size=1) as called:

            async def heavy() -> None:
                said.append(await called.error("run_query", sql=HEAVY))

            async with anyio.create_task_group() as group:
                group.start_soon(heavy)
                await soon(lambda: running(own))
                own.restart("fast" if how == "fast" else "immediate")
            await works(called)

    anyio.run(main)
    assert "connection_lost" in said[0]
    assert "The next call connects anew" in said[0]


def test_calls_whose_backends_are_killed_end_clearly_and_the_others_don_t_notice(own: Bed, tmp_path: Path) -> None:
    ended = threading.Event()
    chance = random.Random(6)
    killed: list[int] = []

    def kill() -> None:
        with own.admin() as admin:
            while not ended.is_set():
                found = admin.execute("SELECT pid FROM pg_stat_activity WHERE usename = %s", [USER]).fetchall()
                if found:
                    (pid,) = chance.choice(found)
                    admin.execute("SELECT pg_terminate_backend(%s, 1000)", [pid])
                    killed.append(pid)

    async def main() -> None:
        async with server(tmp_path, own.url(user=USER), max_cost=0) as called:
            answers: list[tuple[bool, str]] = []

            async def many() -> None:
                for _ in range(25):
                    sql = "SELECT count(*) AS n FROM generate_series(1, 20000)"
                    answers.append(await called.call("run_query", sql=sql))

            killer = threading.Thread(target=kill)
            killer.start()
            try:
                async with anyio.create_task_group() as group:
                    for _ in range(8):
                        group.start_soon(many)
            finally:
                ended.set()
                await anyio.to_thread.run_sync(killer.join)
            lost = [said for failed, said in answers if failed]
            assert all("connection_lost" in said for said in lost), set(lost)
            assert len(answers) == 200
            assert killed
            await works(called)
            await whole(called, own, 4)

    anyio.run(main)


def test_a_full_server_is_told_and_what_the_pool_has_goes_on(own: Bed, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, own.url(user=USER), connect_seconds=2, max_cost=0) as called:
            taken = fill(own)
            try:
                seconds, said = await timed(called.error("run_query", sql="SELECT 1"))
                assert seconds < 2
                assert "remaining connection slots" in said or "too many clients" in said
                assert "no connection left" in said
                # One for the pool; another, since the one by which we look may linger.
                taken.pop().close()
                taken.pop().close()
                await soon(lambda: room(own) == 2)
                async with anyio.create_task_group() as group:
                    for _ in range(8):
                        group.start_soon(works, called)
            finally:
                for one in taken:
                    one.close()
            await soon(lambda: room(own) > 4)
            await whole(called, own, 4)

    anyio.run(main)


def room(bed: Bed) -> int:
    """Connections that a plain role could still make."""
    with bed.admin() as admin:
        found = admin.execute(
            "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
            " - count(*) + 1 FROM pg_stat_activity WHERE backend_type = 'client backend'"
        ).fetchone()
        return int(found[0]) if found else 0


def fill(bed: Bed) -> list[psycopg.Connection]:
    """Take all connections that a plain role can have."""
    taken: list[psycopg.Connection] = []
    while True:
        try:
            taken.append(psycopg.connect(bed.url(user=USER), autocommit=True))
        except psycopg.OperationalError:
            return taken


def test_a_full_pool_is_told_in_time_and_too_many_callers_at_once(own: Bed, tmp_path: Path) -> None:
    async def main() -> None:
        given = {"max_cost": 0, "pool_size": 2, "connect_seconds": 1, "calls_at_once": 100}
        async with server(tmp_path, own.url(user=USER), **given) as called:
            said: list[tuple[float, str]] = []

            async def one() -> None:
                said.append(await timed(called.error("run_query", sql="SELECT 1")))

            async with anyio.create_task_group() as holding:
                for _ in range(2):
                    holding.start_soon(lambda: called.call("run_query", sql=HEAVY))
                await soon(lambda: running(own) == 2)
                async with anyio.create_task_group() as group:
                    for _ in range(70):
                        group.start_soon(one)
                holding.cancel_scope.cancel()
            busy = [text for _, text in said if "were busy for 1 s" in text]
            refused = [text for _, text in said if "64 calls wait" in text]
            assert (len(busy), len(refused)) == (64, 6), said[:3]
            assert max(seconds for seconds, _ in said) < 4
            await works(called)
            await whole(called, own, 2)

    anyio.run(main)


STALLS: list[tuple[Moment, str]] = [
    ("connect", "unreachable"),
    (b"BEGIN", "no_answer|unreachable"),
    (b"FETCH", "timeout"),
    (b"ROLLBACK", ""),
]


@pytest.mark.parametrize(("moment", "code"), STALLS, ids=["connect", "begin", "fetch", "end"])
def test_a_network_that_stalls_ends_the_call_in_time_and_the_next_one_works(
    own: Bed, way: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: Moment, code: str
) -> None:
    monkeypatch.setattr(lease, "BEGIN_SECONDS", 1.0)
    monkeypatch.setattr(lease, "CANCEL_SECONDS", 0.5)
    monkeypatch.setattr(lease, "END_SECONDS", 1.0)

    async def main() -> None:
        given = {"pool_size": 1, "connect_seconds": 2, "query_seconds": 1, "max_cost": 0}
        async with server(tmp_path, through(own, way), **given) as called:
            if moment != "connect":
                await works(called)
            way.stall(moment)
            begun = time.monotonic()
            failed, said = await called.call("run_query", sql="SELECT generate_series(1, 3000) AS a", max_rows=3000)
            assert way.stalled.is_set()
            assert time.monotonic() - begun < 8
            # What the caller asked for was had before the connection was lost.
            assert failed == bool(code), said
            assert re.search(f"^({code})", said), said
            # While it stalls, a call ends as well.
            seconds, said = await timed(called.error("run_query", sql="SELECT 1"))
            assert seconds < 8
            assert "unreachable" in said
            way.resume()
            await works(called)
            await whole(called, own, 1)

    anyio.run(main)


def test_a_network_that_stalls_at_the_cancel_does_not_hold_the_call(
    own: Bed, way: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "CANCEL_SECONDS", 0.5)

    async def main() -> None:
        given = {"pool_size": 1, "connect_seconds": 2, "query_seconds": 1, "max_cost": 0}
        async with server(tmp_path, through(own, way), **given) as called:
            # The server's own timeout would speak first.
            await works(called)
            way.stall("cancel")
            with anyio.move_on_after(1) as scope:
                await called.call("run_query", sql=HEAVY, timeout_ms=300_000)
            assert scope.cancelled_caught
            way.resume()
            await works(called)
            await soon(lambda: not active(own))
            await whole(called, own, 1)

    anyio.run(main)


def test_connections_that_slept_through_their_end_are_replaced_within_one_call(
    own: Bed, way: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEGIN_SECONDS", 0.5)

    async def main() -> None:
        async with server(tmp_path, through(own, way), max_cost=0) as called:
            await whole(called, own, 4)
            way.stop()
            connections = way.connections
            async with anyio.create_task_group() as group:
                group.start_soon(works, called)
                # The laptop wakes up: old connections are dead, new ones can be made.
                await soon(lambda: way.connections > connections)
                way.resume()

    anyio.run(main)


def test_a_server_that_lacks_a_setting_of_its_version_is_asked_without_it_from_then_on(own: Bed) -> None:
    asked: list[int] = []

    def opening(version: int) -> LiteralString:
        asked.append(version)
        # As on a Windows server, which can't tell whether its client is still there.
        return "BEGIN READ ONLY; SET LOCAL client_connection_check_interval = -1" if version else "BEGIN READ ONLY"

    async def work(session: Session) -> int:
        ((one,),) = await session.rows("SELECT 1")
        return int(one)

    async def main() -> None:
        pool = Pool(parse("db", own.url(user=USER)), size=1, seconds=5, sessions="any")
        await pool.open()
        for _ in range(3):
            leased = lease.Lease(pool, opening, work, 5)
            await leased.start()
            assert leased.result() == 1
        await pool.close()

    anyio.run(main)
    assert asked == [own_version(own), 0, 0, 0]


def own_version(bed: Bed) -> int:
    with bed.admin() as admin:
        return admin.info.server_version


def test_an_idle_connection_is_closed_after_a_while_and_an_old_one_is_not_used_again(
    own: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        monkeypatch.setattr(pools, "IDLE", 0.2)
        async with server(tmp_path, own.url(user=USER)) as called:
            await works(called)
            assert len(own.backends("postgres")) == 1
            await soon(lambda: not own.backends("postgres"), 5)
        monkeypatch.setattr(pools, "IDLE", 300.0)
        monkeypatch.setattr(pools, "LIFETIME", 0.001)
        async with server(tmp_path, own.url(user=USER)) as called:
            await works(called)
            first = own.backends("postgres")
            await works(called)
            assert not set(own.backends("postgres")) & set(first)

    anyio.run(main)


def test_what_keeps_a_password_from_being_had_is_told_to_all_who_wait(own: Bed) -> None:
    async def password() -> str:
        await anyio.sleep(0.05)
        raise CallError("password_failed", "the vault is shut.")

    async def main() -> None:
        pool = Pool(parse("db", own.url(user=USER)), size=2, seconds=5, sessions="any", password=password)
        await pool.open()
        said: list[str] = []

        async def take() -> None:
            with pytest.raises(CallError) as caught:
                await pool.take()
            said.append(caught.value.code)

        begun = time.monotonic()
        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(take)
        assert said == ["password_failed"] * 10
        assert time.monotonic() - begun < 2
        await pool.close()

    anyio.run(main)
