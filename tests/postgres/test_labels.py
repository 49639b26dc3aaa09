"""What comes from a database is private, and written by others, on the wire."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from gatelodge_core.effects import PRIVATE, UNTRUSTED

from tests.postgres.seed import Home
from tests.support.wire import Message, Revision, Transport, Wire, connected, python_module

DATA = (PRIVATE | UNTRUSTED).as_ifc()


@pytest.fixture(scope="module")
def wire(
    system_home: Home, transport: Transport, revision: Revision, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Wire]:
    state = tmp_path_factory.mktemp("state")
    command = python_module("gatelodge_postgres", "--state-dir", str(state))
    with connected(command, transport, revision, env={"GATELODGE_POSTGRES_URL": system_home.url()}) as made:
        yield made


def ifc(result: Message) -> object:
    return result["_meta"]["ifc"]


def test_rows_records_and_errors_of_a_database_are_labelled(wire: Wire) -> None:
    rows = wire.tool("run_query", sql="SELECT 1 AS one")
    objects = wire.tool("list_objects")
    wrong = wire.tool("run_query", sql="SELECT nothing")
    assert [bool(result.get("isError")) for result in (rows, objects, wrong)] == [False, False, True]
    assert [ifc(result) for result in (rows, objects, wrong)] == [DATA] * 3


def test_resources_of_a_database_are_labelled(wire: Wire) -> None:
    for uri in ("pg://default", "pg://default/app", "pg://default/app/orders/sample"):
        assert ifc(wire.request("resources/read", {"uri": uri})["result"]) == DATA
