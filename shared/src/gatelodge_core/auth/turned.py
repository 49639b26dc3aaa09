"""What was refused before it was a call, in the journal: the first of a kind at once, the rest as a number once a minute.

A flood of wrong keys, or of calls over a limit, must leave a trace, and must not fill the disk: whatever comes, it is `MOST` records a minute and the
numbers that belong to them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from gatelodge_core.auth.principal import Principal

MOST = 20
"""Kinds, each a reason, an address and a caller, that are told apart in a minute; others are counted together."""
SECONDS = 60.0
OTHERS = "several"
"""Stands for the address where they are counted together."""

Record = Callable[[str, str, int, Principal | None], None]
"""Writes down why, from where, how often, and who, if that is known."""


class _Kind(NamedTuple):
    reason: str
    address: str
    principal: Principal | None


class TurnedAway:
    """Counts.

    Args:
        record: Writes down.
        seconds: The length of a minute, for tests.
    """

    def __init__(self, record: Record, seconds: float = SECONDS) -> None:
        self._record, self._seconds = record, seconds
        self._counts: Counter[_Kind] = Counter()
        self._told = 0
        self._timer: asyncio.TimerHandle | None = None

    def note(self, reason: str, address: str, principal: Principal | None = None) -> None:
        """One more was turned away. Called in the event loop.

        Args:
            reason: A stable word, such as ``invalid_token``.
            address: From where.
            principal: Who, if that is known.
        """
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self.settle)
        kind = _Kind(reason, address, principal)
        if kind not in self._counts and self._told < MOST:
            self._told += 1
            self._counts[kind] = 0
            self._record(reason, address, 1, principal)
        elif kind in self._counts:
            self._counts[kind] += 1
        else:
            self._counts[_Kind(reason, OTHERS, None)] += 1

    def settle(self) -> None:
        """Write down the numbers, and begin anew."""
        if self._timer is not None:
            self._timer.cancel()
        counts, self._counts = self._counts, Counter()
        self._timer, self._told = None, 0
        for kind, count in counts.items():
            if count:
                self._record(kind.reason, kind.address, count, kind.principal)
