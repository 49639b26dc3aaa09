"""The store that servers with the same environment and settings file share, as commands use it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from gatelodge_core.settings import PREFIX, LodgeSettings
from gatelodge_core.store.errors import StoreError
from gatelodge_core.store.shared import SharedStore

DEADLINE = 5.0
"""Seconds after which a question has failed: a person rather waits than tries again."""


class _Settings(LodgeSettings):
    """What all servers are told alike."""

    @classmethod
    def _prefix(cls) -> str:
        return PREFIX


def shared_settings(config: str = "") -> LodgeSettings | None:
    """The settings that name a shared store: ``GATELODGE_STORE_URL`` or ``store_url`` of the settings file; None without.

    A URL holds a password, so there is no flag for it: other users can read a process's arguments.

    Args:
        config: The settings file, if a flag names one.

    Raises:
        SettingsError: The settings can't be used.
    """
    settings = _Settings.load(["--config", config] if config else [])
    return settings if settings.store_url.get_secret_value() else None


@asynccontextmanager
async def opened(settings: LodgeSettings) -> AsyncGenerator[SharedStore]:
    """The store, connected.

    Raises:
        SettingsError: Its address isn't safe, or it doesn't let us in.
        StoreError: It can't be reached.
    """
    address = SharedStore.address_of(settings)
    assert address is not None
    store = SharedStore(address, deadline=DEADLINE, connections=2)
    async with store.life():
        if store.failure:
            raise StoreError(store.failure)
        yield store
