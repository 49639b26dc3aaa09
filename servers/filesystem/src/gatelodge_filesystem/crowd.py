"""How much all callers together may have under way, whose workspaces are otherwise apart: each thread takes address space.

A process that is confined may map a bounded amount (``--memory-mb``), and threads are what many callers at once use it up by:
130 of them, each with a stack and an arena, fill the 2 GB of the default.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal

import anyio
from gatelodge_core.errors import CallError

Kind = Literal["read", "write"]
EACH: dict[Kind, int] = {"read": 16, "write": 4}
"""Threads of one caller. Two pools: searches that hang on a dead mount must not keep writes from ending."""
TIMES = 2
"""How many times that runs for all callers together, so that a busy one leaves room for others."""
WATCHES = 64
"""Folders that are watched for all callers together; each costs a thread, too."""
LEAST = 4
"""Of these, each caller may have its even part, and this many at least."""


class Places:
    """A number of places, taken and given back, from any thread.

    Args:
        most: How many there are.
    """

    def __init__(self, most: int) -> None:
        self._most = self._left = most
        self._lock = threading.Lock()

    def take(self) -> None:
        """Take one.

        Raises:
            CallError: `too_many_watches`: there is none.
        """
        with self._lock:
            if not self._left:
                raise CallError("too_many_watches", f"{self._most} folders are watched already.", "End some first.")
            self._left -= 1

    def give_back(self, number: int = 1) -> None:
        """Give some back."""
        with self._lock:
            self._left += number


@dataclass(frozen=True, slots=True)
class Crowd:
    """What the workspaces of one server share.

    Args:
        callers: How many workspaces there are.
    """

    callers: int = 1
    watches: Places = field(default_factory=lambda: Places(WATCHES))
    _limiters: dict[Kind, anyio.CapacityLimiter] = field(default_factory=dict[Kind, anyio.CapacityLimiter])

    @property
    def part(self) -> int:
        """Folders that one caller may watch."""
        return max(WATCHES // self.callers, LEAST)

    def limiter(self, kind: Kind) -> anyio.CapacityLimiter:
        """The threads of all callers together."""
        # Made on first use, inside the event loop that will use it.
        return self._limiters.setdefault(kind, anyio.CapacityLimiter(EACH[kind] * TIMES))
