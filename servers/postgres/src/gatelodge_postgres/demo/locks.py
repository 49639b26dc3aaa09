"""Locks on files: held by a descriptor, so that the kernel lets go of them whatever ends the process, also ``kill -9``."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Generator

STEP = 0.02


class Held(Exception):
    """Another process holds the lock."""


def take(path: str, *, shared: bool = False, seconds: float | None = None) -> int:
    """Lock a file, made if it is missing.

    Args:
        path: The file.
        shared: Whether others may hold it in the same way.
        seconds: The longest to wait; None waits for ever.

    Returns:
        The descriptor that holds it until it is closed.

    Raises:
        Held: Another process holds it, and did for all of the time.
        OSError: The file can't be opened.
    """
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _lock(held, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, end)
            # It may have been removed, and made anew by another, while we waited.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(held), os.stat(path, follow_symlinks=False)):
                    return held
        except BaseException:
            os.close(held)
            raise
        os.close(held)


@contextlib.contextmanager
def locked(path: str, seconds: float) -> Generator[int]:
    """Hold a file's lock alone; gives the descriptor, which a child can be given to hold it on.

    Raises:
        Held: Another process holds it for longer.
        OSError: The file can't be opened.
    """
    held = take(path, seconds=seconds)
    try:
        yield held
    finally:
        os.close(held)


def free(path: str) -> bool:
    """Whether nobody holds a file's lock now."""
    try:
        os.close(take(path, shared=True, seconds=0))
    except Held:
        return False
    return True


def _lock(held: int, how: int, end: float | None) -> None:
    if end is None:
        fcntl.flock(held, how)
        return
    while True:
        try:
            fcntl.flock(held, how | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= end:
                raise Held from None
        time.sleep(STEP)
