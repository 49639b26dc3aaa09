"""Calls that are cancelled, in time or by chance, and hosts that vanish: nothing runs on, nothing is lost."""

from __future__ import annotations

import contextlib
import json
import random
import re
import time
from pathlib import Path

import anyio
import psycopg
import pytest
from gatelodge_core.errors import CallError
from gatelodge_postgres.connect import lease
from gatelodge_postgres.connect.database import READ_WRITE, Database, Timeouts
from gatelodge_postgres.connect.pool import Pool
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.connect.target import parse

from tests.postgres.bed import Bed
from tests.postgres.processing import process, until
from tests.postgres.proxy import proxy
from tests.postgres.support import Called, server
from tests.postgres.test_resilience import HEAVY, USER, active, locks, running, soon, whole, works
from tests.postgres.test_resilience import own as own  # noqa: PLC0414 - a fixture

PID = "SELECT pg_backend_pid() AS pid"


@pytest.fixture(scope="module")
def volatile(own: Bed) -> Bed:
    """The server, with a function that takes an advisory lock though it says that it changes nothing."""
    with own.admin() as admin:
        admin.execute(
            "CREATE FUNCTION locked(int) RETURNS int STABLE LANGUAGE plpgsql"
            " AS $$ BEGIN PERFORM pg_advisory_lock($1); RETURN $1; END $$"
        )
    return own


async def pid(called: Called) -> str:
    text = await called.text("run_query", sql=PID)
    found = re.search(r"^pid\n(\d+)$", text, re.MULTILINE)
    assert found is not None, text
    return found[1]


@pytest.mark.parametrize("how", ["cancelled", "timeout"])
def test_a_call_that_is_stopped_stops_on_the_server_and_its_connection_is_used_again(
    own: Bed, tmp_path: Path, how: str
) -> None:
    took: list[float] = []

    async def main() -> None:
        async with server(tmp_path, own.url(user=USER), max_cost=0, pool_size=1) as called:
            before = await pid(called)
            for _ in range(5):
                if how == "timeout":
                    begun = time.monotonic()
                    said = await called.error("run_query", sql=HEAVY, timeout_ms=200)
                    took.append(time.monotonic() - begun - 0.2)
                    assert said.startswith("timeout: the statement took more than 0.2 s")
                else:
                    async with anyio.create_task_group() as group:
                        group.start_soon(lambda: called.call("run_query", sql=HEAVY))
                        await soon(lambda: running(own))
                        group.cancel_scope.cancel()
                    begun = time.monotonic()
                    await soon(lambda: not active(own))
                    took.append(time.monotonic() - begun)
                assert await pid(called) == before
            assert active(own) == []

    anyio.run(main)
    assert max(took) < 0.5, took


def test_a_statement_that_frees_itself_of_the_server_s_timeout_is_stopped_by_ours(own: Bed) -> None:
    async def main() -> None:
        pool = Pool(parse("db", own.url(user=USER)), size=1, seconds=5, sessions="any")
        database = Database("db", pool, Timeouts(0.5))

        async def freed(session: Session) -> None:
            await session.constant("SET LOCAL statement_timeout = 0")
            await session.constant("SELECT pg_sleep(60)")

        async def backend(session: Session) -> int:
            (row,) = await session.rows("SELECT pg_backend_pid()")
            return int(row[0])

        async with database.life():
            before = await database.run(backend)
            begun = time.monotonic()
            with pytest.raises(CallError, match=r"took more than 0\.5 s"):
                await database.run(freed)
            assert time.monotonic() - begun < 1.5
            assert await database.run(backend) == before

    anyio.run(main)


