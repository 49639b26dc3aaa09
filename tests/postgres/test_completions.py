"""Completions: what begins as written and may be read, a hundred at most."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import Completion, PromptReference, ResourceTemplateReference

from tests.postgres.seed import Home
from tests.postgres.support import server
from tests.support.wire import Revision, Transport, Wire, connected, python_module

pytestmark = pytest.mark.anyio

TABLE = "pg://{connection}/{schema}/{table}"


async def offered(client: Client, owner: str, name: str, value: str = "", **chosen: str) -> Completion:
    reference: Any = ResourceTemplateReference(uri=owner) if "{" in owner else PromptReference(name=owner)
    found = await client.complete(reference, {"name": name, "value": value}, context_arguments=chosen or None)
    return found.completion


async def values(client: Client, owner: str, name: str, value: str = "", **chosen: str) -> list[str]:
    return (await offered(client, owner, name, value, **chosen)).values


async def test_databases_schemas_tables_and_columns_are_offered_by_their_beginning(
    system_home: Home, tmp_path: Path
) -> None:
    databases = {"shop": {"url": system_home.url()}, "sales": {"url": system_home.url()}}
    async with server(tmp_path, databases=databases) as called:
        client = called.client
        assert await values(client, "pg://{connection}", "connection") == ["shop", "sales"]
        for owner in (
            "pg://{connection}/health",
            "pg://{connection}/{schema}",
            TABLE,
            f"{TABLE}/sample",
            "review_schema",
        ):
            assert await values(client, owner, "connection", "sh") == ["shop"]
        for owner in ("pg://{connection}/{schema}", TABLE, f"{TABLE}/sample", "review_schema", "least_privilege_setup"):
            assert await values(client, owner, "schema", "ap", connection="shop") == ["app"]
        found = await values(client, TABLE, "table", "ord", connection="shop", schema="app")
        assert found == ["order_lines", "order_totals", "orders"]
        assert await values(client, f"{TABLE}/sample", "table", "ORD", connection="shop", schema="app") == found
        assert await values(client, TABLE, "table", "upp", connection="shop", schema="app") == ["UPPER"]
        full = await values(client, "plan_migration", "table", "ord", connection="shop")
        assert full == ["app.order_lines", "app.order_totals", "app.orders"]
        assert await values(client, "investigate_slowness", "table", "app.ord", connection="shop") == full
        columns = await values(client, "plan_migration", "column", "c", connection="shop", table="app.customers")
        assert columns == ["country"]
        assert "customer_id" in await values(client, "plan_migration", "column", "cust", connection="shop")
        assert await values(client, TABLE, "table", "ord", connection="nowhere", schema="app") == []


async def test_what_may_not_be_read_is_not_offered(system_home: Home, tmp_path: Path) -> None:
    with system_home.admin() as admin:
        admin.execute("CREATE TABLE IF NOT EXISTS app.hidden_two (hidden_column int)")
        admin.execute("REVOKE ALL ON app.hidden_two FROM gatelodge_ro")
        admin.execute("CREATE SCHEMA IF NOT EXISTS hidden_schema")
    async with server(tmp_path, system_home.url(), deny_relations=["app.pat*"]) as called:
        client = called.client
        assert await values(client, TABLE, "table", "hidden", schema="app") == []
        assert await values(client, TABLE, "table", "pat", schema="app") == []
        assert await values(client, TABLE, "table", "pg_auth", schema="pg_catalog") == ["pg_auth_members"]
        assert await values(client, TABLE, "schema", "hidden") == []
        assert await values(client, "plan_migration", "column", "hidden") == []
        assert await values(client, "plan_migration", "column", "diagn") == []
        assert "ssn" not in await values(client, "plan_migration", "column", "s", table="app.people")
        # System schemas are offered to those who ask for them.
        assert await values(client, TABLE, "schema", "") == ["app", "odd.schema", "public"]
        assert await values(client, TABLE, "schema", "pg_c") == ["pg_catalog"]
    async with server(tmp_path / "allowing", system_home.url(), allow_relations=["app.orders"]) as called:
        assert await values(called.client, TABLE, "table", "", schema="app") == ["orders"]
        assert await values(called.client, TABLE, "schema", "") == ["app"]


async def test_a_hundred_are_offered_and_that_there_are_more_is_said(system_home: Home, tmp_path: Path) -> None:
    with system_home.admin() as admin:
        admin.execute(
            "DO $$ BEGIN CREATE SCHEMA IF NOT EXISTS big; GRANT USAGE ON SCHEMA big TO PUBLIC; FOR n IN 1..150 LOOP"
            " EXECUTE format('CREATE TABLE IF NOT EXISTS big.big_%s (id int)', n); END LOOP;"
            " GRANT SELECT ON ALL TABLES IN SCHEMA big TO PUBLIC; END $$"
        )
    async with server(tmp_path, system_home.url()) as called:
        found = await offered(called.client, TABLE, "table", "big_", schema="big")
    assert len(found.values) == 100
    assert found.has_more is True
    # Names beyond the 101st are not counted, so that no total is told.
    assert found.total is None
    with system_home.admin() as admin:
        admin.execute("DROP SCHEMA big CASCADE")


async def test_patterns_and_quotes_are_beginnings_like_any_other(system_home: Home, tmp_path: Path) -> None:
    async with server(tmp_path, system_home.url()) as called:
        for value in ("%", "_", "'", '"', "' OR true --", "\\", ".*", "x" * 5000, "\u202e"):
            assert await values(called.client, TABLE, "table", value, schema="app") == []
            found = await values(called.client, "plan_migration", "column", value)
            assert all(name.startswith(value) for name in found)


async def test_a_database_that_is_down_offers_nothing(tmp_path: Path) -> None:
    async with server(tmp_path, "postgresql://nobody@127.0.0.1:1/none") as called:
        assert await values(called.client, TABLE, "table", "o", schema="app") == []
        assert await values(called.client, TABLE, "connection", "") == ["default"]


@pytest.fixture(scope="module")
def wire(
    system_home: Home, transport: Transport, revision: Revision, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Wire]:
    state = tmp_path_factory.mktemp("state")
    command = python_module("gatelodge_postgres", "--state-dir", str(state))
    with connected(command, transport, revision, env={"GATELODGE_POSTGRES_URL": system_home.url()}) as made:
        yield made


def test_completions_come_on_the_wire(wire: Wire) -> None:
    params: dict[str, Any] = {
        "ref": {"type": "ref/resource", "uri": TABLE},
        "argument": {"name": "table", "value": "cust"},
        "context": {"arguments": {"connection": "default", "schema": "app"}},
    }
    assert wire.request("completion/complete", params)["result"]["completion"]["values"] == ["customers"]
    params = {"ref": {"type": "ref/prompt", "name": "review_schema"}, "argument": {"name": "schema", "value": "a"}}
    assert wire.request("completion/complete", params)["result"]["completion"]["values"] == ["app"]
