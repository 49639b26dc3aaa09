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
CREATE TABLE mk.made (id int, email text, folded text GENERATED ALWAYS AS (lower(email)) STORED,
  size int GENERATED ALWAYS AS (id * 2) STORED, words tsvector);
INSERT INTO mk.made SELECT g, 'ANN@' || g FROM generate_series(1, 9) g;
CREATE TABLE mk.made_kid () INHERITS (mk.made);
INSERT INTO mk.made_kid VALUES (1, 'ANN@kid');
CREATE DOMAIN mk.address AS text; CREATE DOMAIN mk.mail AS mk.address; CREATE TYPE mk.pair AS (n int, mail mk.mail);
CREATE TABLE mk.odd (id int PRIMARY KEY, email mk.mail, mails mk.mail[], pair mk.pair, pairs mk.pair[], doc jsonb);
INSERT INTO mk.odd SELECT g, m, ARRAY[m], row(g, m)::mk.pair, ARRAY[row(g, m)::mk.pair],
  jsonb_build_object('a', m) FROM (SELECT g, ('ann@' || g)::mk.mail AS m FROM generate_series(1, 9) g) s;
CREATE DOMAIN mk.begins AS text CHECK (VALUE LIKE 'ann%');
CREATE TABLE mk.known (body text PRIMARY KEY);
CREATE TABLE mk.long (id int, email text);
ALTER TABLE mk.long ALTER email SET STORAGE EXTERNAL;
INSERT INTO mk.long VALUES (1, repeat('ann@', 2000));
GRANT USAGE ON SCHEMA mk, mk2 TO app_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA mk, mk2 TO app_writer;
ANALYZE;
"""
MASKS = [
    *("mk.users.email", "mk.parts.email", "mk.leaf.pin", "mk.made.email", "mk.long.email"),
    *(f"mk.odd.{name}" for name in ("email", "mails", "pair", "pairs", "doc")),
]


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
    "sql", ["SELECT folded FROM mk.made", "TABLE mk.made", "SELECT folded AS x, size FROM mk.made_kid"]
)
async def test_a_column_that_is_made_of_a_masked_one_is_masked_too(called: Called, sql: str) -> None:
    text = await called.text("run_query", sql=sql)
    assert "[masked]" in text
    assert SECRET not in text.lower()


async def test_a_column_that_is_made_of_others_is_not_masked(called: Called) -> None:
    assert await called.rows("SELECT size FROM mk.made WHERE size = 4") == ['{"size":4}']


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT left(folded, 9) FROM mk.made",
        "SELECT id FROM mk.made ORDER BY folded",
        "SELECT id FROM mk.made_kid WHERE folded = 'ann@1'",
    ],
)
async def test_what_is_made_of_a_masked_column_is_kept_as_strictly(called: Called, sql: str) -> None:
    await refused(called, sql)


ODD = ("email", "mails", "pair", "pairs", "doc")
WAYS = (
    "SELECT {c}::text FROM mk.odd", "SELECT ({c}) AS x FROM mk.odd", "SELECT row({c}) FROM mk.odd", "SELECT to_json({c}) FROM mk.odd",
    "SELECT json_agg({c}) FROM mk.odd", "SELECT ARRAY(SELECT {c} FROM mk.odd)", "SELECT array_agg(o.{c}) FROM mk.odd o",
    "WITH w(x) AS (SELECT {c} FROM mk.odd) SELECT x FROM w", "WITH w AS MATERIALIZED (TABLE mk.odd) SELECT {c} AS x FROM w",
    "WITH RECURSIVE r(a, b) AS (SELECT id, {c} FROM mk.odd UNION ALL SELECT a + 1, b FROM r WHERE a < 3) SELECT b FROM r",
    "SELECT {c} FROM mk.odd EXCEPT SELECT NULL", "TABLE mk.odd UNION ALL TABLE mk.odd", "SELECT x.* FROM (TABLE mk.odd) x",
    "SELECT a.id FROM mk.odd a JOIN mk.odd b USING (id, {c})", "SELECT {c} FROM mk.odd a JOIN mk.odd b USING ({c})",
    "SELECT l FROM mk.odd o, LATERAL (VALUES (o.{c})) v(l)", "SELECT l FROM mk.odd o CROSS JOIN LATERAL (SELECT o.{c}) v(l)",
    "VALUES ((SELECT {c}::text FROM mk.odd LIMIT 1))", "SELECT * FROM mk.odd ORDER BY {c}", "SELECT id FROM mk.odd ORDER BY {c} DESC",
    "SELECT id FROM mk.odd ORDER BY ({c} IS NULL)", "SELECT id FROM mk.odd WHERE {c} IS NOT NULL", "SELECT id, {c} FROM mk.odd ORDER BY 2",
    "SELECT lag({c}) OVER (ORDER BY id) FROM mk.odd", "SELECT first_value({c}) OVER w FROM mk.odd WINDOW w AS (PARTITION BY id)",
    "SELECT rank() OVER w FROM mk.odd WINDOW w AS (ORDER BY {c})", "SELECT count(*) FILTER (WHERE {c} IS NULL) FROM mk.odd",
    "SELECT count(*) FROM mk.odd GROUP BY {c}", "SELECT count(*) FROM mk.odd GROUP BY id HAVING max({c}::text) > 'a'",
    "SELECT CASE {c} WHEN NULL THEN 1 END FROM mk.odd", "SELECT coalesce({c}, NULL) FROM mk.odd", "SELECT nullif({c}, NULL) FROM mk.odd",
    "SELECT greatest({c}, {c}) FROM mk.odd", "SELECT DISTINCT ON ({c}) id FROM mk.odd", "SELECT DISTINCT ON (id) {c} FROM mk.odd",
    "SELECT {c}::text::int FROM mk.odd", "SELECT id FROM mk.odd LIMIT (SELECT length({c}::text) FROM mk.odd LIMIT 1)",
    "SELECT (o).{c} FROM mk.odd o", "SELECT (o.*).{c} FROM mk.odd o", "SELECT (mk.odd).{c} FROM mk.odd", "SELECT {c}(o) FROM mk.odd o",
    "SELECT (SELECT o) FROM mk.odd o", "SELECT o::text FROM mk.odd o", "SELECT row(o.*) FROM mk.odd o", "SELECT o = o FROM mk.odd o",
    "SELECT x FROM mk.odd AS o(i, a, b, c, d, x)", "SELECT j.b FROM (mk.odd a CROSS JOIN mk.orders o) AS j(i, b, c, d, e, f)",
    "SELECT xmlelement(name a, {c}) FROM mk.odd", "SELECT xmlforest({c}) FROM mk.odd", "SELECT format('%s', {c}) FROM mk.odd",
    "SELECT string_agg({c}::text, ',' ORDER BY id) FROM mk.odd", "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY {c}::text) FROM mk.odd",
    "SELECT id FROM mk.odd WHERE {c} = ANY (SELECT {c} FROM mk.odd)", "SELECT id FROM mk.odd WHERE (id, {c}) IN (SELECT id, {c} FROM mk.odd)",
    "SELECT jsonb_path_query(to_jsonb({c}), '$') FROM mk.odd", "EXPLAIN SELECT id FROM mk.odd WHERE {c}::text = 'x'",
    "EXPLAIN (VERBOSE) SELECT {c} FROM mk.odd ORDER BY {c}", "SELECT U&\"em\\0061il\"::text FROM mk.odd", 'SELECT o."{c}" || $$$$ FROM mk.odd o',
    "SELECT query_to_xml('TABLE mk.odd', true, true, '')", "COPY mk.odd TO STDOUT", "DECLARE c CURSOR FOR TABLE mk.odd",
    "SELECT pair.mail FROM mk.odd pair", "SELECT (pair).mail FROM mk.odd", "SELECT mails[1] FROM mk.odd", "SELECT (pairs[1]).mail FROM mk.odd",
    "SELECT unnest(mails) FROM mk.odd", "SELECT m FROM mk.odd, unnest(mails) m", "SELECT m FROM mk.odd, unnest(pairs) m",
    "SELECT doc -> 'a' FROM mk.odd", "SELECT doc['a'] FROM mk.odd", "SELECT v FROM mk.odd, jsonb_each(doc) v", "SELECT doc ? 'a' FROM mk.odd",
    "SELECT (pair).* FROM mk.odd", "SELECT cardinality(mails) FROM mk.odd", "SELECT * FROM mk.odd, ROWS FROM (unnest(mails)) u",
)  # fmt: skip


async def test_no_way_to_write_a_query_gives_a_masked_value_of_any_type(called: Called) -> None:
    answered = 0
    for sql in {way.replace("{c}", column) for way in WAYS for column in ODD}:
        failed, text = await called.call("run_query", sql=sql)
        assert SECRET not in text, sql
        assert failed or "[masked]" in text or "QUERY PLAN" in text, (sql, text)
        assert "internal_error" not in text, sql
        answered += not failed
    assert answered < 20
    text = await called.text("run_query", sql="TABLE mk.odd")
    assert text.count("[masked]") == 9 * len(ODD)


async def test_no_toast_and_no_statement_of_others_tells_of_masked_values(home: Home, called: Called) -> None:
    with home.admin() as admin:
        ((toast,),) = admin.execute(
            "SELECT reltoastrelid::regclass::text FROM pg_class WHERE oid = 'mk.long'::regclass"
        )
        admin.execute("SELECT 1 FROM mk.users WHERE email = 'ann@1'")
        for sql in (
            f"SELECT encode(chunk_data, 'escape') FROM {toast}",
            "SELECT query FROM pg_stat_activity",
            "SELECT pg_stat_get_backend_activity(n) FROM generate_series(1, 99) n",
            "SELECT query FROM pg_stat_get_activity(NULL)",
            "SELECT pg_stat_get_activity(NULL)",
        ):
            for text in (await called.error("run_query", sql=sql), await called.error("explain_query", sql=sql)):
                assert text.startswith("refused"), text
                assert SECRET not in text


async def test_the_values_of_columns_made_of_masked_ones_are_in_no_description_and_no_profile(called: Called) -> None:
    text = await called.text("describe_objects", names=["mk.made", "mk.made_kid"], include=["columns", "stats"])
    assert text.count("(masked)") == 4
    for table in ("mk.made", "mk.made_kid"):
        text = await called.text("profile_table", table=table, sample=9)
        assert "folded text: masked" in text
        assert SECRET not in text.lower()


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
        "UPDATE mk.made SET words = to_tsvector('simple', folded) WHERE id = 1",
        "DELETE FROM mk.made WHERE id = 1 AND folded = 'ann@1'",
        "ALTER TABLE mk.kids NO INHERIT mk.users",
        "ALTER TABLE mk.parts_1 DETACH PARTITION mk.parts_11",
        "ALTER TABLE mk.users ALTER COLUMN email TYPE mk.begins",
        "ALTER TABLE mk.users ALTER email TYPE varchar(4)",
        "ALTER TABLE mk.users ADD FOREIGN KEY (email) REFERENCES mk.known (body)",
        "ALTER TABLE mk.made ADD FOREIGN KEY (folded) REFERENCES mk.known (body)",
        "CREATE TRIGGER t BEFORE UPDATE ON mk.made EXECUTE FUNCTION tsvector_update_trigger(words, 'pg_catalog.simple', email)",
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
