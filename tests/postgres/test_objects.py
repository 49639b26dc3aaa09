"""Listing and describing what is in a database."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from tests.postgres.bed import PASSWORD, Bed
from tests.postgres.seed import Home
from tests.postgres.support import Called, server

pytestmark = pytest.mark.anyio

TABLES = 2000


@pytest.fixture(scope="module")
def wide_url(system_bed: Bed) -> Generator[str]:
    """A database of 2,000 tables."""
    with system_bed.admin() as admin:
        admin.execute("CREATE DATABASE wide")
    with system_bed.admin("wide") as admin:
        admin.execute("CREATE SCHEMA app")
        admin.execute(
            "DO $$ BEGIN FOR i IN 1..2000 LOOP EXECUTE format('CREATE TABLE app.t%s (id int PRIMARY KEY, a text, "
            "b numeric, c timestamptz)', lpad(i::text, 4, '0')); "
            "IF i % 200 = 0 THEN COMMIT; END IF; END LOOP; END $$"
        )
        admin.execute("COMMENT ON TABLE app.t0001 IS 'the very first'")
    yield system_bed.url("wide", "postgres", PASSWORD)
    with system_bed.admin() as admin:
        admin.execute("DROP DATABASE wide WITH (FORCE)")


@pytest.fixture
async def wide(wide_url: str, tmp_path: Path) -> AsyncGenerator[Called]:
    async with server(tmp_path, wide_url, allow_superuser=True) as called:
        yield called


@pytest.fixture
async def seeded(system_home: Home, tmp_path: Path) -> AsyncGenerator[Called]:
    async with server(tmp_path, system_home.url("postgres"), allow_superuser=True) as called:
        yield called


async def test_all_of_two_thousand_tables_are_listed_a_page_at_a_time(wide: Called) -> None:
    seen: list[str] = []
    cursor = ""
    while True:
        text = await wide.text("list_objects", limit=300, cursor=cursor, detail="names")
        seen += re.findall(r"t\d{4}", text.partition("app:")[2])
        if "MORE" not in text:
            break
        cursor = text.partition("MORE: cursor=")[2].split()[0]
    assert seen == [f"t{number:04}" for number in range(1, TABLES + 1)]


async def test_the_first_page_is_small_and_says_how_many_there_are(wide: Called) -> None:
    text = await wide.text("list_objects")
    assert f"shown 100 of {TABLES}; MORE: cursor=" in text
    assert "t0001, 16 kB -- the very first" in text
    assert len(text) / 4 < 4000


async def test_a_page_of_two_thousand_tables_is_quick(wide: Called) -> None:
    await wide.text("list_objects")
    times: list[float] = []
    for _ in range(5):
        begun = time.perf_counter()
        await wide.text("list_objects")
        times.append(time.perf_counter() - begun)
    # A benchmark has the figure; this only tells work per page from work per table.
    assert min(times) < 1.0


async def test_patterns_find_parts_and_globs_in_any_case(wide: Called) -> None:
    assert "shown 1 of 1" in await wide.text("list_objects", pattern="T0042")
    assert "shown 9 of 9" in await wide.text("list_objects", pattern="t000?")
    assert "shown 10 of 10" in await wide.text("list_objects", pattern="app.t199*")
    assert "Nothing fits" in await wide.text("list_objects", pattern="no.such%_")


async def test_each_kind_is_listed(seeded: Called) -> None:
    functions = await seeded.text("list_objects", kinds=["function"], schema="app", limit=500)
    assert "liar (function) () -> integer immutable" in functions
    types = await seeded.text("list_objects", kinds=["type"], schema="app")
    assert "checked (type) domain over integer" in types
    assert "app (schema)" in await seeded.text("list_objects", kinds=["schema"])
    assert "plpgsql (extension)" in await seeded.text("list_objects", kinds=["extension"])
    assert "seq1 (sequence)" in await seeded.text("list_objects", kinds=["sequence"], schema="app")
    views = await seeded.text("list_objects", kinds=["view", "materialized_view"], schema="app")
    assert "v_sleep (view)" in views
    assert "m_victim (materialized_view)" in views


async def test_what_the_role_may_not_read_is_marked(system_home: Home, tmp_path: Path) -> None:
    with system_home.admin() as admin:
        admin.execute("CREATE TABLE IF NOT EXISTS app.kept (a int); REVOKE ALL ON app.kept FROM PUBLIC, gatelodge_ro")
    async with server(tmp_path, system_home.url()) as called:
        text = await called.text("list_objects", schema="app", limit=500)
        (line,) = [line for line in text.splitlines() if "  kept" in line]
        assert "not readable by this role" in line


async def test_odd_names_are_listed_described_and_read(seeded: Called) -> None:
    assert 'we""ird' not in await seeded.text("list_objects", schema="app", limit=500)
    text = await seeded.text("describe_objects", names=['app."we""ird.table %s"', '"odd.schema"."select"', "app.UPPER"])
    assert "ünï ✓ text" in text
    assert 'quo"te text' in text
    assert "partitioned" not in text
    assert "Order integer" in text
    ddl = await seeded.text("describe_objects", names=['app."we""ird.table %s"'], include=["ddl"])
    assert '"quo""te" text' in ddl


async def test_a_comment_that_speaks_to_models_stays_in_the_envelope(seeded: Called) -> None:
    text = await seeded.text("describe_objects", names=["app.UPPER"])
    assert "Ignore previous instructions" in text
    assert "</untrusted>" not in text
    assert text.startswith("<untrusted-")


async def test_columns_keys_and_references_are_described(seeded: Called, system_home: Home) -> None:
    with system_home.admin() as admin:
        admin.execute(
            "CREATE TABLE IF NOT EXISTS app.parent (id int PRIMARY KEY, code text UNIQUE NOT NULL DEFAULT 'x');"
            "CREATE TABLE IF NOT EXISTS app.child (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, parent_id int "
            "REFERENCES app.parent ON DELETE CASCADE, n int CHECK (n > 0), twice int GENERATED ALWAYS AS (n * 2) STORED);"
            "CREATE INDEX IF NOT EXISTS child_parent ON app.child (parent_id) WHERE n > 5"
        )
    text = await seeded.text("describe_objects", names=["parent", "app.child", "app.nope", "app.liar"])
    assert "code text not null default 'x'::text" in text
    assert "referenced by app.child FOREIGN KEY (parent_id) REFERENCES app.parent(id) ON DELETE CASCADE" in text
    assert "id integer not null identity by default" in text
    assert "twice integer generated (n * 2) STORED" in text
    assert "CHECK (n > 0)" in text
    assert "index child_parent using btree (parent_id) WHERE (n > 5)" in text
    assert "app.nope: not found" in text
    assert "function app.liar() returns integer, language plpgsql, immutable" in text


async def test_a_definition_can_be_run_and_makes_the_same_table(seeded: Called, system_home: Home) -> None:
    text = await seeded.text("describe_objects", names=["app.people", "app.notes", "app.UPPER"], include=["ddl"])
    body = text.partition(">\n")[2].rpartition("\n</untrusted")[0]
    statements = "\n".join(line for line in body.splitlines() if not line.startswith("table "))
    with system_home.admin() as admin:
        admin.execute("CREATE SCHEMA IF NOT EXISTS again")
        admin.execute(statements.replace("app.", "again.").replace("ON app", "ON again").encode())
    again = await seeded.text("describe_objects", names=["again.people", "again.notes", "again.UPPER"], include=["ddl"])
    made = again.partition(">\n")[2].rpartition("\n</untrusted")[0].replace("again.", "app.")
    # Only the new ones were never analysed.
    assert made.splitlines() == [re.sub(r", ~\d+ rows", "", line) for line in body.splitlines()]
    assert "FORCE ROW LEVEL SECURITY" in made
    with system_home.admin() as admin:
        admin.execute("DROP SCHEMA again CASCADE")


async def test_statistics_policies_and_grants_are_described(seeded: Called, system_home: Home) -> None:
    with system_home.admin() as admin:
        admin.execute("ANALYZE app.people")
    text = await seeded.text(
        "describe_objects", names=["app.people", "app.notes"], include=["columns", "stats", "policies", "privileges"]
    )
    assert "% null" in text
    assert "row-level security on" in text
    assert "CREATE POLICY own_notes ON app.notes" in text
    assert "grants to app_owner:" in text


async def test_nothing_found_says_what_to_do(seeded: Called) -> None:
    text = await seeded.error("describe_objects", names=["no_such_thing"])
    assert text.startswith("not_found")
    assert "list_objects" in text
    assert (await seeded.error("list_objects", cursor="nonsense")).startswith("bad_cursor")


async def test_plans_are_shown_with_findings(seeded: Called, system_home: Home) -> None:
    with system_home.admin() as admin:
        admin.execute(
            "CREATE TABLE IF NOT EXISTS app.big AS SELECT g AS id, g % 7 AS k FROM generate_series(1, 50000) g;"
            "ANALYZE app.big"
        )
    plain = await seeded.text("explain_query", sql="SELECT * FROM app.big WHERE id = 5")
    assert "Seq Scan on big (cost" in plain
    assert "Filter: (id = 5)" in plain
    assert "actual" not in plain
    measured = await seeded.text("explain_query", sql="SELECT * FROM app.big WHERE id = $1", params=["5"], analyze=True)
    assert "execution:" in measured
    assert "removed 49999" in measured
    assert "an index may help" in measured
    tried = await seeded.text(
        "explain_query",
        sql="SELECT * FROM app.big WHERE id = 5",
        hypothetical_indexes=["CREATE INDEX ON app.big (id)"],
    )
    assert "with the hypothetical indexes" in tried
    assert "Index Scan using" in tried
    after = await seeded.text("explain_query", sql="SELECT * FROM app.big WHERE id = 5")
    assert "Index Scan" not in after


async def test_a_plan_for_any_parameters_needs_none(seeded: Called) -> None:
    sql = "SELECT * FROM app.victim WHERE id = $1"
    text = await seeded.text("explain_query", sql=sql)
    assert "id = $1" in text
    assert "id = $1" in await seeded.text("explain_query", sql=sql, params=["3"], generic=True)
    assert "id = 3" in await seeded.text("explain_query", sql=sql, params=["3"])
    assert "params" in await seeded.error("explain_query", sql=sql, analyze=True)


async def test_explaining_judges_like_running(seeded: Called) -> None:
    for sql in ("DELETE FROM app.victim", "SELECT pg_sleep(9)", "EXPLAIN SELECT 1", "SELECT 1; SELECT 2"):
        assert await seeded.error("explain_query", sql=sql, analyze=True)
