"""What only a server of ours can tell, by asking it: what the database's role could do, what the token is good for.

This goes to the database, or to GitHub, and so only where the person asked for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from gatelodge_core.cli.checks.findings import Finding
from gatelodge_core.cli.checks.started import Started
from gatelodge_core.cli.checks.written import at
from gatelodge_core.cli.hosts.entries import Entry
from gatelodge_core.cli.probe import Ask

_BROAD = {"repo", "admin:org", "delete_repo", "admin:repo_hook", "workflow", "user", "site_admin"}
"""Scopes of classic tokens that reach far; a fine-grained token for some repositories does without."""
_URL = re.compile(r"GATELODGE_POSTGRES_([A-Z][A-Z0-9_]*?)_URL")


def asks(server: str, entry: Entry) -> tuple[Ask, ...]:
    """What to ask one of ours.

    Args:
        server: Which.
        entry: As the host has it; it tells the names of databases.
    """
    if server == "github":
        return (("tools/call", {"name": "get_me", "arguments": {}}),)
    if server != "postgres":
        return ()
    found = (_URL.fullmatch(name) for name in entry.env)
    names = [name[1].lower() for name in found if name and name[1] != "WRITE"] or ["default"]
    return tuple(("resources/read", {"uri": f"pg://{name}"}) for name in names)


def judge(server: str, started: Started) -> Iterator[Finding]:
    """What the answers say.

    Args:
        server: Which of ours.
        started: How it was asked.
    """
    entry = started.entry
    for message in started.answers:
        result = cast("Mapping[str, Any]", message.get("result") or {})
        text = _text(result)
        if "result" not in message or result.get("isError"):
            code = text.partition(":")[0]
            code = code if re.fullmatch(r"[a-z_]{1,40}", code) else "an error"
            yield at(
                entry,
                "not_told",
                "fail",
                f"asked what it reaches, it answered with {code}",
                "Call it in the host: its error says more.",
            )
        elif server == "github":
            yield from _github(started, cast("Mapping[str, Any]", result.get("structuredContent") or {}))
        else:
            yield from _postgres(started, text)


def _github(started: Started, told: Mapping[str, Any]) -> Iterator[Finding]:
    entry = started.entry
    scopes = [str(scope) for scope in cast("list[object]", told.get("scopes") or [])]
    who = f"{str(told.get('login') or 'nobody')[:60]}, credential: {str(told.get('credential') or '?')[:40]}"
    text = f"{who}; scopes: {', '.join(scopes)[:200] or 'none told'}; writes {told.get('writes', '?')}"
    broad = sorted(_BROAD.intersection(scopes))
    if broad:
        fix = "Make a fine-grained token for the repositories that are needed, or start with --repos OWNER/NAME."
        yield at(entry, "token_scopes", "warn", f"{text}; far-reaching: {', '.join(broad)}", fix)
    else:
        yield at(entry, "token_scopes", "ok", text)


def _postgres(started: Started, text: str) -> Iterator[Finding]:
    """From what the resource of a database says of its role."""
    entry = started.entry
    role = re.search(r"^role: (.{1,80}?)(, superuser)?$", text, re.MULTILINE)
    could = re.search(r"^could do more than read: (.*)$", text, re.MULTILINE)
    if role is None or could is None:
        yield at(entry, "not_told", "fail", "it didn't say what its role could do", "Call it in the host.")
        return
    fix = "A role that only reads: gatelodge-postgres grant-sql prints how to make one."
    if role[2]:
        yield at(entry, "database_role", "fail", f"{role[1]} is a superuser, whom nothing holds back", fix)
    elif could[1] != "nothing found":
        yield at(entry, "database_role", "warn", f"{role[1]} could do more than read: {could[1][:300]}", fix)
    else:
        yield at(entry, "database_role", "ok", f"{role[1]} can only read")


def _text(result: Mapping[str, Any]) -> str:
    blocks = cast("list[dict[str, Any]]", result.get("content") or result.get("contents") or [])
    return "\n".join(str(block.get("text", "")) for block in blocks)
