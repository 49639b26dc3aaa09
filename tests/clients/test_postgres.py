"""Hosts' own clients on the PostgreSQL server: what they list, read and are refused; the network they see is loopback."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.clients._hosts import Client
from tests.clients.test_claude_code import claude, states
from tests.clients.test_typescript_sdks import session, told
from tests.postgres import beds
from tests.postgres.bed import Bed
from tests.postgres.conftest import had
from tests.support.wire import python_module

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module")
def socket_bed() -> Generator[Bed]:
    """A server that clients in a namespace of their own reach by its Unix socket."""
    yield from had(beds.system())


@pytest.fixture
def database(socket_bed: Bed, tmp_path: Path) -> list[str]:
    """The command of a server on it, with a role that only reads."""
    with socket_bed.admin() as admin:
        admin.execute("DROP TABLE IF EXISTS harbour; CREATE TABLE harbour (name text, berths int)")
        admin.execute("INSERT INTO harbour VALUES ('quay', 12), ('basin', 4)")
        admin.execute("DO $$ BEGIN CREATE ROLE looker LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        admin.execute("GRANT SELECT ON harbour TO looker")
    url = socket_bed.url(user="looker", password=None, over="socket")
    return [*python_module("gatelodge_postgres"), url, "--state-dir", str(tmp_path / "state")]


@pytest.mark.parametrize("sdk", ["1", "2", "2-auto"])
def test_the_typescript_sdks_query_and_are_refused(client: Client, database: list[str], sdk: str) -> None:
    found = told(
        session(client, sdk, database, "run_query", sql="SELECT * FROM harbour ORDER BY berths", format="jsonl")
    )
    assert {"run_query", "list_objects", "describe_objects", "explain_query", "validate_query"} <= set(found["tools"])
    assert '{"name":"basin","berths":4}\n{"name":"quay","berths":12}' in found["text"]
    assert found["isError"] is False
    refused = told(session(client, sdk, database, "run_query", sql="DROP TABLE harbour"))
    assert refused["isError"] is True
    assert refused["text"].startswith("Error executing tool run_query: refused") or refused["text"].startswith(
        "refused"
    )


def test_claude_code_connects_to_it(client: Client, database: list[str]) -> None:
    claude(client, "mcp", "add", "--scope", "user", "database", "--", *database)
    assert states(claude(client, "mcp", "list"))["database"].endswith(" Connected")


def test_arguments_that_hosts_send_as_text_are_understood(client: Client, database: list[str]) -> None:
    found = told(
        session(
            client, "1", database, "run_query", sql="SELECT $1::int + $2::int AS n", params=["40", 2], format="jsonl"
        )
    )
    assert '{"n":42}' in found["text"]
