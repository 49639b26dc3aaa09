"""What a client could do with a server, which clients there are, and what each of them offers at all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.clients._stages import Stage

Feature = Literal["lists", "calls", "reads", "prompts"]
ALL: frozenset[Feature] = frozenset(("lists", "calls", "reads", "prompts"))


@dataclass(frozen=True, slots=True)
class Facts:
    """A client.

    Args:
        name: As people call it.
        package: Where it comes from.
        revision: The protocol revision that it opens with.
        can: What it can do unattended.
        remark: How it is driven, and what it can't.
        listed_only: Whether it reads only resources that a server lists, none of its templates.
        no_prompts_of: Servers whose prompts it can't get.
    """

    name: str
    package: str
    revision: str
    can: frozenset[Feature] = ALL
    remark: str = ""
    listed_only: bool = False
    no_prompts_of: frozenset[str] = frozenset()


_HOST = "a scripted model asks for the call"
CLIENTS: dict[str, Facts] = {
    "claude-code": Facts(
        "Claude Code", "@anthropic-ai/claude-code", "2026-07-28", remark=f"{_HOST}; prompts as slash commands"
    ),
    "codex": Facts(
        "Codex (app-server)", "@openai/codex", "2025-06-18", ALL - {"prompts"}, "it has no way to MCP prompts"
    ),
    "gemini": Facts(
        "Gemini CLI", "@google/gemini-cli", "2025-06-18",
        remark=f"{_HOST}; reads resources that are listed, not those of templates; prompts as slash commands",
        listed_only=True,
    ),
    "opencode": Facts(
        "opencode", "opencode-ai", "2025-11-25",
        remark=f"{_HOST}; prompts as commands: it asks for them with `$1` for each argument, "
        "which the GitHub server's refuse, as that is no number",
        no_prompts_of=frozenset({"github"}),
    ),
    "qwen": Facts(
        "qwen-code", "@qwen-code/qwen-code", "2025-11-25", ALL - {"reads", "prompts"},
        f"{_HOST}; that has no tool to read resources, and prompts are for its interactive screen alone",
    ),
    "mcporter": Facts("mcporter", "mcporter", "2025-11-25", ALL - {"prompts"}, "it has no command for prompts"),
    "mcp-remote": Facts(
        "mcp-remote", "mcp-remote", "2025-11-25", remark="TypeScript SDK 1.x on stdio, this server on HTTP"
    ),
    "inspector": Facts("Inspector", "@modelcontextprotocol/inspector", "2025-11-25"),
    "inspector-modern": Facts("Inspector, `--protocol-era modern`", "@modelcontextprotocol/inspector", "2026-07-28"),
    "typescript-1": Facts("TypeScript SDK 1.x", "@modelcontextprotocol/sdk", "2025-11-25"),
    "typescript-2": Facts("TypeScript SDK 2.x", "@modelcontextprotocol/client", "2025-11-25"),
    "typescript-2-auto": Facts("TypeScript SDK 2.x, negotiating", "@modelcontextprotocol/client", "2026-07-28"),
    "python": Facts("Python SDK", "mcp", "2026-07-28"),
    "python-legacy": Facts("Python SDK, `legacy`", "mcp", "2025-11-25"),
    "fastmcp": Facts("fastmcp client", "fastmcp", "2026-07-28"),
}  # fmt: skip
"""All clients, by the name of their tests."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a client said; None where it has no way to ask.

    Args:
        tools: The names of the tools it lists.
        called: The text that the tool answered with.
        read: The text of the resource.
        prompted: The text of the prompt.
    """

    tools: frozenset[str] | None = None
    called: str | None = None
    read: str | None = None
    prompted: str | None = None


def hold(client: str, told: Told, stage: Stage, log: Path | None = None) -> None:
    """Everything that a client can do, it did, and the answers are the server's.

    Args:
        client: Which of `CLIENTS`.
        told: What it said.
        stage: The server it was on.
        log: What `tee.py` kept of what it sent, if it stood between.
    """
    facts = CLIENTS[client]
    can = able(client, stage.name, bool(stage.listed))
    given = (told.tools, told.called, told.read, told.prompted)
    assert [one is not None for one in given] == [one in can for one in ("lists", "calls", "reads", "prompts")]
    if told.tools is not None:
        assert told.tools == stage.tools
    if told.called is not None:
        assert stage.answered in told.called
    if told.read is not None:
        assert (stage.listed_says if facts.listed_only else stage.contents) in told.read
    if told.prompted is not None:
        assert stage.says in told.prompted
    if log is not None:
        assert revision(log) == facts.revision


def able(client: str, server: str, lists_resources: bool) -> frozenset[Feature]:
    """What a client can do on one of the servers."""
    facts = CLIENTS[client]
    lacks: set[Feature] = {"reads"} if facts.listed_only and not lists_resources else set()
    lacks |= {"prompts"} if server in facts.no_prompts_of else set()
    return facts.can - lacks


def revision(log: Path) -> str:
    """The protocol revision a client opened with."""
    for line in log.read_text(encoding="utf-8").splitlines():
        message = json.loads(line)
        if message.get("method") == "initialize":
            return message["params"]["protocolVersion"]
        if message.get("method") == "server/discover":
            return message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"]
    raise AssertionError(f"it opened no session: {log.read_text(encoding='utf-8')[:400]}")
