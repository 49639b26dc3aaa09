"""Odd arguments of every tool, prompt, completion and resource: each has an answer or an error that says what was wrong."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from mcp import MCPError
from mcp_types import PromptReference, ResourceTemplateReference

from tests.postgres.seed import READER, Home
from tests.postgres.support import Called, server

pytestmark = pytest.mark.anyio

TEXTS = [
    "", " ", "\0", "a\0b", "'", '"', '""', '"a', "a.b.c.d", ".", "..", "a.", ".a", "%s", "%", "{}", "$1", "\\", "é" * 300, "x" * 5000,
    "[", "]", "[!", "[]", "[z-a]", "[[:no:]]", "[\\", "(", "*", "?", "**", "a{1,2", "\u202e", "\x1b[31m", "\n", "-1", "9" * 30,
    "pg_catalog.pg_class", "app", "app.people", "app.UPPER", '"odd.schema"."select"', "🙂", "NULL", "0", ":", "default:app", ":app",
    "CREATE INDEX ON app.people (id)", "CREATE INDEX ON app.people ((1/0))", "SELECT", ";", "--", "/*", "SELECT 1; SELECT 2",
    "SELECT $1", "SELECT $99999999999", "SELECT $0", "SELECT 1/0", "SELECT 'a'::int", "SELECT '[1'::json", "TABLE app.people", "VALUES (1)",
    "SELECT", "SELECT FROM app.people", "SELECT *", "SELECT 1 AS \"a\nb\"", "SELECT ''''::char(0)", "SELECT E'\\x01'", "SELECT 1::nothing",
    "SELECT NULL::int[]", "EXPLAIN SELECT 1", "EXPLAIN EXPLAIN SELECT 1", "EXPLAIN (FORMAT nothing) SELECT 1", "EXPLAIN (no) SELECT 1",
    "WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT * FROM r) SELECT 1", "SELECT " + "(" * 900 + "1" + ")" * 900,
    "SELECT " + "-" .join("1" for _ in range(600)), "SELECT 1 " + "UNION SELECT 1 " * 300, "SELECT x.y.z.w.v", "SELECT a.b.c.d.e FROM f.g.h.i",
    "SELECT 1 FROM other.app.people", "SELECT row(1, 2), ARRAY[[1], [2]], '1 day'::interval, 'NaN'::float8, '\\x00'::bytea",
    "SELECT 'infinity'::date, '4713-01-01 BC'::date, '24:00'::time, 1e300::numeric", "SELECT repeat('a', -1)", "SELECT 2147483647 + 1",
    "SELECT 1 LIMIT -1", "SELECT 1 OFFSET -1", "SELECT 1 FETCH FIRST 0 ROWS ONLY", "SELECT U&'\\D800'", "SELECT chr(0)", "SELECT lo_get(1)",
    "MERGE INTO app.people USING app.people b ON true WHEN MATCHED THEN DELETE", "SELECT xmlparse(DOCUMENT '<')", "SELECT to_date('x', 'y')",
]  # fmt: skip
NUMBERS = [0, -1, 1, 2, 1000, 2**31, 2**63, 2**100, 1.5, 1e308, True]
PARAMS = [None, True, 0, 2**70, -1.5, 1e308, "", "x", "\0", [], [1, [2]], {"a": {"b": 1}}, ["a", None], "é" * 2000]
BASES: dict[str, dict[str, Any]] = {
    "describe_objects": {"names": ["app.people"]}, "run_query": {"sql": "SELECT 1 AS a"}, "validate_query": {"sql": "SELECT 1"},
    "explain_query": {"sql": "SELECT 1"}, "export_query": {"sql": "SELECT 1 AS a"}, "search_schema": {"text": "people"},
    "profile_table": {"table": "app.people"}, "generate_types": {"tables": ["app.people"]},
    "compare_schemas": {"left": "app", "right": "app"},
}  # fmt: skip
SLOW = frozenset(("check_health", "recommend_indexes", "compare_schemas", "profile_table"))


@pytest.fixture
async def called(system_home: Home, tmp_path: Path) -> AsyncGenerator[Called]:
    async with server(tmp_path, system_home.url(READER), query_seconds=5) as client:
        yield client


def odd(name: str, schema: dict[str, Any]) -> Iterator[Any]:
    """Values of an argument that fit its type at least nearly."""
    match schema.get("type"):
        case "string":
            yield from TEXTS
            yield from schema.get("enum", [])
        case "integer" | "number":
            yield from NUMBERS
        case "boolean":
            yield from (True, False)
        case "array" if name == "params":
            yield from ([], [[]], PARAMS, *([one] for one in PARAMS), [1] * 500)
        case "array":
            items = schema.get("items", {})
            yield from ([], [""] * 3, *([one] for one in odd("", items)))
        case _:
            yield from (None, "x")


def calls(name: str, properties: dict[str, Any], dice: random.Random) -> Iterator[dict[str, Any]]:
    base = BASES.get(name, {})
    values = {key: list(odd(key, schema)) for key, schema in properties.items()}
    several: list[dict[str, Any]] = []
    for key, given in values.items():
        chosen = (
            given
            if name not in SLOW or key not in ("queries", "right", "columns")
            else dice.sample(given, min(15, len(given)))
        )
        several += [{**base, key: one} for one in chosen]
    if name == "run_query":
        several += [{"sql": f"SELECT $1::{kind}", "params": [one]} for one in PARAMS
                    for kind in ("int", "text", "jsonb", "int[]", "date", "bytea", "bool", "numeric", "app.people")]  # fmt: skip
        several += [
            {"sql": sql, "params": [1], "format": form}
            for sql in ("SELECT $1", "SELECT $1::int AS a")
            for form in ("csv", "jsonl")
        ]
    several += [
        {**base, **{key: dice.choice(values[key]) for key in dice.sample(list(values), min(3, len(values)))}}
        for _ in range(20)
    ]
    yield from several


async def test_no_tool_fails_inside_whatever_its_arguments(called: Called) -> None:
    dice = random.Random(7)
    bad: list[tuple[str, dict[str, Any], str]] = []
    answered = 0
    for tool in (await called.client.list_tools()).tools:
        for arguments in calls(tool.name, tool.input_schema.get("properties", {}), dice):
            try:
                failed, text = await called.call(
                    tool.name, **{"name" if key == "_" else key: one for key, one in arguments.items()}
                )
            except MCPError as error:
                failed, text = True, str(error)
            if "internal" in text.lower()[:40] or (failed and "internal_error" in text):
                bad.append((tool.name, {key: str(one)[:80] for key, one in arguments.items()}, text[:200]))
            answered += not failed
    assert not bad, bad
    assert answered > 200


async def test_no_resource_prompt_and_completion_fails_inside(called: Called) -> None:
    client = called.client
    bad: list[tuple[str, str]] = []
    for text in TEXTS:
        part = quote(text, safe="")
        for uri in (f"pg://default/{part}", f"pg://default/app/{part}", f"pg://default/{part}/people", f"pg://default/app/{part}/sample",
                    f"pg://results/{part}", f"pg://results/x/{part}", f"pg://{part}", f"pg://{part}/health"):  # fmt: skip
            try:
                await client.read_resource(uri)
            except MCPError as error:
                if "internal" in str(error).lower():
                    bad.append((uri, str(error)))
    for prompt in (await client.list_prompts()).prompts:
        names = [one.name for one in prompt.arguments or []]
        for text in TEXTS[::3]:
            try:
                await client.get_prompt(prompt.name, dict.fromkeys(names, text))
            except MCPError as error:
                if "internal" in str(error).lower():
                    bad.append((prompt.name, f"{text[:40]!r}: {error}"))
    owners: list[tuple[Any, list[str]]] = [
        (ResourceTemplateReference(uri="pg://{connection}/{schema}/{table}"), ["connection", "schema", "table"]),
        (PromptReference(name="plan_migration"), ["table", "column", "connection"]),
    ]
    for owner, names in owners:
        for name in names:
            for text in TEXTS[:50]:
                try:
                    await client.complete(
                        owner, {"name": name, "value": text}, context_arguments={"table": text, "schema": text}
                    )
                except MCPError as error:
                    if "internal" in str(error).lower():
                        bad.append((f"completion of {name}", f"{text[:40]!r}: {error}"))
    assert not bad, bad
