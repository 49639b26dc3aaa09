"""The Python SDK's client talks to the server in both eras; it needs no Node.js, so it always runs."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Literal

import anyio
import pytest
from mcp import Client as McpClient
from mcp import StdioServerParameters
from mcp_types import ElicitRequestParams, ElicitResult, TextContent, TextResourceContents

from tests.clients._asking import Asking
from tests.clients._hosts import DEADLINE, TOOLS, Era, http_server
from tests.support.wire import Transport

REVISIONS: dict[Era, str] = {"legacy": "2025-11-25", "modern": "2026-07-28"}


@pytest.fixture(scope="module")
def near_url(command: list[str]) -> Generator[str]:
    """A server in the same network as the test itself."""
    with http_server(command) as address:
        yield address


@pytest.fixture
def converse(
    transport: Transport, era: Era, command: list[str], request: pytest.FixtureRequest
) -> Callable[[Callable[[McpClient], Awaitable[None]]], None]:
    """Runs a conversation with a server of its own (stdio) or the module's (HTTP), within a deadline."""
    server: StdioServerParameters | str
    if transport == "stdio":
        server = StdioServerParameters(command=command[0], args=command[1:])
    else:
        server = request.getfixturevalue("near_url")

    def converse(conversation: Callable[[McpClient], Awaitable[None]]) -> None:
        async def run() -> None:
            mode = REVISIONS[era] if era == "modern" else "legacy"
            with anyio.fail_after(DEADLINE):
                async with McpClient(server, mode=mode, cache=None) as client:
                    assert client.protocol_version == REVISIONS[era]
                    await conversation(client)

        anyio.run(run)

    return converse


Converse = Callable[[Callable[[McpClient], Awaitable[None]]], None]


async def text(client: McpClient, name: str, /, **arguments: object) -> str:
    """Call a tool that must succeed; its text."""
    result = await client.call_tool(name, dict(arguments))
    assert not result.is_error, result
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def test_a_session_lists_reads_edits_and_is_refused(converse: Converse, served: Path, tmp_path: Path) -> None:
    path = served / f"{tmp_path.name}.txt"

    async def conversation(client: McpClient) -> None:
        assert {tool.name for tool in (await client.list_tools()).tools} >= TOOLS
        assert "the needle is here" in await text(client, "read_file", path=str(served / "notes.txt"))
        assert "notes.txt" in await text(client, "search_text", pattern="needle")
        await text(client, "write_file", path=str(path), content="one\r\ntwo\r\n")
        await text(client, "edit_file", path=str(path), edits=[{"old": "two", "new": "zwei"}])
        refused = await client.call_tool("read_file", {"path": str(served.parent / "outside.txt")})
        assert refused.is_error
        assert "s3cr3t" not in json.dumps(refused.model_dump(mode="json"))

    converse(conversation)
    assert path.read_bytes() == b"one\r\nzwei\r\n"


def test_a_session_reads_a_resource(converse: Converse, served: Path) -> None:
    async def conversation(client: McpClient) -> None:
        (content,) = (await client.read_resource((served / "notes.txt").as_uri())).contents
        assert isinstance(content, TextResourceContents)
        assert "the needle is here" in content.text

    converse(conversation)


def test_many_calls_at_once_are_all_answered_with_their_own_result(converse: Converse, served: Path) -> None:
    texts = {served / f"many-{number}.txt": f"text number {number}\n" for number in range(40)}
    for path, content in texts.items():
        path.write_text(content, encoding="utf-8")

    async def conversation(client: McpClient) -> None:
        found: dict[Path, str] = {}

        async def read(path: Path) -> None:
            found[path] = await text(client, "read_file", path=str(path))

        async with anyio.create_task_group() as tasks:
            for path in texts:
                tasks.start_soon(read, path)
        for path, content in texts.items():
            assert content.strip() in found[path]

    converse(conversation)


@pytest.mark.parametrize("action", ["accept", "decline", "cancel"])
def test_its_person_is_asked_and_obeyed(
    era: Era, tmp_path: Path, action: Literal["accept", "decline", "cancel"]
) -> None:
    house = Asking(tmp_path)
    questions: list[str] = []

    async def answer(context: object, params: ElicitRequestParams) -> ElicitResult:
        del context
        questions.append(params.message)
        return ElicitResult(action=action, content={} if action == "accept" else None)

    async def run() -> bool:
        server = StdioServerParameters(command=house.command[0], args=house.command[1:])
        mode = REVISIONS[era] if era == "modern" else "legacy"
        with anyio.fail_after(DEADLINE):
            async with McpClient(server, mode=mode, cache=None, elicitation_callback=answer) as client:
                return bool((await client.call_tool("edit_file", house.edit)).is_error)

    assert anyio.run(run) is (action != "accept")
    assert len(questions) == 1
    assert "-one\n+two" in questions[0]
    assert house.text == ("two\n" if action == "accept" else "one\n")
