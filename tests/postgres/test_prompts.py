"""Prompts: each has a text that names what the server offers, and what it takes."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path

import pytest
from gatelodge_postgres.connect.privileges import grant_sql
from gatelodge_postgres.server import OFFERED
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import TextContent

from tests.postgres.seed import READER, Home
from tests.postgres.support import server
from tests.support.wire import Revision, Transport, Wire, connected, python_module

pytestmark = pytest.mark.anyio

ARGUMENTS = {
    "explore_database": {},
    "answer_with_sql": {"question": "Who bought most in 2024?"},
    "optimize_query": {"sql": "SELECT * FROM orders WHERE lower(status) = 'new'"},
    "review_schema": {"schema": "app"},
    "plan_migration": {"goal": "split the name in two", "table": "app.customers", "column": "name"},
    "investigate_slowness": {"table": "app.orders"},
    "least_privilege_setup": {"schema": "app"},
}
PLANNED = frozenset(
    [
        "list_objects",
        "describe_objects",
        "run_query",
        "validate_query",
        "explain_query",
        "search_schema",
        "profile_table",
        "export_query",
        "generate_types",
        "compare_schemas",
        "list_top_queries",
        "recommend_indexes",
        "check_health",
        "show_activity",
        "preview_change",
        "apply_change",
        "cancel_backend",
    ]
)
"""The tools that the issue names."""


async def text_of(client: Client, name: str, **arguments: str) -> str:
    found = await client.get_prompt(name, arguments)
    (message,) = found.messages
    assert message.role == "user"
    assert isinstance(message.content, TextContent)
    return message.content.text


async def test_every_prompt_is_short_holds_its_arguments_and_names_only_tools_that_there_are(
    system_home: Home, tmp_path: Path
) -> None:
    async with server(tmp_path, system_home.url()) as called:
        listed = {prompt.name: prompt for prompt in (await called.client.list_prompts()).prompts}
        assert listed.keys() == ARGUMENTS.keys()
        for name, arguments in ARGUMENTS.items():
            prompt = listed[name]
            assert prompt.description
            assert {one.name for one in prompt.arguments or ()} == arguments.keys()
            text = await text_of(called.client, name, **arguments)
            assert len(text) <= (5_000 if name == "least_privilege_setup" else 2_000), name
            for value in arguments.values():
                assert value in text
            words = set(re.findall(r"\b[a-z]+_[a-z]+(?:_[a-z]+)?\b", text.partition("```sql")[0]))
            tools = {word for word in words if word.split("_")[0] in {tool.split("_")[0] for tool in PLANNED}}
            assert tools <= PLANNED | {"lock_timeout"} | OFFERED.tools.keys(), name


async def test_the_recipe_is_the_one_for_this_database_beside_what_its_role_can_do(
    system_home: Home, tmp_path: Path
) -> None:
    async with server(tmp_path, system_home.url()) as called:
        text = await text_of(called.client, "least_privilege_setup", schema="app")
        assert grant_sql(system_home.db, ["app"]) in text
        assert f"{READER}: nothing beyond reading was found" in text
        with pytest.raises(MCPError, match="not_found"):
            await called.client.get_prompt("least_privilege_setup", {"schema": "no_such"})
    async with server(tmp_path / "writer", system_home.url("app_writer")) as called:
        text = await text_of(called.client, "least_privilege_setup", schema="app")
        assert "app_writer: it can change rows of app." in text


async def test_with_several_databases_a_prompt_says_which(system_home: Home, tmp_path: Path) -> None:
    databases = {
        "shop": {"url": system_home.url(), "description": "What was sold"},
        "other": {"url": system_home.url()},
    }
    async with server(tmp_path, databases=databases) as called:
        for prompt in (await called.client.list_prompts()).prompts:
            assert "connection" in {one.name for one in prompt.arguments or ()}
        text = await text_of(called.client, "explore_database", connection="shop")
        assert "shop (What was sold)" in text
        assert 'connection="shop"' in text
        with pytest.raises(MCPError, match="which_connection"):
            await called.client.get_prompt("explore_database", {})
        with pytest.raises(MCPError, match="no_connection"):
            await called.client.get_prompt("explore_database", {"connection": "none"})


@pytest.fixture(scope="module")
def wire(
    system_home: Home, transport: Transport, revision: Revision, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Wire]:
    state = tmp_path_factory.mktemp("state")
    command = python_module("gatelodge_postgres", "--state-dir", str(state))
    with connected(command, transport, revision, env={"GATELODGE_POSTGRES_URL": system_home.url()}) as made:
        yield made


def test_prompts_are_had_on_the_wire_and_wrong_arguments_are_named(wire: Wire) -> None:
    assert {one["name"] for one in wire.request("prompts/list")["result"]["prompts"]} == ARGUMENTS.keys()
    for name, arguments in ARGUMENTS.items():
        (message,) = wire.request("prompts/get", {"name": name, "arguments": arguments})["result"]["messages"]
        assert message["content"]["text"]
    for arguments, word in (({}, "question"), ({"question": "x", "connection": "default"}, "connection")):
        error = wire.request("prompts/get", {"name": "answer_with_sql", "arguments": arguments})["error"]
        assert error["code"] == -32602
        assert word in error["message"]
