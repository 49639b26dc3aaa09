"""Listing the statements that cost most."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import psycopg
import pytest
from gatelodge_postgres.dba.workload import MAX_LOOKS

from tests.postgres import beds
from tests.postgres.bed import Bed
from tests.postgres.conftest import had
from tests.postgres.dba import database
from tests.postgres.seed import READER
from tests.postgres.support import Called, server

pytestmark = pytest.mark.anyio

TABLE = "CREATE TABLE shop.t AS SELECT g AS id, 'n' || g AS note FROM generate_series(1, 1000) g"


@pytest.fixture
def db(system_bed: Bed) -> Generator[str]:
    # Texts of all databases are read together, and another test's may be in an encoding that can't be turned into ours.
    with database(system_bed, "CREATE EXTENSION pg_stat_statements; SELECT pg_stat_statements_reset()", TABLE) as name:
        yield name


@pytest.fixture
async def called(system_bed: Bed, db: str, tmp_path: Path) -> AsyncGenerator[Called]:
    async with server(tmp_path, system_bed.url(db), allow_superuser=True) as client:
        yield client


def ran(bed: Bed, db: str, *statements: str, times: int = 1) -> None:
    with bed.admin(db) as admin:
        for _ in range(times):
            for statement in statements:
                admin.execute(statement.encode())


def token(text: str) -> str:
    found = re.search(r"^since=(\S+) counts", text, re.MULTILINE)
    assert found is not None, text
    return found[1]


async def test_statements_are_listed_without_their_values(called: Called, system_bed: Bed, db: str) -> None:
    ran(system_bed, db, "SELECT count(*) FROM shop.t WHERE note = 'gl-secret' AND id < 77", times=3)
    text = await called.text("list_top_queries")
    assert "3 calls, mean " in text
    assert "SELECT count(*) FROM shop.t WHERE note = $1 AND id < $2" in text
    assert "gl-secret" not in text


@pytest.mark.parametrize("by", ["total", "mean", "io", "wal", "temp", "calls"])
async def test_each_order_puts_the_costliest_first(called: Called, system_bed: Bed, db: str, by: str) -> None:
    costly = {
        "io": "CREATE TABLE shop.big AS SELECT repeat('x', 4000) FROM generate_series(1, 20000)",
        "wal": "INSERT INTO shop.t SELECT g, 'wal' FROM generate_series(1, 20000) g",
        "temp": "SET work_mem = '64kB'; SELECT 'temp', note FROM shop.t t, generate_series(1, 30) ORDER BY note",
        "calls": "SELECT 'calls'",
    }.get(by, "SELECT 'slow', sum(sqrt(a)) FROM generate_series(1, 300000) a")
    start = token(await called.text("list_top_queries"))
    with system_bed.admin(db) as admin:
        for _ in range(50 if by == "calls" else 1):
            for part in costly.split("; "):
                admin.execute(part.encode())
    text = await called.text("list_top_queries", by=by, since=start, limit=3)
    words = {"io": "CREATE TABLE shop.big", "wal": "INSERT INTO shop.t", "temp": "ORDER BY note", "calls": "SELECT $1"}
    assert words.get(by, "sum(sqrt(a))") in text.split("\n2. ")[0]
    assert text.count("; by postgres") <= 3


async def test_since_counts_what_happened_after_an_earlier_look(called: Called, system_bed: Bed, db: str) -> None:
    ran(system_bed, db, "SELECT 'before', count(*) FROM shop.t", times=5)
    first = token(await called.text("list_top_queries"))
    ran(system_bed, db, "SELECT 'after', 1, count(*) FROM shop.t", times=4)
    text = await called.text("list_top_queries", since=first, by="calls")
    assert "since that look" in text
    assert "4 calls (" in text
    assert "SELECT $1, $2, count(*) FROM shop.t" in text
    assert "5 calls" not in text


async def test_an_earlier_look_that_is_not_kept_is_told(called: Called) -> None:
    assert "no_earlier_look" in await called.error("list_top_queries", since="nonsense")
    oldest = token(await called.text("list_top_queries"))
    for _ in range(MAX_LOOKS):
        await called.text("list_top_queries")
    assert "no_earlier_look" in await called.error("list_top_queries", since=oldest)


async def test_other_databases_and_bookkeeping_are_left_out(called: Called, system_bed: Bed, db: str) -> None:
    ran(system_bed, "postgres", "SELECT 'elsewhere', 4711", times=3)
    ran(system_bed, db, "BEGIN", "SAVEPOINT a", "ROLLBACK", times=3)
    text = await called.text("list_top_queries", by="calls", limit=50)
    assert "SELECT $1, $2" not in text
    assert not re.search(r"^ +(BEGIN|SAVEPOINT|ROLLBACK)", text, re.MULTILINE)


async def test_a_password_in_a_statement_is_not_shown(called: Called, system_bed: Bed, db: str) -> None:
    ran(
        system_bed, db, "ALTER ROLE tenant1 PASSWORD 'gl-secret-password'", "COMMENT ON TABLE shop.t IS $x$gl-secret$x$"
    )
    text = await called.text("list_top_queries", limit=50)
    assert "ALTER ROLE tenant1 PASSWORD '…'" in text
    assert "gl-secret" not in text


async def test_long_statements_are_cut(called: Called, system_bed: Bed, db: str) -> None:
    ran(system_bed, db, f"SELECT {', '.join(f'id AS c{n}' for n in range(200))} FROM shop.t")
    text = await called.text("list_top_queries", limit=50)
    (line,) = [line for line in text.split("\n") if "SELECT id AS c0" in line]
    assert line.endswith("…")
    assert len(line) < 320


async def test_a_role_without_the_right_is_told_what_it_misses(system_bed: Bed, db: str, tmp_path: Path) -> None:
    ran(system_bed, db, "SELECT 'of somebody else', count(*) FROM shop.t")
    async with server(tmp_path, system_bed.url(db, READER)) as called:
        await called.text("run_query", sql="SELECT count(*) AS mine FROM shop.t")
        text = await called.text("list_top_queries", limit=50)
        assert "GRANT pg_read_all_stats" in text
        assert "by postgres" not in text
        assert f"by {READER}" in text


async def test_the_extension_is_found_in_any_schema(system_bed: Bed, tmp_path: Path) -> None:
    with database(
        system_bed, 'CREATE SCHEMA "odd ""schema"', 'CREATE EXTENSION pg_stat_statements SCHEMA "odd ""schema"', TABLE
    ) as db:
        ran(system_bed, db, "SELECT max(id) FROM shop.t")
        async with server(tmp_path, system_bed.url(db), allow_superuser=True) as called:
            assert "SELECT max(id) FROM shop.t" in await called.text("list_top_queries", limit=50)


async def test_without_the_extension_the_answer_says_what_to_do(bed: Bed, tmp_path: Path) -> None:
    with database(bed) as db:
        async with server(tmp_path, bed.url(db, READER)) as called:
            text = await called.error("list_top_queries")
    assert "pg_stat_statements is not in this database" in text
    assert "CREATE EXTENSION" in text


@pytest.fixture(scope="module")
def unloaded_bed() -> Generator[Bed]:
    yield from had(beds.system(settings={"shared_preload_libraries": ""}))


async def test_without_its_library_the_answer_says_what_to_do(unloaded_bed: Bed, tmp_path: Path) -> None:
    with database(unloaded_bed, "CREATE EXTENSION pg_stat_statements", TABLE) as db:
        async with server(tmp_path, unloaded_bed.url(db, READER)) as called:
            assert "shared_preload_libraries" in await called.error("list_top_queries")
            text = await called.text("recommend_indexes")
            assert "the workload can't be had" in text
            assert "shared_preload_libraries" in text


async def test_where_a_text_is_in_no_known_encoding_the_numbers_are_still_told(
    called: Called, system_bed: Bed, db: str
) -> None:
    name = system_bed.create("dba_bytes", "template0", "SQL_ASCII")
    try:
        ran(system_bed, db, "SELECT count(*) FROM shop.t WHERE id < 77", times=3)
        with psycopg.connect(system_bed.url(name), client_encoding="SQL_ASCII", autocommit=True) as other:
            other.execute(b'SELECT 1 AS "caf\xe9"')
        text = await called.text("list_top_queries", by="calls")
        assert "no text can be read: some statement in the cluster" in text
        assert "3 calls, mean " in text
        assert re.search(r"^   text unknown, queryid -?\d+$", text, re.MULTILINE)
        # The transaction went on, and so does the token.
        assert "in the " in await called.text("list_top_queries", since=token(text))
    finally:
        system_bed.drop(name)
        ran(system_bed, db, "SELECT pg_stat_statements_reset()")