def test_two_hundred_queries_with_cancels_at_random_leave_nothing_behind(volatile: Bed, tmp_path: Path) -> None:
    chance = random.Random(200)
    ended: list[str] = []

    async def main() -> None:
        given = {"max_cost": 0, "query_seconds": 5, "allow_functions": ["public.*"], "connect_seconds": 20}
        async with server(tmp_path, volatile.url(user=USER), **given) as called:

            async def one(number: int) -> None:
                rows = chance.choice([10, 1000, 200_000])
                sql = f"SELECT count(*), locked({number}) FROM generate_series(1, {rows}) a"
                sql = HEAVY if number % 10 == 0 else sql
                with anyio.move_on_after(chance.choice([0.001, 0.01, 0.1, 0.5, 30])) as scope:
                    failed, text = await called.call("run_query", sql=sql, timeout_ms=1000)
                    ended.append(text.partition(":")[0] if failed else "answered")
                if scope.cancelled_caught:
                    ended.append("cancelled")

            async with anyio.create_task_group() as group:
                for number in range(200):
                    group.start_soon(one, number)
            await soon(lambda: not active(volatile))
            assert locks(volatile) == 0
            await works(called)
            await whole(called, volatile, 4)

    anyio.run(main)
    assert len(ended) == 200
    # Those over the limits of the guard would show that nothing was tried.
    assert set(ended) == {"answered", "cancelled", "timeout"}, {word: ended.count(word) for word in ended}


def test_the_same_over_the_wire(volatile: Bed, tmp_path: Path) -> None:
    chance = random.Random(201)
    env = {"GATELODGE_POSTGRES_URL": volatile.url(user=USER)}
    options = ["--max-cost", "0", "--query-seconds", "5", "--allow-functions", "public.*", "--connect-seconds", "20"]
    with process(tmp_path, *options, env=env, revision="2025-11-25") as wire:
        wire.text("run_query", sql="SELECT 1")
        cancelled: set[int] = set()
        for number in range(1000, 1200):
            rows = chance.choice([10, 1000, 200_000])
            sql = f"SELECT count(*), locked({number}) FROM generate_series(1, {rows}) a"
            wire.send_call(number, "run_query", sql=HEAVY if number % 10 == 0 else sql, timeout_ms=1000)
            if number % 3 == 0:
                # The one just sent, or one that has run for a while, or has ended.
                chosen = number - chance.choice([0, 0, 1, 5, 20])
                wire.notify("notifications/cancelled", {"requestId": chosen, "reason": "by chance"})
                cancelled.add(chosen)
        wanted = set(range(1000, 1200)) - cancelled
        said: list[str] = []
        while wanted:
            # In the order in which they end.
            message = json.loads(wire.server.line())
            if message.get("id") in wanted:
                wanted.remove(message["id"])
                said.append(message["result"]["content"][0]["text"])
        failed = {text.partition(":")[0] for text in said if "rows: shown" not in text}
        assert failed <= {"timeout"}, failed
        until(lambda: not active(volatile))
        assert locks(volatile) == 0
        assert "\n7\n" in wire.text("run_query", sql="SELECT 7 AS n")
        # All four connections work again. Where they are slow to come, the first queries are over their time before the
        # last begin; then it is tried once more with what is connected by now.
        together = False
        for number in range(2000, 2020, 4):
            for each in range(4):
                wire.send_call(number + each, "run_query", sql=HEAVY)
            with contextlib.suppress(AssertionError):
                until(lambda: running(volatile) == 4, 4)
                together = True
            for each in range(4):
                wire.notify("notifications/cancelled", {"requestId": number + each})
            until(lambda: not active(volatile))
            if together:
                break
        assert together


@pytest.mark.parametrize("how", ["killed", "stdin closed"])
def test_when_the_server_or_its_host_is_gone_its_work_in_the_database_ends(own: Bed, tmp_path: Path, how: str) -> None:
    env = {"GATELODGE_POSTGRES_URL": own.url(user=USER)}
    with process(tmp_path, "--max-cost", "0", "--query-seconds", "60", env=env) as wire:
        for number in range(3):
            wire.send_call(number, "run_query", sql=HEAVY)
        until(lambda: running(own) == 3)
        if how == "killed":
            wire.server.process.kill()
        else:
            wire.server.close_stdin()
        begun = time.monotonic()
        took = until(lambda: not active(own))
        wire.server.wait(10)
        assert took < 3
        assert time.monotonic() - begun < 5


