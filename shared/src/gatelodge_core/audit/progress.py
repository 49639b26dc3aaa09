"""Progress of what takes longer than a second, on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from gatelodge_core.outlet import coloured

QUIET = 1.0
"""Seconds for which nothing is said."""
STEP = 2.0
"""Seconds between two lines, where they can't be written over each other."""


class Progress:
    """Says what is being done, once that has lasted a second.

    Args:
        out: Where to; a terminal gets one line that is written over.
        clock: Seconds, growing.
    """

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._clock = out, clock
        self._next = clock() + QUIET
        self._terminal = coloured(out)
        self._said = False

    def tick(self, what: str, done: int) -> None:
        """Something was done.

        Args:
            what: ``verified`` (then `done` is in bytes) or ``read`` (then in calls).
            done: How much of it, in all.
        """
        now = self._clock()
        if now < self._next:
            return
        self._next = now + (0.1 if self._terminal else STEP)
        text = f"{what} {done / 1e6:,.0f} MB" if what == "verified" else f"{what} {done:,} calls"
        self._out.write(f"\r\x1b[K{text} ..." if self._terminal else f"{text} ...\n")
        self._out.flush()
        self._said = True

    def end(self) -> None:
        """Clear the line, for what follows."""
        if self._said and self._terminal:
            self._out.write("\r\x1b[K")
            self._out.flush()
