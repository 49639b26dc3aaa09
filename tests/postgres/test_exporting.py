"""Exports: whole, masked, in flat memory, for their caller alone, and gone in time."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import psutil
import pytest
from gatelodge_core.auth.principal import CALLER, Principal
from gatelodge_core.errors import CallError
from gatelodge_postgres.dev.exports import Export, Exports
from gatelodge_postgres.dev.lines import Lines
from gatelodge_postgres.reading.describe import Column
from gatelodge_postgres.reading.render import json_lines
from mcp_types import ResourceLink, TextContent

from tests.postgres.seed import Home
from tests.postgres.support import Called, server

WIDE = (
    "SELECT g, md5(g::text) AS hash, 'name ' || g AS name, now() AS at, g * 1.5 AS half, repeat('x', 60) AS pad "
    "FROM generate_series(1, {}) g"
)


@pytest.fixture(params=["system", "newest"])
def any_home(request: pytest.FixtureRequest) -> Home:
    return request.getfixturevalue(f"{request.param}_home")


async def export(called: Called, sql: str, **arguments: Any) -> tuple[str, ResourceLink]:
    """The text and the link of an export that must succeed."""
    found = await called.client.call_tool("export_query", {"sql": sql, **arguments})
    assert not found.is_error, found.content
    text, link = found.content
    assert isinstance(text, TextContent)
    assert isinstance(link, ResourceLink)
    return text.text, link


def content(folder: Path, link: ResourceLink) -> str:
    """What was exported."""
    name = str(link.uri).removeprefix("pg://results/")
    (path,) = (folder / "state" / "postgres" / "exports").glob(f"{name}.*")
    return path.read_bytes().decode()


def files(folder: Path) -> list[str]:
    """What lies in the folder of exports."""
    place = folder / "state" / "postgres" / "exports"
    return sorted(os.listdir(place)) if place.exists() else []


def test_an_export_is_whole_and_its_link_size_and_hash_are_right(any_home: Home, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, any_home.url()) as called:
            text, link = await export(called, WIDE.format(20_000))
            assert "20000 rows" in text
            assert "INCOMPLETE" not in text
            assert "CUT" not in text
            assert str(tmp_path) not in text + str(link)
            raw = content(tmp_path, link)
            assert link.size == len(raw.encode())
            assert hashlib.sha256(raw.encode()).hexdigest() in text
            rows = list(csv.reader(io.StringIO(raw)))
            assert rows[0] == ["g", "hash", "name", "at", "half", "pad"]
            assert [row[0] for row in rows[1:]] == [str(number) for number in range(1, 20_001)]
            assert link.mime_type == "text/csv"
            _, link = await export(called, WIDE.format(10), format="jsonl")
            lines = [json.loads(line) for line in content(tmp_path, link).splitlines()]
            assert [line["half"] for line in lines] == [number * 1.5 for number in range(1, 11)]

    anyio.run(main)


def test_values_of_every_kind_are_written_as_run_query_writes_them(any_home: Home, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, any_home.url()) as called:
            sql = "SELECT * FROM app.kinds WHERE what <> 'huge' ORDER BY id"
            _, link = await export(called, sql, format="jsonl")
            shown = [json.loads(line) for line in await called.rows(sql)]
            # What a person couldn't see is marked in an answer, and left alone in a file.
            exported = [json.loads(line) for line in content(tmp_path, link).splitlines()]
            assert [list(row) for row in exported] == [list(row) for row in shown]
            for mine, other in zip(exported, shown, strict=True):
                assert {k: v for k, v in mine.items() if k not in ("t", "v")} == {
                    k: v for k, v in other.items() if k not in ("t", "v")
                }
            _, link = await export(called, sql)
            rows = list(csv.reader(io.StringIO(content(tmp_path, link), newline="")))
            assert len(rows) == 7
            assert rows[2][9] == 'tab\there\nnewline "quoted" \\ back'

    anyio.run(main)


@pytest.mark.parametrize("kind", [16, 20, 25, 114, 701, 1700])
def test_a_column_at_a_time_gives_the_same_as_a_value_at_a_time(kind: int) -> None:
    texts: dict[int, list[str | None]] = {
        16: ["t", "f", None],
        20: ["1", "-9223372036854775808", None],
        25: ["", "a", " a", "a ", 'q"q', "c,c", "n\nn", "\r", "\t", "\\", "\x01", "ü…", "NULL", None],
        114: ['{"a": 1}', "1", '"x"', '[1,\n 2]', None],
        701: ["1.5", "NaN", "Infinity", "-Infinity", "1e-300", "-0", "0.1234567890123456789", None],
        1700: ["1.5", "NaN", "-123456789012345678.5", "0.000000000000000000001", "99999999999999999999", None],
    }  # fmt: skip
    lines = Lines([Column("it", kind, True, 0, 0)], "jsonl", 1000)
    # All together, and each alone: what one value needs must not depend on its neighbours.
    for values in (texts[kind], *([value] for value in texts[kind])):
        written = lines.text([None if value is None else value.encode() for value in values]).decode()
        assert written.split("\n")[:-1] == json_lines(["it"], [kind], [[value] for value in values])


def test_csv_holds_every_text_exactly_and_tells_null_from_empty(any_home: Home, tmp_path: Path) -> None:
    texts = [
        "",
        " ",
        "a b",
        'q"q',
        '""',
        "c,c",
        "n\nn",
        "\r\n",
        "\t",
        "\\",
        "\\\\",
        '\\"',
        "(",
        ")",
        "),(",
        ",",
        "ü…",
        "NULL",
        None,
    ]

    async def main() -> None:
        async with server(tmp_path, any_home.url()) as called:
            values = ", ".join(f"(${number}::text)" for number in range(1, len(texts) + 1))
            for sql, wanted in [
                (f"SELECT v, 1 AS one FROM (VALUES {values}) t(v)", [[text or "", "1"] for text in texts]),
                (f"SELECT v, true AS t, false AS f FROM (VALUES {values}) t(v)", [[text or "", "true", "false"] for text in texts]),
                (f"SELECT v || v AS a, v AS b FROM (VALUES {values}) t(v)", [[(text or "") * 2, text or ""] for text in texts]),
            ]:  # fmt: skip
                _, link = await export(called, sql, params=texts)
                raw = content(tmp_path, link)
                assert list(csv.reader(io.StringIO(raw, newline=""), strict=True))[1:] == wanted
            _, link = await export(called, "SELECT NULL::text AS n, '' AS e")
            assert content(tmp_path, link) == 'n,e\n,""\n'

    anyio.run(main)


def test_long_values_of_csv_are_cut_each_by_itself() -> None:
    columns = [Column(name, oid, oid != 23, 0, 0) for name, oid in (("a", 25), ("b", 17), ("c", 23), ("d", 25))]
    lines = Lines(columns, "csv", 10)
    row = b'("x ""y"" \\\\zzzzz",\\\\x00112233445566,1234567890123,"' + "ü".encode() * 11 + b'")'
    row = row.replace(b"\\\\x", b'"\\\\x').replace(b"66,", b'66",')
    text = lines.text([b"(a,,1,d)", row, b'(,"",,)']).decode()
    assert list(csv.reader(io.StringIO(text))) == [
        ["a", "", "1", "d"],
        ['x "y" \\zzz…', "\\x0011223344…", "1234567890123", "üüüüüüüüüü…"],
        ["", "", "", ""],
    ]
    assert lines.cut == {"a": 1, "b": 1, "d": 1}


def test_a_file_is_its_owners_alone_and_has_its_name_only_once_it_is_whole(system_home: Home, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, system_home.url()) as called:
            await export(called, "SELECT 1 AS one")
            (name,) = files(tmp_path)
            place = tmp_path / "state" / "postgres" / "exports"
            assert name.endswith(".csv")
            assert stat.S_IMODE((place / name).stat().st_mode) == 0o600
            assert stat.S_IMODE(place.stat().st_mode) == 0o700
            # What fails leaves nothing, neither half a file nor a promise.
            assert "division_by_zero" in await called.error(
                "export_query", sql="SELECT 1 / (5000 - g) FROM generate_series(1, 9000) g"
            )
            assert files(tmp_path) == [name]

    anyio.run(main)


def test_what_run_query_refuses_is_not_exported(system_home: Home, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, system_home.url(), deny_relations=["app.notes"]) as called:
            for sql, word in [
                ("DELETE FROM app.victim", "refused"),
                ("SELECT 1; SELECT 2", "several_statements"),
                ("SELECT pg_sleep(1)", "volatile"),
                ("SELECT * FROM app.notes", "deny_relations"),
                ("SELECT * FROM app.peopel", "app.people"),
                ("SELECT ssn FROM app.people", "insufficient_privilege"),
                ("EXPLAIN SELECT 1", "nothing_to_export"),
                ("SELECT", "nothing_to_export"),
                ("SELECT $1::text", "wrong_parameters"),
                ("SELECT count(*) FROM app.events a, app.events b, app.events c, app.events d", "too_expensive"),
            ]:
                assert word in await called.error("export_query", sql=sql), sql
            assert files(tmp_path) == []
            _, link = await export(called, "SELECT $1::text AS n", params=["42"])
            assert content(tmp_path, link) == "n\n42\n"

    anyio.run(main)


def test_masked_columns_stay_masked_in_both_formats(system_home: Home, tmp_path: Path) -> None:
    async def main() -> None:
        masks = ["*.patients.diagnosis", "*.order_lines.price"]
        async with server(tmp_path, system_home.url(), mask_columns=masks) as called:
            for form in ("csv", "jsonl"):
                _, link = await export(called, "SELECT * FROM app.patients", format=form)
                assert "gl-secret-diagnosis" not in content(tmp_path, link)
                assert content(tmp_path, link).count("[masked]") == 2
            # A number's mask is no number.
            _, link = await export(called, "SELECT price FROM app.order_lines LIMIT 1", format="jsonl")
            assert json.loads(content(tmp_path, link)) == {"price": "[masked]"}
            assert "masked_columns" in await called.error(
                "export_query", sql="SELECT upper(diagnosis) FROM app.patients"
            )

    anyio.run(main)


def test_at_max_bytes_it_stops_between_rows_and_says_so(any_home: Home, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, any_home.url()) as called:
            text, link = await export(called, WIDE.format(1_000_000), max_bytes=3_000_000)
            assert "INCOMPLETE" in text
            assert "max_bytes=3000000" in text
            raw = content(tmp_path, link)
            assert 2_900_000 < len(raw) <= 3_000_000
            assert raw.endswith("\n")
            rows = list(csv.reader(io.StringIO(raw)))
            assert {len(row) for row in rows} == {6}
            assert f"{len(rows) - 1} rows" in text
            # The connection that was stopped in the middle serves on.
            assert await called.rows("SELECT 7 AS n") == ['{"n":7}']

    anyio.run(main)


def test_time_ends_an_export_as_incomplete_rather_than_losing_it(system_home: Home, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, system_home.url(), query_seconds=0.5, max_cost=0) as called:
            # A series in the select list is made row by row, one in FROM as a whole.
            text, link = await export(called, "SELECT generate_series(1, 1000000000) AS g")
            assert "INCOMPLETE" in text
            assert "time" in text
            assert content(tmp_path, link).endswith("\n")

    anyio.run(main)


def test_a_value_that_is_too_long_is_cut_and_told_of(any_home: Home, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, any_home.url(), max_cost=0) as called:
            sql = (
                "SELECT g, CASE WHEN g = 3 THEN repeat('y', 9000000) ELSE 'short' END AS v FROM generate_series(1, 5) g"
            )
            text, link = await export(called, sql)
            assert "CUT: 1 values of v" in text
            rows = (
                list(csv.reader(io.StringIO(content(tmp_path, link)), strict=True))
                if csv.field_size_limit(10**8)
                else []
            )
            assert [len(row[1]) for row in rows[1:]] == [5, 5, 1_000_001, 5, 5]
            # Just below the cap nothing is cut, and binary values are neither cut nor suspected.
            text, link = await export(called, "SELECT repeat('y', 1000000) AS v")
            assert "CUT" not in text
            text, _ = await export(called, "SELECT decode(repeat('ab', 500000), 'hex') AS v")
            assert "CUT" not in text
            text, _ = await export(called, "SELECT decode(repeat('ab', 500001), 'hex') AS v")
            assert "CUT" in text

    anyio.run(main)


def test_an_export_is_nobodys_but_its_callers(tmp_path: Path) -> None:
    async def main() -> None:
        exports = Exports(str(tmp_path / "exports"), 1_000_000, 60)
        mine = as_caller("ann", lambda: made(exports, b"secret\n"))
        assert as_caller("ann", lambda: [one.id for one in exports.list()]) == [mine.id]
        with as_caller("ann", lambda: exports.open_text(mine.id)) as text:
            assert text.read() == "secret\n"
        assert as_caller("bob", exports.list) == []
        missing = as_caller("bob", lambda: refusal(lambda: exports.get("A" * 22)))
        assert as_caller("bob", lambda: refusal(lambda: exports.get(mine.id))) == missing
        assert as_caller("bob", lambda: refusal(lambda: exports.open_text(mine.id))) == missing
        exports.close()
        assert os.listdir(tmp_path / "exports") == []

    anyio.run(main)


def made(exports: Exports, data: bytes) -> Export:
    draft = exports.begin("csv", len(data))
    draft.write(data)
    return exports.finish(draft, 1, ("a",), whole=True)


def as_caller(name: str, act: Callable[[], Any]) -> Any:
    token = CALLER.set(Principal("test", name))
    try:
        return act()
    finally:
        CALLER.reset(token)


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(CallError) as caught:
        act()
    return str(caught.value)


def test_an_export_goes_when_its_time_is_over(tmp_path: Path) -> None:
    async def main() -> None:
        exports = Exports(str(tmp_path), 1_000_000, 0.05)
        one = made(exports, b"x\n")
        assert os.listdir(tmp_path) == [f"{one.id}.csv"]
        # Nobody asks; the timer does it.
        with anyio.fail_after(10):
            while os.listdir(tmp_path):
                await anyio.lowlevel.checkpoint()
        assert "not_found" in refusal(lambda: exports.get(one.id))

    anyio.run(main)


def test_exports_are_bounded_together(tmp_path: Path) -> None:
    async def main() -> None:
        exports = Exports(str(tmp_path), 1000, 60)
        for _ in range(4):
            made(exports, b"x" * 999)
        assert "exports_full" in refusal(lambda: exports.begin("csv", 1000))
        # What is being written counts with all that it may become.
        draft = exports.begin("csv", 4)
        assert "exports_full" in refusal(lambda: exports.begin("csv", 1))
        exports.drop(draft)
        made(exports, b"1")
        exports.close()

    anyio.run(main)


def test_one_of_several_callers_leaves_room_for_others_and_is_told_of_its_own_alone(tmp_path: Path) -> None:
    async def main() -> None:
        exports = Exports(str(tmp_path), 1000, 60)
        for _ in range(2):
            as_caller("ann", lambda: made(exports, b"x" * 1000))
        full = as_caller("ann", lambda: refusal(lambda: exports.begin("csv", 1)))
        assert full.startswith("exports_full: 2 exports")
        as_caller("bob", lambda: made(exports, b"x" * 1000))
        assert as_caller("bob", lambda: refusal(lambda: exports.begin("csv", 1001))).startswith(
            "exports_full: 1 exports"
        )
        exports.close()
        for _ in range(32):
            as_caller("ann", lambda: exports.begin("csv", 1))
        assert "exports_full" in as_caller("ann", lambda: refusal(lambda: exports.begin("csv", 1)))
        as_caller("bob", lambda: exports.begin("csv", 1))
        exports.close()

    anyio.run(main)


def test_leftovers_of_dead_processes_go_at_the_start_and_those_of_living_ones_stay(tmp_path: Path) -> None:
    async def main() -> None:
        other = Exports(str(tmp_path), 1000, 60)
        living = made(other, b"in use\n")
        code = (
            "import asyncio, os, sys\n"
            "from gatelodge_postgres.dev.exports import Exports\n"
            "async def main():\n"
            "    exports = Exports(sys.argv[1], 1000, 60)\n"
            "    exports.finish(exports.begin('csv', 5), 0, (), whole=True)\n"
            "    exports.begin('jsonl', 5)\n"
            "    os._exit(0)\n"
            "asyncio.run(main())\n"
        )
        await anyio.run_process([sys.executable, "-c", code, str(tmp_path)])
        (tmp_path / "notes.csv").write_text("not ours")
        assert len(os.listdir(tmp_path)) == 4
        async with Exports(str(tmp_path), 1000, 60).life():
            assert sorted(os.listdir(tmp_path)) == sorted([f"{living.id}.csv", "notes.csv"])
        other.close()
        assert os.listdir(tmp_path) == ["notes.csv"]

    anyio.run(main)


def test_the_end_of_the_server_removes_its_exports(system_home: Home, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, system_home.url()) as called:
            await export(called, "SELECT 1 AS one")
            assert len(files(tmp_path)) == 1
        assert files(tmp_path) == []

    anyio.run(main)


def test_a_cancelled_export_stops_on_the_server_and_leaves_nothing(system_home: Home, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, system_home.url(), max_cost=0, pool_size=1) as called:
            async with anyio.create_task_group() as group:
                group.start_soon(export, called, "SELECT generate_series(1, 1000000000) AS g")
                with anyio.fail_after(20):
                    while not any(name.endswith(".part") for name in files(tmp_path)):
                        await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            with anyio.fail_after(10):
                while files(tmp_path):
                    await anyio.lowlevel.checkpoint()
            assert await called.rows("SELECT 7 AS n") == ['{"n":7}']
            with system_home.admin() as admin:
                assert not admin.execute(
                    "SELECT query FROM pg_stat_activity WHERE datname = %s AND state = 'active' AND pid <> pg_backend_pid()",
                    [system_home.db],
                ).fetchall()

    anyio.run(main)


def test_an_export_that_only_reads_is_still_left_out_of_a_read_only_server(system_home: Home, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, system_home.url(), read_only=True) as called:
            assert "export_query" not in [tool.name for tool in (await called.client.list_tools()).tools]

    anyio.run(main)


@pytest.mark.slow
@pytest.mark.parametrize(
    "sql",
    [
        WIDE.format(1_000_000),
        "SELECT repeat('z', 500000000) AS v",
        # Small rows first, so that no batch size learned from them holds for what follows.
        "SELECT CASE WHEN g < 9000 THEN 'small' ELSE repeat('w', 950000) END AS v FROM generate_series(1, 9160) g",
    ],
    ids=["a million rows", "one value of 500 MB", "160 huge values after small ones"],
)
def test_memory_stays_flat(sql: str, system_home: Home, tmp_path: Path) -> None:
    async def main() -> None:
        async with server(tmp_path, system_home.url(), max_cost=0, query_seconds=60) as called:
            await export(called, WIDE.format(20_000))
            process, most = psutil.Process(), 0
            before = process.memory_info().rss

            async def watch() -> None:
                nonlocal most
                while True:
                    most = max(most, process.memory_info().rss)
                    await anyio.sleep(0.005)

            text, taken = "", 0.0
            async with anyio.create_task_group() as group:
                group.start_soon(watch)
                begun = time.monotonic()
                text, _ = await export(called, sql)
                taken = time.monotonic() - begun
                group.cancel_scope.cancel()
            print(f"{text.splitlines()[1]}: {taken:.2f} s, {(most - before) / 1e6:.1f} MB")  # noqa: T201
            assert most - before < 45e6

    anyio.run(main)
