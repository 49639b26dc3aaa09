"""Which domains were named: by a search result, a setting, a person or the policy. In strict mode no other is read.

The question before an unnamed domain is put by the lodge (`subjects.doubts`); here it is held once more where requests
leave, so that neither a redirect nor a tool that forgets to ask gets by.
"""

from __future__ import annotations

from collections import OrderedDict
from contextvars import ContextVar

import anyio.to_thread
from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.egress.names import Target

from gatelodge_websearch.store import Shelf, Store

ADMITTED: ContextVar[frozenset[str]] = ContextVar("gatelodge_websearch_admitted", default=frozenset())
"""Hosts that the call being served asks for. It is set before policy and person decide: a tool that runs was admitted."""
_KEPT = 10_000


class Naming:
    """Knows the domains that were named.

    Args:
        store: Knows what searches found.
        strict: Whether only named domains may be read.
    """

    def __init__(self, store: Store, *, strict: bool) -> None:
        self._store = store
        self.strict = strict
        # Not in the file: what a person or the policy said holds as long as this process.
        self._said: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def named(self, host: str, shelf: Shelf) -> bool:
        """Whether a host was named to a caller; with ``www.`` before it or without is the same."""
        bare = _bare(host)
        if (shelf.owner, bare) in self._said:
            return True
        return await anyio.to_thread.run_sync(shelf.knows_host, host)

    async def check(self, target: Target) -> None:
        """Refuse to send a request to an unnamed domain, in strict mode.

        Raises:
            CallError: `unnamed_domain`.
        """
        if not self.strict:
            return
        shelf = self._store.mine()
        if await self.named(target.host, shelf):
            return
        if _bare(target.host) in {_bare(host) for host in ADMITTED.get()}:
            self._said[shelf.owner, _bare(target.host)] = None
            while len(self._said) > _KEPT:
                self._said.popitem(last=False)
            return
        raise CallError(
            "unnamed_domain",
            f"The way leads to {target.host}, a domain that no search result, setting or person has named; nothing was "
            "sent there.",
            "Ask for a page of that domain itself if it is wanted: the person is then asked.",
        )


def _bare(host: str) -> str:
    return host.removeprefix("www.")
