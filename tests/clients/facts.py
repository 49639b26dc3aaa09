"""Which clients there are, and what each of them can do: the tests hold it, and the table in the documentation shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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


_HOST = "a scripted model asks for each call"
CLIENTS: dict[str, Facts] = {
    "claude-code": Facts(
        "Claude Code", "@anthropic-ai/claude-code", "2026-07-28", remark=f"{_HOST}; prompts as slash commands"
    ),
    "codex": Facts(
        "Codex (app-server)", "@openai/codex", "2025-06-18", ALL - {"prompts"}, "it has no way to get prompts"
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
        f"{_HOST}; models get no tool to read resources, and printing, it takes the command of a prompt for plain words",
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


def able(client: str, server: str, lists_resources: bool) -> frozenset[Feature]:
    """What a client can do on one of the servers."""
    facts = CLIENTS[client]
    lacks: set[Feature] = {"reads"} if facts.listed_only and not lists_resources else set()
    lacks |= {"prompts"} if server in facts.no_prompts_of else set()
    return facts.can - lacks
