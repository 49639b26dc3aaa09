"""How often a caller may call all replicas together.

The bucket is kept as one moment: when it will be full again (the generic cell rate algorithm). That is a token bucket to the
letter, by the store's one clock, and its key is gone by itself once there is nothing to remember.
"""

from __future__ import annotations

from typing import NamedTuple

from gatelodge_core.store.errors import StoreError
from gatelodge_core.store.shared import PREFIX, Script, SharedStore, hashed


class Rate(NamedTuple):
    """A limit.

    Args:
        per_second: In the long run.
        burst: At once after a pause.
    """

    per_second: float
    burst: float


# Of all buckets or of none. A clock that was set back must not lock anybody out for longer than a whole bucket.
_TAKE = Script.of("""
local t = redis.call('TIME')
local now, full = t[1] * 1000000 + t[2], {}
for i, key in ipairs(KEYS) do
    local step, most = ARGV[2 * i - 1], ARGV[2 * i - 1] * ARGV[2 * i]
    local at = math.min(math.max(tonumber(redis.call('GET', key) or 0), now), now + most)
    full[i] = at + step
    if full[i] - now > most then return {i, math.ceil(full[i] - now - most)} end
end
for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.0f', full[i]), 'PX', math.ceil((full[i] - now) / 1000) + 1)
end
return {0, 0}
""")


class Refusal(NamedTuple):
    """Over a limit.

    Args:
        which: Number of the limit among those that were asked for.
        wait: Seconds after which there is a call again.
    """

    which: int
    wait: float


class SharedRates:
    """The limits of one server's callers.

    Args:
        store: Where they are kept.
        server: The server's short name: each has limits of its own.
    """

    def __init__(self, store: SharedStore, server: str) -> None:
        self._store, self._prefix = store, f"{PREFIX}{server}:rate:"

    async def take(self, principal: str, rates: list[Rate]) -> Refusal | None:
        """Take a call from all limits of a caller, or from none.

        Args:
            principal: Who.
            rates: The limits, always in the same order.

        Raises:
            StoreError: The store can't be asked.
        """
        who = f"{self._prefix}{hashed(principal)}"
        told = [number for rate in rates for number in (1_000_000 / rate.per_second, rate.burst)]
        found = await self._store.run(_TAKE, [f"{who}:{place}" for place in range(len(rates))], *told)
        try:
            which, wait = map(int, found)
        except (TypeError, ValueError):
            raise StoreError("the shared store says what can't be understood") from None
        return Refusal(which - 1, wait / 1_000_000) if which else None
