"""A small memory of what was found out a short while ago."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """Keeps values for a time, and no more than so many: the oldest leaves first.

    Args:
        most: How many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[bytes, tuple[float, V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes, now: float) -> V | None:
        """What is kept under a key; None if nothing is, or its time is over."""
        found = self._kept.get(key)
        if found is None:
            return None
        if found[0] <= now:
            del self._kept[key]
            return None
        return found[1]

    def put(self, key: bytes, value: V, until: float) -> None:
        """Keep a value until a time, on the clock that `get` is given."""
        self._kept.pop(key, None)
        self._kept[key] = until, value
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)


def fingerprint(token: str) -> bytes:
    """Under what a token is remembered: nothing that could be presented in its place."""
    return hashlib.sha256(token.encode()).digest()
