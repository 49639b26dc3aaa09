"""The servers that hosts are configured with, read from their files."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from gatelodge_core.cli.hosts import jsonc, tomledit, yamlish
from gatelodge_core.cli.hosts.machine import Machine
from gatelodge_core.cli.hosts.table import ConfigFile, Host, Scope, files
from gatelodge_core.cli.hosts.unreadable import Unreadable
from gatelodge_core.errors import SettingsError

LARGEST = 64 * 1024 * 1024
"""Bytes of a file that is read; Claude Code's, with its history, can reach some."""

_LAUNCHES = {"builtin", "platform", "frontend"}
"""Goose's own extensions, which are no servers."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One server, as a host has it. Values may be secrets: none of them is ever printed.

    Args:
        host: The host's name.
        file: Where it is written.
        key: What it is called there.
        scope: ``user``, ``project``, or ``local``: Claude Code's, for one folder but in the person's file.
        command: The program; empty for a remote server.
        args: Its arguments.
        env: Variables it is given, as written.
        passed: Names of variables that the host passes on from elsewhere: its own environment or a keyring.
        cwd: Its working folder, as written; empty if the host decides.
        url: Where a remote server is; empty for a local one.
        headers: Those of a remote server, as written.
        enabled: Whether the host starts it.
        line: Where it stands in the file, from 1; 0 if it isn't known.
        folder: The folder that a local one is for.
        raw: The whole entry as the file has it.
    """

    host: str
    file: str
    key: str
    scope: Scope = "user"
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    passed: tuple[str, ...] = ()
    cwd: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    enabled: bool = True
    line: int = 0
    folder: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


