"""A list of resources that varies: its pages, and the notices of its changes, in the revisions and on the transports."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, ResourceListChangedNotification, TextContent

from tests.support.planted import BASE32, some
from tests.support.wire import (
    MODERN,
    REVISIONS,
    Revision,
    Server,
    StdioWire,
    Transport,
    Wire,
    connected,
    python_module,
)

DEADLINE = 60


def command(base: Path, *more: str) -> list[str]:
    return python_module("tests.support.varying", "--state-dir", str(base / "state"), *more)


@contextmanager
def serving(base: Path, transport: Transport, *more: str) -> Generator[StdioServerParameters | str]:
    if transport == "stdio":
        executable, *arguments = command(base, *more)
        yield StdioServerParameters(command=executable, args=arguments, env=dict(os.environ))
        return
    server = Server([*command(base, *more), "--http", "127.0.0.1:0"])
    try:
        yield server.wait_for_stderr(r"listening on (http://\S+)").group(1)
    finally:
        server.signal(signal.SIGTERM)
        server.end()


@pytest.fixture(scope="module")
def varying(transport: Transport, revision: Revision, tmp_path_factory: pytest.TempPathFactory) -> Generator[Wire]:
    with connected(command(tmp_path_factory.mktemp("varying")), transport, revision) as wire:
        yield wire


def pages(wire: Wire) -> list[list[str]]:
    found: list[list[str]] = []
    cursor = ""
    while True:
        result = wire.request("resources/list", {"cursor": cursor} if cursor else {})["result"]
        found.append([item["uri"] for item in result["resources"]])
        cursor = result.get("nextCursor", "")
        if not cursor:
            return found


def test_the_list_comes_in_pages_after_what_is_declared(varying: Wire) -> None:
    assert pages(varying) == [["toy://items", "toy://item/alpha", "toy://item/beta"], ["toy://item/gamma"]]
    read = varying.request("resources/read", {"uri": "toy://item/gamma"})["result"]["contents"][0]
    assert read["text"] == "third"


def test_a_foreign_cursor_is_an_invalid_parameter(varying: Wire) -> None:
    error = varying.request("resources/list", {"cursor": "nothing"})["error"]
    assert error["code"] == -32602
    assert "bad_cursor" in error["message"]


@pytest.mark.parametrize("method", ["tools/list", "prompts/list", "resources/templates/list"])
def test_a_list_that_comes_whole_knows_no_cursor(varying: Wire, method: str) -> None:
    """Invalid cursors should be answered with -32602 (specification, server/utilities/pagination)."""
    assert "result" in varying.request(method, {"cursor": ""})
    error = varying.request(method, {"cursor": "nothing"})["error"]
    assert error["code"] == -32602
    assert "bad_cursor" in error["message"]


def offered(started: list[str], revision: Revision) -> dict[str, Any]:
    """The capabilities that a server declares."""
    wire = StdioWire(Server(started), revision)
    try:
        result = wire.open()
        return (result or wire.request("server/discover")["result"])["capabilities"]
    finally:
        wire.close()


@pytest.mark.parametrize("revision", REVISIONS)
def test_what_is_told_of_is_declared_and_nothing_else(tmp_path: Path, revision: Revision) -> None:
    found = offered(command(tmp_path), revision)
    assert found["resources"] == {"subscribe": False, "listChanged": True}
    assert not found["tools"].get("listChanged")
    assert not found["prompts"].get("listChanged")


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_server_that_tells_of_files_alone_promises_no_more(tmp_path: Path, revision: Revision) -> None:
    (tmp_path / "root").mkdir()
    started = python_module("gatelodge_filesystem", str(tmp_path / "root"), "--state-dir", str(tmp_path / "state"))
    found = offered(started, revision)
    assert found["resources"] == {"subscribe": True, "listChanged": False}
    assert not found["tools"].get("listChanged")


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_server_whose_list_is_fixed_promises_nothing(revision: Revision) -> None:
    found = offered(python_module("tests.support.toy"), revision)
    for name in ("tools", "prompts", "resources"):
        assert not found[name].get("listChanged")
    assert not found["resources"].get("subscribe")


@contextmanager
def steered(base: Path, policy: str = "") -> Generator[Wire]:
    (base / "policy.toml").write_text(policy, encoding="utf-8")
    with connected(command(base, "--policy", str(base / "policy.toml")), "stdio", "2025-11-25") as wire:
        yield wire


def test_the_list_is_cleansed_recorded_and_subject_to_policy(tmp_path: Path) -> None:
    secret = "AKIA" + some(BASE32, 16)
    with steered(tmp_path) as wire:
        wire.text("change_shelf", key="aaa", value=f"\u202e{secret}")
        (declared, item, *_) = wire.request("resources/list")["result"]["resources"]
        assert declared["uri"] == "toy://items"
        assert item["uri"] == "toy://item/aaa"
        assert secret not in item["description"]
        assert "\u202e" not in item["description"]
    records = [
        json.loads(line) for path in (tmp_path / "state").rglob("*.jsonl") for line in path.read_text().splitlines()
    ]
    assert any("resources/list" in json.dumps(record) and "list" in json.dumps(record) for record in records)
    denied = '[[rule]]\ntool = "resources/list"\nthen = "deny"\n'
    with steered(tmp_path, denied) as wire:
        assert "denied_by_policy" in wire.request("resources/list")["error"]["message"]


def test_what_others_wrote_comes_in_an_envelope_unless_a_program_reads_it(varying: Wire) -> None:
    said = varying.request("resources/read", {"uri": "toy://said/alpha"})["result"]["contents"][0]["text"]
    assert re.fullmatch(r'<untrusted-(\w{32}) source="resource toy://said/alpha">\nfirst\n</untrusted-\1>', said)
    data = varying.request("resources/read", {"uri": "toy://data/alpha"})["result"]["contents"][0]["text"]
    assert json.loads(data) == {"alpha": "first"}
    own = varying.request("resources/read", {"uri": "toy://item/alpha"})["result"]["contents"][0]["text"]
    assert own == "first"


def text_of(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def test_a_listener_of_2026_hears_of_a_change_until_it_leaves(tmp_path: Path, transport: Transport) -> None:
    async def conversation(server: StdioServerParameters | str) -> None:
        with anyio.fail_after(DEADLINE):
            async with Client(server, mode=MODERN, cache=None) as client:
                assert "watched: False" in text_of(await client.call_tool("change_shelf", {"key": "x1"}))
                async with client.listen(resources_list_changed=True, tools_list_changed=True) as stream:
                    assert stream.honored.resources_list_changed is True
                    assert not stream.honored.tools_list_changed
                    assert "watched: True" in text_of(await client.call_tool("change_shelf", {"key": "x2"}))
                    event = await anext(aiter(stream))
                    assert type(event).__name__ == "ResourcesListChanged"
                    listed = await client.list_resources()
                    assert len(listed.resources) == 3
                await until_unwatched(client)

    with serving(tmp_path, transport) as server:
        anyio.run(conversation, server)


async def until_unwatched(client: Client) -> None:
    """Leaving is told by closing the stream, which the server sees a little later."""
    while "watched: True" in text_of(await client.call_tool("change_shelf", {"key": "x3"})):
        pass


def test_a_session_of_2025_is_told_once_it_has_asked_for_the_list(tmp_path: Path, transport: Transport) -> None:
    heard: list[str] = []
    arrived = anyio.Event()

    async def message(message: Any) -> None:
        if isinstance(message, ResourceListChangedNotification):
            heard.append("changed")
            arrived.set()

    async def conversation(server: StdioServerParameters | str) -> None:
        with anyio.fail_after(DEADLINE):
            async with Client(server, mode="legacy", cache=None, message_handler=message) as client:
                assert "watched: False" in text_of(await client.call_tool("change_shelf", {"key": "x1"}))
                await client.list_resources()
                await client.list_resources()
                assert "watched: True, begun 1 " in text_of(await client.call_tool("change_shelf", {"key": "x2"}))
                await arrived.wait()
            assert heard == ["changed"]
            if transport == "http":
                # The session has ended, and with it the watch.
                async with Client(server, mode="legacy", cache=None) as client:
                    await until_unwatched(client)

    with serving(tmp_path, transport) as server:
        anyio.run(conversation, server)


def test_who_may_not_ask_for_the_list_is_not_told_of_its_changes(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[[rule]]\ntool = "resources/list"\nthen = "deny"\n', encoding="utf-8")

    async def conversation(server: StdioServerParameters | str) -> None:
        with anyio.fail_after(DEADLINE):
            async with (
                Client(server, mode=MODERN, cache=None) as client,
                client.listen(resources_list_changed=True) as stream,
            ):
                assert not stream.honored.resources_list_changed
                assert "watched: False" in text_of(await client.call_tool("change_shelf", {"key": "x1"}))
            async with Client(server, mode="legacy", cache=None) as client:
                with pytest.raises(MCPError, match="denied_by_policy"):
                    await client.list_resources()

    with serving(tmp_path, "http", "--policy", str(policy)) as server:
        anyio.run(conversation, server)
