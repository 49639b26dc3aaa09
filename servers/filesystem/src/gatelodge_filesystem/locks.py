"""Locks on paths, between threads and between processes.

A lock lies in the state directory, not on the file itself: an atomic write replaces the file's inode, and a lock on the
old inode excludes nobody. A path's key is (device, inode of its directory, name), so that two roots, or two servers,
that reach one directory by different paths share its locks.

Keys fall on a fixed number of lock files, which therefore never have to be cleaned up; two keys on one file only wait
for each other.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import threading
import time
from collections.abc import Generator, Sequence

from gatelodge_core.errors import CallError, SettingsError

if sys.platform != "win32":
    import fcntl

STRIPES = 512
WAIT_SECONDS = 20.0
_FIRST_PAUSE, _LAST_PAUSE = 0.0005, 0.02

Key = tuple[int, int, str]
"""(device, inode of the directory, name)"""


def private_directory(path: str) -> str:
    """Create a directory that only this user can enter, or check that it is one.

    Raises:
        SettingsError: It is a link, someone else's, or can't be made.
    """
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        found = os.lstat(path)
    except OSError as error:
        raise SettingsError(f"{path}: can't be used for state: {error.strerror}. Set --state-dir.") from None
    if not stat.S_ISDIR(found.st_mode):
        raise SettingsError(f"{path}: is not a directory itself. Set --state-dir.")
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        raise SettingsError(f"{path}: belongs to another user. Set --state-dir.")
    if stat.S_IMODE(found.st_mode) & 0o077:
        os.chmod(path, 0o700)
    return path


class PathLocks:
    """The locks of one state directory.

    Args:
        directory: Where the lock files lie; made private.
    """

    def __init__(self, directory: str) -> None:
        self._directory = private_directory(directory)
        # Threads wait here, without polling; only one of each process competes for the file.
        self._threads = [threading.Lock() for _ in range(STRIPES)]

    @contextlib.contextmanager
    def hold(self, keys: Sequence[Key], seconds: float = WAIT_SECONDS) -> Generator[None]:
        """Hold the locks of all keys, taken in one order everywhere, so that nobody waits in a circle.

        Raises:
            CallError: `busy`, after `seconds`.
        """
        deadline = time.monotonic() + seconds
        with contextlib.ExitStack() as held:
            for stripe in sorted({_stripe(key) for key in keys}):
                held.enter_context(self._one(stripe, deadline))
            yield

    @contextlib.contextmanager
    def _one(self, stripe: int, deadline: float) -> Generator[None]:
        lock = self._threads[stripe]
        if not lock.acquire(timeout=max(deadline - time.monotonic(), 0)):
            raise _busy()
        try:
            path = os.path.join(self._directory, f"{stripe:03x}.lock")
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o600)
            try:
                if not lock_by(fd, deadline):
                    raise _busy()
                yield
            finally:
                os.close(fd)  # which releases it
        finally:
            lock.release()


def try_lock(fd: int) -> bool:
    """Lock an open file until it is closed; whether nobody else had it locked. Always true on Windows."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_by(fd: int, deadline: float, *, shared: bool = False) -> bool:
    """Lock an open file until it is closed; whether that was possible in time. Always true on Windows.

    Args:
        fd: The file.
        deadline: Until when to try, in monotonic seconds.
        shared: Whether others may hold it in the same way.
    """
    if sys.platform == "win32":
        return True
    pause = _FIRST_PAUSE
    while True:
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() + pause > deadline:
                return False
        # flock has no timeout of its own, and a signal would reach the wrong thread.
        time.sleep(pause)
        pause = min(pause * 1.5, _LAST_PAUSE)


def _busy() -> CallError:
    return CallError("busy", "another call is changing this file.", "Nothing was changed; try again.")


def _stripe(key: Key) -> int:
    text = os.fsencode(f"{key[0]}:{key[1]}:{key[2]}")
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "big") % STRIPES
