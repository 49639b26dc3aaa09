"""Taking secrets out of the environment once they are read.

Removing a variable leaves the bytes that the process was started with: ``/proc/PID/environ`` shows them for life, to
everything of the same user, and to what reads files for a model.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Collection

_ENV_START = 49
"""Fields 50 and 51 of /proc/PID/stat, from zero; see proc_pid_stat(5)."""


def scrub(names: Collection[str]) -> None:
    """Remove variables from the environment, and overwrite what they held when the process was started.

    Call it before confinement, which takes ``/proc`` away. Copies made before, such as the string that a setting was
    read into, stay. Where there is no ``/proc``, only the environment itself is changed.

    Args:
        names: Variables, set or not.
    """
    for name in names:
        os.environ.pop(name, None)
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError):
        start, end = _bounds()
        wanted = {os.fsencode(name) for name in names}
        at = start
        for entry in ctypes.string_at(start, end - start).split(b"\0"):
            if entry.partition(b"=")[0] in wanted:
                ctypes.memset(at, 0, len(entry))
            at += len(entry) + 1


def _bounds() -> tuple[int, int]:
    """Where the kernel put the first environment of this process."""
    with open("/proc/self/stat", "rb") as source:
        # The second field is the program's name in parentheses, and may hold spaces and parentheses itself.
        fields = source.read().rpartition(b")")[2].split()
    return int(fields[_ENV_START - 2]), int(fields[_ENV_START - 1])
