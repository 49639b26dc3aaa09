"""``--demo``: an embedded PostgreSQL with a generated shop, shared by all servers that serve it, and gone after them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from gatelodge_core.errors import SettingsError

if TYPE_CHECKING:
    # The keeper, which is to stay small, comes through here too.
    from gatelodge_postgres.demo.place import Demo
    from gatelodge_postgres.settings import PostgresSettings

CONTAINER = "docker run --rm -e POSTGRES_HOST_AUTH_METHOD=trust -p 127.0.0.1:5432:5432 postgres"
"""A database for whom this one can't be."""


def with_demo(settings: PostgresSettings) -> tuple[PostgresSettings, Callable[[], None]]:
    """Have the demo's database among those that are configured. Call it before the process is confined.

    Returns:
        The settings with it, and what lets go of it at the end.

    Raises:
        SettingsError: It can't be had, or another has its name.
    """
    demo = prepare(settings.state_path, allow_root=settings.allow_root)
    if taken := demo.databases.keys() & settings.all_databases().keys():
        demo.close()
        raise SettingsError(f"--demo: a database {min(taken)} is configured already, and the demo's has that name")
    return settings.model_copy(update={"databases": {**settings.databases, **demo.databases}}), demo.close


def prepare(state: str, *, allow_root: bool = False) -> Demo:
    """Have the database running; see `place.prepare`.

    Raises:
        SettingsError: It can't be had; the text says what to do.
    """
    if sys.platform == "win32":
        raise SettingsError(
            f"--demo runs on Linux and macOS. On Windows use it in WSL, or give the URL of a database, as of: {CONTAINER}"
        )
    from gatelodge_postgres.demo.place import prepare as have  # noqa: PLC0415 - not to be had on Windows

    return have(state, allow_root=allow_root)
