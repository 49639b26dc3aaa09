"""What can be seen of a file or folder, in a few bytes, so that a change is told from a hint that something changed."""

from __future__ import annotations

import hashlib
import os
import stat

from gatelodge_core.errors import CallError, JailError, NotFound, Protected
from gatelodge_core.sandbox.place import check_name

from gatelodge_filesystem.encoding import etag
from gatelodge_filesystem.spots import Spot
from gatelodge_filesystem.windows import WHOLE_BYTES, read_all

MAX_ENTRIES = 20_000


def watchable(spot: Spot) -> tuple[str, bool]:
    """(canonical path, whether it is a folder) of what is there, or of a name that isn't there yet in a folder that is.

    Raises:
        JailError: The folder can't be reached, or holds credentials, or the name is no name.
    """
    jail = spot.root.jail
    try:
        rel = jail.canonical(spot.rel)
        folder = stat.S_ISDIR(jail.stat(rel).st_mode)
    except NotFound:
        head, _, name = spot.rel.rpartition("/")
        check_name(name)
        rel, folder = os.path.join(jail.canonical(head), name), False
    if jail.refuses(rel):
        raise Protected("kept from being opened")
    return rel, folder


def state_of(spot: Spot) -> str:
    """The present state: a file's etag (of a large one its size and times), a folder's entries, or empty if nothing is there."""
    jail = spot.root.jail
    try:
        found = jail.stat(spot.rel)
        if stat.S_ISDIR(found.st_mode):
            return _folder(jail.open_directory(spot.rel))
        if stat.S_ISREG(found.st_mode) and found.st_size <= WHOLE_BYTES:
            fd = jail.open_file(spot.rel)
            try:
                return etag(read_all(fd, WHOLE_BYTES))
            finally:
                os.close(fd)
    except (JailError, CallError, OSError):
        return ""
    return f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}"


def _folder(fd: int) -> str:
    try:
        with os.scandir(fd) as entries:
            names = sorted(
                os.fsencode(entry.name) + (b"/" if entry.is_dir(follow_symlinks=False) else b"")
                for entry, _ in zip(entries, range(MAX_ENTRIES), strict=False)
            )
    finally:
        os.close(fd)
    return hashlib.blake2b(b"\0".join(names), digest_size=12).hexdigest()


def glance(spot: Spot) -> tuple[int, ...]:
    """What a look from outside tells, cheap enough to be asked for often."""
    try:
        found = spot.root.jail.stat(spot.rel)
    except JailError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
