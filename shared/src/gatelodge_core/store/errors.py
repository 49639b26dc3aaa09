"""What goes wrong with state that outlives a call."""

from __future__ import annotations

from gatelodge_core.errors import GatelodgeError


class StoreError(GatelodgeError):
    """The store can't be used; what depends on it is refused."""


class StoreBusyError(StoreError):
    """So much waits for the store already that more would only wait in vain."""
