"""Tools that move, copy, delete and make files and folders."""

from __future__ import annotations

from typing import Annotated

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import DESTROY, PRIVATE, WRITE
from gatelodge_core.errors import CallError
from pydantic import Field

from gatelodge_filesystem.moving import Made, delete, duplicate, make_folder, move
from gatelodge_filesystem.tools.reading import Path
from gatelodge_filesystem.tools.writing import IfMatch
from gatelodge_filesystem.workspace import Workspace

moving = Declarations[Workspace]()

DryRun = Annotated[bool, Field(description="Tell what would happen, change nothing.")]
Overwrite = Annotated[bool, Field(description="Replace a file that is there; undoable.")]


@moving.tool(effect=WRITE, yields=PRIVATE, additive=True, idempotent=True)
async def create_directory(workspace: Workspace, path: Path, parents: bool = True) -> str:
    """Create a folder, with the folders above it. No error if it is there already."""
    spot = workspace.spot(path)
    made = await workspace.change(lambda: make_folder(workspace, spot, parents=parents))
    if made.change is None:
        return f"[{spot}] is there already"
    return f"[{spot}] created{_change(made)}"


@moving.tool(effect=WRITE, yields=PRIVATE)
async def move_path(
    workspace: Workspace,
    source: Path,
    destination: Annotated[str, Field(description="Its new path, name included.")],
    overwrite: Overwrite = False,
    if_match: IfMatch = "",
    dry_run: DryRun = False,
) -> str:
    """Move or rename a file or folder. Links are moved themselves. Undoable."""
    begin, end = workspace.spot(source), workspace.spot(destination)
    made = await workspace.change(
        lambda: move(workspace, begin, end, overwrite=overwrite, if_match=if_match, dry_run=dry_run)
    )
    return f"[{begin}] {_said(dry_run, 'moved')} to [{end}], {_amount(made)}{_displaced(made)}{_change(made)}"


@moving.tool(effect=WRITE, yields=PRIVATE)
async def copy_path(
    workspace: Workspace,
    source: Path,
    destination: Annotated[str, Field(description="The copy's path, name included.")],
    overwrite: Overwrite = False,
    if_match: Annotated[str, Field(description="The etag of the file that is overwritten.")] = "",
    dry_run: DryRun = False,
) -> str:
    """Copy a file, or a folder with everything in it. It appears whole or not at all. Undoable."""
    begin, end = workspace.spot(source), workspace.spot(destination)
    made = await workspace.change(
        lambda: duplicate(workspace, begin, end, overwrite=overwrite, if_match=if_match, dry_run=dry_run)
    )
    return f"[{begin}] {_said(dry_run, 'copied')} to [{end}], {_amount(made)}{_displaced(made)}{_change(made)}"


@moving.tool(effect=DESTROY, yields=PRIVATE)
async def delete_path(
    workspace: Workspace,
    paths: Annotated[list[str], Field(min_length=1, max_length=100)],
    recursive: Annotated[bool, Field(description="Delete folders with everything in them.")] = False,
    permanent: Annotated[bool, Field(description="Not into the trash: can't be undone.")] = False,
    if_match: Annotated[str, Field(description="The etag of the file, if it is one.")] = "",
    dry_run: DryRun = False,
) -> str:
    """Delete files and folders, all or none: into a trash from which undo_change brings them back."""
    if if_match and len(paths) > 1:
        raise CallError("invalid_arguments", "if_match goes with one path.", "Delete the files one by one.")
    spots = [workspace.spot(path) for path in paths]
    done = await workspace.change(
        lambda: delete(workspace, spots, recursive=recursive, permanent=permanent, if_match=if_match, dry_run=dry_run)
    )
    verb = _said(dry_run, "deleted for good" if permanent else "moved to the trash")
    change = "" if permanent else _change(done[0][1])
    return "\n".join(f"[{spot}] {verb}, {_amount(made)}" for spot, made in done) + change


def _said(dry_run: bool, verb: str) -> str:
    return f"would be {verb}" if dry_run else verb


def _amount(made: Made) -> str:
    totals = made.totals
    if made.kind != "folder":
        return f"{made.kind} of {totals.size} bytes"
    return f"folder with {totals.files} files and {max(totals.folders - 1, 0)} folders, {totals.size} bytes"


def _displaced(made: Made) -> str:
    return f", over a {made.replaced.kind} of {made.replaced.size} bytes" if made.replaced else ""


def _change(made: Made) -> str:
    return f", change={made.change.id}" if made.change else ""
