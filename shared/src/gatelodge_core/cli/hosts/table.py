"""The hosts that are known: what each is called, and where it keeps its servers.

Sources: each product's documentation, and its files as its own tools write them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gatelodge_core.cli.hosts.desktop import desktop_file
from gatelodge_core.cli.hosts.machine import Machine
from gatelodge_core.errors import SettingsError

Format = Literal["json", "jsonc", "toml", "yaml"]
Dialect = Literal["plain", "typed", "vscode", "zed", "codex", "goose", "opencode", "devin", "gemini"]
Scope = Literal["user", "project", "local"]
Places = Callable[[Machine], list[str]]


@dataclass(frozen=True, slots=True)
class Host:
    """A program that starts MCP servers.

    Args:
        name: What it is called on our command line.
        title: What people call it.
        format: How its files are written; in ``json`` it takes no comments.
        top: The key that holds the servers.
        dialect: How one server is written below it.
        user: Its files for all projects: the first that exists counts, or else the first is made.
        project: Its files in a project, alike; none if there is no such thing.
        window: Whether it is started from a desktop rather than a shell, so that its PATH is bare on macOS.
        restart: What makes it see a change.
    """

    name: str
    title: str
    format: Format
    top: str
    dialect: Dialect
    user: Places
    project: Places
    window: bool
    restart: str


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file in which a host looks for servers.

    Args:
        path: Absolute.
        scope: ``user`` or ``project``.
    """

    path: str
    scope: Scope


def _nowhere(_: Machine) -> list[str]:
    return []


def _project(*names: str) -> Places:
    def places(machine: Machine) -> list[str]:
        # Written with slashes here, whatever the platform.
        return [machine.in_project(*name.split("/")) for name in names] if machine.project else []

    return places


def _moved(variable: str, folder: str, name: str) -> Places:
    """A file in a folder of the home that a variable can move."""
    return lambda machine: [os.path.join(machine.environment.get(variable) or machine.path(folder), name)]


def _claude_code(machine: Machine) -> list[str]:
    # Moved as a whole by this variable, the file then lies inside the folder and not beside it.
    return [os.path.join(machine.environment.get("CLAUDE_CONFIG_DIR") or machine.home, ".claude.json")]


def _devin(machine: Machine) -> list[str]:
    own = machine.roaming if machine.platform == "win32" else machine.config
    # Called Windsurf until June 2026, and not everybody has moved.
    return [own("devin", "mcp_config.json"), machine.path(".codeium", "windsurf", "mcp_config.json")]


def _zed(machine: Machine) -> list[str]:
    if machine.platform == "win32":
        return [machine.roaming("Zed", "settings.json")]
    return [machine.config("zed", "settings.json") if machine.platform == "linux" else machine.path(".config", "zed", "settings.json")]  # fmt: skip


def _goose(machine: Machine) -> list[str]:
    if machine.platform == "win32":
        return [machine.roaming("Block", "goose", "config", "config.yaml")]
    return [machine.config("goose", "config.yaml")]


def _opencode(machine: Machine) -> list[str]:
    return [machine.config("opencode", "opencode.json"), machine.config("opencode", "opencode.jsonc")]


_NEW = "It is there from the next session on."

HOSTS: dict[str, Host] = {
    host.name: host
    for host in (
        Host("claude-desktop", "Claude Desktop", "json", "mcpServers", "plain", lambda machine: [desktop_file(machine)], _nowhere, window=True, restart="Quit Claude Desktop, from its menu too, and start it again."),
        Host("claude-code", "Claude Code", "json", "mcpServers", "typed", _claude_code, _project(".mcp.json"), window=False, restart=_NEW),
        Host("cursor", "Cursor", "json", "mcpServers", "plain", lambda machine: [machine.path(".cursor", "mcp.json")], _project(".cursor/mcp.json"), window=True, restart="Cursor sees it by itself; switch the server on in its settings, under MCP."),
        Host("vscode", "VS Code", "jsonc", "servers", "vscode", lambda machine: [machine.application("Code", "User", "mcp.json")], _project(".vscode/mcp.json"), window=True, restart="In VS Code: MCP: List Servers, choose the server, Start."),
        Host("codex", "Codex", "toml", "mcp_servers", "codex", _moved("CODEX_HOME", ".codex", "config.toml"), _project(".codex/config.toml"), window=False, restart=_NEW),
        Host("gemini", "Gemini CLI", "jsonc", "mcpServers", "gemini", lambda machine: [machine.path(".gemini", "settings.json")], _project(".gemini/settings.json"), window=False, restart=_NEW),
        Host("zed", "Zed", "jsonc", "context_servers", "zed", _zed, _project(".zed/settings.json"), window=True, restart="Zed sees it by itself."),
        Host("devin", "Devin Desktop", "json", "mcpServers", "devin", _devin, _project(".devin/mcp_config.json"), window=True, restart="Restart Devin Desktop."),
        Host("goose", "Goose", "yaml", "extensions", "goose", _goose, _nowhere, window=False, restart=_NEW),
        Host("opencode", "opencode", "jsonc", "mcp", "opencode", _opencode, _project("opencode.json", "opencode.jsonc"), window=False, restart=_NEW),
        Host("copilot-cli", "Copilot CLI", "json", "mcpServers", "plain", _moved("COPILOT_HOME", ".copilot", "mcp-config.json"), _project(".mcp.json", ".github/mcp.json"), window=False, restart=_NEW),
    )
}  # fmt: skip
"""All hosts, by name."""

ALIASES = {"windsurf": "devin", "code": "vscode", "copilot": "copilot-cli"}
"""Other names that people use."""


def find(name: str) -> Host:
    """The host with a name or another name.

    Raises:
        SettingsError: There is none.
    """
    host = HOSTS.get(ALIASES.get(name, name))
    if host is None:
        raise SettingsError(f"there is no host {name[:40]!r}; known: {', '.join(HOSTS)}")
    return host


def files(host: Host, machine: Machine, *, project: bool = False) -> list[ConfigFile]:
    """All files in which a host would look, whether they are there or not; those of the project only if asked.

    Raises:
        SettingsError: On Windows it can't be told which file Claude Desktop reads.
    """
    found = [ConfigFile(path, "user") for path in host.user(machine)]
    return found + ([ConfigFile(path, "project") for path in host.project(machine)] if project else [])


def target(host: Host, machine: Machine, scope: Scope = "user") -> ConfigFile:
    """The file to write to: the first that is there, or the one to make.

    Raises:
        SettingsError: The host has no files of that scope, or it can't be told which one.
    """
    paths = host.user(machine) if scope == "user" else host.project(machine)
    if not paths:
        raise SettingsError(f"{host.title} has no file for a project; leave --project out")
    return ConfigFile(next((path for path in paths if os.path.lexists(path)), paths[0]), scope)
