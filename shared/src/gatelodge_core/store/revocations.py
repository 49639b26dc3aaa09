"""What was taken back before its time: keys, tokens, and all that a caller holds; known to all replicas within a second."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from gatelodge_core.store.errors import StoreError
from gatelodge_core.store.shared import PREFIX, Script, SharedStore, hashed

FRESH_SECONDS = 0.5
"""How long an answer is good. A revocation is known to every replica after this and the time of one question."""
MAX_KNOWN = 8192
MAX_REVOKED = 100_000
"""On the list at once."""
MAX_NAME = 600

_NOW = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "
# The key is no declared one: an account that may only read it couldn't run the script (Redis takes those for written).
_ASK = Script.of("return redis.call('EXISTS', ARGV[1])")
_REVOKE = Script.of(
    _NOW
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) and not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end
local left = math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[2]))
redis.call('SET', KEYS[1], '1', 'PX', left)
redis.call('ZADD', KEYS[2], now + left, ARGV[1])
redis.call('PEXPIRE', KEYS[2], math.max(redis.call('PTTL', KEYS[2]), left))
return 1
"""
)
_LIST = Script.of(_NOW + "return redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[1])")
_NAMES = f"{PREFIX}revoked"


class Revocation(NamedTuple):
    """What was revoked.

    Args:
        name: ``key-id:<id>``, a principal such as ``key:alice``, or another name that a token goes by.
        expires: When it leaves the list, in seconds since 1970.
    """

    name: str
    expires: float


class Revocations:
    """The list.

    Args:
        store: Where it is kept.
        clock: Seconds, growing.
    """

    def __init__(self, store: SharedStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._known: OrderedDict[str, tuple[float, bool]] = OrderedDict()
        self._asking: dict[str, asyncio.Task[bool]] = {}

    async def revoked(self, name: str) -> bool:
        """Whether something is on the list, as it was half a second ago at most.

        Raises:
            StoreError: The store can't be asked.
        """
        if self._store.failure:
            # At once, rather than when what is known gets old: whoever reads the log finds them together.
            raise StoreError(self._store.failure)
        known = self._known.get(name)
        if known is not None and known[0] > self._clock():
            return known[1]
        task = self._asking.get(name)
        if task is None:
            # Many requests of one caller are one question; who hangs up must not take the others along.
            task = self._asking[name] = asyncio.create_task(self._ask(name))
            task.add_done_callback(lambda _: self._asking.pop(name, None))
        return await asyncio.shield(task)

    async def _ask(self, name: str) -> bool:
        at = self._clock()
        answer = await self._store.run(_ASK, [], _key(name))
        if answer not in (0, 1):
            raise StoreError("the shared store says what can't be understood")
        found = bool(answer)
        self._known[name] = (at + FRESH_SECONDS, found)
        self._known.move_to_end(name)
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return found

    async def revoke(self, name: str, seconds: float) -> None:
        """Put something on the list; what is on it for longer already stays so.

        Args:
            name: What is revoked.
            seconds: For how long: until it would end by itself.

        Raises:
            StoreError: The store can't be used, or the list is full.
        """
        if not name or len(name) > MAX_NAME or not name.isprintable():
            raise StoreError(f"a name has 1 to {MAX_NAME} printable characters")
        if not await self._store.run(_REVOKE, [_key(name), _NAMES], name, max(1, round(seconds * 1000)), MAX_REVOKED):
            raise StoreError(f"{MAX_REVOKED} names are revoked already")

    async def listed(self, most: int = 1000) -> list[Revocation]:
        """What is on the list, what ends first first."""
        row = await self._store.run(_LIST, [_NAMES], most)
        return [Revocation(name.decode(), float(until) / 1000) for name, until in zip(row[::2], row[1::2], strict=True)]


def _key(name: str) -> str:
    return f"{_NAMES}:{hashed(name)}"