@dataclass(frozen=True, slots=True)
class Problem:
    """A file, or an entry in it, that can't be used.

    Args:
        host: The host's name.
        file: Which one; empty if it can't be told which file it is.
        text: What is wrong; it quotes nothing of the file but keys.
        line: Where, from 1; 0 if it isn't known.
    """

    host: str
    file: str
    text: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found.

    Args:
        entries: The servers.
        problems: What could not be read.
        files: The files that are there.
    """

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    files: tuple[ConfigFile, ...]


def entries(host: Host, machine: Machine, *, project: bool = False) -> Reading:
    """All servers that a host is configured with on a machine; what can't be read is told, and nothing is raised.

    Args:
        host: Which host.
        machine: Where.
        project: Also read the files of the machine's project.
    """
    found: list[Entry] = []
    problems: list[Problem] = []
    there: list[ConfigFile] = []
    try:
        places = files(host, machine, project=project)
    except SettingsError as error:
        return Reading((), (Problem(host.name, "", str(error)),), ())
    for place in places:
        if not os.path.lexists(place.path):
            continue
        there.append(place)
        try:
            own, wrong = parsed(host, place, read_text(place.path))
        except OSError as error:
            problems.append(Problem(host.name, place.path, f"can't be read: {error.strerror or error}"))
        except Unreadable as error:
            problems.append(Problem(host.name, place.path, str(error), error.line))
        else:
            found += own
            problems += wrong
    return Reading(tuple(found), tuple(problems), tuple(there))


def read_text(path: str) -> str:
    """A configuration file's text, without a byte order mark.

    Raises:
        OSError: It can't be read.
        Unreadable: It is no file, no UTF-8, or too large.
    """
    # A pipe in its place would let its reader wait for ever.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    with open(descriptor, "rb") as source:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable("it can't be read: this is no file")
        data = source.read(LARGEST + 1)
    return decoded(data)


def decoded(data: bytes) -> str:
    """The text of a file's bytes, without a byte order mark.

    Raises:
        Unreadable: They are no UTF-8, or too many.
    """
    if len(data) > LARGEST:
        raise Unreadable(f"larger than {LARGEST // 1024 // 1024} MiB")
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unreadable("this is no UTF-8 text; save the file as UTF-8", line, 1) from None


def parsed(host: Host, file: ConfigFile, text: str) -> tuple[list[Entry], list[Problem]]:
    """The servers in a file's text, and what is wrong with some of them.

    Raises:
        Unreadable: It can't be understood as a whole.
    """
    table, lines = load(host, text)
    found: list[Entry] = []
    problems: list[Problem] = []

    def take(servers: object, scope: Scope, folder: str) -> None:
        if servers is None:
            return
        if not isinstance(servers, dict):
            problems.append(Problem(host.name, file.path, f"{host.top} is no table of servers"))
            return
        for key, raw in cast("dict[str, Any]", servers).items():
            line = 0 if folder else lines.get(key, 0)
            if not isinstance(raw, dict):
                problems.append(Problem(host.name, file.path, f"the server {key!r} is no table", line))
                continue
            given = cast("dict[str, Any]", raw)
            if not (host.dialect == "goose" and given.get("type") in _LAUNCHES):
                found.append(_entry(host, file, key, scope, line, folder, given))

    take(table.get(host.top), file.scope, "")
    if host.name == "claude-code" and file.scope == "user" and isinstance(table.get("projects"), dict):
        for folder, project in cast("dict[str, Any]", table["projects"]).items():
            if isinstance(project, dict):
                take(cast("dict[str, Any]", project).get("mcpServers"), "local", folder)
    return found, problems


def load(host: Host, text: str) -> tuple[dict[str, Any], dict[str, int]]:
    """A file's text as a table, and the line of each server in it.

    Raises:
        Unreadable: It isn't what the host reads.
    """
    if host.format == "toml":
        return tomledit.loaded(text), _toml_lines(host.top, text)
    if host.format == "yaml":
        document = yamlish.parse(text)
        top = document.root.get(host.top) if document.root is not None else None
        return _table(document.value()), {item.key: item.line + 1 for item in (top.node.members if top else ())}
    written = jsonc.parse(text)
    if written.root is not None and written.root.kind != "object":
        raise Unreadable("the file holds no table", 1, 1)
    member = written.root.get(host.top) if written.root is not None else None
    servers = member.node.members if member is not None else ()
    return _table(written.value()), {item.key: text.count("\n", 0, item.start) + 1 for item in servers}


def _table(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unreadable("the file holds no table", 1, 1)
    return cast("dict[str, Any]", value)


def _toml_lines(top: str, text: str) -> dict[str, int]:
    lines: dict[str, int] = {}
    form = re.compile(rf"\s*\[\s*{re.escape(top)}\s*\.\s*(?:\"([^\"]+)\"|'([^']+)'|([\w-]+))\s*[.\]]")
    for number, line in enumerate(text.split("\n"), 1):
        if found := form.match(line):
            lines.setdefault(found[1] or found[2] or found[3], number)
    return lines


def _entry(host: Host, file: ConfigFile, key: str, scope: Scope, line: int, folder: str, raw: dict[str, Any]) -> Entry:
    """One server, from the words of each host."""
    command, args = raw.get("command", raw.get("cmd", "")), _texts(raw.get("args"))
    if isinstance(command, list):  # opencode
        whole = _texts(cast("list[object]", command))
        command, args = whole[0] if whole else "", whole[1:]
    env = raw.get("env", raw.get("envs", raw.get("environment")))
    url = raw.get("url") or raw.get("httpUrl") or raw.get("serverUrl") or raw.get("uri") or ""
    return Entry(
        host=host.name,
        file=file.path,
        key=key,
        scope=scope,
        command=command if isinstance(command, str) else "",
        args=args,
        env=_strings(env),
        passed=_texts(raw.get("env_vars")) + _texts(raw.get("env_keys")),
        cwd=str(raw.get("cwd") or ""),
        url=url if isinstance(url, str) else "",
        headers=_strings(raw.get("headers", raw.get("http_headers"))),
        enabled=raw.get("enabled", True) is not False and raw.get("disabled", False) is not True,
        line=line,
        folder=folder,
        raw=raw,
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in cast("list[object]", value)) if isinstance(value, list) else ()


def _strings(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {str(key): str(item) for key, item in cast("dict[object, object]", value).items()}
