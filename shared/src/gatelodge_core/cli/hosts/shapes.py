"""How one server is written for each host, and how the host is told of a secret without its value.

Sources: what the hosts' own commands and add-mcp 2.4.0 write, and each product's documentation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gatelodge_core.cli.hosts.environment import references
from gatelodge_core.cli.hosts.table import Host
from gatelodge_core.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Secret:
    """Something a server needs that is never written into a host's file.

    Args:
        variable: The variable that the server takes it from.
        text: What it is, for the person who is asked for it.
    """

    variable: str
    text: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A server as it shall be started.

    Args:
        key: What it is called in the host.
        command: The program, absolute.
        args: Its arguments.
        secrets: What the host shall pass to it in its own way, if it has one.
        portable: Whether it is for other machines: then the host may replace references in its arguments.
    """

    key: str
    command: str
    args: tuple[str, ...]
    secrets: tuple[Secret, ...] = ()
    portable: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """What is written.

    Args:
        always: Values that are set each time.
        first: Values that are set only when the entry is made: people change them.
        names: A list of names of variables that the host passes on, by its key.
        env: Variables with references that the host replaces.
        env_key: The key of that table.
        inputs: What VS Code asks for, each with its id.
    """

    always: dict[str, Any]
    first: dict[str, Any]
    names: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    env: dict[str, str] = field(default_factory=dict[str, str])
    env_key: str = "env"
    inputs: tuple[dict[str, Any], ...] = ()


_REFERENCES = {
    "claude-code": "${{{0}}}",
    "cursor": "${{env:{0}}}",
    "devin": "${{env:{0}}}",
    "gemini": "${{{0}}}",
    "opencode": "{{env:{0}}}",
}
"""How a host that replaces references in ``env`` writes one."""


def passes_secrets(host: Host) -> bool:
    """Whether a host can give a server a secret that isn't in its file."""
    return host.name in _REFERENCES or host.dialect in ("vscode", "codex", "goose")


def input_id(wanted: Wanted, secret: Secret) -> str:
    """What VS Code's input for a secret is called."""
    return f"{wanted.key}-{secret.variable.lower().replace('_', '-')}"


def reference(host: Host, wanted: Wanted, secret: Secret) -> str:
    """What stands for a secret in a host's file; empty if the host passes it by name or not at all."""
    if host.dialect == "vscode":
        return f"${{input:{input_id(wanted, secret)}}}"
    return _REFERENCES[host.name].format(secret.variable) if host.name in _REFERENCES else ""


def shape(host: Host, wanted: Wanted) -> Shape:
    """The entry of a server for a host.

    Raises:
        SettingsError: An argument would mean something else to the host.
    """
    for text in (wanted.command, *wanted.args):
        if references(host, text) and not wanted.portable:
            raise SettingsError(f"{text!r} has a $ or braces that {host.title} would replace; use a path without")
    command: dict[str, Any] = {"command": wanted.command, "args": list(wanted.args)}
    by_reference = {secret.variable: reference(host, wanted, secret) for secret in wanted.secrets}
    env = {variable: text for variable, text in by_reference.items() if text}
    names = [secret.variable for secret in wanted.secrets]
    if host.dialect == "codex":
        return Shape(command, {}, {"env_vars": names} if names else {})
    if host.dialect == "goose":
        always = {"name": wanted.key, "type": "stdio", "cmd": wanted.command, "args": list(wanted.args)}
        first: dict[str, Any] = {
            "description": "",
            "envs": {},
            "env_keys": list[str](),
            "timeout": 300,
            "enabled": True,
        }
        return Shape(always, first, {"env_keys": names} if names else {}, env_key="envs")
    if host.dialect == "opencode":
        always = {"type": "local", "command": [wanted.command, *wanted.args]}
        return Shape(always, {"environment": {}, "enabled": True}, env=env, env_key="environment")
    if host.dialect == "vscode":
        inputs = [
            {"type": "promptString", "id": input_id(wanted, item), "description": item.text, "password": True}
            for item in wanted.secrets
        ]
        return Shape({"type": "stdio", **command}, {}, env=env, inputs=tuple(inputs))
    if host.dialect == "zed":
        return Shape({"source": "custom", **command}, {"env": {}}, env=env)
    if host.name == "copilot-cli":
        # Its own command writes "local", which Claude Code, with which it shares the file of a project, doesn't know.
        return Shape({"type": "stdio", **command}, {"tools": ["*"]}, env=env)
    return Shape({"type": "stdio", **command} if host.dialect == "typed" else command, {}, env=env)


def whole(host: Host, wanted: Wanted) -> dict[str, Any]:
    """The entry as it is written when there is none yet."""
    made = shape(host, wanted)
    entry = {**made.always, **made.first, **made.names}
    return {**entry, made.env_key: made.env} if made.env else entry
