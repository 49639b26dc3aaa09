"""Answers kept with their ETags: GitHub counts no request that it can answer with 304.

One SQLite file in the state folder, readable by its owner alone. Each row belongs to one credential: what one may see says
nothing of what another may.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from gatelodge_core.errors import SettingsError

LARGEST = 1024 * 1024
"""Bytes of the largest answer that is kept."""
DAYS = 14
_LOG = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    owner TEXT NOT NULL, accept TEXT NOT NULL, url TEXT NOT NULL, etag TEXT NOT NULL, headers TEXT NOT NULL,
    body BLOB NOT NULL, size INTEGER NOT NULL, used REAL NOT NULL, PRIMARY KEY (owner, accept, url)
) STRICT;
CREATE INDEX IF NOT EXISTS answers_used ON answers (used);
"""
_KEPT_HEADERS = ("link", "content-type", "etag", "last-modified")


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer from before."""

    etag: str
    headers: Mapping[str, str]
    body: bytes


class Cache:
    """The answers. Short operations under a lock; for worker threads.

    Args:
        path: The file; made with mode 0600. Empty for memory alone.
        megabytes: Bodies that are kept, compressed; the longest unused go first.

    Raises:
        SettingsError: The file can't be used.
    """

    def __init__(self, path: str, megabytes: int) -> None:
        self._most = megabytes * 1024 * 1024
        self._lock = threading.Lock()
        self._since = 0
        try:
            if path and not self._most:
                # Nothing is to be kept: not what was kept before, either.
                _remove(path)
            self._base = _opened(path if self._most else "")
        except (OSError, sqlite3.Error) as error:
            raise SettingsError(f"the cache of GitHub's answers can't be used: {error}") from None

    def find(self, owner: str, accept: str, url: str) -> Kept | None:
        """The answer that was kept, if any."""
        if not self._most:
            return None
        key = (owner, accept, url)
        try:
            with self._lock:
                row = self._base.execute(
                    "SELECT etag, headers, body FROM answers WHERE owner = ? AND accept = ? AND url = ?", key
                ).fetchone()
                if row is None:
                    return None
                self._base.execute(
                    "UPDATE answers SET used = ? WHERE owner = ? AND accept = ? AND url = ?", (time.time(), *key)
                )
            return Kept(row[0], json.loads(row[1]), zlib.decompress(row[2]))
        except sqlite3.Error:
            return None
        except (ValueError, zlib.error):
            self.forget(*key)
            return None

    def keep(self, owner: str, accept: str, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Keep an answer, if it has an ETag and isn't too large."""
        etag = headers.get("etag", "")
        if not etag or not self._most or len(body) > LARGEST:
            return
        packed = zlib.compress(body, 1)
        kept = json.dumps({name: headers[name] for name in _KEPT_HEADERS if name in headers})
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._base.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (owner, accept, url, etag, kept, packed, len(packed), time.time()),
            )
            self._since += len(packed)
            if self._since > self._most // 8:
                self._since = 0
                self._shrink()

    def forget(self, owner: str, accept: str, url: str) -> None:
        """Drop an answer: the caller may see it no more, or it is gone."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._base.execute("DELETE FROM answers WHERE owner = ? AND accept = ? AND url = ?", (owner, accept, url))

    def _shrink(self) -> None:
        (size,) = self._base.execute("SELECT coalesce(sum(size), 0) FROM answers").fetchone()
        while size > self._most:
            freed = self._base.execute(
                "DELETE FROM answers WHERE rowid IN (SELECT rowid FROM answers ORDER BY used LIMIT 64) RETURNING size"
            ).fetchall()
            if not freed:
                return
            size -= sum(row[0] for row in freed)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._base.close()


def _opened(path: str) -> sqlite3.Connection:
    """The base at a path, in order; one that is damaged is set aside, since nothing in it can't be had again."""
    if not path:
        return _connected("")
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    try:
        return _connected(path)
    except sqlite3.OperationalError as error:
        # Held by another process, say: not damaged, and no reason not to serve.
        _LOG.warning("the cache of GitHub's answers can't be used now (%s); answers are kept in memory", error)
        return _connected("")
    except sqlite3.DatabaseError as error:
        _LOG.warning("the cache of GitHub's answers is damaged (%s); it begins anew", error)
        _remove(path)
        return _connected(path)


def _connected(path: str) -> sqlite3.Connection:
    if path:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            if os.name == "posix":
                os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    base = sqlite3.connect(path or ":memory:", timeout=2, isolation_level=None, check_same_thread=False)
    try:
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = OFF")
        base.executescript(_SCHEMA)
        base.execute("DELETE FROM answers WHERE used < ?", (time.time() - DAYS * 86400,))
    except sqlite3.Error:
        base.close()
        raise
    return base


def _remove(path: str) -> None:
    for name in (path, f"{path}-wal", f"{path}-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
