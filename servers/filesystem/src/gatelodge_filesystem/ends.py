"""The two ends of a move or a copy: opened, looked at, and checked before anything is done."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator

from gatelodge_core.errors import CallError, JailError, NotFound
from gatelodge_core.sandbox.place import Place, check_name

from gatelodge_filesystem import carrying
from gatelodge_filesystem.atomic import MAX_FILE_BYTES, named, temporary_name
from gatelodge_filesystem.changes.perform import seen
from gatelodge_filesystem.changes.records import Version, Where
from gatelodge_filesystem.pending import Record
from gatelodge_filesystem.trees import Totals, remove_tree
from gatelodge_filesystem.workspace import Spot, Workspace

STALE = "it has changed since it was read."


def held(workspace: Workspace, stack: contextlib.ExitStack, spot: Spot, where: Where) -> Place:
    """A place to change, open for as long as the stack."""
    return workspace.guarded(spot, lambda: stack.enter_context(workspace.journal.performer.at(where)))


def readable(workspace: Workspace, stack: contextlib.ExitStack, spot: Spot) -> Place:
    """A place to read from, in whatever root."""
    head, _, name = spot.rel.rpartition("/")
    workspace.guarded(spot, lambda: check_name(name))
    fd = workspace.open_directory(Spot(spot.root, head))
    stack.callback(os.close, fd)
    return Place(fd, name)


def found(spot: Spot, place: Place, if_match: str) -> Version:
    """What stands at a place, if it is what the caller saw; raises as `check_match`, or `CallError` `not_found`."""
    there = seen(place)
    if there is None:
        raise CallError("not_found", f"{spot}: there is no such file or folder.", "Call list_directory on its folder.")
    check_match(spot, place, there, if_match)
    return there


def check_match(spot: Spot, place: Place, found: Version, if_match: str) -> None:
    """Refuse what isn't the version that the caller saw.

    Raises:
        CallError: `stale_etag`; `too_large` for a file that no tool gives an etag of; `invalid_arguments` for a folder.
    """
    if not if_match:
        return
    if found.kind not in ("file", "link"):
        raise CallError("invalid_arguments", f"{spot} is a {found.kind}, which has no etag.", "Leave out if_match.")
    if found.kind == "file" and found.size > MAX_FILE_BYTES:
        raise CallError(
            "too_large",
            f"{spot} has more than {MAX_FILE_BYTES} bytes, and such files have no etag.",
            "Compare size and modified of get_file_info, then leave out if_match.",
        )
    # A large file is read only where someone asks for it.
    tag = found.etag or named(place)
    if tag != if_match:
        now = f" The etag now is {tag}." if tag else ""
        raise CallError("stale_etag", f"{spot}: {STALE}", f"Nothing was changed.{now}")


def displaced(spot: Spot, place: Place, kind: str, *, overwrite: bool) -> Version | None:
    """What something of a kind would displace; None if nothing is there. Raises `CallError` `exists` if it may not."""
    found = seen(place)
    if found is None:
        return None
    if not overwrite:
        raise CallError("exists", f"{spot}: something is there already.", "Set overwrite=true to replace a file.")
    if "folder" in (found.kind, kind):
        raise CallError("exists", f"{spot} is there already, and folders are never merged.", "Delete it first.")
    return found


def fresh(place: Place) -> Version:
    """What was just made, all that is in it named.

    Raises:
        JailError: It is not there any more.
    """
    found = seen(place, deep=True)
    if found is None:
        raise NotFound("not found")
    return found


@contextlib.contextmanager
def built(workspace: Workspace, where: Where, place: Place) -> Generator[tuple[Place, Callable[[int], None]]]:
    """A temporary name to build something under; removed at the end unless it was given its own name."""
    name = temporary_name()
    found = os.fstat(place.fd)
    record = Record((found.st_dev, found.st_ino), workspace.folder_of(where), name, place.name, "")
    with workspace.writer.pending.noted(record) as note:
        try:
            yield Place(place.fd, name), note
        finally:
            with contextlib.suppress(OSError):
                remove_tree(place.fd, name)


def is_folder(workspace: Workspace, spot: Spot) -> bool:
    """Whether there is a folder; raises `CallError` where something else is."""
    try:
        os.close(spot.root.jail.open_directory(spot.rel))
    except NotFound:
        return False
    except JailError as error:
        raise workspace.failure(spot, error) from None
    return True


def check_apart(begin: Where, end: Where, source: Spot) -> None:
    """Raise `CallError` if one end is the other, or inside it."""
    if begin == end:
        raise CallError("same_path", f"{source} is both source and target.", "Nothing was changed.")
    if inside(end, begin):
        raise CallError("into_itself", f"the target is inside {source}.", "Name a target beside it.")


def check_carried(workspace: Workspace, place: Place, source: tuple[Spot, str], target: tuple[Spot, str]) -> Totals:
    """See `carrying.check_carried`; how much it is."""
    (begin, rel), (end, new) = source, target
    return workspace.guarded(
        begin,
        lambda: carrying.check_carried(
            place.fd, place.name, (begin.root.jail.refuses, rel), (end.root.jail.refuses, new)
        ),
    )


def inside(where: Where, folder: Where) -> bool:
    """Whether a place is below a folder."""
    return where.base == folder.base and where.rel.startswith(f"{folder.rel}/")


def counted(totals: Totals) -> str:
    """In words, without the folder itself."""
    return f"{totals.files} files and {totals.folders - 1} folders"
