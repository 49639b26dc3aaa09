"""How many made-up tokens the issuer is asked about: so many from one address, so many in all, and no more.

A question whose answer is yes costs nothing: it is given back. So a whole office behind one address can come at once, and
a flood of random tokens ends here instead of at the issuer.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

EACH_SECOND, EACH_BURST = 5.0, 50
"""Questions about tokens that nobody knows yet, from one address: in the long run, and at once after a pause."""
ALL_SECOND, ALL_BURST = 50.0, 300
"""The same from all addresses together."""
MAX_ADDRESSES = 4096
"""Addresses that are told apart; the one longest unused is forgotten first, and the bound of all holds whatever comes."""
_SITE = 64
"""Bits of an IPv6 address by which one customer is known: whoever has one address there has all (RFC 6177)."""


class Strangers:
    """Counts questions about tokens that nobody knows yet; a token bucket for each address, and one for all."""

    def __init__(self) -> None:
        self._all = _Bucket(ALL_SECOND, ALL_BURST)
        self._each: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._each)

    def take(self, address: str, now: float) -> float:
        """Count one question, or none.

        Args:
            address: Where the token came from.
            now: Seconds, on a clock that all of these are given.

        Returns:
            0 if it may be asked, else the seconds after which it may.
        """
        site = _site(address)
        mine = self._each.get(site)
        if mine is None:
            mine = self._each[site] = _Bucket(EACH_SECOND, EACH_BURST)
            if len(self._each) > MAX_ADDRESSES:
                self._each.popitem(last=False)
        self._each.move_to_end(site)
        wait = max(mine.wait(now), self._all.wait(now))
        if not wait:
            mine.level -= 1
            self._all.level -= 1
        return wait

    def give_back(self, address: str) -> None:
        """The token was a good one."""
        for bucket in (self._all, self._each.get(_site(address))):
            if bucket is not None:
                bucket.level = min(bucket.level + 1, bucket.burst)


class _Bucket:
    """What is left."""

    __slots__ = ("at", "burst", "level", "rate")

    def __init__(self, rate: float, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self.level, self.at = float(burst), 0.0

    def wait(self, now: float) -> float:
        """Seconds until there is one; 0 if there is. A clock that was set back adds nothing, and takes nothing."""
        self.level = min(self.burst, self.level + max(0.0, now - self.at) * self.rate)
        self.at = now
        return 0.0 if self.level >= 1 else (1 - self.level) / self.rate


def _site(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return address
    return str(found.ipv4_mapped or ipaddress.ip_network((found, _SITE), strict=False))
