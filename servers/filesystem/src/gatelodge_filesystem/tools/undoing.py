"""Tools over the undo journal: what was changed, and taking it back."""

from __future__ import annotations

from typing import Annotated

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import PRIVATE, READ, WRITE
from pydantic import Field

from gatelodge_filesystem.changes.records import Operation
from gatelodge_filesystem.changes.telling import diff, line, step_line, taken_back
from gatelodge_filesystem.tools.moving import DryRun
from gatelodge_filesystem.tools.reading import Path
from gatelodge_filesystem.workspace import Workspace

undoing = Declarations[Workspace]()

Change = Annotated[str, Field(description="Its id: change=... of an answer.")]


@undoing.tool(effect=READ, yields=PRIVATE)
async def list_changes(
    workspace: Workspace,
    path: Path = "",
    limit: Annotated[int, Field(ge=1, le=500)] = 50,
    before: Annotated[str, Field(description="Only changes before this one.")] = "",
) -> str:
    """List what this server changed, newest first; those can be undone. Read fs-journal://ID for a change's diff."""
    spot = workspace.spot(path) if path else None

    def work() -> str:
        everything = workspace.journal.listing()
        undone = taken_back(everything)
        found = [
            item
            for item in everything
            if (not before or item.id < before) and (spot is None or _touches(item, spot.root.jail.path, spot.rel))
        ]
        room = workspace.budget - 500
        lines: list[str] = []
        for item in found[:limit]:
            text = line(workspace.journal, item, undone.get(item.id, ""))
            room -= len(text) + 1
            if room < 0:
                break
            lines.append(text)
        more = f", MORE: repeat with before={lines[-1].split(' ')[0]}" if lines and len(lines) < len(found) else ""
        return "\n".join([f"[{len(lines)} of {len(found)} changes{more}]", *lines])

    return await workspace.read(lambda _: work())


def _touches(operation: Operation, base: str, rel: str) -> bool:
    return any(
        where.base == base and (not rel or where.rel == rel or where.rel.startswith(f"{rel}/"))
        for where in operation.paths
    )


@undoing.tool(effect=WRITE, yields=PRIVATE)
async def undo_change(
    workspace: Workspace,
    change: Change,
    since: Annotated[bool, Field(description="Also undo everything after it.")] = False,
    dry_run: DryRun = False,
) -> str:
    """Undo a change exactly, or everything since; all or nothing. Refused if files changed since. Can itself be undone."""
    done = await workspace.change(lambda: workspace.journal.undo(change, since=since, dry_run=dry_run))
    undone = ", ".join(item.id for item in done.operations[:20])
    undone += f" and {len(done.operations) - 20} more" if len(done.operations) > 20 else ""
    head = f"[would undo {undone}]" if done.operation is None else f"[undid {undone}], change={done.operation.id}"
    lines = [step_line(workspace.journal, step) for step in done.steps]
    text = "\n".join([head, *lines])
    if len(text) > workspace.budget - 200:
        text = text[: workspace.budget - 200].rsplit("\n", 1)[0] + "\nCUT to fit"
    return text


@undoing.resource("fs-journal://{change}", name="change", mime_type="text/x-diff", yields=PRIVATE)
async def change_diff(workspace: Workspace, change: str) -> str:
    """The diff of a change, by its id."""

    def work() -> str:
        journal = workspace.journal
        operation = journal.get(change)
        undone = taken_back(journal.listing()).get(change, "")
        return f"{line(journal, operation, undone)}\n{diff(journal, operation, workspace.budget - 500)}"

    return await workspace.read(lambda _: work())


@undoing.completer("change", "change")
async def complete_change(workspace: Workspace, value: str, chosen: dict[str, str]) -> list[str]:
    """Ids of the newest changes."""
    del chosen
    found = await workspace.read(lambda _: workspace.journal.listing())
    return [item.id for item in found if item.id.startswith(value)][:100]
