"""A server as a host's file has it, looked at without starting it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from itertools import pairwise

from gatelodge_core.cli.checks.findings import Finding, Level
from gatelodge_core.cli.hosts.entries import Entry
from gatelodge_core.cli.hosts.environment import asks, launched, replaced, search_path
from gatelodge_core.cli.hosts.machine import Machine
from gatelodge_core.cli.hosts.table import HOSTS
from gatelodge_core.cli.servers import secret_among, secret_in, server_of

_ALONE = ("--read-only", "--allow-broad-roots", "--require-sandbox")
"""Flags that take no value; what comes after any other one is its own."""
PLACEHOLDER = re.compile(r"\$\{[^}]*\}|\$[A-Z_][A-Z0-9_]*|%[A-Z_][A-Z0-9_]*%")


def look(entry: Entry, machine: Machine) -> list[Finding]:
    """What is wrong with an entry; nothing if nothing is.

    Args:
        entry: The server.
        machine: Where its host runs.
    """
    if entry.url:
        return list(_remote(entry))
    return [*_program(entry, machine), *_texts(entry, machine), *_folders(entry, machine)]


def at(entry: Entry, what: str, level: Level, text: str, fix: str = "") -> Finding:
    """A finding about an entry."""
    return Finding(what, level, text, fix, entry.host, entry.key, entry.file, entry.line)


def _program(entry: Entry, machine: Machine) -> Iterator[Finding]:
    host = HOSTS[entry.host]
    if not entry.command:
        yield at(entry, "no_command", "fail", "it has neither a command nor a URL", "Remove it, or install it again.")
        return
    command = replaced(host, entry.command, machine)
    if os.path.isabs(command) or re.match(r"[A-Za-z]:[\\/]", command):
        if machine.platform != "win32" and not os.path.isfile(command):
            fix = _again(entry) or "Write where it is now, or install it again."
            yield at(entry, "missing_program", "fail", f"{command} isn't there", fix)
        return
    if "/" in command or "\\" in command:
        text = f"{command} is relative, and hosts start servers anywhere"
        yield at(entry, "relative_program", "fail", text, _again(entry) or "Write its absolute path.")
        return
    path = search_path(launched(entry, machine))
    if machine.platform != "win32" and not _found(command, path):
        text = f"{command} isn't on the PATH that {host.title} gives its servers ({path})"
        yield at(entry, "program_not_found", "fail", text, f"Write its absolute path: command -v {command}")
    elif host.window:
        text = f"{command} has no folder; what it is depends on how {host.title} was started"
        yield at(entry, "bare_program", "warn", text, f"Write its absolute path: command -v {command}")


def _texts(entry: Entry, machine: Machine) -> Iterator[Finding]:
    host = HOSTS[entry.host]
    for name, text in [("command", entry.command), *(("an argument", arg) for arg in entry.args), *entry.env.items()]:
        left = PLACEHOLDER.search(replaced(host, text, machine))
        # The text around it may be a secret. What the host asks for is no mistake, if there is a way to ask.
        if left and not asks(host, text) and (left.group().startswith("${") or left.group() == text):
            reason = (
                "isn't set"
                if replaced(host, "${HOME}" if host.name == "claude-code" else "", machine)
                else "isn't replaced"
            )
            shown = f"{name}: {left.group()[:60]} {reason}, so the server gets these characters"
            yield at(
                entry, "placeholder", "fail", shown, "Set the variable where the host is started, or write the value."
            )
    if secret_among(entry.args):
        text = "an argument looks like a secret, which every program of this machine can see"
        yield at(
            entry,
            "secret_in_arguments",
            "warn",
            text,
            _again(entry) or "Give it as a variable, or in a file of mode 0600.",
        )


def _folders(entry: Entry, machine: Machine) -> Iterator[Finding]:
    if server_of(entry) != "filesystem":
        return
    named = [
        place for place, arg in enumerate((entry.command, *entry.args)) if server_of(Entry("", "", "", command=arg))
    ]
    # What stands before is for whatever starts the server, such as uvx or docker.
    own = (entry.command, *entry.args)[named[0] :]
    for before, arg in pairwise(own):
        if before.startswith("-") and "=" not in before and before not in _ALONE:
            continue
        root = replaced(HOSTS[entry.host], arg, machine)
        root = re.sub(r":(?:ro|rw)$", "", root)
        if (
            not root
            or root.startswith("-")
            or "://" in root
            or "=" in root
            or PLACEHOLDER.search(root)
            or secret_in(arg)
        ):
            continue
        # As it is written: what it stands for could be a secret.
        shown = re.sub(r":(?:ro|rw)$", "", arg)
        if root.startswith(("/", "~")) or re.match(r"[A-Za-z]:[\\/]", root):
            folder = os.path.join(machine.home, root[2:]) if root.startswith("~/") else root
            if machine.platform != "win32" and root.startswith(("/", "~/")) and not os.path.isdir(folder):
                yield at(entry, "missing_root", "fail", f"{shown} is no folder", f"mkdir -p {shlex.quote(shown)}")
        else:
            # A lone word could be anything.
            text = f"{shown if '/' in root else 'a folder'} is relative, and hosts start servers anywhere"
            yield at(entry, "relative_root", "fail", text, _again(entry))


def _remote(entry: Entry) -> Iterator[Finding]:
    if entry.url.startswith("http://") and not re.match(r"http://(?:127\.0\.0\.1|localhost|\[::1\])[:/]", entry.url):
        text = "it is reached without TLS, so whoever is on the way can read the credential"
        yield at(entry, "remote_without_tls", "fail", text, "Write https:// .")
    if "@" in entry.url.partition("://")[2].partition("/")[0]:
        yield at(entry, "secret_in_url", "warn", "its URL holds a credential", "Give it as a header.")


def _again(entry: Entry) -> str:
    server = server_of(entry)
    return f"gatelodge install {entry.host} {server}" if server else ""


def _found(command: str, path: str) -> bool:
    return any(os.access(os.path.join(folder, command), os.X_OK) for folder in path.split(os.pathsep) if folder)
