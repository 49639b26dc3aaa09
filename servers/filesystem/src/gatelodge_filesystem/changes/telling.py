"""Operations in words: a line for a list, and the whole as a diff."""

from __future__ import annotations

import datetime

from gatelodge_core.errors import CallError

from gatelodge_filesystem.changes.journal import Journal
from gatelodge_filesystem.changes.records import Operation, Step
from gatelodge_filesystem.encoding import detect
from gatelodge_filesystem.unified import unified

_SAMPLE = 65536


def line(journal: Journal, operation: Operation, undone_by: str) -> str:
    """One line: id, time, tool, paths, and whether it was taken back since."""
    moment = datetime.datetime.fromtimestamp(operation.at, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    names = [journal.performer.name(where) for where in operation.paths]
    paths = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    notes = f"; undoes {', '.join(operation.undoes[:5])}" if operation.undoes else ""
    notes += f"; undone by {undone_by}" if undone_by else ""
    notes += "; only partly settled after a crash" if operation.state == "partial" else ""
    return f"{operation.id} {moment} {operation.tool}: {paths}{notes}"


def taken_back(operations: list[Operation]) -> dict[str, str]:
    """Which operation took which back, and was not taken back itself.

    Args:
        operations: The newest first.
    """
    undone: dict[str, str] = {}
    for operation in operations:
        if operation.id not in undone:
            undone.update(dict.fromkeys(operation.undoes, operation.id))
    return undone


def step_line(journal: Journal, step: Step) -> str:
    """What a step does, without its bytes."""
    source, target = journal.performer.name(step.source), journal.performer.name(step.target)
    if step.action == "swap":
        return f"change {target}"
    if step.action == "exchange":
        return f"exchange {source} and {target}"
    if step.fresh:
        return f"create {target} ({step.before.kind})"
    if step.target.in_trash:
        return f"remove {source} ({step.before.kind}, {step.before.size} bytes, into the trash)"
    if step.source.in_trash:
        return f"restore {target} ({step.before.kind}) from the trash"
    return f"move {source} to {target}"


def diff(journal: Journal, operation: Operation, budget: int) -> str:
    """All that an operation did: moves by name, files by a unified diff."""
    parts: list[str] = []
    for step in operation.steps:
        text = f"{step_line(journal, step)}\n{_bytes(journal, operation, step, budget)}"
        budget -= len(text)
        if budget < 0:
            parts.append(f"({len(operation.steps) - len(parts)} more, cut to fit)\n")
            break
        parts.append(text)
    return "".join(parts)


def _bytes(journal: Journal, operation: Operation, step: Step, budget: int) -> str:
    if step.action != "swap" and not (step.fresh and step.before.kind == "file"):
        return ""
    if journal.performer.refuses(step.target):
        return "(it holds credentials, or is this server's own: not shown)\n"
    after = journal.version(operation, step)
    if after is None:
        return "(the version it left is not kept)\n"
    try:
        before = journal.blobs.read(step.before.blob) if step.action == "swap" else b""
    except CallError:
        return "(the version before is not kept)\n"
    found = detect(after[:_SAMPLE], whole=len(after) <= _SAMPLE)
    if not found.is_text:
        return f"(binary, {len(before)} bytes before, {len(after)} after)\n"
    return unified(before, after, journal.performer.name(step.target), found, budget=max(budget - 500, 500)).text