def test_a_cancelled_call_that_waits_for_a_connection_leaves_its_place_to_the_next(own: Bed, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, own.url(user=USER), max_cost=0, pool_size=1) as called:
            answers: list[str] = []
            holding, waiting = anyio.CancelScope(), anyio.CancelScope()

            async def holds() -> None:
                with holding:
                    await called.call("run_query", sql=HEAVY)

            async def gives_up() -> None:
                with waiting:
                    await called.text("run_query", sql="SELECT 6 AS n")

            async def waits() -> None:
                answers.append(await called.text("run_query", sql="SELECT 5 AS n"))

            async with anyio.create_task_group() as group:
                group.start_soon(holds)
                await soon(lambda: running(own))
                group.start_soon(gives_up)
                group.start_soon(waits)
                # Who waits can't be seen from outside.
                waits_now = called.sources.pick().database._pool._pool._waiting  # pyright: ignore[reportPrivateUsage]
                await soon(lambda: len(waits_now) == 2)
                waiting.cancel()
                holding.cancel()
            assert "\n5\n" in answers[0]
            await whole(called, own, 1)

    anyio.run(main)


@pytest.fixture
def changing(own: Bed) -> Database:
    """The server's database as one that changes things, with a table to change."""
    with own.admin() as admin:
        admin.execute("DROP TABLE IF EXISTS changed")
        admin.execute("CREATE TABLE changed (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
        admin.execute(f"GRANT ALL ON changed TO {USER}")
    pool = Pool(parse("db", own.url(user=USER)), size=1, seconds=5, sessions="any")
    return Database("db", pool, Timeouts(0.5), begin=READ_WRITE)


def kept(bed: Bed) -> int:
    with bed.admin() as admin:
        found = admin.execute("SELECT count(*) FROM changed").fetchone()
    return int(found[0]) if found else -1


def test_a_change_that_is_to_be_kept_is_committed_and_one_that_is_not_is_not(own: Bed, changing: Database) -> None:
    async def main() -> None:
        async def work(session: Session) -> bool:
            await session.constant("INSERT INTO changed VALUES (1)")
            return True

        async with changing.life():
            await changing.run(work)
            assert kept(own) == 0
            await changing.run(work, keep=lambda found: not found)
            assert kept(own) == 0
            await changing.run(work, keep=lambda found: found)
            assert kept(own) == 1

    anyio.run(main)


def test_a_commit_that_postgresql_refuses_says_why(own: Bed, changing: Database) -> None:
    async def main() -> None:
        async def work(session: Session) -> None:
            await session.constant("INSERT INTO changed VALUES (1), (1)")

        async with changing.life():
            with pytest.raises(CallError, match="duplicate key") as caught:
                await changing.run(work, keep=lambda _: True)
            assert caught.value.code == "unique_violation"
            assert kept(own) == 0

    anyio.run(main)


@pytest.mark.parametrize("how", ["too late", "failed before"])
def test_what_was_rolled_back_is_never_told_as_done(own: Bed, changing: Database, how: str) -> None:
    async def main() -> None:
        async def work(session: Session) -> str:
            await session.constant("INSERT INTO changed VALUES (1)")
            with contextlib.suppress(psycopg.Error):
                await session.constant("SELECT pg_sleep(60)" if how == "too late" else "SELECT 1/0")
            return "done"

        async with changing.life():
            with pytest.raises(CallError):
                await changing.run(work, keep=lambda _: True)
            assert kept(own) == 0

    anyio.run(main)


def test_a_commit_whose_answer_never_comes_is_told_as_unknown(
    own: Bed, changing: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "END_SECONDS", 0.5)

    async def main() -> None:
        async def work(session: Session) -> None:
            await session.constant("INSERT INTO changed VALUES (1)")

        with proxy(own.port) as way:
            url = own.url(user=USER).replace(f":{own.port}", f":{way.port}")
            pool = Pool(parse("db", url), size=1, seconds=5, sessions="any")
            database = Database("db", pool, Timeouts(5), begin=READ_WRITE)
            async with database.life():
                way.stall(b"COMMIT")
                with pytest.raises(CallError, match="whether the change was made is not known"):
                    await database.run(work, keep=lambda _: True)

    anyio.run(main)
