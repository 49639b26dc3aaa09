"""Changing several files at once: all of them get their new bytes, or none does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.place import Place

from gatelodge_filesystem.atomic import Current, Prepared, StaleError
from gatelodge_filesystem.changes.records import Operation, Where
from gatelodge_filesystem.metadata import UMASK
from gatelodge_filesystem.newfolders import NewFile, build, check_new, topmost_missing
from gatelodge_filesystem.workspace import Spot, Workspace


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one file.

    Args:
        spot: The file; None of the other changes may name the same.
        make: Makes the new bytes of the present version; runs under the lock. For a new file, gets None.
        expected: The etag that was seen; empty to take the version that is there.
        new: The bytes of a file that must not exist yet; folders above it are made.
        mode: Permission bits of a new file, before the umask.
    """

    spot: Spot
    make: Callable[[Current], bytes]
    expected: str = ""
    new: bytes | None = None
    mode: int = 0o666


def replace_all(workspace: Workspace, tool: str, changes: Sequence[Change]) -> Operation | None:
    """Make all changes or none; None if none of them changes a byte.

    Raises:
        CallError: `stale_etag`, `exists`, `busy`, `no_space`, or what a change raises; nothing was changed.
    """
    changes, grown = _sorted(workspace, changes)
    wheres = [
        workspace.guarded(change.spot, lambda change=change: workspace.where(change.spot, follow=change.new is None))
        for change in changes
    ]
    if len(set(wheres)) < len(wheres):
        raise CallError("overlapping_paths", "two of the paths lead to one file.", "Name it once.")
    with contextlib.ExitStack() as held:
        places = [
            workspace.guarded(
                change.spot, lambda where=where: held.enter_context(workspace.journal.performer.at(where))
            )
            for change, where in zip(changes, wheres, strict=True)
        ]
        tops = [
            workspace.guarded(
                files[0][0], lambda where=where: held.enter_context(workspace.journal.performer.at(where))
            )
            for where, files in grown.items()
        ]
        held.enter_context(workspace.writer.locked([*places, *tops]))
        folders = [
            workspace.guarded(
                files[0][0],
                lambda where=where, place=place, files=files: build(
                    workspace, held, where, place, [file for _, file in files]
                ),
            )
            for (where, files), place in zip(grown.items(), tops, strict=True)
        ]
        made: list[tuple[Where, Prepared]] = []
        for change, where, place in zip(changes, wheres, places, strict=True):
            prepared = workspace.guarded(
                change.spot,
                lambda change=change, where=where, place=place: _prepared(workspace, held, change, where, place),
            )
            if prepared is not None:
                made.append((where, prepared))
        return workspace.journal.commit(tool, made, folders) if made or folders else None


def _sorted(
    workspace: Workspace, changes: Sequence[Change]
) -> tuple[list[Change], dict[Where, list[tuple[Spot, NewFile]]]]:
    """The changes in folders that are there; and new files by the topmost folder that is made for them."""
    there: list[Change] = []
    grown: dict[Where, list[tuple[Spot, NewFile]]] = {}
    for change in changes:
        top = topmost_missing(workspace, change.spot) if change.new is not None else None
        if top is None or change.new is None:
            there.append(change)
            continue
        where = check_new(workspace, change.spot, top)
        file = NewFile(change.spot.rel[len(top.rel) + 1 :], change.new, change.mode)
        grown.setdefault(where, []).append((change.spot, file))
    return there, grown


def _prepared(
    workspace: Workspace, held: contextlib.ExitStack, change: Change, where: Where, place: Place
) -> Prepared | None:
    folder = workspace.folder_of(where)
    if change.new is not None:
        return held.enter_context(workspace.writer.creating(place, change.new, path=folder, mode=change.mode & ~UMASK))
    current = held.enter_context(workspace.writer.current(place))
    if change.expected and change.expected != current.etag:
        raise StaleError(current.data)
    data = change.make(current)
    if data == current.data:
        return None
    return held.enter_context(workspace.writer.replacing(place, current, data, path=folder))
