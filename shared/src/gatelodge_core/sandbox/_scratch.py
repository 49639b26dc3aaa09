"""A private temporary directory for this process, gone when it ends.

Landlock asks for a right on the parent to remove a directory. So all our directories lie in one of their own, and that
right is given there, not on the system's folder for temporary files. A lock held for life tells the directories of
living processes from those that a killed one left.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import stat
import sys
import tempfile
from typing import NamedTuple


class Scratch(NamedTuple):
    """The directory, and the one it lies in."""

    path: str
    base: str


def make() -> Scratch:
    """Make the directory (0700), point `tempfile` and TMPDIR of children at it, and have it removed at exit.

    Directories of processes that were killed are removed on the way.

    Raises:
        OSError: It can't be made.
    """
    base = _base()
    if sys.platform == "win32":
        path = tempfile.mkdtemp(prefix="p", dir=base)
    else:
        path = _locked(base)
    tempfile.tempdir = path
    os.environ["TMPDIR"] = path
    atexit.register(_remove, path, os.getpid())
    return Scratch(path, base)


def _base() -> str:
    """A directory that only we can use, the same for all our processes if possible."""
    parent = tempfile.gettempdir()
    owner = os.getuid() if sys.platform != "win32" else 0
    base = os.path.join(parent, f"gatelodge-{owner}")
    with contextlib.suppress(FileExistsError):
        os.mkdir(base, 0o700)
    found = os.lstat(base)
    # Anyone could have taken the name in a shared folder, with a link or a directory of their own.
    if stat.S_ISDIR(found.st_mode) and found.st_uid == owner and not stat.S_IMODE(found.st_mode) & 0o077:
        return base
    return tempfile.mkdtemp(prefix="gatelodge-", dir=parent)


if sys.platform != "win32":
    import fcntl

    def _locked(base: str) -> str:
        fd = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            # Held while ours has no lock yet, so that nobody takes it for a left one.
            fcntl.flock(fd, fcntl.LOCK_EX)
            for name in os.listdir(base):
                _sweep(os.path.join(base, name))
            path = tempfile.mkdtemp(prefix="p", dir=base)
            # Never closed: the lock ends with the process, however that ends.
            fcntl.flock(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), fcntl.LOCK_SH)
        finally:
            os.close(fd)
        return path

    def _sweep(path: str) -> None:
        with contextlib.suppress(OSError):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            finally:
                os.close(fd)


def _remove(path: str, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(path, ignore_errors=True)
