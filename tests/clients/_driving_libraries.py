"""Drivers of SDKs, bridges and command lines: each connects to one server and does everything it can."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from tests.clients import lane
from tests.clients._hosts import PACKAGES, Client, Ended, Era, http_server
from tests.clients._stages import Stage
from tests.clients._told import Told
from tests.clients.install import HERE, find_node

Json = dict[str, Any]


def _out(ended: Ended) -> Any:
    """The JSON that a client printed; it must have ended well."""
    assert ended.status == 0, ended
    return json.loads(ended.out)


def _typescript(client: Client, stage: Stage, sdk: str, command: list[str]) -> Told:
    asked: Json = {
        "packages": str(PACKAGES.resolve()),
        "sdk": sdk,
        "target": {"command": command},
        "tool": stage.tool,
        "arguments": stage.arguments,
        "resource": stage.uri,
        "prompt": {"name": stage.prompt, "arguments": stage.given},
    }
    found = _out(client.node(HERE / "session.cjs", json.dumps(asked)))
    return Told(frozenset(found["tools"]), found["text"], found["read"], found["prompted"])


def _with_sdk(sdk: str) -> Callable[[Client, Stage], Told]:
    return lambda client, stage: _typescript(client, stage, sdk, stage.command)


def mcp_remote(client: Client, stage: Stage) -> Told:
    """The bridge from stdio to HTTP, with a client before it."""
    bridge = [str(find_node().binary), str(PACKAGES / "node_modules/mcp-remote/dist/proxy.js")]
    with http_server(stage.server, client.island) as url:
        return _typescript(client, stage, "1", [*bridge, url, "--allow-http", "--transport", "http-only"])


def _inspector(era: Era) -> Callable[[Client, Stage], Told]:
    def drive(client: Client, stage: Stage) -> Told:
        def ask(where: list[str], method: str, *arguments: str) -> Json:
            ended = client.package(
                "@modelcontextprotocol/inspector", "clients/launcher/build/index.js", "--cli", *where,
                "--method", method, *arguments, "--protocol-era", era, "--format", "json",
            )  # fmt: skip
            return _out(ended)["result"]

        # It starts anew for each question: one over stdio, the others over HTTP, where the server needn't.
        call = ("--tool-name", stage.tool, "--tool-args-json", json.dumps(stage.arguments))
        called = ask(stage.command, "tools/call", *call)
        given = [f"{name}={value}" for name, value in stage.given.items()]
        with http_server(stage.server, client.island) as url:
            there = ["--server-url", url]
            return Told(
                frozenset(tool["name"] for tool in ask(there, "tools/list")["tools"]),
                json.dumps(called["content"]),
                json.dumps(ask(there, "resources/read", "--uri", stage.uri)["contents"]),
                json.dumps(
                    ask(there, "prompts/get", "--prompt-name", stage.prompt, "--prompt-args", *given)["messages"]
                ),
            )

    return drive


def mcporter(client: Client, stage: Stage) -> Told:
    """A command line over configured servers."""
    config = client.home / "mcporter.json"
    entry = {"command": stage.command[0], "args": stage.command[1:]}
    config.write_text(json.dumps({"mcpServers": {stage.name: entry}, "imports": []}), encoding="utf-8")

    def ask(*arguments: str) -> Ended:
        ended = client.package("mcporter", "dist/cli.js", "--config", str(config), *arguments)
        assert ended.status == 0, ended
        return ended

    tools = json.loads(ask("list", stage.name, "--json").out)["tools"]
    called = ask("call", f"{stage.name}.{stage.tool}", "--args", json.dumps(stage.arguments)).out
    read = ask("resource", stage.name, stage.uri, "--output", "text", "--no-oauth").out
    return Told(frozenset(tool["name"] for tool in tools), called, read)


def _python(mode: str) -> Callable[[Client, Stage], Told]:
    def drive(client: Client, stage: Stage) -> Told:
        asked = json.dumps({**asdict(stage), "tools": [], "command": stage.command, "mode": mode})
        found = _out(client.run([sys.executable, str(HERE / "python_session.py"), asked]))
        return Told(frozenset(found["tools"]), found["called"], found["read"], found["prompted"])

    return drive


# Not a module: the types of fastmcp are in another environment.
_FASTMCP = """
import anyio, fastmcp, json, sys
given = json.loads(sys.argv[1])
servers = {"mcpServers": {given["name"]: {"command": given["command"][0], "args": given["command"][1:]}}}
async def main():
    with anyio.fail_after(60):
        async with fastmcp.Client(servers) as client:
            called = await client.call_tool(given["tool"], given["arguments"])
            return {
                "tools": [tool.name for tool in await client.list_tools()],
                "called": "\\n".join(block.text for block in called.content if block.type == "text"),
                "read": "\\n".join(part.text for part in await client.read_resource(given["uri"])),
                "prompted": "\\n".join(one.content.text for one in (await client.get_prompt(given["prompt"], given["given"])).messages),
            }
print(json.dumps(anyio.run(main)))
"""


def fastmcp(client: Client, stage: Stage) -> Told:
    """fastmcp's client, configured as hosts are."""
    asked = json.dumps({**asdict(stage), "tools": [], "command": stage.command})
    found = _out(client.run([str(lane.python(lane.folder())), "-I", "-c", _FASTMCP, asked]))
    return Told(frozenset(found["tools"]), found["called"], found["read"], found["prompted"])


LIBRARIES: dict[str, Callable[[Client, Stage], Told]] = {
    "fastmcp": fastmcp,
    "inspector": _inspector("legacy"),
    "inspector-modern": _inspector("modern"),
    "mcp-remote": mcp_remote,
    "mcporter": mcporter,
    "python": _python("auto"),
    "python-legacy": _python("legacy"),
    "typescript-1": _with_sdk("1"),
    "typescript-2": _with_sdk("2"),
    "typescript-2-auto": _with_sdk("2-auto"),
}
"""The drivers, by the client's name."""
