"""Running a query: what comes back, in which form, and how much of it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.postgres.bed import Bed
from tests.postgres.support import Called, server

pytestmark = pytest.mark.anyio


@pytest.fixture
async def called(bed: Bed, tmp_path: Path) -> AsyncGenerator[Called]:
    async with server(tmp_path, bed.url(), allow_superuser=True) as client:
        yield client


async def test_an_answer_tells_columns_types_and_how_many_rows(called: Called) -> None:
    text = await called.text("run_query", sql="SELECT g AS n, 'x' || g AS t FROM generate_series(1, 3) g")
    assert "rows: shown 3 of 3;" in text
    assert "columns: n int4, t text\n" in text
    assert "\nn,t\n1,x1\n2,x2\n3,x3\n" in text


async def test_origins_are_told_once_for_a_table_and_per_column_for_several(called: Called) -> None:
    one = await called.text("run_query", sql="SELECT oid, relname AS name FROM pg_class LIMIT 1")
    assert "columns: oid oid, name name = relname; from pg_catalog.pg_class" in one
    two = await called.text(
        "run_query", sql="SELECT c.relname, n.nspname, 1 AS one FROM pg_class c, pg_namespace n LIMIT 1"
    )
    assert "relname name = pg_catalog.pg_class.relname" in two
    assert "nspname name = pg_catalog.pg_namespace.nspname" in two
    assert "one int4" in two


async def test_null_and_the_empty_string_differ_in_csv_and_jsonl(called: Called) -> None:
    sql = "SELECT NULL::text AS a, ''::text AS b, ' x' AS c, 'a,b' AS d, E'two\\nlines' AS e"
    csv = await called.text("run_query", sql=sql)
    assert ',""," x","a,b","two\nlines"' in csv
    (line,) = await called.rows(sql)
    assert json.loads(line) == {"a": None, "b": "", "c": " x", "d": "a,b", "e": "two\nlines"}


async def test_values_that_drivers_stumble_over_come_as_postgresql_writes_them(called: Called) -> None:
    sql = (
        "SELECT 'infinity'::date AS d, '-infinity'::timestamptz AS t, '0044-03-15 BC'::date AS bc, '24:00'::time AS day, "
        "'1 mon 2 days'::interval AS i, 'NaN'::float8 AS nan, '-Infinity'::float8 AS inf, 'NaN'::numeric AS n, "
        "123456789012345678901234567890.5::numeric AS big, 1.50::numeric AS small, 9223372036854775807 AS long, "
        "'\\x00ff'::bytea AS b, ARRAY[1, NULL, 3] AS arr, '{\"a\": 1.0000000000000000001}'::json AS j, true AS yes"
    )
    (line,) = await called.rows(sql)
    assert '"small":1.50' in line
    assert '"j":{"a": 1.0000000000000000001}' in line
    assert json.loads(line) == {
        "d": "infinity", "t": "-infinity", "bc": "0044-03-15 BC", "day": "24:00:00", "i": "P1M2D", "nan": "NaN",
        "inf": "-Infinity", "n": "NaN", "big": "123456789012345678901234567890.5", "small": 1.5,
        "long": 9223372036854775807, "b": "\\x00ff", "arr": "{1,NULL,3}", "j": {"a": 1.0}, "yes": True,
    }  # fmt: skip


async def test_equal_names_stay_apart_in_jsonl(called: Called) -> None:
    (line,) = await called.rows("SELECT 1 AS a, 2 AS a, 3 AS a_2, 4 AS a")
    assert line == '{"a":1,"a_2":2,"a_2_2":3,"a_3":4}'


async def test_a_markdown_table_keeps_its_cells_apart(called: Called) -> None:
    text = await called.text("run_query", sql="SELECT 'a|b' AS \"x|y\", E'l1\\nl2' AS z", format="markdown")
    assert "| x\\|y | z |\n| --- | --- |\n| a\\|b | l1<br>l2 |" in text


async def test_no_rows_and_no_columns_are_answers(called: Called) -> None:
    none = await called.text("run_query", sql="SELECT 1 AS a WHERE false")
    assert "rows: shown 0 of 0;" in none
    assert "\na\n" in none
    assert "rows: shown 2 of 2;" in await called.text("run_query", sql="SELECT FROM generate_series(1, 2)")


async def test_percent_signs_comments_and_semicolons_are_just_text(called: Called) -> None:
    assert await called.rows("SELECT 'a' LIKE '%a' AS l, '100%s' AS s -- a comment") == ['{"l":true,"s":"100%s"}']
    assert await called.rows("SELECT 1 AS a; -- done") == ['{"a":1}']
    assert await called.rows("/* ; */ SELECT ';' AS a /* ' */ ;") == ['{"a":";"}']


async def test_show_tells_what_a_setting_is(called: Called) -> None:
    assert "\nwork_mem\n4MB\n" in await called.text("run_query", sql="SHOW work_mem;")
    assert "columns: transaction_isolation text\n" in await called.text(
        "run_query", sql="show transaction isolation level"
    )
    every = await called.rows("SHOW ALL", max_rows=1000)
    assert {"name": "work_mem", "setting": "4096"}.items() <= next(
        row for row in map(json.loads, every) if row["name"] == "work_mem"
    ).items()
    for name in ("nonsense", '"a\'b\\"', "\"x'), pg_sleep(9), ('\""):
        assert (await called.error("run_query", sql=f"SHOW {name}")).startswith("undefined_object: [42704]")
    assert (await called.error("run_query", sql="SHOW work_mem; SHOW work_mem")).startswith("several_statements")


async def test_parameters_are_values_whatever_they_hold(called: Called) -> None:
    sql = (
        "SELECT $1::int + 1 AS a, $2::text AS b, $3::bool AS c, $4::float8 AS d, $5::text IS NULL AS e, $6::int[] AS f"
    )
    values = ["41", "x'; DROP TABLE t; --", True, 1.5, None, [1, None, 3]]
    (line,) = await called.rows(sql, params=values)
    assert json.loads(line) == {
        "a": 42, "b": "x'; DROP TABLE t; --", "c": True, "d": 1.5, "e": True, "f": "{1,NULL,3}",
    }  # fmt: skip


async def test_a_wrong_number_of_parameters_is_told(called: Called) -> None:
    text = await called.error("run_query", sql="SELECT $1::int, $2::int", params=["1"])
    assert text.startswith("wrong_parameters")
    assert "SELECT" not in text
    assert (await called.error("run_query", sql="SELECT 1", params=["1"])).startswith("wrong_parameters")


async def test_rows_beyond_the_cap_are_told_of_and_fetched_by_the_cursor(called: Called) -> None:
    sql = "SELECT g FROM generate_series(1, 250) g ORDER BY g"
    first = await called.text("run_query", sql=sql, max_rows=100)
    assert "rows: shown 100 of more, stopped by max_rows" in first
    seen = first.count("\n")
    cursor = first.partition("MORE: cursor=")[2].split()[0]
    second = await called.text("run_query", sql=sql, max_rows=100, cursor=cursor)
    assert "rows: shown 101 to 200 of more" in second
    cursor = second.partition("MORE: cursor=")[2].split()[0]
    third = await called.text("run_query", sql=sql, max_rows=100, cursor=cursor)
    assert "rows: shown 201 to 250 of 250;" in third
    assert "MORE" not in third
    assert "\n250\n" in third
    assert seen > 100


async def test_a_cursor_without_an_order_is_warned_of(called: Called) -> None:
    text = await called.text("run_query", sql="SELECT g FROM generate_series(1, 9) g", max_rows=2)
    assert "without ORDER BY" in text


async def test_a_cursor_of_another_query_is_refused(called: Called) -> None:
    text = await called.text("run_query", sql="SELECT g FROM generate_series(1, 9) g", max_rows=2)
    cursor = text.partition("MORE: cursor=")[2].split()[0]
    for arguments in ({"sql": "SELECT 1"}, {"sql": "SELECT g FROM generate_series(1, 9) g", "params": ["1"]}):
        assert (await called.error("run_query", cursor=cursor, **arguments)).startswith("bad_cursor")
    for nonsense in ("x", "////", "MTox", "é"):
        assert (await called.error("run_query", sql="SELECT 1", cursor=nonsense)).startswith("bad_cursor")


async def test_bytes_are_capped_too(called: Called) -> None:
    sql = "SELECT repeat('x', 900) FROM generate_series(1, 100)"
    text = await called.text("run_query", sql=sql, max_bytes=10_000)
    assert "of more, stopped by max_bytes" in text
    assert 5_000 < len(text) < 12_000


async def test_a_wide_value_is_cut_on_the_server_and_the_rest_can_be_had(called: Called) -> None:
    text = await called.text("run_query", sql="SELECT repeat('x', 50000) || 'end' AS v", max_bytes=100_000)
    assert "cut: values of v end with … after 16000 characters" in text
    assert "x" * 16000 + "…" in text
    assert "end\n" not in text.replace("… \n", "")
    rest = await called.rows("SELECT substring(repeat('x', 50000) || 'end' from 50001) AS v")
    assert rest == ['{"v":"end"}']


async def test_a_value_of_exactly_the_cap_is_whole(called: Called) -> None:
    text = await called.text("run_query", sql="SELECT repeat('é', 16000) AS v", max_bytes=100_000)
    assert "cut:" not in text
    assert "é" * 16000 in text


async def test_explain_is_answered_without_running_the_statement(called: Called) -> None:
    text = await called.text("run_query", sql="EXPLAIN (COSTS OFF) SELECT 1")
    assert "Result" in text
    refused = await called.error("run_query", sql="EXPLAIN ANALYZE SELECT 1")
    assert "explain_query" in refused


async def test_errors_say_state_place_and_what_may_have_been_meant(called: Called) -> None:
    text = await called.error("run_query", sql="SELECT 1\nFROM pg_clas")
    assert text.startswith("undefined_table: [42P01]")
    assert "(line 2)" in text
    assert "Did you mean pg_catalog.pg_class" in text
    column = await called.error("run_query", sql="SELECT relnam FROM pg_class")
    assert "relname" in column
    function = await called.error("run_query", sql="SELECT uper('x')")
    assert "Did you mean upper" in function
    assert (await called.error("run_query", sql="SELEC 1")).startswith("syntax_error: [42601]")
    assert "[22012]" in await called.error("run_query", sql="SELECT 1 / 0")


async def test_the_place_of_an_error_is_in_the_callers_own_text(called: Called) -> None:
    for sql in ("SELECT 1 FROM nowhere", "  /* é */ SELECT 1 FROM nowhere;", "SELECT 'é', 1\n FROM nowhere -- x"):
        text = await called.error("run_query", sql=sql)
        assert f"at character {sql.index('nowhere') + 1} " in text, sql


async def test_notices_of_the_server_are_in_the_header(called: Called) -> None:
    # A truncated identifier is warned of by the server itself.
    text = await called.text("run_query", sql=f"SELECT 1 AS {'a' * 70}")
    assert "notice: NOTICE: identifier" in text


async def test_what_costs_too_much_is_not_run(called: Called) -> None:
    sql = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b"
    text = await called.error("run_query", sql=sql)
    assert text.startswith("too_expensive")
    assert "Aggregate" in text
    record = await called.record("validate_query", sql=sql)
    assert record["allowed"] is False
    assert "cost" in record["reasons"][0]
    # Without the aggregate only the first rows are made, which costs nothing.
    rows = await called.rows(
        "SELECT 1 AS a FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b", max_rows=2
    )
    assert rows == ['{"a":1}', '{"a":1}']


async def test_a_query_is_stopped_at_its_time(called: Called) -> None:
    sql = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r"
    text = await called.error("run_query", sql=sql, timeout_ms=300)
    assert text.startswith("timeout")
    assert await called.rows("SELECT 1 AS a") == ['{"a":1}']


async def test_validation_runs_nothing_and_tells_everything(called: Called) -> None:
    record = await called.record(
        "validate_query", sql="SELECT relname, $1::int AS n, count(*) FROM pg_class GROUP BY 1"
    )
    assert record["allowed"] is True
    assert record["columns"] == [
        {"name": "relname", "type": "name", "origin": "pg_catalog.pg_class.relname"},
        {"name": "n", "type": "int4", "origin": ""},
        {"name": "count", "type": "int8", "origin": ""},
    ]
    assert record["parameters"] == ["int4"]
    assert record["relations"] == ["pg_catalog.pg_class"]
    refused = await called.record("validate_query", sql="SELECT pg_sleep(9), pg_read_file('x')")
    assert refused["allowed"] is False
    assert len(refused["reasons"]) == 2


async def test_a_catalog_that_changes_is_noticed(called: Called, bed: Bed) -> None:
    with bed.admin() as admin:
        admin.execute("DROP TABLE IF EXISTS changing; CREATE TABLE changing (a int); INSERT INTO changing VALUES (1)")
        sql = "SELECT * FROM changing"
        assert await called.rows(sql) == ['{"a":1}']
        admin.execute("ALTER TABLE changing ADD b text DEFAULT 'two'")
        await called.call("run_query", sql=sql)
        assert await called.rows(sql) == ['{"a":1,"b":"two"}']
        admin.execute("DROP TABLE changing")


async def test_invalid_texts_are_refused_before_anything_is_sent(called: Called) -> None:
    for sql, code in (
        ("SELECT 1; SELECT 2", "several_statements"), (" ; ", "no_statement"), ("-- nothing", "no_statement"),
        ("SELECT '\0'", "invalid_sql"), ("SELECT '\ud800'", "invalid_"), ("SELECT " + "1," * 40_000 + "1", "too_long"),
        ("SELECT " + "(SELECT " * 3000 + "1" + ")" * 3000, ""),
    ):  # fmt: skip
        text = await called.error("run_query", sql=sql)
        assert text.startswith(code), (sql[:40], text)
    assert await called.rows("SELECT 1 AS a") == ['{"a":1}']


async def test_strings_are_read_as_they_are_judged_whatever_the_role_is_set_to(bed: Bed, tmp_path: Path) -> None:
    with bed.admin() as admin:
        admin.execute("DROP ROLE IF EXISTS old_style")
        admin.execute("CREATE ROLE old_style LOGIN PASSWORD 'x'")
        admin.execute("ALTER ROLE old_style SET standard_conforming_strings = off")
        admin.execute("ALTER ROLE old_style SET backslash_quote = on")
    # With the old reading the first string goes on over the quote, and what the parser took for a string is code.
    sql = r"SELECT '\' AS a, ' || current_setting($$port$$) || ' AS b"
    async with server(tmp_path, bed.url(user="old_style")) as called:
        (line,) = await called.rows(sql)
        assert json.loads(line) == {"a": "\\", "b": " || current_setting($$port$$) || "}


async def test_without_a_parser_the_start_says_what_is_left_and_server_only_goes_on(
    bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gatelodge_core.errors import SettingsError
    from gatelodge_postgres import server as module
    from gatelodge_postgres.verdict import parse

    def missing(_: str) -> None:
        raise AssertionError("the parser was used")

    monkeypatch.setattr(module, "has_parser", lambda: False)
    monkeypatch.setattr(parse, "_statement", missing)
    parse._again.cache_clear()  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(SettingsError, match="--judge server-only"):
        async with server(tmp_path, bed.url(), allow_superuser=True):
            pass
    async with server(tmp_path, bed.url(), allow_superuser=True, judge="server-only") as called:
        assert await called.rows("SELECT 1 AS a; ") == ['{"a":1}']
        assert "[42601]" in await called.error("run_query", sql="SELECT 1; SELECT 2")
        assert "[42" in await called.error("run_query", sql="DELETE FROM pg_class")


async def test_a_function_written_as_an_attribute_is_judged_whatever_the_statement_calls_its_columns(
    called: Called, bed: Bed
) -> None:
    with bed.admin() as admin:
        admin.execute("CREATE TABLE gl_row (a int)")
        admin.execute("CREATE FUNCTION gl_peek(gl_row) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1'")
        admin.execute("CREATE DOMAIN gl_dom AS int CHECK (setseed(0.5)::text = '' OR random() >= 0)")
        try:
            for sql in (
                "SELECT r.gl_peek FROM gl_row r",
                "SELECT r.gl_peek, 1 AS gl_peek FROM gl_row r",
                "SELECT (r).gl_peek, 1 AS gl_peek FROM gl_row r",
                "SELECT r.gl_peek FROM gl_row r, (SELECT 1 AS gl_peek) x",
            ):
                assert "gl_peek is volatile" in await called.error("run_query", sql=sql)
            for sql in ("SELECT 5::gl_dom", "SELECT gl_dom('5')", "SELECT gl_dom(5)"):
                assert "setseed" in await called.error("run_query", sql=sql)
        finally:
            admin.execute("DROP TABLE gl_row CASCADE")
            admin.execute("DROP DOMAIN gl_dom")


@pytest.mark.parametrize(
    "options",
    [
        "ANALYZE false", "ANALYZE off", "ANALYZE 0", "ANALYZE 'FALSE'", "FORMAT JSON, ANALYZE OFF", "FORMAT yaml, COSTS off",
        "BUFFERS false", "VERBOSE, SETTINGS, SUMMARY false, TIMING off, WAL false", "ANALYZE off, ANALYZE false",
    ],
)  # fmt: skip
async def test_an_explain_that_says_that_it_runs_nothing_is_answered(called: Called, options: str) -> None:
    assert "Result" in await called.text("run_query", sql=f"EXPLAIN ({options}) SELECT 1")


@pytest.mark.parametrize(
    "options",
    [
        "ANALYZE", "ANALYZE true", "ANALYZE 1", "ANALYZE on", "ANALYZE false, ANALYZE", "ANALYZE, ANALYZE false", "ANALYZE no",
        "ANALYZE 0.0", "ANALYZE 2", "ANALYZE 'of'", "ANALYZE \"f\"", "SERIALIZE", "SERIALIZE text", "ANALYZE off, SERIALIZE binary",
    ],
)  # fmt: skip
async def test_an_explain_that_may_run_something_is_refused(called: Called, options: str) -> None:
    assert (await called.error("run_query", sql=f"EXPLAIN ({options}) SELECT 1")).startswith("refused")
