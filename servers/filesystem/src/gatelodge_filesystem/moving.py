"""Moving, copying, deleting and making folders: planned as steps for the undo journal, under the locks of both names.

What is new is built whole under a temporary name beside its place; what goes away goes to the trash by a rename. So each
of them is one rename, or a few that are taken back together.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Concatenate, ParamSpec, TypeVar

from gatelodge_core.errors import AlreadyExists, CallError, JailError
from gatelodge_core.sandbox.place import CrossDevice, ExchangeUnsupported, Place, check_name, translated

from gatelodge_filesystem import ends
from gatelodge_filesystem.atomic import MAX_FILE_BYTES
from gatelodge_filesystem.changes.journal import Journal
from gatelodge_filesystem.changes.perform import seen
from gatelodge_filesystem.changes.records import Operation, Step, Version, Where
from gatelodge_filesystem.trees import Totals, copy, measure
from gatelodge_filesystem.windows import read_all
from gatelodge_filesystem.workspace import Spot, Workspace

_LEVELS = range(3)
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def _worded(
    function: Callable[Concatenate[Workspace, Spot, P], R],
) -> Callable[Concatenate[Workspace, Spot, P], R]:
    """Word what goes wrong in between, when another program moves things away, for the caller: about the first spot."""

    @functools.wraps(function)
    def act(workspace: Workspace, spot: Spot, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with translated():
                return function(workspace, spot, *args, **kwargs)
        except JailError as error:
            raise workspace.failure(spot, error) from None

    return act


@dataclass(frozen=True, slots=True)
class Made:
    """What was done.

    Args:
        change: The operation; None if it would only be done, or nothing had to be.
        kind: What it was done to.
        totals: How much that is.
        replaced: What it displaced, if anything.
    """

    change: Operation | None
    kind: str
    totals: Totals
    replaced: Version | None = None


def delete(
    workspace: Workspace,
    spots: Sequence[Spot],
    *,
    recursive: bool,
    permanent: bool,
    if_match: str,
    dry_run: bool,
) -> list[tuple[Spot, Made]]:
    """Move files and folders to the trash, all or none.

    Raises:
        CallError: `not_found`, `not_empty`, `stale_etag`, `busy`, or as for any path.
    """
    return _delete(workspace, spots[0], spots, recursive, permanent, if_match, dry_run)


@_worded
def _delete(
    workspace: Workspace,
    _: Spot,
    spots: Sequence[Spot],
    recursive: bool,
    permanent: bool,
    if_match: str,
    dry_run: bool,
) -> list[tuple[Spot, Made]]:
    wheres = [workspace.guarded(spot, lambda spot=spot: workspace.where(spot)) for spot in spots]
    if len(set(wheres)) < len(wheres) or any(ends.inside(one, other) for one in wheres for other in wheres):
        raise CallError("overlapping_paths", "one of the paths is inside another, or named twice.", "Name it once.")
    with contextlib.ExitStack() as held:
        places = [ends.held(workspace, held, spot, where) for spot, where in zip(spots, wheres, strict=True)]
        held.enter_context(workspace.writer.locked(places))
        found = [ends.found(spot, place, if_match) for spot, place in zip(spots, places, strict=True)]
        totals = [measure(place.fd, place.name, bounded=False) for place in places]
        for spot, amount in zip(spots, totals, strict=True):
            if not recursive and amount.files + amount.folders > 1:
                raise CallError(
                    "not_empty",
                    f"{spot} is a folder with {ends.counted(amount)} in it.",
                    "Set recursive=true to delete it with everything in it.",
                )
        kept = [replace(version, size=amount.size) for version, amount in zip(found, totals, strict=True)]
        if dry_run:
            return [(spot, Made(None, v.kind, t)) for spot, v, t in zip(spots, found, totals, strict=True)]

        def steps(trash: Callable[[Where], Where]) -> list[Step]:
            return [
                Step("move", where, trash(where), version, version) for where, version in zip(wheres, kept, strict=True)
            ]

        change = _run(workspace, "delete_path", [steps])
    if permanent:
        workspace.journal.forget(change)
    return [(spot, Made(change, v.kind, t)) for spot, v, t in zip(spots, found, totals, strict=True)]


@_worded
def move(workspace: Workspace, source: Spot, target: Spot, *, overwrite: bool, if_match: str, dry_run: bool) -> Made:
    """Move or rename a file, a link itself, or a folder.

    Raises:
        CallError: `not_found`, `exists`, `into_itself`, `stale_etag`, `busy`, or as for any path.
    """
    begin = workspace.guarded(source, lambda: workspace.where(source))
    end = workspace.guarded(target, lambda: workspace.where(target))
    ends.check_apart(begin, end, source)
    with contextlib.ExitStack() as held:
        first, second = ends.held(workspace, held, source, begin), ends.held(workspace, held, target, end)
        held.enter_context(workspace.writer.locked([first, second]))
        found = ends.found(source, first, if_match)
        displaced = ends.displaced(target, second, found.kind, overwrite=overwrite)
        totals = ends.check_carried(workspace, first, (source, begin.rel), (target, end.rel))
        if dry_run:
            return Made(None, found.kind, totals, displaced)
        ways = _ways(begin, end, found, displaced)
        with contextlib.suppress(CrossDevice):
            return Made(_run(workspace, "move_path", ways), found.kind, totals, displaced)
        # To another file system: a copy appears whole, then the original goes to the trash.
        publish, _ = _published(workspace, held, (source, first), (end, second), displaced)

        def steps(trash: Callable[[Where], Where]) -> list[Step]:
            return [*publish(trash), Step("move", begin, trash(begin), found, found)]

        return Made(_run(workspace, "move_path", [steps]), found.kind, totals, displaced)


def _published(
    workspace: Workspace,
    held: contextlib.ExitStack,
    source: tuple[Spot, Place],
    target: tuple[Where, Place],
    displaced: Version | None,
) -> tuple[Steps, Totals]:
    """Copy to a name that nobody knows; the steps that put away what has the copy's name, and give it that."""
    (spot, first), (end, second) = source, target
    temporary, note = held.enter_context(ends.built(workspace, end, second))
    totals = workspace.guarded(spot, lambda: copy(first.fd, first.name, second.fd, temporary.name, note))
    made = ends.fresh(temporary)

    def steps(trash: Callable[[Where], Where]) -> list[Step]:
        away = [Step("move", end, trash(end), displaced, displaced)] if displaced else []
        return [*away, Step("move", end.beside(temporary.name), end, made, made, fresh=True)]

    return steps, totals


