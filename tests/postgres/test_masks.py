"""Masked columns: shown as masks where their origin is certain, and refused wherever an answer could tell of them."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.postgres.seed import Home
from tests.postgres.support import Called, server

pytestmark = pytest.mark.anyio

SECRET = re.compile(r"gl-secret|[12]c9e")


@pytest.fixture
async def called(system_home: Home, tmp_path: Path) -> AsyncGenerator[Called]:
    url = system_home.url("postgres")
    async with server(tmp_path, url, allow_superuser=True, mask_columns=["app.people.ssn", "*.people.email"]) as client:
        yield client


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM app.people",
        "TABLE app.people",
        "SELECT id, ssn FROM app.people ORDER BY id",
        "SELECT p.ssn AS id2, p.id FROM app.people AS p WHERE p.id = 1",
        "SELECT people.ssn FROM app.people LIMIT 1",
    ],
)
async def test_a_masked_column_shown_as_it_is_is_masked(called: Called, sql: str) -> None:
    text = await called.text("run_query", sql=sql)
    assert "[masked]" in text
    assert not SECRET.search(text)
    assert "(masked)" in text.partition("\n\n")[0]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT p.* FROM app.people p JOIN app.people_public q ON q.id = p.id",
        "SELECT left(ssn, 3) FROM app.people",
        "SELECT ssn || '' FROM app.people",
        "SELECT id FROM app.people WHERE ssn LIKE 'gl%'",
        "SELECT id FROM app.people ORDER BY ssn",
        "SELECT id, ssn FROM app.people ORDER BY 2",
        "SELECT id, ssn AS x FROM app.people ORDER BY x",
        "SELECT DISTINCT ssn FROM app.people",
        "SELECT DISTINCT * FROM app.people",
        "SELECT count(DISTINCT ssn) FROM app.people",
        "SELECT max(ssn) FROM app.people",
        "SELECT ssn, count(*) FROM app.people GROUP BY ssn",
        "SELECT p FROM app.people p",
        "SELECT people FROM app.people",
        "SELECT row_to_json(p) FROM app.people p",
        "SELECT (p).ssn FROM app.people p",
        "SELECT (p).* FROM app.people p",
        "SELECT ssn(p) FROM app.people p",
        "SELECT to_jsonb(app.people.*) FROM app.people",
        "SELECT x FROM (SELECT ssn AS x FROM app.people) q",
        "SELECT * FROM (SELECT * FROM app.people) q",
        "SELECT b FROM app.people AS p(a, b, c, d)",
        "WITH p AS (SELECT * FROM app.people) SELECT * FROM p",
        "SELECT ssn FROM app.people UNION SELECT 'x'",
        "SELECT 'x' UNION ALL SELECT ssn FROM app.people",
        "SELECT a.id FROM app.people a JOIN app.people b USING (ssn)",
        "SELECT count(*) FROM app.people a NATURAL JOIN app.people b",
        "SELECT a.id FROM app.people a JOIN app.people b ON a.ssn < b.ssn",
        "SELECT (SELECT ssn FROM app.people LIMIT 1)",
        "SELECT id FROM app.people WHERE EXISTS (SELECT 1 FROM app.people q WHERE q.email = 'x')",
        "SELECT CASE WHEN ssn > 'g' THEN 1 END FROM app.people",
        "SELECT id, row_number() OVER (ORDER BY ssn) FROM app.people",
        "SELECT array_agg(p) FROM app.people p",
        "SELECT u.* FROM app.people p, LATERAL (SELECT p.ssn) u",
        "SELECT most_common_vals FROM pg_stats WHERE tablename = 'people'",
        "SELECT * FROM pg_statistic",
    ],
)
async def test_every_other_use_is_refused(called: Called, sql: str) -> None:
    text = await called.error("run_query", sql=sql)
    assert not SECRET.search(text)
    assert text.startswith(("masked_columns", "refused")), text
    record = await called.record("validate_query", sql=sql)
    assert record["allowed"] is False


async def test_a_view_over_masked_columns_is_refused_unless_it_is_trusted(system_home: Home, tmp_path: Path) -> None:
    with system_home.admin() as admin:
        admin.execute("CREATE OR REPLACE VIEW app.people_ssn AS SELECT id, ssn AS number FROM app.people")
    masks = {"mask_columns": ["app.people.ssn"], "allow_superuser": True}
    async with server(tmp_path, system_home.url("postgres"), **masks) as called:
        assert (await called.error("run_query", sql="SELECT * FROM app.people_ssn")).startswith("masked_columns")
    async with server(tmp_path, system_home.url("postgres"), allow_relations=["app.people_public"], **masks) as called:
        assert await called.rows("SELECT id FROM app.people_public ORDER BY id") == ['{"id":1}', '{"id":2}']


async def test_other_columns_are_used_freely(called: Called) -> None:
    assert await called.rows("SELECT name FROM app.people WHERE name LIKE 'A%' ORDER BY name") == ['{"name":"Ada"}']
    assert await called.rows("SELECT count(*) AS n FROM app.people") == ['{"n":2}']
    assert "(masked)" in await called.text("describe_objects", names=["app.people"])


async def test_denied_relations_are_not_read_by_whatever_way(system_home: Home, tmp_path: Path) -> None:
    settings = {"allow_superuser": True, "deny_relations": ["app.people*", "*.patients"]}
    async with server(tmp_path, system_home.url("postgres"), **settings) as called:
        for sql in (
            "SELECT * FROM app.people", "TABLE app.people_public", "SELECT (SELECT max(diagnosis) FROM app.patients)",
            "WITH people AS (SELECT 1) SELECT * FROM app.people",
            "SELECT * FROM (WITH patients AS (SELECT 1) SELECT 2) q, app.patients",
        ):  # fmt: skip
            text = await called.error("run_query", sql=sql)
            assert text.startswith("refused"), sql
            assert not SECRET.search(text)
        listed = await called.text("list_objects", schema="app")
        assert "victim" in listed
        assert "people" not in listed
        assert "patients" not in listed
        assert "not_found" in await called.error("describe_objects", names=["app.people"])
        assert await called.rows("WITH people AS (SELECT 1 AS a) SELECT * FROM people") == ['{"a":1}']


async def test_only_allowed_relations_are_read_where_there_is_a_list(system_home: Home, tmp_path: Path) -> None:
    async with server(
        tmp_path, system_home.url("postgres"), allow_superuser=True, allow_relations=["app.victim"]
    ) as called:
        assert await called.rows("SELECT count(*) > 0 AS n FROM app.victim") == ['{"n":true}']
        assert (await called.error("run_query", sql="SELECT * FROM app.people")).startswith("refused")
        assert "shown 1 of 1" in await called.text("list_objects")
