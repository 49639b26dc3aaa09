"""Showing what sessions do and who blocks whom, and ending what one does."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import psycopg
import pytest
from gatelodge_core.errors import CallError
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dba import signals
from gatelodge_postgres.dba.activity import Backend, tree
from gatelodge_postgres.dba.texts import shown
from gatelodge_postgres.tools.admin import cancel_backend

from tests.postgres.bed import Bed
from tests.postgres.dba import behind, database, until, waits
from tests.postgres.seed import READER
from tests.postgres.support import Called, server

pytestmark = pytest.mark.anyio

TABLE = "CREATE TABLE shop.t AS SELECT g AS id, 'n' AS note FROM generate_series(1, 5) g"
LONG = "SELECT count(*) FROM generate_series(1, 3000000000)"
OWN_PID = "SELECT pg_backend_pid()"


@pytest.fixture
def db(bed: Bed) -> Generator[str]:
    with database(bed, TABLE, f"GRANT pg_read_all_stats TO {READER}") as name:
        try:
            yield name
        finally:
            with bed.admin() as admin:
                admin.execute(f"REVOKE pg_read_all_stats FROM {READER}".encode())


@pytest.fixture
async def called(bed: Bed, db: str, tmp_path: Path) -> AsyncGenerator[Called]:
    async with server(tmp_path, bed.url(db, READER)) as client:
        yield client


def pids(text: str) -> list[int]:
    return [int(pid) for pid in re.findall(r"^ *pid (\d+) ", text, re.MULTILINE)]


def runs(bed: Bed, connection: psycopg.Connection) -> bool:
    """Whether a connection runs a statement."""
    with bed.admin() as admin:
        rows = admin.execute(
            "SELECT FROM pg_stat_activity WHERE pid = %s AND state = 'active'", [connection.info.backend_pid]
        ).fetchall()
    return bool(rows)


async def test_a_chain_of_three_is_shown_as_a_tree(called: Called, bed: Bed, db: str) -> None:
    with bed.connect(db) as first, bed.connect(db) as second, bed.connect(db) as third:
        chain = [connection.info.backend_pid for connection in (first, second, third)]
        first.execute("BEGIN; UPDATE shop.t SET note = 'gl-secret' WHERE id = 1")
        second.execute("BEGIN; UPDATE shop.t SET note = 'b' WHERE id = 2")
        with behind(second, "UPDATE shop.t SET note = 'gl-secret' WHERE id = 1"):
            until(waits(bed, second))
            with behind(third, "SELECT id FROM shop.t WHERE id = 2 FOR UPDATE"):
                until(waits(bed, third))
                text = await called.text("show_activity", blocking_tree=True)
                flat = await called.text("show_activity", states=["waiting"])
                first.execute("ROLLBACK")
    assert "2 of 3 sessions wait for locks" in text
    depths = [(len(spaces), int(pid)) for spaces, pid in re.findall(r"^( *)pid (\d+) ", text, re.MULTILINE)]
    assert depths == [(0, chain[0]), (2, chain[1]), (4, chain[2])]
    assert "idle in transaction" in text
    assert text.count("waits for ShareLock on transactionid of shop.t") == 2
    assert "gl-secret" not in text
    assert set(pids(flat)) == set(chain[1:])
    assert f"blocked by {chain[0]}" in flat


async def test_whoever_waits_for_several_stands_once_behind_the_last(called: Called, bed: Bed, db: str) -> None:
    with bed.connect(db) as first, bed.connect(db) as second, bed.connect(db) as third:
        last = third.info.backend_pid
        first.execute("BEGIN; SELECT FROM shop.t")
        with behind(second, "ALTER TABLE shop.t ADD COLUMN x int"):
            until(waits(bed, second))
            with behind(third, "TRUNCATE shop.t"):
                until(waits(bed, third))
                text = await called.text("show_activity", blocking_tree=True)
                first.execute("ROLLBACK")
    assert len(pids(text)) == 3
    assert re.search(rf"^    pid {last} .* \| blocked by ", text, re.MULTILINE)
    assert "waits for AccessExclusiveLock on relation of shop.t" in text


def test_a_circle_ends() -> None:
    def one(pid: int, *blockers: int) -> Backend:
        return Backend(pid, "r", "", "active", "client backend", "", 1.0, 1.0, "SELECT 1", blockers, "", True)

    lines = tree([one(1, 2), one(2, 3), one(3, 1), one(4, 0), one(5, 99)], numbers=False)
    assert sum("pid 1 " in line for line in lines) == 1
    assert any("a prepared transaction" in line for line in lines)
    assert len(lines) == 7


async def test_states_and_seconds_choose_and_the_asking_session_is_left_out(called: Called, bed: Bed, db: str) -> None:
    ((own,),) = await called.sources.pick().database.run(lambda session: session.rows("SELECT pg_backend_pid()"))
    with bed.connect(db) as idle, bed.connect(db) as opened:
        opened.execute("BEGIN")
        text = await called.text("show_activity")
        assert pids(text) == [opened.info.backend_pid]
        assert "2 sessions: " in text
        assert pids(await called.text("show_activity", states=["idle"])) == [idle.info.backend_pid]
        assert pids(await called.text("show_activity", states=["idle in transaction"])) == [opened.info.backend_pid]
        assert pids(await called.text("show_activity", states=["active"])) == []
        assert pids(await called.text("show_activity", min_seconds=3600)) == []
        both = await called.text("show_activity", states=["idle", "idle in transaction"])
        assert own not in pids(both)


async def test_other_databases_are_left_out_unless_they_hold_somebody_up(called: Called, bed: Bed) -> None:
    with bed.connect("postgres") as other:
        other.execute("BEGIN")
        assert other.info.backend_pid not in pids(await called.text("show_activity"))


async def test_what_the_role_cannot_see_is_said(bed: Bed, tmp_path: Path) -> None:
    with database(bed, TABLE) as db, bed.connect(db) as other:
        other.execute("BEGIN")
        async with server(tmp_path, bed.url(db, READER)) as called:
            for text in (await called.text("show_activity"), await called.text("show_activity", blocking_tree=True)):
                assert "what 1 sessions of other roles do can't be seen; GRANT pg_read_all_stats" in text


async def test_a_table_that_is_not_read_is_not_named_by_its_lock(bed: Bed, db: str, tmp_path: Path) -> None:
    with bed.connect(db) as first, bed.connect(db) as second:
        first.execute("BEGIN; LOCK TABLE shop.t")
        with behind(second, "TRUNCATE shop.t"):
            until(waits(bed, second))
            async with server(tmp_path, bed.url(db, READER), deny_relations=["shop.*"]) as called:
                text = await called.text("show_activity", states=["waiting"])
            first.execute("ROLLBACK")
    assert "waits for AccessExclusiveLock on relation |" in text


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 'a''b', E'x\\'y', $$z$$, $t$ 'q' $t$ FROM t", "SELECT '…', '…', '…', '…' FROM t"),
        ("SELECT 1 -- it's 'secret'\n, 2", "SELECT 1 , 2"),
        ("SELECT 1 /* it's */ , 'secret'", "SELECT 1 , '…'"),
        ("SELECT 1 /* a /* it's */ secret */ + 1", "SELECT 1 + 1"),
        ("SELECT \"it's\" FROM t WHERE a = 'secret", "SELECT \"it's\" FROM t WHERE a = '…'"),
        ("SELECT E'cut\\", "SELECT '…'"),
        ("SELECT $a$ never ends secret", "SELECT '…'"),
        ("SELECT $1, a$b, c$1 FROM t2 WHERE d = 42", "SELECT $1, a$b, c$1 FROM t2 WHERE d = 42"),
        ("ALTER ROLE x PASSWORD 'secret'", "ALTER ROLE x PASSWORD '…'"),
    ],
)
def test_texts_of_others_are_shown_without_their_values(sql: str, expected: str) -> None:
    assert shown(sql) == expected


def test_numbers_go_too_where_columns_are_masked() -> None:
    assert (
        shown("SELECT $1 FROM t2 WHERE a = 42 AND b > 1.5e3", numbers=True) == "SELECT $1 FROM t2 WHERE a = ? AND b > ?"
    )


async def test_ending_a_session_waits_for_the_person(bed: Bed, db: str, tmp_path: Path) -> None:
    async with server(tmp_path, bed.url(db, READER)) as called:
        assert "cancel_backend" not in {tool.name for tool in (await called.client.list_tools()).tools}
    async with server(tmp_path, bed.url(db, READER), allow_admin=True) as called:
        (tool,) = [tool for tool in (await called.client.list_tools()).tools if tool.name == "cancel_backend"]
        assert tool.annotations is not None
        assert tool.annotations.destructive_hint
        with bed.connect(db, READER) as other:
            assert "approval_required" in await called.error("cancel_backend", pid=other.info.backend_pid)
            assert other.execute("SELECT 1").fetchone() == (1,)


async def test_a_statement_is_cancelled_and_its_session_stays(called: Called, bed: Bed, db: str) -> None:
    with bed.connect(db, READER) as other:
        other.execute("SET statement_timeout = 0")
        with behind(other, LONG) as thread:
            until(lambda: runs(bed, other))
            text = await cancel_backend(called.sources, other.info.backend_pid)
            thread.join(10)
        assert "its statement has ended, and the session is idle" in text
        assert other.execute("SELECT 1").fetchone() == (1,)


async def test_a_session_is_ended(called: Called, bed: Bed, db: str) -> None:
    with bed.connect(db, READER) as other:
        text = await cancel_backend(called.sources, other.info.backend_pid, terminate=True)
        assert "was signalled and is gone" in text
        with pytest.raises(psycopg.OperationalError):
            other.execute("SELECT 1")


async def test_a_session_that_runs_nothing_is_not_said_to_have_been_stopped(called: Called, bed: Bed, db: str) -> None:
    with bed.connect(db, READER) as other:
        assert "ran no statement (it is idle)" in await cancel_backend(called.sources, other.info.backend_pid)


async def test_one_that_does_not_obey_is_told(
    called: Called, bed: Bed, db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "PATIENCE", 0.0)
    # A signal that does nothing stands for a session that can't hear it just now.
    monkeypatch.setattr(signals, "CANCEL", signals.CANCEL.replace("pg_cancel_backend(a.pid)", "a.pid > 0"))
    with bed.connect(db, READER) as other, behind(other, LONG):
        until(lambda: runs(bed, other))
        assert "still runs its statement after" in await cancel_backend(called.sources, other.info.backend_pid)


async def test_without_the_right_the_error_says_who_can_grant_it(called: Called, bed: Bed, db: str) -> None:
    with bed.connect(db) as other, behind(other, LONG):
        until(lambda: runs(bed, other))
        with pytest.raises(CallError, match=r"pg_signal_backend|superuser") as caught:
            await cancel_backend(called.sources, other.info.backend_pid)
        assert caught.value.code == "insufficient_privilege"
        assert runs(bed, other)


async def test_a_role_that_may_signal_ends_sessions_of_others(called: Called, bed: Bed, db: str) -> None:
    with bed.admin(db) as admin:
        admin.execute(f"GRANT pg_signal_backend TO {READER}".encode())
    try:
        with bed.connect(db, "tenant1") as other:
            assert "is gone" in await cancel_backend(called.sources, other.info.backend_pid, terminate=True)
    finally:
        with bed.admin(db) as admin:
            admin.execute(f"REVOKE pg_signal_backend FROM {READER}".encode())


async def test_what_is_no_clients_session_here_is_refused(called: Called, bed: Bed, db: str) -> None:
    async def refused(pid: int) -> str:
        with pytest.raises(CallError) as caught:
            await cancel_backend(called.sources, pid, terminate=True)
        return str(caught.value)

    async def own(session: Session) -> int:
        ((pid,),) = await session.rows(OWN_PID)
        return int(pid)

    mine = await called.sources.pick().database.run(own)
    assert "is this server's own" in await refused(mine)
    with bed.connect("postgres", READER) as elsewhere:
        assert "is not in this database" in await refused(elsewhere.info.backend_pid)
        assert elsewhere.execute("SELECT 1").fetchone() == (1,)
    with bed.admin() as admin:
        ((checkpointer,),) = admin.execute("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'").fetchall()  # fmt: skip
    assert "the server's own (checkpointer)" in await refused(checkpointer)
    assert "there is no session" in await refused(2**31 - 1)


async def test_another_connection_of_this_servers_pool_is_refused(bed: Bed, db: str, tmp_path: Path) -> None:
    url = f"{bed.url(db, READER)}?application_name=renamed"
    async with server(tmp_path, url, pool_size=2) as called:
        database = called.sources.pick().database

        async def outer(session: Session) -> None:
            ((pid,),) = await session.rows(OWN_PID)
            with pytest.raises(CallError, match="own"):
                await cancel_backend(called.sources, int(pid), terminate=True)

        await database.run(outer)


async def test_without_the_right_to_see_what_a_session_is_it_is_not_ended(bed: Bed, tmp_path: Path) -> None:
    with database(bed, TABLE) as db, bed.connect(db, "tenant1") as other:
        async with server(tmp_path, bed.url(db, READER)) as called:
            with pytest.raises(CallError, match="can't see what session") as caught:
                await cancel_backend(called.sources, other.info.backend_pid)
            assert "pg_read_all_stats" in caught.value.hint
