"""Which requests of one connection wait for their answers: an id that is in flight can't be used again.

The SDK would let the second one take over the first one's place, so that a cancellation hits the wrong one.
"""

from __future__ import annotations

import anyio

REQUEST_ID = "gatelodge.request_id"
"""Key in an ASGI scope: the id of the JSON-RPC request in the body; missing for anything else."""
IN_FLIGHT = "Invalid request: a request with this id is still in flight"


class InFlight:
    """The ids of requests that were accepted and not answered yet."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._empty = anyio.Event()
        self._empty.set()

    def accept(self, request_id: object) -> None:
        """Take an id in."""
        if not self._ids:
            self._empty = anyio.Event()
        self._ids.add(str(request_id))

    def holds(self, request_id: object) -> bool:
        """Whether an id is in flight; ``7`` and ``"7"`` are one to the SDK."""
        return str(request_id) in self._ids

    def settle(self, request_id: object) -> None:
        """Forget an id: it was answered, or cancelled, after which nothing is answered."""
        self._ids.discard(str(request_id))
        if not self._ids:
            self._empty.set()

    @property
    def empty(self) -> bool:
        """Whether nothing is in flight."""
        return not self._ids

    async def drained(self) -> None:
        """Wait until nothing is in flight."""
        await self._empty.wait()
