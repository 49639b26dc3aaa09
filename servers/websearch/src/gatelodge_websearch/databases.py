"""SQLite files of what can be fetched or made again: a damaged one begins anew, and keeps no server from starting."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable

from gatelodge_core.errors import SettingsError

logger = logging.getLogger(__name__)

MEMORY = ":memory:"
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def opened(path: str, prepare: Callable[[sqlite3.Connection], object]) -> sqlite3.Connection:
    """Open a file, for use from any thread.

    Args:
        path: The file, made 0600 if it is missing, as its folder is; or `MEMORY`.
        prepare: Makes its tables.

    Raises:
        SettingsError: It can't be used.
    """
    try:
        try:
            return _connected(path, prepare)
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
                raise
            logger.warning("%s is damaged (%s); it begins anew", path, error)
        for name in (path, f"{path}-wal", f"{path}-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
        return _connected(path, prepare)
    except (sqlite3.Error, OSError) as error:
        raise SettingsError(
            f"{path} can't be used: {error}; see that its disk has room and its folder can be written, or set --state-dir"
        ) from None


def _connected(path: str, prepare: Callable[[sqlite3.Connection], object]) -> sqlite3.Connection:
    if path != MEMORY:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    base = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
    try:
        if path != MEMORY:
            os.chmod(path, 0o600)
            base.execute("PRAGMA journal_mode = WAL")
            base.execute("PRAGMA synchronous = NORMAL")
        prepare(base)
    except BaseException:
        base.close()
        raise
    return base
