"""Recommending indexes: what is proven by the planner, what is only guessed, and that nothing is ever made."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest
from gatelodge_core.errors import CallError
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dba.hypothetical import Hypothetical, hypothetical

from tests.postgres.bed import Bed
from tests.postgres.dba import created, database
from tests.postgres.seed import READER
from tests.postgres.support import Called, server

pytestmark = pytest.mark.anyio

SHOP = (
    """CREATE TABLE shop.orders (id int PRIMARY KEY, customer int, status varchar(10), placed timestamptz, note text,
    doc jsonb, secret text)""",
    """INSERT INTO shop.orders SELECT g, g % 2500, (ARRAY['new', 'paid', 'sent', 'void'])[1 + g % 4],
    timestamptz '2024-01-01' + g * interval '1 min', 'note ' || g, jsonb_build_object('a', g % 100), 's' || g % 50
    FROM generate_series(1, 50000) g""",
    "CREATE TABLE shop.customers (id int PRIMARY KEY, email text, country text)",
    "INSERT INTO shop.customers SELECT g, 'u' || g || '@x', 'C' || g % 50 FROM generate_series(1, 2500) g",
    "CREATE VIEW shop.sales AS SELECT o.*, c.email FROM shop.orders o JOIN shop.customers c ON c.id = o.customer",
    "CREATE TABLE shop.events (at timestamptz NOT NULL, kind int, v int) PARTITION BY RANGE (at)",
    "CREATE TABLE shop.events_a PARTITION OF shop.events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
    "CREATE TABLE shop.events_b PARTITION OF shop.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
    "INSERT INTO shop.events SELECT timestamptz '2024-01-01' + g * interval '15 min', g % 2000, g FROM generate_series(1, 60000) g",
    "CREATE FUNCTION shop.acts(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1'",
    # So many samples that they are all rows: what is advised must not depend on chance.
    "SET default_statistics_target = 1000",
    "ANALYZE shop.orders, shop.customers, shop.events",
)
OF_CUSTOMER = "SELECT * FROM shop.orders WHERE customer = 17 AND placed > '2024-01-10' ORDER BY placed"


@pytest.fixture(scope="module")
def db(system_bed: Bed) -> Generator[str]:
    with database(system_bed, "CREATE EXTENSION hypopg", *SHOP) as name:
        yield name


@pytest.fixture
async def called(system_bed: Bed, db: str, tmp_path: Path) -> AsyncGenerator[Called]:
    async with server(tmp_path, system_bed.url(db, READER), pool_size=1) as client:
        yield client


@pytest.fixture(scope="module")
def plain_db(newest_bed: Bed) -> Generator[str]:
    """The same without hypopg."""
    with database(newest_bed, *SHOP) as name:
        yield name


def cost(bed: Bed, db: str, sql: str) -> float:
    with bed.admin(db) as admin:
        ((found,),) = admin.execute(f"EXPLAIN (FORMAT JSON) {sql}".encode()).fetchall()
    return float(found[0]["Plan"]["Total Cost"])


def costs(text: str, number: int) -> tuple[float, float]:
    """What an answer says of a query: its cost now and then."""
    found = re.search(rf"^{number}\. ([\d,]+) -> ([\d,]+) \(", text, re.MULTILINE)
    assert found is not None, text
    now, then = (float(part.replace(",", "")) for part in found.groups())
    return now, then


def names(bed: Bed, db: str) -> set[str]:
    with bed.admin(db) as admin:
        return {name for (name,) in admin.execute("SELECT indexrelid::regclass::text FROM pg_index").fetchall()}


async def left(called: Called) -> int:
    """Hypothetical indexes that the next call on the same connection would find."""

    async def work(session: Session) -> int:
        ((count,),) = await session.rows("SELECT count(*)::int8 FROM public.hypopg()")
        return int(count)

    return await called.sources.pick().database.run(work)


async def made_up(called: Called, *ddl: str) -> list[Hypothetical]:
    source = called.sources.pick()

    async def work(session: Session) -> list[Hypothetical]:
        return await hypothetical(session, ddl, source.reader)

    return await source.database.run(work)


@pytest.mark.parametrize(
    "sql",
    [
        OF_CUSTOMER,
        "SELECT * FROM shop.orders WHERE customer = 17 ORDER BY placed DESC LIMIT 5",
        "SELECT count(*) FROM shop.orders WHERE status = 'new' AND placed > '2024-02-01'",
        "SELECT o.id FROM shop.customers c JOIN shop.orders o ON o.customer = c.id WHERE c.email = 'u7@x'",
        "SELECT * FROM shop.sales WHERE email = 'u77@x' AND status = 'paid'",
        "SELECT * FROM shop.orders WHERE upper(note) = 'NOTE 5'",
        "SELECT * FROM shop.orders WHERE note LIKE 'note 123%'",
        "SELECT * FROM shop.orders WHERE customer IN (3, 4) AND status = 'sent'",
        "SELECT * FROM shop.orders WHERE customer = 5 OR note = 'note 9'",
        "SELECT * FROM shop.customers c WHERE id < 20 AND EXISTS (SELECT FROM shop.orders o WHERE o.customer = c.id)",
        "WITH w AS (SELECT customer FROM shop.orders WHERE note = 'note 3') SELECT * FROM w JOIN shop.customers c ON c.id = w.customer",
    ],
)
async def test_what_is_recommended_lowers_the_cost_once_it_is_made(
    called: Called, system_bed: Bed, db: str, sql: str
) -> None:
    before = names(system_bed, db)
    text = await called.text("recommend_indexes", queries=[sql])
    assert "proven by the planner" in text
    now, then = costs(text, 1)
    assert names(system_bed, db) == before, "it made something"
    assert await left(called) == 0
    assert cost(system_bed, db, sql) == pytest.approx(now, rel=0.01, abs=1)
    ddl = created(text)
    assert ddl
    try:
        with system_bed.admin(db) as admin:
            for one in ddl:
                admin.execute(one.encode())
            admin.execute("SET default_statistics_target = 1000")
            admin.execute("ANALYZE shop.orders, shop.customers")
        # hypopg guesses how large an index is; and what an index on an expression knows of it makes plans better still.
        real = cost(system_bed, db, sql)
        assert real < 0.75 * now
        assert real < 1.2 * then + 20
    finally:
        with system_bed.admin(db) as admin:
            for name in names(system_bed, db) - before:
                admin.execute(f"DROP INDEX {name}".encode())


async def test_what_is_equal_comes_before_what_is_ranged_over(called: Called) -> None:
    sql = "SELECT * FROM shop.orders WHERE placed > '2024-01-20' AND customer = 17 AND note = 'note 17'"
    (ddl,) = created(await called.text("recommend_indexes", queries=[sql]))
    keys = re.findall(r"\w+", ddl.partition("(")[2])
    assert keys.index("customer" if "customer" in keys else "note") == 0


async def test_one_index_is_taken_where_it_helps_several_queries(called: Called) -> None:
    text = await called.text(
        "recommend_indexes",
        queries=["SELECT * FROM shop.orders WHERE customer = 1", "SELECT id FROM shop.orders WHERE customer = 2"],
    )
    assert len(created(text)) == 1
    assert "for queries 1, 2" in text


async def test_the_budget_is_kept(called: Called) -> None:
    sql = "SELECT * FROM shop.orders WHERE note = 'note 5'"
    assert created(await called.text("recommend_indexes", queries=[sql], budget_mb=100))
    text = await called.text("recommend_indexes", queries=[sql], budget_mb=1)
    assert created(text) == []
    assert "don't fit into budget_mb" in text


async def test_a_query_that_needs_no_index_gets_none(called: Called) -> None:
    text = await called.text("recommend_indexes", queries=["SELECT * FROM shop.orders WHERE id = 5", "SELECT 1"])
    assert "create 0 indexes" in text


async def test_a_query_too_expensive_to_run_is_advised_all_the_same(system_bed: Bed, db: str, tmp_path: Path) -> None:
    async with server(tmp_path, system_bed.url(db, READER), max_cost=100) as called:
        assert "too_expensive" in await called.error("run_query", sql=OF_CUSTOMER)
        assert created(await called.text("recommend_indexes", queries=[OF_CUSTOMER]))


async def test_a_query_that_is_refused_or_wrong_is_left_out_and_the_others_go_on(called: Called) -> None:
    queries = [
        "SELECT shop.acts(1)",
        "SELECT nothing FROM shop.orders",
        "DELETE FROM shop.orders",
        "SELECT 1; SELECT 2",
        "EXPLAIN SELECT 1",
        "SELECT * FROM pg_authid",
        OF_CUSTOMER,
    ]
    text = await called.text("recommend_indexes", queries=queries)
    assert len(re.findall("^left out: ", text, re.MULTILINE)) == 6
    assert "shop.acts is volatile" in text
    assert created(text)
    assert await left(called) == 0


async def test_the_index_of_a_partitioned_table_is_one_on_the_whole(called: Called) -> None:
    text = await called.text("recommend_indexes", queries=["SELECT * FROM shop.events WHERE kind = 3"])
    (ddl,) = created(text)
    assert ddl.startswith("CREATE INDEX ON shop.events ")
    now, then = costs(text, 1)
    assert then < now / 4


async def test_indexes_of_other_kinds_are_named_and_labelled_as_not_proven(called: Called) -> None:
    text = await called.text("recommend_indexes", queries=["""SELECT * FROM shop.orders WHERE doc @> '{"a": 5}'"""])
    assert created(text) == ["CREATE INDEX CONCURRENTLY ON shop.orders USING gin (doc)"]
    assert "not proven; for query 1" in text


async def test_queries_with_parameters_are_planned_for_any_value(bed: Bed, tmp_path: Path) -> None:
    given = ["CREATE EXTENSION hypopg"] if "hypopg" in bed.extensions() else []
    with database(bed, *given, *SHOP) as db:
        async with server(tmp_path, bed.url(db, READER), pool_size=1) as called:
            sql = "SELECT * FROM shop.orders WHERE customer = $1 AND placed > now() - interval $2"
            text = await called.text("recommend_indexes", queries=[sql])
            assert any("shop.orders USING btree (customer" in one for one in created(text)), text

            async def prepared(session: Session) -> int:
                ((count,),) = await session.rows("SELECT count(*)::int8 FROM pg_prepared_statements WHERE name <> ''")
                return int(count)

            assert await called.sources.pick().database.run(prepared) == 0


async def test_the_recorded_workload_is_weighed_by_how_often_it_ran(system_bed: Bed, tmp_path: Path) -> None:
    with database(system_bed, "CREATE EXTENSION hypopg", "CREATE EXTENSION pg_stat_statements", *SHOP) as db:
        with system_bed.admin(db) as admin:
            for number in range(30):
                admin.execute(f"SELECT count(*) FROM shop.orders WHERE customer = {number}".encode())
            admin.execute("SELECT count(*) FROM shop.orders WHERE note = 'gl-secret'")
        async with server(tmp_path, system_bed.url(db), allow_superuser=True) as called:
            text = await called.text("recommend_indexes")
        first, *_ = created(text)
        assert "(customer)" in first
        assert ", 30 calls: SELECT count(*) FROM shop.orders WHERE customer = $1" in text
        assert "gl-secret" not in text


async def test_without_hypopg_advice_is_labelled_as_not_proven(newest_bed: Bed, plain_db: str, tmp_path: Path) -> None:
    async with server(tmp_path, newest_bed.url(plain_db, READER)) as called:
        text = await called.text("recommend_indexes", queries=[OF_CUSTOMER, "SELECT * FROM shop.orders WHERE id = 3"])
    assert "not proven: the extension hypopg is not there" in text
    assert created(text) == ["CREATE INDEX CONCURRENTLY ON shop.orders USING btree (customer, placed)"]
    assert " -> " not in text


async def test_what_could_go_is_named_with_its_reason_and_what_is_needed_stays(bed: Bed, tmp_path: Path) -> None:
    with database(
        bed,
        "CREATE TABLE shop.t (id int PRIMARY KEY, a int, b int, c int UNIQUE, note text)",
        "INSERT INTO shop.t SELECT g, g, g, g, g FROM generate_series(1, 2000) g",
        "CREATE INDEX long_one ON shop.t (a, b)",
        "CREATE INDEX begins ON shop.t (a)",
        "CREATE INDEX other_order ON shop.t (a DESC, b)",
        "CREATE INDEX part ON shop.t (a) WHERE b > 5",
        "CREATE INDEX twin_a ON shop.t (lower(note))",
        "CREATE INDEX twin_with_a_longer_name ON shop.t (lower(note))",
        "CREATE INDEX same_as_the_key ON shop.t (id)",
        "CREATE TABLE shop.hidden (id int)",
        "CREATE INDEX hidden_i ON shop.hidden (id)",
        f"REVOKE SELECT ON shop.hidden FROM {READER}",
    ) as db:
        async with server(tmp_path, bed.url(db, READER)) as called:
            text = await called.text("recommend_indexes", queries=["SELECT 1"])
        reasons = dict(re.findall(r"^- DROP INDEX CONCURRENTLY shop\.(\w+); -- .*?, (.*)$", text, re.MULTILINE))
        assert reasons["begins"].startswith("its keys are the first ones of long_one")
        assert reasons["twin_with_a_longer_name"] == "the same as twin_a"
        assert reasons["same_as_the_key"] == "the same as t_pkey"
        for unused in ("long_one", "other_order", "part", "twin_a"):
            assert reasons[unused].startswith("not used")
        assert set(reasons) == {
            "begins", "twin_with_a_longer_name", "same_as_the_key", "long_one", "other_order", "part", "twin_a",
        }  # fmt: skip


async def test_tables_that_are_not_read_get_no_advice(system_bed: Bed, db: str, tmp_path: Path) -> None:
    with system_bed.admin(db) as admin:
        admin.execute("CREATE INDEX IF NOT EXISTS of_customers ON shop.customers (country)")
    try:
        async with server(tmp_path, system_bed.url(db, READER), deny_relations=["shop.customers"]) as called:
            sql = "SELECT * FROM shop.customers WHERE email = 'u7@x'"
            text = await called.text("recommend_indexes", queries=[sql, OF_CUSTOMER])
            assert "shop.customers is not read here" in text
            assert "of_customers" not in text
            assert not any("customers" in one for one in created(text))
    finally:
        with system_bed.admin(db) as admin:
            admin.execute("DROP INDEX shop.of_customers")


async def test_masked_columns_are_not_tried_in_conditions(system_bed: Bed, db: str, tmp_path: Path) -> None:
    async with server(tmp_path, system_bed.url(db, READER), mask_columns=["*.orders.secret"]) as called:
        text = await called.text("recommend_indexes", queries=["SELECT id FROM shop.orders WHERE secret = 's7'"])
        assert "left out" in text
        assert created(text) == []
        with pytest.raises(CallError):
            await made_up(called, "CREATE INDEX ON shop.orders (id) WHERE secret = 's7'")
        with pytest.raises(CallError):
            await made_up(called, "CREATE INDEX ON shop.orders (left(secret, 1))")


async def test_hypothetical_indexes_are_seen_by_plans_and_gone_for_the_next_call(called: Called) -> None:
    source = called.sources.pick()

    async def work(session: Session) -> tuple[str, int]:
        (made,) = await hypothetical(session, ["CREATE INDEX CONCURRENTLY x ON shop.orders (note) INCLUDE (id)"])
        result = await session.extended("EXPLAIN (FORMAT JSON) SELECT id FROM shop.orders WHERE note = 'note 5'")
        assert made.name in json.dumps(json.loads(result.get_value(0, 0) or b""))
        return made.ddl, made.size

    ddl, size = await source.database.run(work)
    assert ddl == "CREATE INDEX CONCURRENTLY ON shop.orders USING btree (note) INCLUDE (id)"
    assert size > 500_000
    assert await left(called) == 0


async def test_hypothetical_indexes_are_gone_after_a_call_that_failed(called: Called) -> None:
    with pytest.raises(CallError, match="gin"):
        await made_up(called, "CREATE INDEX ON shop.orders (note)", "CREATE INDEX ON shop.orders USING gin (doc)")
    assert await left(called) == 0


@pytest.mark.parametrize(
    ("ddl", "code"),
    [
        ("DROP TABLE shop.orders", "no_index"),
        ("SELECT 1", "no_index"),
        ("CREATE INDEX ON shop.orders (id); DROP TABLE shop.orders", "several_statements"),
        ("CREATE INDEX ON shop.nothing (id)", "no_table"),
        ("CREATE INDEX ON pg_catalog.pg_class (relname)", "no_table"),
        ("CREATE INDEX ON shop.sales (id)", "no_table"),
        ("CREATE INDEX ON shop.orders (shop.acts(id))", "refused"),
        ("CREATE INDEX ON shop.orders (id) WHERE shop.acts(1) = 1", "refused"),
        ("CREATE INDEX ON shop.orders (id) WHERE pg_read_file('/etc/passwd') = ''", "refused"),
        ("CREATE INDEX ON shop.orders (nothing)", "undefined_column"),
        ("CREATE INDEX ON shop.orders USING brin (doc", "syntax_error"),
    ],
)
async def test_texts_that_make_no_index_or_act_are_refused(called: Called, ddl: str, code: str) -> None:
    with pytest.raises(CallError) as caught:
        await made_up(called, ddl)
    assert caught.value.code == code
    assert await left(called) == 0


async def test_without_a_judge_only_plain_columns_are_taken(called: Called) -> None:
    async def work(session: Session) -> None:
        await hypothetical(session, ["CREATE INDEX ON shop.orders (upper(note))"])

    with pytest.raises(CallError, match="judged"):
        await called.sources.pick().database.run(work)


async def test_without_hypopg_hypothetical_indexes_say_what_to_do(
    newest_bed: Bed, plain_db: str, tmp_path: Path
) -> None:
    async with server(tmp_path, newest_bed.url(plain_db, READER)) as called:
        with pytest.raises(CallError, match="hypopg"):
            await made_up(called, "CREATE INDEX ON shop.orders (note)")


async def test_hypopg_is_found_in_any_schema(system_bed: Bed, tmp_path: Path) -> None:
    with database(
        system_bed, 'CREATE SCHEMA "odd ""schema"', f'GRANT USAGE ON SCHEMA "odd ""schema" TO {READER}',
        'CREATE EXTENSION hypopg SCHEMA "odd ""schema"', *SHOP[:2], "ANALYZE shop.orders",
    ) as db:  # fmt: skip
        async with server(tmp_path, system_bed.url(db, READER)) as called:
            assert "proven by the planner" in await called.text("recommend_indexes", queries=[OF_CUSTOMER])
