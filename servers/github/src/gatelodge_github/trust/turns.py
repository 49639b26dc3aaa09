"""One question at a time: who asks the same while it is being asked waits, and finds the answer kept."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager

import anyio


class Turns:
    """A turn for each question. If whoever asks is cancelled, the next one asks."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, anyio.Lock] = {}

    @asynccontextmanager
    async def of(self, question: Hashable) -> AsyncGenerator[None]:
        """Wait for one's turn; then look whether the answer is there by now."""
        lock = self._locks.setdefault(question, anyio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked() and self._locks.get(question) is lock:
                del self._locks[question]
