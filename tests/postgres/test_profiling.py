"""Profiles of tables: from statistics, from samples, and of nothing that may not be seen."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path

import anyio
import pytest

from tests.postgres.bed import Bed
from tests.postgres.seed import Home
from tests.postgres.support import server


@pytest.fixture(params=["system", "newest"])
def any_home(request: pytest.FixtureRequest) -> Home:
    return request.getfixturevalue(f"{request.param}_home")


@pytest.fixture(scope="module", params=["system", "newest"])
def data(request: pytest.FixtureRequest) -> Generator[str]:
    """The URL of a reader of a database with tables of known contents."""
    bed: Bed = request.getfixturevalue(f"{request.param}_bed")
    db = bed.create("profiled", "template0")
    with bed.admin(db) as admin:
        admin.execute("""
            CREATE TYPE size AS ENUM ('small', 'large', 'huge');
            CREATE DOMAIN grade AS int CHECK (VALUE > 0);
            CREATE TABLE known (id int PRIMARY KEY, size size, grade grade, at date, note text, tags text[], doc jsonb,
                secret text, long text);
            INSERT INTO known SELECT g, (ARRAY['small', 'large'])[1 + g % 2]::size, 1 + g % 10, date '2024-01-01' + g % 100,
                CASE WHEN g % 4 = 0 THEN NULL ELSE 'n' || g % 3 END, ARRAY['a', 'b'], '{"a": 1}', 'hush' || g % 2, repeat('l', 500)
                FROM generate_series(1, 5000) g;
            CREATE TABLE fresh AS SELECT * FROM known;
            CREATE TABLE big AS SELECT g AS id, g % 7 AS k, repeat('x', 300) AS pad FROM generate_series(1, 120000) g;
            CREATE TABLE part (id int, k int) PARTITION BY RANGE (id);
            CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (1000);
            CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (1000) TO (9000);
            INSERT INTO part SELECT g, g % 5 FROM generate_series(0, 1999) g;
            CREATE VIEW looking AS SELECT id, size FROM known WHERE id <= 10;
            CREATE TABLE empty (a int, b text);
            CREATE TABLE bare ();
            CREATE TABLE wide AS SELECT repeat('w', 20000000) AS v;
            ANALYZE known, part, empty;
            CREATE ROLE prober LOGIN;
            GRANT SELECT ON known, fresh, big, part, looking, empty, bare, wide TO prober;
            REVOKE SELECT ON fresh FROM prober;
            GRANT SELECT (id, size, grade, at, note, tags, doc, long) ON fresh TO prober;
        """)
    yield bed.url(db, "prober")
    bed.drop(db)
    with bed.admin() as admin:
        admin.execute("DROP ROLE prober")


def line_of(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"{name} "))


def test_statistics_tell_what_a_table_holds(data: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, data) as called:
            text = await called.text("profile_table", table="known")
            assert "table public.known, ~5000 rows" in text
            assert line_of(text, "id").startswith("id integer not null: no nulls; all distinct; 1 .. 5000 (s)")
            assert "2 distinct; small .. large; common " in line_of(text, "size")
            assert "small 50.0%" in line_of(text, "size")
            assert "10 distinct; 1 .. 10" in line_of(text, "grade")
            # As dates and numbers, not as texts.
            assert "2024-01-01 .. 2024-04-09" in line_of(text, "at")
            assert "0.25 null; 3 distinct" in line_of(text, "note")
            assert "(q)" not in text
            assert "sample of 5 rows" in text
            assert "l" * 60 + "…" in text
            assert "l" * 62 not in text

    anyio.run(main)


def test_where_there_are_no_statistics_rows_are_looked_at_and_it_says_so(data: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, data) as called:
            text = await called.text("profile_table", table="fresh", sample=0)
            assert "(q): by a query over all 5000 rows" in text
            assert "(s)" not in text
            assert "no nulls; 5000 distinct; 1 .. 5000 (q)" in line_of(text, "id")
            assert "2 distinct; small .. large; common" in line_of(text, "size")
            assert "0.25 null; 3 distinct; n0 .. n2; common" in line_of(text, "note")
            assert "sample of" not in text
            # A column that was not granted is named, and no more.
            assert line_of(text, "secret") == "secret text: the role may not read it"
            assert "hush" not in text

    anyio.run(main)


def test_of_a_large_table_only_pages_here_and_there_are_read(data: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, data) as called:
            text = await called.text("profile_table", table="big")
            assert "rows spread over the table" in text
            line = line_of(text, "k")
            assert "7 distinct; 0 .. 6" in line
            # Not the first rows alone.
            high = int(line_of(text, "id").split(" .. ")[1].split(" ")[0])
            assert high > 60_000

    anyio.run(main)


def test_views_partitions_and_empty_tables_have_profiles(data: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, data) as called:
            text = await called.text("profile_table", table="looking")
            assert "view public.looking, 2 columns" in text
            assert "1 .. 10 (q)" in line_of(text, "id")
            text = await called.text("profile_table", table="part")
            assert "partitioned table public.part, ~2000 rows" in text
            assert "2 partitions" in text
            assert "0 .. 1999 (s)" in line_of(text, "id")
            text = await called.text("profile_table", table="empty")
            assert "0 distinct" in line_of(text, "a")
            assert "0 columns" in await called.text("profile_table", table="bare")

    anyio.run(main)


def test_columns_are_chosen_and_wrong_ones_explained(data: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, data) as called:
            text = await called.text("profile_table", table="known", columns=["note", "ID"], sample=1)
            assert "size" not in [line.split(" ")[0] for line in text.splitlines()]
            assert "\nnote,id\n" in text
            assert "shown 2 of 9 columns" in text
            error = await called.error("profile_table", table="known", columns=["nope"])
            assert "no_column" in error
            assert "grade" in error
            assert "no_table" in await called.error("profile_table", table="knwon")

    anyio.run(main)


def test_nothing_is_said_of_a_masked_column_but_its_type(data: str, tmp_path: Path) -> None:
    async def main() -> None:
        for table in ("known", "fresh"):
            async with server(tmp_path, data, mask_columns=["*.note", "*.known.secret"]) as called:
                text = await called.text("profile_table", table=table)
                assert line_of(text, "note") == "note text: masked"
                assert "n1" not in text
                assert "hush" not in text
                assert "[masked]" in text

    anyio.run(main)


def test_a_value_of_20_mb_is_no_burden(data: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, data) as called:
            begun = time.perf_counter()
            text = await called.text("profile_table", table="wide")
            assert time.perf_counter() - begun < 10
            assert len(text) < 1000

    anyio.run(main)


def test_row_level_security_holds_in_profiles(any_home: Home, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, any_home.url("tenant1")) as called:
            text = await called.text("profile_table", table="app.notes")
            assert "mine" in text
            assert "gl-secret" not in text

    anyio.run(main)


def test_no_table_of_the_seed_breaks_it_and_no_trap_is_sprung(any_home: Home, tmp_path: Path) -> None:
    async def main() -> None:
        with any_home.admin() as admin:
            before = admin.execute("SELECT count(*) FROM app.victim").fetchone()
            tables = admin.execute(
                "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
                "WHERE n.nspname IN ('app', 'odd.schema') AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY 1"
            ).fetchall()
        # As the superuser, whom nothing but this server holds back.
        for url in (any_home.url(), any_home.url("postgres")):
            async with server(tmp_path, url, allow_superuser=True) as called:
                for (table,) in tables:
                    failed, text = await called.call("profile_table", table=table)
                    assert "internal_error" not in text, (table, text)
                    assert not failed or "no_table" in text, (table, text)
        with any_home.admin() as admin:
            assert admin.execute("SELECT count(*) FROM app.victim").fetchone() == before

    anyio.run(main)


def test_closed_tables_have_no_profile(system_home: Home, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, system_home.url(), deny_relations=["*.people"]) as called:
            assert "no_table" in await called.error("profile_table", table="app.people")
            assert "no_table" in await called.error("profile_table", table="pg_catalog.pg_authid")

    anyio.run(main)
