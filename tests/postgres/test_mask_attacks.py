"""Ways around masked columns: whole rows by other notations, views, tables that share rows, columns that come later."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from tests.postgres.seed import Home
from tests.postgres.support import Called, server
from tests.postgres.writing import do, writing

pytestmark = pytest.mark.anyio

SECRET = "ann@"
SETUP = """
DROP SCHEMA IF EXISTS mk, mk2 CASCADE;
CREATE SCHEMA mk; CREATE SCHEMA mk2;
CREATE TABLE mk.users (id int PRIMARY KEY, name text, email text, status text);
INSERT INTO mk.users SELECT g, 'ann ' || g, 'ann@' || g, 'open' FROM generate_series(1, 9) g;
CREATE TABLE mk.orders (id int PRIMARY KEY, user_id int, total int);
INSERT INTO mk.orders SELECT g, g, g * 10 FROM generate_series(1, 9) g;
CREATE TABLE mk2.users (id int PRIMARY KEY);
CREATE TABLE mk.notes (body text);
CREATE DOMAIN mk.whole AS mk.users;
CREATE VIEW mk.v AS SELECT id, email AS mail FROM mk.users;
CREATE VIEW mk.vv AS SELECT mail FROM mk.v;
CREATE VIEW mk.plain AS SELECT id, total FROM mk.orders;
CREATE MATERIALIZED VIEW mk.mv AS SELECT id, email AS mail, status FROM mk.users;
CREATE MATERIALIZED VIEW mk.mv_orders AS SELECT id, total, random() AS r FROM mk.orders;
CREATE VIEW mk.over AS SELECT mail FROM mk.mv;
CREATE TABLE mk.kids (toy text) INHERITS (mk.users);
INSERT INTO mk.kids SELECT g + 100, 'kid', 'ann@kid' || g, 'open', 'bear' FROM generate_series(1, 9) g;
CREATE TABLE mk.parts (id int, email text) PARTITION BY RANGE (id);
CREATE TABLE mk.parts_1 PARTITION OF mk.parts FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id);
CREATE TABLE mk.parts_11 PARTITION OF mk.parts_1 FOR VALUES FROM (0) TO (10);
INSERT INTO mk.parts SELECT g, 'ann@part' || g FROM generate_series(1, 9) g;
CREATE TABLE mk.base (id int, pin text);
CREATE TABLE mk.leaf () INHERITS (mk.base);
INSERT INTO mk.leaf SELECT g, 'ann@leaf' || g FROM generate_series(1, 9) g;
GRANT USAGE ON SCHEMA mk, mk2 TO app_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA mk, mk2 TO app_writer;
ANALYZE;
"""
MASKS = ["mk.users.email", "mk.parts.email", "mk.leaf.pin"]


@pytest.fixture(scope="module")
def home(system_home: Home) -> Generator[Home]:
    do(system_home, SETUP)
    yield system_home
    do(system_home, "DROP SCHEMA mk, mk2 CASCADE")


@pytest.fixture
async def called(home: Home, tmp_path: Path) -> AsyncGenerator[Called]:
    async with server(tmp_path, home.url("postgres"), allow_superuser=True, mask_columns=MASKS) as client:
        yield client


async def refused(called: Called, sql: str) -> None:
    text = await called.error("run_query", sql=sql)
    assert text.startswith("masked_columns"), text
    assert SECRET not in text
    for tool, given in (("export_query", {}), ("explain_query", {})):
        text = await called.error(tool, sql=sql, **given)
        assert text.startswith("masked_columns"), (tool, text)
    assert (await called.record("validate_query", sql=sql))["allowed"] is False


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT u.row_to_json FROM mk.users u",
        "SELECT users.row_to_json FROM mk.users",
        "SELECT mk.users.to_jsonb FROM mk.users",
        "SELECT u.to_jsonb ->> 'email' FROM mk.users u",
        "SELECT u.id FROM mk.users u WHERE u.to_json::text LIKE '%ann@%'",
        "SELECT e.value FROM mk.users u, LATERAL jsonb_each_text(u.to_jsonb) e",
        "SELECT (u.to_jsonb)['email'] FROM mk.users u",
        "SELECT u.id FROM mk.users u ORDER BY u.hash_record",
        "SELECT u.whole FROM mk.users u",
        "SELECT j.row_to_json FROM (mk.orders o JOIN mk.users u ON u.id = o.user_id) AS j",
        "SELECT (SELECT u.to_jsonb) FROM mk.users u",
        "SELECT count(u.record_out) FROM mk.users u",
        "SELECT id FROM mk.orders o WHERE EXISTS (SELECT 1 FROM mk.users u WHERE u.to_json::text LIKE '%ann@1%')",
        "SELECT to_jsonb FROM mk.orders o, LATERAL (SELECT u.to_jsonb FROM mk.users u LIMIT 1) q",
        "WITH w AS (SELECT u.row_to_json FROM mk.users u) TABLE w",
        "SELECT id FROM mk.orders UNION SELECT u.hash_record FROM mk.users u",
    ],
)
async def test_a_name_after_a_row_that_is_no_column_of_it_is_refused(called: Called, sql: str) -> None:
    await refused(called, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT v.mail FROM mk.v",
        "SELECT v.mail FROM mk.v, (SELECT 1 FROM mk.users LIMIT 1) x",
        "SELECT max(v.mail) FROM mk.v, mk.users u",
        "SELECT max(v.mail) FROM mk.v, mk2.users u",
        "SELECT max(vv.mail) FROM mk.vv, mk.v",
        "SELECT max(vv.mail) FROM mk.vv, mk.users",
        "SELECT mail FROM mk.mv",
        "SELECT max(mail) FROM mk.mv, mk.users",
        "SELECT mail FROM mk.over",
    ],
)
async def test_a_view_over_masked_columns_is_refused_whatever_else_is_named(called: Called, sql: str) -> None:
    await refused(called, sql)


@pytest.mark.parametrize(
    "sql",
    ["SELECT * FROM mk.kids", "SELECT email FROM mk.kids", "TABLE mk.parts_11", "SELECT email FROM mk.parts_1",
     "SELECT * FROM mk.base", "SELECT pin AS x FROM mk.base"],
)  # fmt: skip
async def test_a_column_is_masked_in_all_tables_that_share_its_rows(called: Called, sql: str) -> None:
    text = await called.text("run_query", sql=sql)
    assert "[masked]" in text
    assert SECRET not in text


@pytest.mark.parametrize(
    "sql",
    ["SELECT left(email, 9) FROM mk.kids", "SELECT k.to_jsonb FROM mk.kids k", "SELECT id FROM mk.parts_11 ORDER BY email",
     "SELECT max(pin) FROM mk.base"],
)  # fmt: skip
async def test_tables_that_share_rows_of_masked_columns_are_kept_as_strictly(called: Called, sql: str) -> None:
    await refused(called, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT email, count(*) FROM mk.users GROUP BY ROLLUP (1)",
        "SELECT email AS e, count(*) FROM mk.users GROUP BY GROUPING SETS ((e))",
        "SELECT email AS e, status, count(*) FROM mk.users GROUP BY GROUPING SETS ((status, e), ())",
        "SELECT email AS e, count(*) FROM mk.users GROUP BY CUBE (status, (status, 1))",
        "SELECT email AS e, count(*) FROM mk.users GROUP BY GROUPING SETS (ROLLUP (e), ())",
        "SELECT email AS e, count(*) FROM mk.users GROUP BY DISTINCT CUBE ((1))",
    ],
)
async def test_groups_by_masked_columns_are_refused_inside_sets_of_them(called: Called, sql: str) -> None:
    await refused(called, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT u.id, u.name FROM mk.users u JOIN mk.orders o ON o.user_id = u.id WHERE u.status = 'open' ORDER BY u.name",
        "SELECT status, count(*) FROM mk.users GROUP BY 1 ORDER BY 2 DESC",
        "SELECT status, id, count(*) FROM mk.users GROUP BY ROLLUP (1, (id))",
        (
            "SELECT date_part('day', d) AS n, count(u.id) FROM generate_series(now(), now(), '1 day') AS d(d) "
            "LEFT JOIN mk.users u ON true GROUP BY 1"
        ),
        "SELECT id FROM mk.orders UNION ALL SELECT id FROM mk.users ORDER BY 1",
        (
            "WITH t AS (SELECT user_id, sum(total) AS total FROM mk.orders GROUP BY user_id) "
            "SELECT u.name, t.total FROM t JOIN mk.users u ON u.id = t.user_id ORDER BY t.total DESC LIMIT 3"
        ),
        "SELECT u.id, u.email FROM mk.users u ORDER BY u.id",
        "SELECT u.ctid, u.tableoid FROM mk.users u",
        "SELECT o.to_jsonb FROM mk.orders o",
        "SELECT p.total FROM mk.plain p JOIN mk.users u ON u.id = p.id",
        "SELECT total FROM mk.mv_orders",
        "SELECT v.mail FROM (SELECT total AS mail FROM mk.orders) v",
    ],
)
async def test_ordinary_questions_that_tell_nothing_of_masked_columns_are_answered(called: Called, sql: str) -> None:
    text = await called.text("run_query", sql=sql)
    assert SECRET not in text


async def test_a_column_that_comes_later_is_masked_at_once(home: Home, tmp_path: Path) -> None:
    masks = ["mk.later.email", "mk.later.mail"]
    do(home, "CREATE TABLE mk.later (id int, x text); INSERT INTO mk.later VALUES (1, 'ann@0')")
    async with server(tmp_path, home.url("postgres"), allow_superuser=True, mask_columns=masks) as called:
        assert "ann@0" in await called.text("run_query", sql="SELECT * FROM mk.later")
        do(home, "ALTER TABLE mk.later RENAME COLUMN x TO email")
        for sql in (
            "SELECT * FROM mk.later",
            "SELECT email AS x FROM mk.later",
            "SELECT email FROM mk.later WHERE id = 1",
        ):
            text = await called.text("run_query", sql=sql)
            assert "[masked]" in text
            assert SECRET not in text
        do(home, "ALTER TABLE mk.later ADD COLUMN mail text DEFAULT 'ann@1'")
        for sql in ("SELECT mail FROM mk.later", "SELECT * FROM mk.later", "SELECT mail AS x, id FROM mk.later"):
            text = await called.text("run_query", sql=sql)
            assert "[masked]" in text
            assert SECRET not in text
        await refused(called, "SELECT left(mail, 3) FROM mk.later")


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO mk.notes(body) SELECT u.row_to_json::text FROM mk.users u",
        "INSERT INTO mk.notes(body) SELECT v.mail FROM mk.v, mk.users u",
        "INSERT INTO mk.notes(body) SELECT v.mail FROM mk.v, mk2.users u",
        "INSERT INTO mk.notes(body) SELECT mail FROM mk.mv",
        "INSERT INTO mk.notes(body) SELECT email FROM mk.kids",
        "INSERT INTO mk.notes(body) SELECT pin FROM mk.base",
        "INSERT INTO mk.notes(body) SELECT excluded.email FROM mk.users AS excluded",
        "INSERT INTO mk.users(id, name) SELECT 1, excluded.email FROM mk.users AS excluded ON CONFLICT (id) DO NOTHING",
        (
            "INSERT INTO mk.users(id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = "
            "(SELECT excluded.email FROM mk.users AS excluded LIMIT 1)"
        ),
        "INSERT INTO mk.users(id) VALUES (1) ON CONFLICT (id) DO UPDATE SET name = users.to_jsonb::text",
        "UPDATE mk.users u SET name = u.to_jsonb ->> 'email' WHERE u.id = 1",
        "UPDATE mk.users u SET name = 'x' WHERE u.id = 1 AND u.hash_record > 0",
        "UPDATE mk.users u SET name = 'x' WHERE u.id = 1 RETURNING u.to_jsonb",
        "DELETE FROM mk.kids WHERE id = 101 AND email LIKE 'ann%'",
    ],
)
async def test_changes_copy_and_ask_for_no_masked_column(home: Home, sql: str) -> None:
    async with writing(home, role="postgres", mask_columns=MASKS, allow_superuser=True) as w:
        error = await w.refusal(sql)
    assert error.code == "masked_columns", error
    assert SECRET not in str(error)


async def test_masked_columns_are_set_on_a_conflict_and_hidden_in_children(home: Home) -> None:
    async with writing(home, role="postgres", mask_columns=MASKS, allow_superuser=True) as w:
        for sql in (
            "INSERT INTO mk.users(id, email) VALUES (1, 'n') ON CONFLICT (id) DO UPDATE SET email = excluded.email",
            "UPDATE mk.kids SET toy = 'x' WHERE id = 101 RETURNING *",
            "UPDATE mk.parts SET id = id WHERE id = 1 RETURNING email",
        ):
            text = await w.preview(sql)
            assert "masked" in text, text
            assert SECRET not in text


async def test_denied_relations_are_not_read_through_what_shares_or_keeps_their_rows(
    home: Home, tmp_path: Path
) -> None:
    settings = {"allow_superuser": True, "deny_relations": ["mk.users", "mk.parts_11"]}
    async with server(tmp_path, home.url("postgres"), **settings) as called:
        for sql in ("SELECT id FROM mk.kids", "SELECT id FROM mk.mv", "SELECT * FROM mk.over", "TABLE mk.parts"):
            text = await called.error("run_query", sql=sql)
            assert text.startswith("refused"), text
            assert "deny_relations" in text
        assert await called.rows("SELECT total FROM mk.mv_orders WHERE id = 1") == ['{"total":10}']


@pytest.mark.parametrize(
    "table", ["mk.users", "mk.kids", "mk.parts", "mk.parts_1", "mk.parts_11", "mk.base", "mk.mv", "mk.v"]
)
async def test_no_profile_tells_values_of_masked_columns(called: Called, table: str) -> None:
    failed, text = await called.call("profile_table", table=table, sample=50)
    assert SECRET not in text
    assert failed or table.partition(".")[2] in text


@pytest.mark.parametrize("table", ["mk.users", "mk.kids", "mk.mv"])
async def test_no_profile_tells_of_what_is_denied(home: Home, tmp_path: Path, table: str) -> None:
    given = {"allow_superuser": True, "deny_relations": ["mk.users"]}
    async with server(tmp_path, home.url("postgres"), **given) as client:
        _, text = await client.call("profile_table", table=table, sample=50)
        assert SECRET not in text
        assert "ann" not in text