def _ways(begin: Where, end: Where, found: Version, displaced: Version | None) -> list[Steps]:
    if displaced is None:
        return [lambda _: [Step("move", begin, end, found, found)]]

    def exchanged(trash: Callable[[Where], Where]) -> list[Step]:
        return [
            Step("exchange", begin, end, found, displaced),
            Step("move", begin, trash(begin), displaced, displaced),
        ]

    def one_by_one(trash: Callable[[Where], Where]) -> list[Step]:
        return [Step("move", end, trash(end), displaced, displaced), Step("move", begin, end, found, found)]

    return [exchanged, one_by_one]


@_worded
def duplicate(
    workspace: Workspace, source: Spot, target: Spot, *, overwrite: bool, if_match: str, dry_run: bool
) -> Made:
    """Copy a file, a link itself, or a folder with everything in it.

    Args:
        workspace: Where.
        source: What; it may lie in a root that is read-only.
        target: The copy's own path.
        overwrite: Give a file that is there the source's bytes.
        if_match: The version of what is overwritten.
        dry_run: Only look.

    Raises:
        CallError: `not_found`, `exists`, `into_itself`, `is_special_file`, `too_large`, `busy`, or as for any path.
    """
    end = workspace.guarded(target, lambda: workspace.where(target))
    with contextlib.ExitStack() as held:
        first = ends.readable(workspace, held, source)
        second = ends.held(workspace, held, target, end)
        found = ends.found(source, first, "")
        canonical = workspace.guarded(source, lambda: source.root.jail.canonical(source.rel, follow=False))
        ends.check_apart(Where(source.root.jail.path, canonical), end, source)
        ends.check_carried(workspace, first, (source, canonical), (target, end.rel))
        displaced = ends.displaced(target, second, found.kind, overwrite=overwrite)
        if displaced and displaced.kind != "file":
            raise CallError("exists", f"{target} is a {displaced.kind}.", "Delete it first.")
        if displaced:
            ends.check_match(target, second, displaced, if_match)
        if dry_run:
            return Made(None, found.kind, measure(first.fd, first.name), displaced)
        if displaced and found.kind == "link":
            # The link itself, not what it leads to; what was there goes to the trash.
            steps, totals = _published(workspace, held, (source, first), (end, second), displaced)
            return Made(_run(workspace, "copy_path", [steps]), found.kind, totals, displaced)
        if displaced:
            return _overwrite(workspace, source, target, displaced, if_match)
        change, totals = appear(
            workspace, "copy_path", target,
            lambda place, _end, note: workspace.guarded(
                source, lambda: copy(first.fd, first.name, place.fd, place.name, note)
            ),
        )  # fmt: skip
        return Made(change, found.kind, totals)


