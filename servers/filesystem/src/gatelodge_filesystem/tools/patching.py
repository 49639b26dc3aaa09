"""The optional tool that applies a patch to several files at once."""

from __future__ import annotations

from typing import Annotated

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import PRIVATE, WRITE
from gatelodge_core.errors import CallError
from pydantic import Field

from gatelodge_filesystem.atomic import StaleError
from gatelodge_filesystem.encoding import UTF8, detect
from gatelodge_filesystem.newfolders import check_new, topmost_missing
from gatelodge_filesystem.patches import Effort, FilePatch, parse, patched
from gatelodge_filesystem.replacing import Change, replace_all
from gatelodge_filesystem.tools.reading import Path
from gatelodge_filesystem.tools.writing import DryRun
from gatelodge_filesystem.workspace import Spot, Workspace

patching = Declarations[Workspace]()


@patching.tool(effect=WRITE, yields=PRIVATE)
async def apply_patch(
    workspace: Workspace,
    patch: Annotated[str, Field(description="Unified diff; --- and +++ lines name the files.")],
    path: Annotated[Path, Field(description="The folder that its paths begin in.")] = "",
    dry_run: DryRun = False,
) -> str:
    """Apply a unified diff to several files, all or none; new files too. Undoable. To delete use delete_path."""
    base = workspace.spot(path) if path else None

    def read() -> list[Change]:
        spots = [(file, base.child(file.path) if base else workspace.spot(file.path)) for file in parse(patch)]
        effort = Effort()
        return [_change(file, spot, effort) for file, spot in spots]

    # A long patch takes its time, and the loop has others to serve.
    changes = await workspace.read(lambda _: read())
    if dry_run:
        await workspace.read(lambda _: [_try(workspace, change) for change in changes])
        return "would change " + ", ".join(str(change.spot) for change in changes)
    try:
        made = await workspace.change(lambda: replace_all(workspace, "apply_patch", changes))
    except StaleError:
        raise CallError("stale_etag", "a file was changed meanwhile.", "Nothing was changed. Try again.") from None
    names = ", ".join(str(change.spot) for change in changes)
    return f"patched {names}" + (f", change={made.id}" if made else "")


def _change(file: FilePatch, spot: Spot, effort: Effort) -> Change:
    if file.deletes:
        raise CallError("bad_patch", f"it deletes {spot}.", "Nothing was changed. Use delete_path for that.")
    if file.creates:
        mode = 0o777 if file.program else 0o666
        return Change(spot, lambda current: current.data, new=patched(b"", file.hunks, UTF8, str(spot)), mode=mode)

    def make(data: bytes) -> bytes:
        found = detect(data[:65536], whole=len(data) <= 65536)
        if not found.is_text:
            raise CallError("is_binary", f"{spot} is not text.", "Nothing was changed.")
        return patched(data, file.hunks, found, str(spot), effort)

    return Change(spot, lambda current: make(current.data))


def _try(workspace: Workspace, change: Change) -> None:
    if change.new is None:
        change.make(workspace.current(change.spot))
        return
    if (top := topmost_missing(workspace, change.spot)) is not None:
        check_new(workspace, change.spot, top)
        return
    where = workspace.guarded(change.spot, lambda: workspace.where(change.spot))
    if workspace.journal.performer.look(where, cheap=True) is not None:
        raise CallError("exists", f"{change.spot} is there already.", "Nothing was changed.")
