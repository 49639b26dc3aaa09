"""Whether what `gatelodge install` wrote works: each server is started as its host would start it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from gatelodge_core.audit.texts import clean
from gatelodge_core.cli.hosts.entries import Entry
from gatelodge_core.cli.hosts.environment import launched
from gatelodge_core.cli.hosts.machine import Machine
from gatelodge_core.cli.hosts.shapes import Secret
from gatelodge_core.cli.hosts.table import HOSTS
from gatelodge_core.cli.probe import probe
from gatelodge_core.cli.servers import server_of

SECONDS = 60.0
SLOW_SECONDS = 2.5
"""After this a host may ask for an older protocol at the same time (Claude Code 2.1.330 does)."""
_ASKED_LATER = ("vscode", "goose")
"""Hosts that ask the person for secrets, or take them from a keyring, when they start the server."""


@dataclass(frozen=True, slots=True)
class Health:
    """What came of a check.

    Args:
        good: Whether the server can be used; None if that can't be told from here.
        text: What was found.
        hint: What to do; empty if nothing.
    """

    good: bool | None
    text: str
    hint: str = ""


def check(entry: Entry, machine: Machine, secrets: tuple[Secret, ...], seconds: float = SECONDS) -> Health:
    """Start a server as its host would, and list its tools.

    Args:
        entry: The server, as the host's file has it.
        machine: Where the host runs.
        secrets: What the host passes to it.
        seconds: How long that may take.
    """
    environment = launched(entry, machine)
    for secret in secrets:
        value = machine.environment.get(secret.variable, "")
        if entry.host in _ASKED_LATER:
            if not value and server_of(entry) == "postgres":
                return Health(
                    None, f"not tried: {HOSTS[entry.host].title} asks you for the {secret.text} when it starts it"
                )
            # What the person will be asked for may be in this shell; GitHub's server also works without.
            environment.pop(secret.variable, None)
            environment |= {secret.variable: value} if value else {}
        elif not value:
            return Health(
                False,
                f"{secret.variable} isn't set here; set it where {HOSTS[entry.host].title} is started",
                "or, to give no secret through the host, install again with --no-secrets",
            )
    # Hosts start programs with a window in the home folder or at the root; nothing may depend on it.
    found = probe([entry.command, *entry.args], environment, cwd=os.path.abspath(os.sep), seconds=seconds, awake=True)
    if found.error:
        last = found.stderr.strip().splitlines()[-1:]
        return Health(
            False, found.error + (f"; it says: {clean(last[0][:500])}" if last else ""), "gatelodge doctor says more"
        )
    if found.noise:
        return Health(
            False, f"it wrote {found.noise} lines that are no messages to its output", "gatelodge doctor says more"
        )
    slow = (
        f"; slower than {SLOW_SECONDS:g} s, which some hosts don't wait for"
        if found.first_seconds > SLOW_SECONDS
        else ""
    )
    return Health(
        True,
        f"{len(found.tools)} tools, first answer after {found.first_seconds:.1f} s, ready after {found.ready_seconds:.1f} s{slow}",
    )
