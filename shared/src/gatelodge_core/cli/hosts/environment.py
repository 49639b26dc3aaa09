"""What a host's servers see: their variables, and the references that the host replaces."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from gatelodge_core.cli.hosts.entries import Entry
from gatelodge_core.cli.hosts.machine import Machine
from gatelodge_core.cli.hosts.table import HOSTS, Host

BARE_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
"""What launchd gives to programs with a window."""

# The defaults of the official SDKs (`getDefaultEnvironment`, `get_default_environment`), which most hosts are made with.
_POSIX = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
_WINDOWS = (
    "APPDATA", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PROCESSOR_ARCHITECTURE", "PROGRAMFILES",
    "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "USERNAME", "USERPROFILE",
)  # fmt: skip
_CODEX = (
    "HOME", "LOGNAME", "PATH", "SHELL", "USER", "__CF_USER_TEXT_ENCODING", "LANG", "LC_ALL", "TERM", "TMPDIR", "TZ",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS",
)  # fmt: skip
_WHOLE = ("claude-code", "gemini", "goose", "opencode", "copilot-cli", "vscode", "zed")
"""Hosts that pass on all they have."""

_BRACES = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_ENV = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
_OPENCODE = re.compile(r"\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
_DOLLAR = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


def launched(entry: Entry, machine: Machine) -> dict[str, str]:
    """The whole environment in which a host starts a server.

    Args:
        entry: The server.
        machine: Where the host runs; its variables are those of the person's session.
    """
    host = HOSTS[entry.host]
    own = machine.environment
    if host.name in _WHOLE:
        made = dict(own)
    else:
        kept = _WINDOWS if machine.platform == "win32" else _CODEX if host.name == "codex" else _POSIX
        upper = {name.upper(): name for name in own}
        made = {upper[name]: own[upper[name]] for name in kept if name in upper}
    if host.window and machine.platform != "win32":
        made["PATH"] = BARE_PATH
    if host.name == "claude-code":
        made |= {"CLAUDECODE": "1", "CLAUDE_PROJECT_DIR": machine.project or machine.home}
    made |= {name: own[name] for name in entry.passed if name in own}
    made |= {name: replaced(host, text, machine) for name, text in entry.env.items()}
    # What the person would be asked for may be set here.
    return made | {name: own[name] for name, text in entry.env.items() if name in own and asks(host, text)}


def asks(host: Host, text: str) -> bool:
    """Whether the host asks the person for what is in a text when it starts the server."""
    return host.name == "vscode" and "${input:" in text


def asked_for(entry: Entry, machine: Machine) -> list[str]:
    """What a host asks the person for, or has in a keyring, and isn't set here: without it, it wouldn't start the server.

    Args:
        entry: The server.
        machine: Where the host runs.

    Returns:
        Names of variables, or ``an argument``.
    """
    host = HOSTS[entry.host]
    named = [name for name, text in entry.env.items() if asks(host, text)]
    named += entry.passed if host.name == "goose" else ()
    missing = [name for name in named if not machine.environment.get(name)]
    return missing + ["an argument"] * any(asks(host, text) for text in (entry.command, *entry.args, entry.cwd))


def replaced(host: Host, text: str, machine: Machine) -> str:
    """A text with those references replaced that the host replaces; what is unset stays as it is, as in most hosts."""
    own = machine.environment

    def look(found: re.Match[str]) -> str:
        names = [name for name in found.groups() if name is not None]
        return own.get(names[0], found.group())

    if host.name == "claude-code":
        return _BRACES.sub(lambda found: own.get(found[1], found.group() if found[2] is None else found[2]), text)
    if host.name == "gemini":
        return _DOLLAR.sub(look, text)
    if host.name == "opencode":
        return _OPENCODE.sub(lambda found: own.get(found[1], ""), text)
    if host.name in ("cursor", "vscode", "devin"):
        text = text.replace("${workspaceFolder}", machine.project).replace("${userHome}", machine.home)
        return _ENV.sub(lambda found: own.get(found[1], "" if host.name == "vscode" else found.group()), text)
    return text


def references(host: Host, text: str) -> bool:
    """Whether a host would replace something in a text, which is then not what it seems."""
    if host.name == "gemini":
        return _DOLLAR.search(text) is not None
    if host.name == "opencode":
        return "{env:" in text or "{file:" in text
    return host.name in ("claude-code", "cursor", "vscode", "devin") and "${" in text


def search_path(environment: Mapping[str, str]) -> str:
    """Where a program without a folder in its name is looked for."""
    return environment.get("PATH", os.defpath)
