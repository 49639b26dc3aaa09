"""The cost gate: a cheap statement opens no way for an expensive one that differs by its constants alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator, Sequence
from pathlib import Path

import pytest
from gatelodge_postgres.connect.session import Session
from psycopg.pq.abc import PGresult

from tests.postgres.bed import Bed
from tests.postgres.dba import database
from tests.postgres.seed import READER
from tests.postgres.support import Called, server

pytestmark = pytest.mark.anyio

SETUP = """
CREATE TABLE shop.lines (id int PRIMARY KEY, kind text, n int);
INSERT INTO shop.lines SELECT g, CASE WHEN g < 5 THEN 'rare' ELSE 'common' END, g FROM generate_series(1, 100000) g;
CREATE INDEX ON shop.lines (kind); CREATE INDEX ON shop.lines (n);
CREATE TABLE shop.base (id int PRIMARY KEY); CREATE TABLE shop.kid () INHERITS (shop.base);
CREATE INDEX ON shop.kid (id);
INSERT INTO shop.kid SELECT 7 FROM generate_series(1, 100000);
"""


@pytest.fixture(scope="module")
def db(system_bed: Bed) -> Generator[str]:
    with database(system_bed, SETUP, "VACUUM ANALYZE") as name:
        yield name


@pytest.fixture
async def called(system_bed: Bed, db: str, tmp_path: Path) -> AsyncGenerator[Called]:
    async with server(tmp_path, system_bed.url(db, READER), max_cost=1000) as client:
        yield client


NONE: list[list[int]] = [[], []]


@pytest.mark.parametrize(
    ("cheap", "expensive", "params"),
    [
        ("SELECT count(*) FROM generate_series(1, 3)", "SELECT count(*) FROM generate_series(1, 300000000)", NONE),
        ("SELECT count(*) FROM generate_series(1, $1::int)", "", [[3], [300000000]]),
        ("SELECT count(*) FROM shop.lines WHERE n < 5", "SELECT count(*) FROM shop.lines WHERE n < 5000000", NONE),
        ("SELECT count(*) FROM shop.lines WHERE n < $1", "", [[5], [5000000]]),
        ("SELECT count(*) FROM shop.lines WHERE kind = 'rare'", "SELECT count(*) FROM shop.lines WHERE kind = 'common'", NONE),
        ("SELECT count(*) FROM (SELECT FROM shop.lines LIMIT 1) q", "SELECT count(*) FROM (SELECT FROM shop.lines LIMIT 99999) q", NONE),
    ],
)  # fmt: skip
async def test_other_constants_are_priced_anew(
    called: Called, cheap: str, expensive: str, params: list[list[int]]
) -> None:
    await called.text("run_query", sql=cheap, params=params[0])
    await called.text("run_query", sql=cheap, params=params[0])
    for _ in range(2):
        text = await called.error("run_query", sql=expensive or cheap, params=params[1], max_rows=10_000)
        assert text.startswith("too_expensive"), text
    await called.text("run_query", sql=cheap, params=params[0])


@pytest.mark.parametrize(
    ("cheap", "expensive"),
    [
        (
            "SELECT kind FROM shop.lines WHERE id = 5 OR n < 5",
            "SELECT kind FROM shop.lines WHERE id = 5 OR n < 5000000",
        ),
        ("SELECT id FROM shop.base WHERE id = 5", "SELECT id FROM shop.base WHERE id = 7"),
        ("SELECT id FROM shop.lines WHERE kind = 'rare'", "SELECT id FROM shop.lines WHERE kind = 'common'"),
    ],
)
async def test_other_constants_are_priced_anew_where_no_function_is_called(
    called: Called, cheap: str, expensive: str
) -> None:
    await called.text("export_query", sql=cheap)
    assert (await called.error("export_query", sql=expensive)).startswith("too_expensive")


async def test_more_rows_of_the_same_statement_are_weighed_against_its_price(called: Called) -> None:
    sql = "SELECT id FROM shop.lines ORDER BY id"
    await called.text("run_query", sql=sql, max_rows=10)
    await called.text("run_query", sql=sql, max_rows=20)
    assert (await called.error("export_query", sql=sql)).startswith("too_expensive")


async def test_a_statement_that_looks_up_one_row_is_planned_once(
    called: Called, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    extended = Session.extended

    async def noted(self: Session, sql: str, parameters: Sequence[object] = ()) -> PGresult:
        sent.append(sql)
        return await extended(self, sql, parameters)

    await called.text("run_query", sql="SELECT n FROM shop.lines WHERE id = 1")
    monkeypatch.setattr(Session, "extended", noted)
    for number in (2, 3):
        assert await called.rows(f"SELECT n FROM shop.lines WHERE id = {number}") == [f'{{"n":{number}}}']
    assert not [sql for sql in sent if "EXPLAIN" in sql]
    await called.text("run_query", sql="SELECT n FROM shop.lines WHERE n = 1")
    sent.clear()
    await called.text("run_query", sql="SELECT n FROM shop.lines WHERE n = 2")
    assert [sql for sql in sent if "EXPLAIN" in sql]