def _overwrite(workspace: Workspace, source: Spot, target: Spot, displaced: Version, if_match: str) -> Made:
    """Give a file the bytes of another; its mode and owner stay, as with ``cp``."""
    fd = workspace.open_file(source)
    try:
        data = read_all(fd, MAX_FILE_BYTES)
    finally:
        os.close(fd)
    written = workspace.replace(target, lambda _: data, if_match or displaced.etag, tool="copy_path")
    change = workspace.journal.get(written.change) if written.change else None
    return Made(change, "file", Totals(1, 0, len(data)), displaced)


@_worded
def make_folder(workspace: Workspace, spot: Spot, *, parents: bool) -> Made:
    """Make a folder, and those above it.

    Raises:
        CallError: `exists` if something else has the name, `not_found` if a folder above it is missing.
    """
    names = [name for name in spot.rel.split("/") if name not in ("", ".")]
    for name in names:
        workspace.guarded(spot, lambda name=name: check_name(name))
    there = 0
    while there < len(names) and ends.is_folder(workspace, Spot(spot.root, "/".join(names[: there + 1]))):
        there += 1
    if there == len(names):
        return Made(None, "folder", Totals(folders=0))
    if there < len(names) - 1 and not parents:
        missing = Spot(spot.root, "/".join(names[: there + 1]))
        raise CallError("not_found", f"{missing} is missing.", "Set parents=true to make the folders above it too.")
    top = Spot(spot.root, "/".join(names[: there + 1]))

    def build(place: Place, _end: Where, note: Callable[[int], None]) -> None:
        os.mkdir(place.name, dir_fd=place.fd)
        note(os.stat(place.name, dir_fd=place.fd, follow_symlinks=False).st_ino)
        # Nobody knows the name, so the rest can be reached by path below it.
        below = place.name
        for name in names[there + 1 :]:
            below = f"{below}/{name}"
            os.mkdir(below, dir_fd=place.fd)

    change, _ = appear(workspace, "create_directory", top, build)
    return Made(change, "folder", Totals(folders=len(names) - there))


def appear(
    workspace: Workspace, tool: str, target: Spot, build: Callable[[Place, Where, Callable[[int], None]], T]
) -> tuple[Operation, T]:
    """Build something under a name that nobody knows, then give it its own; undoable, and gone if it is killed halfway.

    Args:
        workspace: Where.
        tool: Who does it.
        target: What it will be called; nothing may be there yet.
        build: Makes it at the place it is given, tells the inode as soon as there is one, and returns what is to tell.

    Raises:
        CallError: `exists`, or as for any path.
    """
    end = workspace.guarded(target, lambda: workspace.where(target))
    with contextlib.ExitStack() as held:
        place = ends.held(workspace, held, target, end)
        held.enter_context(workspace.writer.locked([place]))
        if seen(place, cheap=True) is not None:
            raise workspace.failure(target, AlreadyExists())
        with ends.built(workspace, end, place) as (temporary, note):
            told = build(temporary, end, note)
            made = ends.fresh(temporary)
            step = Step("move", end.beside(temporary.name), end, made, made, fresh=True)
            return _run(workspace, tool, [lambda _: [step]]), told


Steps = Callable[[Callable[[Where], Where]], list[Step]]
"""Makes the steps, given where things go in the trash."""


def _run(workspace: Workspace, tool: str, ways: Sequence[Steps]) -> Operation:
    """Make the steps in the first way that this file system can, with the nearest trash that a rename reaches.

    Raises:
        CrossDevice: None reaches.
    """
    for way in ways:
        with contextlib.suppress(ExchangeUnsupported):
            for level in _LEVELS:
                fresh = workspace.journal.log.fresh_id()
                number = 0

                def trash(where: Where, fresh: str = fresh, level: int = level) -> Where:
                    nonlocal number
                    number += 1
                    return Journal.trash(where, f"{fresh}-{number}", level)

                with contextlib.suppress(CrossDevice):
                    return workspace.journal.run(tool, way(trash), id=fresh)
            raise CrossDevice("on another file system")
    raise CrossDevice("on another file system")
