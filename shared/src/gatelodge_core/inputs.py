"""Reading a file that a person names, whatever it turns out to be: nothing here waits for ever or reads without end."""

from __future__ import annotations

import errno
import os
import select
import stat
import time

WAIT_SECONDS = 10.0
"""How long a pipe may take to be written to its end."""
_FLAGS = sum(getattr(os, name, 0) for name in ("O_RDONLY", "O_CLOEXEC", "O_BINARY", "O_NOCTTY", "O_NONBLOCK"))


def read_input(path: str, most: int) -> bytes:
    """The bytes of a file, or of a pipe such as the shell's ``<(command)``.

    Args:
        path: What was named.
        most: Where reading may stop; up to a chunk more is returned of what is longer.

    Raises:
        OSError: It can't be read; or it is a pipe that nothing was written to, or not to its end in `WAIT_SECONDS`.
    """
    # Not blocking, or opening a named pipe waits for its writer.
    descriptor = os.open(path, _FLAGS)
    try:
        pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        until = time.monotonic() + WAIT_SECONDS
        found = bytearray()
        while len(found) <= most:
            if pipe:
                _wait(descriptor, until)
            chunk = os.read(descriptor, 65536)
            if not chunk:
                break
            found += chunk
    finally:
        os.close(descriptor)
    if pipe and not found:
        # Somebody may have read it before us; then what it said would be lost without a word.
        raise OSError(errno.ENODATA, "it is a pipe, and nothing was written to it")
    return bytes(found)


def _wait(descriptor: int, until: float) -> None:
    """Wait until a pipe has something to read, or has ended after it was written to.

    Raises:
        TimeoutError: Not in time.
    """
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    if not waiting.poll(max(0.0, until - time.monotonic()) * 1000):
        reason = f"it is a pipe that nobody wrote to its end within {WAIT_SECONDS:.0f} s"
        raise TimeoutError(errno.ETIMEDOUT, reason)
