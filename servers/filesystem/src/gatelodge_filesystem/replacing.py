"""Changing several files at once: all of them get their new bytes, or none does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.jail import Place

from gatelodge_filesystem.atomic import Current, Prepared, StaleError
from gatelodge_filesystem.changes.records import Operation, Where
from gatelodge_filesystem.workspace import Spot, Workspace


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one file.

    Args:
        spot: The file; None of the other changes may name the same.
        make: Makes the new bytes of the present version; runs under the lock. For a new file, gets None.
        expected: The etag that was seen; empty to take the version that is there.
        new: Whether the file must not exist yet.
    """

    spot: Spot
    make: Callable[[Current], bytes]
    expected: str = ""
    new: bytes | None = None


def replace_all(workspace: Workspace, tool: str, changes: Sequence[Change]) -> Operation | None:
    """Make all changes or none; None if none of them changes a byte.

    Raises:
        CallError: `stale_etag`, `exists`, `busy`, `no_space`, or what a change raises; nothing was changed.
    """
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
        held.enter_context(workspace.writer.locked(places))
        made: list[tuple[Where, Prepared]] = []
        for change, where, place in zip(changes, wheres, places, strict=True):
            prepared = workspace.guarded(
                change.spot,
                lambda change=change, where=where, place=place: _prepared(workspace, held, change, where, place),
            )
            if prepared is not None:
                made.append((where, prepared))
        return workspace.journal.commit(tool, made) if made else None


def _prepared(
    workspace: Workspace, held: contextlib.ExitStack, change: Change, where: Where, place: Place
) -> Prepared | None:
    folder = workspace.folder_of(where)
    if change.new is not None:
        return held.enter_context(workspace.writer.creating(place, change.new, path=folder))
    current = held.enter_context(workspace.writer.current(place))
    if change.expected and change.expected != current.etag:
        raise StaleError(current.data)
    data = change.make(current)
    if data == current.data:
        return None
    return held.enter_context(workspace.writer.replacing(place, current, data, path=folder))
