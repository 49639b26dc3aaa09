"""The Inspector, the protocol's own reference client, talks to the server in both eras over both transports."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients._hosts import TOOLS, Client, Ended, Era

pytestmark = pytest.mark.clients

SCHEMA_ERRORS = 6
TOOL_ERROR = 5
"""Exit statuses of ``mcp-inspector --cli``, from its help and source."""


def inspect(client: Client, target: list[str] | str, era: Era, *arguments: str) -> Ended:
    where = ["--server-url", target] if isinstance(target, str) else target
    return client.package(
        "@modelcontextprotocol/inspector", "clients/launcher/build/index.js",
        "--cli", *where, *arguments, "--protocol-era", era, "--format", "json",
    )  # fmt: skip


def result(ended: Ended) -> dict[str, Any]:
    """What the Inspector printed; it must have ended well."""
    assert ended.status == 0, ended
    return json.loads(ended.out)["result"]


def call(client: Client, target: list[str] | str, era: Era, name: str, /, **arguments: object) -> Ended:
    given = ("--tool-name", name, "--tool-args-json", json.dumps(arguments))
    return inspect(client, target, era, "--method", "tools/call", *given)


def text(ended: Ended) -> str:
    return "\n".join(block["text"] for block in result(ended)["content"])


# A server with one tool, whose schema is legal and not portable: a union of types.
FAULTY = """
import json, sys
schema = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}}
for line in sys.stdin:
    message = json.loads(line)
    if message["method"] == "initialize":
        version = message["params"]["protocolVersion"]
        result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "f", "version": "0"}}
    else:
        result = {"tools": [{"name": "t", "description": "d", "inputSchema": schema}]}
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""


def findings(ended: Ended) -> list[dict[str, Any]]:
    """What ``--strict`` finds in the schemas, errors (exit status 6) and warnings alike."""
    assert ended.status in (0, SCHEMA_ERRORS), ended
    return json.loads(ended.out).get("schemaFindings", [])


def test_it_lists_the_tools_and_finds_no_fault_in_their_schemas(
    client: Client, target: list[str] | str, era: Era
) -> None:
    ended = inspect(client, target, era, "--method", "tools/list", "--strict")
    assert findings(ended) == []
    assert {tool["name"] for tool in result(ended)["tools"]} >= TOOLS


def test_it_would_find_a_fault(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "faulty.py"
    path.write_text(FAULTY, encoding="utf-8")
    found = findings(inspect(client, [sys.executable, str(path)], "legacy", "--method", "tools/list", "--strict"))
    assert [finding["toolName"] for finding in found] == ["t"]


def test_it_reads_and_searches(client: Client, target: list[str] | str, era: Era, served: Path) -> None:
    assert "the needle is here" in text(call(client, target, era, "read_file", path=str(served / "notes.txt")))
    found = text(call(client, target, era, "search_text", pattern="needle"))
    assert "notes.txt" in found
    assert "module.py" not in found


def test_it_lists_and_finds(client: Client, target: list[str] | str, era: Era, served: Path) -> None:
    assert str(served) in json.dumps(result(call(client, target, era, "list_roots")), ensure_ascii=False)
    listed = json.dumps(result(call(client, target, era, "list_directory", path=str(served))))
    assert "notes.txt" in listed
    assert "module.py" in listed
    found = json.dumps(result(call(client, target, era, "find_files", globs=["**/*.py"])))
    assert "module.py" in found
    assert "notes.txt" not in found
    assert "notes.txt" in json.dumps(
        result(call(client, target, era, "get_file_info", paths=[str(served / "notes.txt")]))
    )


def test_it_writes_a_file_and_edits_it(client: Client, target: list[str] | str, era: Era, served: Path) -> None:
    path = served / f"new-{client.home.parent.name}.txt"
    result(call(client, target, era, "write_file", path=str(path), content="one\ntwo\n"))
    assert path.read_bytes() == b"one\ntwo\n"
    result(call(client, target, era, "edit_file", path=str(path), edits=[{"old": "two", "new": "zwei"}]))
    assert path.read_bytes() == b"one\nzwei\n"


def test_it_is_told_of_a_refused_path_and_not_of_what_is_there(
    client: Client, target: list[str] | str, era: Era, served: Path
) -> None:
    for path in (str(served.parent / "outside.txt"), "../outside.txt"):
        ended = call(client, target, era, "read_file", path=path)
        assert ended.status == TOOL_ERROR, ended
        assert json.loads(ended.out)["result"]["isError"] is True
        assert "s3cr3t" not in ended.out + ended.err


def test_it_reads_a_resource(client: Client, target: list[str] | str, era: Era, served: Path) -> None:
    templates = result(inspect(client, target, era, "--method", "resources/templates/list"))["resourceTemplates"]
    assert "file:///{+path}" in {template["uriTemplate"] for template in templates}
    uri = (served / "notes.txt").as_uri()
    contents = result(inspect(client, target, era, "--method", "resources/read", "--uri", uri))["contents"]
    assert "the needle is here" in contents[0]["text"]


def test_it_gets_a_prompt(client: Client, target: list[str] | str, era: Era, served: Path) -> None:
    prompts = result(inspect(client, target, era, "--method", "prompts/list"))["prompts"]
    prompt = next(prompt for prompt in prompts if prompt["name"] == "explain_folder")
    needed = [f"{argument['name']}={served}" for argument in prompt.get("arguments", []) if argument.get("required")]
    given = ("--prompt-name", "explain_folder", *(("--prompt-args", *needed) if needed else ()))
    messages = result(inspect(client, target, era, "--method", "prompts/get", *given))["messages"]
    assert messages[0]["content"]["text"].strip()
