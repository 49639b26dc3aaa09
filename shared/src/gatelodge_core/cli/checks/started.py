"""A server started as its host would start it, in each protocol revision in use."""

from __future__ import annotations

import glob
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from gatelodge_core.cli.checks.findings import Finding
from gatelodge_core.cli.checks.written import PLACEHOLDER, at
from gatelodge_core.cli.children import Children
from gatelodge_core.cli.hosts.entries import Entry
from gatelodge_core.cli.hosts.environment import asked_for, launched, replaced
from gatelodge_core.cli.hosts.machine import Machine
from gatelodge_core.cli.hosts.table import HOSTS
from gatelodge_core.cli.probe import MODERN, REVISIONS, USUAL, Ask, Probe, Revision, probe
from gatelodge_core.cli.servers import server_of
from gatelodge_core.places import journal_folder, state_folder

SLOW_SECONDS, DEAD_SECONDS = 2.5, 10.0
"""After the first some hosts fall back to an older protocol (Claude Code); after the second some give up (Codex)."""
LONGEST_NAME = 60
"""Characters of a server's key and a tool's name together, over which Cursor drops the tool."""
_HIDDEN = 6
"""Characters from which on a variable's value is masked: shorter ones are switches."""


@dataclass(frozen=True, slots=True)
class Started:
    """What came of it.

    Args:
        entry: The server.
        findings: What was found.
        probes: What each revision gave.
        level: The confinement it reached, if it is one of ours and told of it.
        answers: To what it was asked besides, in the usual revision.
    """

    entry: Entry
    findings: list[Finding]
    probes: list[Probe] = field(default_factory=list[Probe])
    level: str = ""
    answers: tuple[Mapping[str, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """How each revision went."""
        return {
            "host": self.entry.host, "server": self.entry.key, "file": self.entry.file, "sandbox": self.level,
            "revisions": {
                one.revision: {
                    "error": one.error, "answered": one.answered, "first_seconds": round(one.first_seconds, 3),
                    "ready_seconds": round(one.ready_seconds, 3), "tools": len(one.tools), "noise": one.noise,
                }
                for one in self.probes
            },
        }  # fmt: skip


def start(
    entry: Entry, machine: Machine, seconds: float, asks: tuple[Ask, ...] = (), children: Children | None = None
) -> Started:
    """Start a server once in each revision; it is ended each time with all that it started.

    Args:
        entry: A local server.
        machine: Where its host runs.
        seconds: How long each start may take.
        asks: What else to ask it in the usual revision.
        children: Gets each process for as long as it runs; no further one is started once they were stopped.
    """
    host = HOSTS[entry.host]
    command = [replaced(host, text, machine) for text in (entry.command, *entry.args)]
    environment = launched(entry, machine)
    folder = replaced(host, entry.cwd, machine) if entry.cwd else machine.project or os.path.abspath(os.sep)
    if not os.path.isdir(folder):
        text = f"its working folder {folder} isn't there"
        return Started(entry, [at(entry, "missing_folder", "fail", text, "Change cwd, or leave it out.")])
    if missing := asked_for(entry, machine):
        text = f"not started: {host.title} asks for {', '.join(missing)} when it starts it"
        fix = "" if "an argument" in missing else "To have it started here too, set that in this shell."
        return Started(entry, [at(entry, "asked_for", "ok", text, fix)])
    began = time.time()
    probes: list[Probe] = []
    order: tuple[Revision, ...] = (USUAL, *(one for one in REVISIONS if one != USUAL))
    for revision in order:
        usual = revision == USUAL
        found = probe(
            # One that still loads when its input ends goes on with that: it would be said to linger.
            command, environment, folder, revision=revision, seconds=seconds, awake=True,
            asks=asks if usual else (), children=children,
        )  # fmt: skip
        probes.append(found)
        if (usual and found.error) or (children is not None and children.stopped):
            break  # the others would fail in the same way, only later
    level = _level(entry, environment, began)
    findings = list(_judged(entry, probes, environment))
    if level:
        good = "no " not in level and level not in ("off", "none")
        fix = "" if good else "See: gatelodge doctor's own line on the sandbox, and docs/06-confinement.md"
        findings.append(at(entry, "confinement", "ok" if good else "warn", level, fix))
    return Started(entry, findings, probes, level, probes[0].answers)


def _judged(entry: Entry, probes: list[Probe], environment: Mapping[str, str]) -> Iterator[Finding]:
    usual = probes[0]
    if usual.error:
        said = _said(entry, usual, environment)
        fix = "Run its command in a shell, with the host's variables: what it says on standard error tells more."
        yield at(entry, "does_not_work", "fail", usual.error + (f"; it says: {said}" if said else ""), fix)
    else:
        text = f"{len(usual.tools)} tools, first answer after {usual.first_seconds:.1f} s, ready after {usual.ready_seconds:.1f} s"
        yield at(entry, "works", "ok", text)
    if usual.noise:
        text = f"it wrote {usual.noise} lines that are no messages to its output; strict hosts stop there"
        yield at(entry, "noise", "fail", text, "What is printed belongs on standard error.")
    slowest = max((one.first_seconds for one in probes), default=0.0)
    if slowest > DEAD_SECONDS:
        text = f"its first answer took {slowest:.1f} s; some hosts have given up by then"
        yield at(entry, "too_slow", "fail", text, "Install it (uv tool install) rather than run it by uvx or npx.")
    elif slowest > SLOW_SECONDS:
        text = f"its first answer took {slowest:.1f} s; some hosts ask again by another protocol before"
        yield at(entry, "slow", "warn", text, "Install it (uv tool install) rather than run it by uvx or npx.")
    for one in probes[1:]:
        old = one.revision == MODERN and not server_of(entry)
        if one.error and not old:
            yield at(
                entry, "revision", "fail", f"in {one.revision}: {one.error}", "Report it to whoever makes the server."
            )
    if any(one.lingered for one in probes):
        text = "it goes on when its host has gone, and had to be killed"
        yield at(entry, "lingers", "warn", text, "Report it to whoever makes the server.")
    yield from _tools(entry, usual)


def _tools(entry: Entry, found: Probe) -> Iterator[Finding]:
    names = [str(tool.get("name", "")) for tool in found.tools]
    long = [name for name in names if len(entry.key) + len(name) > LONGEST_NAME]
    if long:
        text = f"{len(long)} tools are dropped by hosts that take {LONGEST_NAME} characters with the server's name, such as {long[0][:60]}"
        yield at(entry, "long_names", "warn", text, f"Call the server less than {entry.key} in the host's file.")
    odd = [name for name, tool in zip(names, found.tools, strict=True) if _rejected(tool.get("inputSchema"))]
    if odd:
        text = f"arguments of {len(odd)} tools have a form that some hosts reject ($ref, or a choice with null), such as {odd[0][:60]}"
        yield at(entry, "schema", "warn", text, "Report it to whoever makes the server.")


def _rejected(schema: object) -> bool:
    try:
        return _odd(schema)
    except RecursionError:
        return True


def _odd(schema: object) -> bool:
    """Whether a schema has what some hosts can't read (gemini-cli 13326, copilot-cli 4623, cursor 3778)."""
    if isinstance(schema, Mapping):
        table = cast("Mapping[str, Any]", schema)
        if "$ref" in table or "$defs" in table:
            return True
        choices = table.get("anyOf")
        if isinstance(choices, list) and {"type": "null"} in choices:
            return True
        return any(_odd(value) for value in table.values())
    return isinstance(schema, list) and any(_odd(item) for item in cast("list[object]", schema))


def _said(entry: Entry, found: Probe, environment: Mapping[str, str]) -> str:
    """The end of what one of ours wrote to standard error, without any value that it was given."""
    # Where to read on is no help to one who reads the doctor.
    lines = [line for line in found.stderr.strip().splitlines() if not line.startswith("See gatelodge-")]
    if not server_of(entry) or not lines:
        return ""
    text = lines[-1]
    given = {*entry.env.values(), *entry.headers.values(), *entry.args, *(environment[name] for name in entry.env)}
    given |= {arg.partition("=")[2] for arg in entry.args if arg.startswith("-")}
    # And what the host puts in place of a name.
    references = " ".join(reference for arg in entry.args for reference in PLACEHOLDER.findall(arg))
    names = [*entry.passed, *re.findall(r"\w+", references)]
    given |= {environment[name] for name in names if name in environment}
    given -= {arg for arg in given if os.path.isabs(arg) or arg.startswith("-")}
    for value in sorted(given, key=len, reverse=True):
        if len(value) >= _HIDDEN:
            text = text.replace(value, "…")
    return text[:400]


def _level(entry: Entry, environment: Mapping[str, str], began: float) -> str:
    """The confinement that one of ours says in its journal's header that it reached."""
    server = server_of(entry)
    if not server:
        return ""
    flags = dict(zip(entry.args, entry.args[1:], strict=False))
    folder = journal_folder(state_folder(flags.get("--state-dir", ""), environment))
    written = [(_written(path), path) for path in glob.glob(os.path.join(glob.escape(folder), "*.jsonl"))]
    for when, path in sorted(written, reverse=True):
        if when < began:
            break
        try:
            with open(path, encoding="ascii") as source:
                header: Any = json.loads(source.readline(64 * 1024))
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(header, dict) and cast("dict[str, Any]", header).get("server") == server:
            return str(cast("dict[str, Any]", header).get("sandbox", ""))[:200]
    return ""


def _written(path: str) -> float:
    """When a file was written last; long ago if it is gone by now."""
    try:
        return os.path.getmtime(path)
    except OSError:
        return 0.0
