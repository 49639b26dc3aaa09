"""Waiting for changes from call to call: what happened between two calls is kept for the second, within bounds."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import anyio
from gatelodge_core.errors import CallError, JailError

from gatelodge_filesystem.spots import Spot
from gatelodge_filesystem.watching import Changes, Watcher

IDLE_SECONDS = 600.0
"""How long changes are gathered for a caller who doesn't come back."""
MAX_WAITERS = 16
"""Cursors that are alive at once; the longest unused one is given up."""
MAX_EVENTS = 2000
"""Paths that are kept for one cursor; more mean "look at everything again"."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is waited for.

    Args:
        spot: As it was asked for.
        rel: Its canonical path.
        folder: Whether it is a folder: then everything below counts.
    """

    spot: Spot
    rel: str
    folder: bool

    def covers(self, rel: str) -> bool:
        """Whether a change at a path of its root counts."""
        return rel == self.rel or (self.folder and (not self.rel or rel.startswith(f"{self.rel}/")))


@dataclass
class Waiter:
    """One caller's cursor: the targets, and what changed since it last asked."""

    targets: tuple[Target, ...]
    key: str = field(default_factory=lambda: secrets.token_hex(8))
    changed: dict[Spot, None] = field(default_factory=dict[Spot, None])
    rescan: bool = False
    lost: bool = False
    stops: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    used: float = field(default_factory=time.monotonic)

    def sink(self, root_name: str) -> Callable[[Changes], None]:
        """What a watch of a folder in a root tells."""

        def note(changes: Changes) -> None:
            for target in self.targets:
                if target.spot.root.name != root_name:
                    continue
                for rel in changes.paths:
                    if target.covers(rel) and not _in_git(rel):
                        self.changed[Spot(target.spot.root, rel)] = None
            if changes.rescan or len(self.changed) > MAX_EVENTS:
                self.changed.clear()
                self.rescan = True
            if self.changed or self.rescan:
                self.arrived.set()

        return note

    def end(self) -> None:
        """Watch no more."""
        for stop in self.stops:
            stop()
        self.stops.clear()


def _in_git(rel: str) -> bool:
    """Whether a path is git's own: a single commit touches a hundred of these."""
    return ".git" in rel.split("/")


class Waiters:
    """All cursors.

    Args:
        watcher: The observer.
    """

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._waiters: OrderedDict[str, Waiter] = OrderedDict()

    async def waiter(
        self, targets: Sequence[Target], cursor: str, failure: Callable[[Spot, JailError], CallError]
    ) -> Waiter:
        """The waiter of a cursor; a new one if there is none, or it was given up or is of other targets.

        Raises:
            CallError: Something can't be watched.
        """
        self._expire()
        found = self._waiters.get(cursor)
        if found is not None and found.targets == tuple(targets):
            found.used = time.monotonic()
            self._waiters.move_to_end(cursor)
            return found
        made = Waiter(tuple(targets), lost=bool(cursor))
        try:
            for target in targets:
                folder = target.rel if target.folder else target.rel.rpartition("/")[0]
                root = target.spot.root
                try:
                    stop = await self._watcher.watch(root, folder, made.sink(root.name), recursive=target.folder)
                except JailError as error:
                    raise failure(target.spot, error) from None
                made.stops.append(stop)
        except BaseException:
            made.end()
            raise
        self._waiters[made.key] = made
        if len(self._waiters) > MAX_WAITERS:
            self._waiters.popitem(last=False)[1].end()
        return made

    def _expire(self) -> None:
        oldest = time.monotonic() - IDLE_SECONDS
        while self._waiters:
            key, waiter = next(iter(self._waiters.items()))
            if waiter.used > oldest:
                break
            del self._waiters[key]
            waiter.end()


async def gathered(waiter: Waiter, seconds: float) -> tuple[list[Spot], bool]:
    """(what changed, whether more did than is told); waits for it no longer than `seconds`."""
    if not (waiter.changed or waiter.rescan):
        waiter.arrived.clear()
        with anyio.move_on_after(seconds):
            await waiter.arrived.wait()
    changed, rescan = list(waiter.changed), waiter.rescan
    waiter.changed, waiter.rescan = {}, False
    waiter.used = time.monotonic()
    return changed, rescan
