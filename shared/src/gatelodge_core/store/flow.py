"""What each caller has read, as far as it decides what may leave: marks, kept per principal for some hours.

Marks are set in the midst of a call, at once and in memory. With a shared store they are there before the answer leaves, so
that no replica can be asked for what follows from an answer without knowing of it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakValueDictionary

from gatelodge_core.store.shared import PREFIX, Script, SharedStore, hashed

MAX_PRINCIPALS = 1000
"""Callers whose marks are all kept; of those who read before them the latest few are, so that nobody is taken for clean."""
MAX_KEPT = 50_000
"""Callers of whom a few marks are kept; whoever read before all these is forgotten."""
FEW = 3
"""How many, besides the pinned ones: two may be of the place that is written to, and the third then still says enough."""
MAX_MARKS = 500
"""Of one caller and server; the oldest of more are forgotten, and what remains still says enough."""
PINNED = "!"
"""How a mark begins that isn't forgotten for the number of others; a server has a handful of these."""


class Flow:
    """The marks, in memory.

    Args:
        clock: Seconds, growing.
    """

    def __init__(self, clock: Callable[[], float] = lambda: time.monotonic()) -> None:  # noqa: PLW0108 - looked up late
        self._clock = clock
        self._of: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()
        self._earlier: OrderedDict[str, OrderedDict[str, float]] = OrderedDict()
        self._lock = threading.Lock()

    def mark(self, principal: str, source: str, seconds: float) -> None:
        """Note that a caller reads something; before it is read, and from any thread.

        Args:
            principal: Who.
            source: What, in the server's own words.
            seconds: For how long it counts.
        """
        with self._lock:
            self._mark(principal, source, self._clock() + seconds)

    def marks(self, principal: str) -> list[str]:
        """What a caller has read, the oldest first."""
        now = self._clock()
        with self._lock:
            found = self._of.get(principal) or self._earlier.get(principal)
            return [source for source, until in found.items() if until > now] if found else []

    async def refresh(self, principal: str) -> None:
        """Learn what other replicas have noted.

        Raises:
            StoreError: They can't be asked, so that anything may have been read.
        """

    async def flush(self, principal: str) -> None:
        """Have noted here what others must know.

        Raises:
            StoreError: It can't be, so that no answer may leave.
        """

    def _mark(self, principal: str, source: str, until: float) -> None:
        marks = self._of.setdefault(principal, self._earlier.pop(principal, None) or OrderedDict())
        self._of.move_to_end(principal)
        marks[source] = max(until, marks.get(source, 0.0))
        marks.move_to_end(source)
        if len(marks) > MAX_MARKS and (gone := next((item for item in marks if item[:1] != PINNED), None)) is not None:
            del marks[gone]
        while len(self._of) > MAX_PRINCIPALS:
            self._put_away(*self._of.popitem(last=False))

    def _put_away(self, principal: str, marks: OrderedDict[str, float]) -> None:
        """Keep a few of a caller's marks that still count; another's reading must not make it be taken for clean."""
        now = self._clock()
        current = [(source, until) for source, until in marks.items() if until > now]
        latest = [source for source, _ in current if source[:1] != PINNED][-FEW:]
        kept = OrderedDict(item for item in current if item[0][:1] == PINNED or item[0] in latest)
        if kept:
            self._earlier[principal] = kept
        if len(self._earlier) > MAX_KEPT:
            self._earlier.popitem(last=False)


# Two sorted sets of a caller and server: until when each mark counts, and in which order they were set.
_NOTE = Script.of("""
local t = redis.call('TIME')
local now, left = t[1] * 1000 + math.floor(t[2] / 1000), 0
for i = 2, #ARGV, 2 do
    local ends = math.max(now + ARGV[i + 1], tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]) or 0))
    redis.call('ZADD', KEYS[1], ends, ARGV[i])
    redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[3]), ARGV[i])
end
for _, gone in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1 - ARGV[1])) do
    if string.sub(gone, 1, 1) ~= '!' then redis.call('ZREM', KEYS[1], gone) redis.call('ZREM', KEYS[2], gone) end
end
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], math.ceil(last[2] - now) + 1000) end
return 0
""")
_READ = Script.of("""
local t = redis.call('TIME')
local now, found = t[1] * 1000 + math.floor(t[2] / 1000), {}
for _, source in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    local ends = tonumber(redis.call('ZSCORE', KEYS[1], source) or 0)
    if ends > now then found[#found + 1] = source found[#found + 1] = ends - now end
end
return found
""")
_BATCH = 200
"""Marks in one script: Lua has room for so many."""


class SharedFlow(Flow):
    """The marks that replicas share.

    Args:
        store: Where they are kept.
        server: The server's short name, whose words the marks are.
        clock: Seconds, growing.
    """

    def __init__(
        self,
        store: SharedStore,
        server: str,
        clock: Callable[[], float] = lambda: time.monotonic(),  # noqa: PLW0108 - looked up late
    ) -> None:
        super().__init__(clock)
        self._store, self._server = store, server
        self._new: dict[str, dict[str, float]] = {}
        self._sending: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def mark(self, principal: str, source: str, seconds: float) -> None:
        """Note that a caller reads something; others learn of it with the next `flush`."""
        super().mark(principal, source, seconds)
        with self._lock:
            new = self._new.setdefault(principal, {})
            # The order of a dictionary is the order in which they are noted; the longer time holds.
            new[source] = max(seconds, new.pop(source, 0.0))

    async def refresh(self, principal: str) -> None:
        """Learn what other replicas have noted."""
        found = await self._store.run(_READ, self._keys(principal))
        now = self._clock()
        with self._lock:
            for source, left in zip(found[::2], found[1::2], strict=True):
                self._mark(principal, source.decode(), now + left / 1000)
            known = self._of.get(principal, OrderedDict())
            for source in self._new.get(principal, {}):
                # Ours are the latest.
                if source in known:
                    known.move_to_end(source)

    async def flush(self, principal: str) -> None:
        """Have others know what was noted here, by this call or by another one of the caller."""
        if principal not in self._new and principal not in self._sending:
            return
        # Marks that another call took along are known only once it has sent them.
        async with self._sending.setdefault(principal, asyncio.Lock()):
            with self._lock:
                new = list(self._new.pop(principal, {}).items())
            try:
                while new:
                    told = [part for source, seconds in new[:_BATCH] for part in (source, round(seconds * 1000))]
                    await self._store.run(_NOTE, self._keys(principal), MAX_MARKS, *told)
                    del new[:_BATCH]
            finally:
                if new:
                    # Whatever stopped it, the next answer has to tell of them.
                    with self._lock:
                        self._new[principal] = {**dict(new), **self._new.get(principal, {})}

    def _keys(self, principal: str) -> list[str]:
        who = f"{PREFIX}{self._server}:flow:{hashed(principal)}"
        return [f"{who}:ends", f"{who}:order", f"{who}:count"]
