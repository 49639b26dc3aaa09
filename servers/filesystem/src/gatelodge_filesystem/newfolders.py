"""New files in folders that are new too: each folder appears with all its files at once, or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from gatelodge_core.errors import AlreadyExists, JailError, NotFound, Protected
from gatelodge_core.sandbox.place import Place, check_name, translated

from gatelodge_filesystem.changes.records import Step, Where
from gatelodge_filesystem.ends import built, fresh
from gatelodge_filesystem.metadata import UMASK
from gatelodge_filesystem.trees import OPEN_FOLDER
from gatelodge_filesystem.workspace import Spot, Workspace


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to be made.

    Args:
        rel: Its path below the topmost folder that is new.
        data: Its bytes.
        mode: Its permission bits, before the umask.
    """

    rel: str
    data: bytes
    mode: int


def topmost_missing(workspace: Workspace, spot: Spot) -> Spot | None:
    """The topmost folder above a place that isn't there; None if all are.

    Raises:
        CallError: One of the names above it is no folder, or can't be reached.
    """
    parts = spot.rel.split("/")
    for count in range(len(parts) - 1, 0, -1):
        above = Spot(spot.root, "/".join(parts[:count]))
        try:
            os.close(spot.root.jail.open_directory(above.rel))
        except NotFound:
            continue
        except JailError as error:
            raise workspace.failure(spot, error) from None
        else:
            return Spot(spot.root, "/".join(parts[: count + 1])) if count < len(parts) - 1 else None
    return Spot(spot.root, parts[0]) if len(parts) > 1 else None


def check_new(workspace: Workspace, spot: Spot, top: Spot) -> Where:
    """Where the new folder will be, if a file may be made in it.

    Raises:
        CallError: A name is none, or is kept from being made.
    """

    def act() -> Where:
        where = workspace.where(top)
        below = spot.rel[len(top.rel) + 1 :]
        for part in below.split("/"):
            check_name(part)
        # As if it were there: the names above it hold no link, since they don't exist.
        if top.root.jail.refuses(f"{where.rel}/{below}") or top.root.jail.refuses(where.rel):
            raise Protected("kept from being opened")
        workspace.check_reserved(spot, below)
        return where

    return workspace.guarded(spot, act)


def build(
    workspace: Workspace, held: contextlib.ExitStack, where: Where, place: Place, files: Sequence[NewFile]
) -> Step:
    """Make a folder with files under a name that nobody knows; the step that gives it its own.

    Args:
        workspace: Where.
        held: Removes what is under that name at its end.
        where: The folder's place.
        place: The same, its lock held.
        files: What will be in it.

    Raises:
        JailError: The folder is there already.
    """
    with contextlib.suppress(NotFound):
        with translated():
            os.stat(place.name, dir_fd=place.fd, follow_symlinks=False)
        raise AlreadyExists("exists")
    temporary, note = held.enter_context(built(workspace, where, place))
    os.mkdir(temporary.name, dir_fd=temporary.fd)
    top = os.open(temporary.name, OPEN_FOLDER, dir_fd=temporary.fd)
    try:
        note(os.fstat(top).st_ino)
        for file in files:
            _write(top, file)
        os.fsync(top)
    finally:
        os.close(top)
    made = fresh(temporary)
    return Step("move", where.beside(temporary.name), where, made, made, fresh=True)


def _write(top: int, file: NewFile) -> None:
    *folders, name = file.rel.split("/")
    with contextlib.ExitStack() as held, translated():
        fd = top
        for folder in folders:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, dir_fd=fd)
            os.fsync(fd)
            fd = os.open(folder, OPEN_FOLDER, dir_fd=fd)
            held.callback(os.close, fd)
        out = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=fd)
        with os.fdopen(out, "wb") as target:
            target.write(file.data)
            target.flush()
            os.fchmod(out, file.mode & ~UMASK)
            os.fsync(out)
        os.fsync(fd)
