"""What the kernel counts of this process; read through descriptors that are opened before confinement takes /proc away."""

from __future__ import annotations

import os
import sys
import time
from typing import NamedTuple


class Facts(NamedTuple):
    """Of this process, now.

    Args:
        cpu_seconds: User and system time.
        resident_bytes: Memory that it holds; None where the kernel doesn't say.
        open_descriptors: None where the kernel doesn't say.
    """

    cpu_seconds: float
    resident_bytes: int | None
    open_descriptors: int | None


class Vitals:
    """Reads the facts, confined or not. Beside Linux only the processor time is known."""

    def __init__(self) -> None:
        self.started = time.time()
        self._memory = self._folder = -1
        if sys.platform == "linux":
            self._memory = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
            self._folder = os.open("/proc/self/fd", os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)

    def now(self) -> Facts:
        """The facts."""
        used = time.process_time()
        if sys.platform != "linux":
            return Facts(used, None, None)
        pages = int(os.pread(self._memory, 200, 0).split()[1])
        return Facts(used, pages * os.sysconf("SC_PAGESIZE"), len(os.listdir(self._folder)))
