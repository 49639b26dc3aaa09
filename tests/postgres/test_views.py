"""The views of this server over a real database: what they are given is what the text says, and Chromium draws it."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Generator

import pytest

from tests.apps.fixtures import host
from tests.apps.hosting import SHOWS_VIEWS, Host, page_of
from tests.browser.finding import needs_chromium
from tests.browser.fixtures import browser, page
from tests.postgres.seed import Home
from tests.support.wire import Message, Wire, connected, python_module

__all__ = ["browser", "host", "page"]

SQL = """SELECT n, 'row ' || n AS name, CASE WHEN n % 3 = 0 THEN NULL ELSE n * 1.5 END AS amount, n % 2 = 0 AS even,
    date '2026-01-01' + n AS day FROM generate_series(1, 500) AS n ORDER BY n"""


@pytest.fixture(scope="module")
def wire(system_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Generator[Wire]:
    state = tmp_path_factory.mktemp("state")
    command = python_module("gatelodge_postgres", "--state-dir", str(state), "--value-chars", "100")
    env = {"GATELODGE_POSTGRES_URL": system_home.url()}
    with connected(command, "stdio", "2026-07-28", capabilities=SHOWS_VIEWS, env=env) as made:
        yield made


def given(result: Message) -> Message:
    return result["_meta"]["gatelodge/view"]


def test_the_view_has_the_same_rows_as_the_text(wire: Wire) -> None:
    result = wire.tool("run_query", sql=SQL, max_rows=50)
    data = given(result)
    body = result["content"][0]["text"].split("\n\n", 1)[1].rsplit("\n", 1)[0]
    text = list(csv.reader(io.StringIO(body)))
    assert [column["name"] for column in data["columns"]] == text[0]
    assert [[value or "" for value in row] for row in data["rows"]] == text[1:]
    assert [column["kind"] for column in data["columns"]] == ["number", "text", "number", "boolean", "time"]
    assert data["rows"][2] == ["3", "row 3", None, "false", "2026-01-04"]
    assert (data["shown"], data["more"], data["stopped_by"]) == (50, True, "rows")
    assert data["cursor"] in result["content"][0]["text"]


def test_a_cut_value_is_marked_and_an_empty_result_has_its_columns(wire: Wire) -> None:
    data = given(wire.tool("run_query", sql="SELECT repeat('x', 5000) AS long, 1 AS n"))
    assert [column["cut"] for column in data["columns"]] == [True, False]
    assert (len(data["rows"][0][0]), data["limit"]) == (101, 100)
    empty = given(wire.tool("run_query", sql="SELECT 1 AS n WHERE false"))
    assert (empty["rows"], [column["name"] for column in empty["columns"]]) == ([], ["n"])


def test_a_view_gets_as_much_as_it_can_draw_and_the_text_stays_whole(wire: Wire) -> None:
    sql = "SELECT n, repeat(md5(n::text), 3) AS t FROM generate_series(1, 5000) AS n"
    result = wire.tool("run_query", sql=sql, max_rows=5000, max_bytes=4_000_000)
    data = given(result)
    assert data["shown"] == 5000
    assert 0 < len(data["rows"]) < 5000
    assert result["content"][0]["text"].count("\n") > 5000


def test_a_plan_has_each_node_once_and_its_findings(wire: Wire) -> None:
    sql = "SELECT a.n FROM generate_series(1, 20000) AS a(n) JOIN generate_series(1, 100) AS b(n) USING (n) ORDER BY 1"
    for analyze in (False, True):
        result = wire.tool("explain_query", sql=sql, analyze=analyze)
        data = given(result)
        steps = data["nodes"]
        lines = [line for line in result["content"][0]["text"].splitlines() if " (cost " in line]
        # A line of the text is "Type on relation alias (cost ...".
        assert all(line.strip().startswith(step["type"]) for step, line in zip(steps, lines, strict=True))
        assert steps[0]["depth"] == 0
        assert all(later["depth"] <= earlier["depth"] + 1 for earlier, later in itertools.pairwise(steps))
        assert ("execution" in data) == analyze
        assert all(("own_ms" in step) == analyze for step in steps)


@needs_chromium
def test_rows_of_a_real_query_are_drawn_charted_and_followed(host: Host, wire: Wire) -> None:
    arguments = {"sql": SQL, "max_rows": 200}
    result = wire.tool("run_query", **arguments)
    host.mount(page_of(wire, "run_query"))
    host.give(result, arguments)
    assert host.text("h1") == "First 200 rows, more follow"
    host.click("#tab-chart")
    assert host.inside("document.querySelector('svg').getAttribute('aria-label')").startswith(
        "Line of n by day: 200 values"
    )
    for count in (400, 500):
        host.inside("[...document.querySelectorAll('button')].find(one => one.textContent === 'Get more rows').click()")
        host.pass_on(wire)
        host.see(f"document.querySelector('svg').getAttribute('aria-label').includes(': {count} values')")
    assert host.text("h1") == "500 rows"


@needs_chromium
def test_a_real_plan_is_drawn(host: Host, wire: Wire) -> None:
    arguments = {"sql": "SELECT n FROM generate_series(1, 1000) AS n WHERE n % 2 = 0 ORDER BY n", "analyze": True}
    result = wire.tool("explain_query", **arguments)
    host.mount(page_of(wire, "explain_query"))
    host.give(result, arguments)
    assert host.text("h1").startswith("Executed in")
    assert host.inside("document.querySelectorAll('.step').length") == len(given(result)["nodes"])
