"""Approvals: a human's yes to one exact call, used once.

An approval is bound to the server, the principal, the kind and name of what is called, and the digest of the canonical
arguments; after any byte of these changes it is another call's, and useless. It lies in a SQLite file in the state folder,
so that the person can give it from another terminal (``gatelodge approve CODE``).
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

from gatelodge_core.store.errors import StoreError

TTL_SECONDS = 600
MAX_OPEN = 200
"""The most calls parked at once; a caller that floods would otherwise bury the person's own."""
MAX_OPEN_EACH = 50
"""The most of one caller, so that none takes the places of the others."""
BUSY_SECONDS = 5.0
"""How long another process's transaction is waited for."""
MAX_EFFECT = 200_000
MAX_BEGINNING = 2000
"""Characters of an effect in a list of calls: two hundred whole ones would be read twice a second by who watches."""
# No vowels and no look-alikes: a code is read aloud and typed.
_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ23456789"

State = Literal["parked", "approved", "declined", "used"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS approvals (
    code TEXT PRIMARY KEY, binding TEXT NOT NULL, server TEXT NOT NULL, principal TEXT NOT NULL, name TEXT NOT NULL,
    effect TEXT NOT NULL, state TEXT NOT NULL, created REAL NOT NULL, expires REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS approvals_binding ON approvals (binding, state);
CREATE INDEX IF NOT EXISTS approvals_expires ON approvals (expires);
"""


@dataclass(frozen=True, slots=True)
class Approval:
    """A parked call and what became of it.

    Args:
        code: What the person types.
        binding: Digest of server, principal, kind, name and arguments.
        server: Which server parked it.
        principal: Who asked.
        name: The tool.
        effect: What the call would do, in full, for the person to judge.
        state: What became of it.
        expires: When it ends, in seconds since 1970.
    """

    code: str
    binding: str
    server: str
    principal: str
    name: str
    effect: str
    state: State
    expires: float


class Approvals:
    """The approvals of one machine. Short operations, each a transaction of its own; call it from a worker thread.

    Args:
        path: The SQLite file; its folder must be private.

    Raises:
        StoreError: It can't be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600))
            with self._connected() as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.executescript(_SCHEMA)
        except OSError as error:
            raise StoreError(f"{path}: approvals can't be kept there: {error.strerror}") from None
        except StoreError as error:
            raise StoreError(f"{path}: {error}") from None

    @contextlib.contextmanager
    def _connected(self) -> Generator[sqlite3.Connection]:
        """A connection in one immediate transaction: committed at the end, rolled back on an error."""
        try:
            connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                connection.execute("PRAGMA synchronous=FULL")
                yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise StoreError(f"the approvals can't be reached: {error}; {_remedy(error)}") from None

    def park(self, binding: str, *, server: str, principal: str, name: str, effect: str) -> Approval:
        """Park a call; one that is parked already keeps its code.

        Raises:
            StoreError: The store can't be used, or too many calls are parked.
        """
        now = time.time()
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM approvals WHERE expires < ?", (now,))
            row = connection.execute(
                "SELECT * FROM approvals WHERE binding = ? AND state = 'parked'", (binding,)
            ).fetchone()
            if row is None:
                count, mine = connection.execute(
                    "SELECT count(*), count(*) FILTER (WHERE principal = ?) FROM approvals WHERE state = 'parked'",
                    (principal,),
                ).fetchone()
                if count >= MAX_OPEN or mine >= MAX_OPEN_EACH:
                    connection.execute("ROLLBACK")
                    most = f"{MAX_OPEN} calls" if count >= MAX_OPEN else f"{MAX_OPEN_EACH} calls of this caller"
                    raise StoreError(f"{most} wait for approval already; approve or decline some first")
                row = (
                    new_code(),
                    binding,
                    server,
                    principal,
                    name,
                    effect[:MAX_EFFECT],
                    "parked",
                    now,
                    now + TTL_SECONDS,
                )
                connection.execute("INSERT INTO approvals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            connection.execute("COMMIT")
        return _approval(row)

    def decide(self, code: str, *, approved: bool) -> bool:
        """Give the person's answer to a parked call; False if it isn't parked any more."""
        with self._connected() as connection:
            done = connection.execute(
                "UPDATE approvals SET state = ? WHERE code = ? AND state = 'parked' AND expires >= ?",
                ("approved" if approved else "declined", code, time.time()),
            )
            return done.rowcount == 1

    def spend(self, binding: str) -> State | None:
        """Use the approval of a call: ``approved`` exactly once, ``declined`` if that was the answer, else None."""
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            row = connection.execute(
                "SELECT code, state FROM approvals WHERE binding = ? AND state IN ('approved', 'declined') "
                "AND expires >= ? ORDER BY created DESC",
                (binding, time.time()),
            ).fetchone()
            if row is not None:
                connection.execute("UPDATE approvals SET state = 'used' WHERE code = ?", (row[0],))
            connection.execute("COMMIT")
        return None if row is None else row[1]

    def spend_once(self, nonce: str) -> bool:
        """Whether a nonce is seen for the first time; kept until a seal that carries it has expired."""
        now = time.time()
        row = (f"nonce:{nonce}", "", "", "", "", "", "used", now, now + 2 * TTL_SECONDS)
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM approvals WHERE expires < ?", (now,))
            done = connection.execute("INSERT OR IGNORE INTO approvals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            connection.execute("COMMIT")
            return done.rowcount == 1

    def parked(self) -> list[Approval]:
        """The calls that wait, oldest first, with the beginnings of their effects."""
        with self._connected() as connection:
            rows = connection.execute(
                "SELECT code, binding, server, principal, name, substr(effect, 1, ?), state, created, expires "
                "FROM approvals WHERE state = 'parked' AND expires >= ? ORDER BY created",
                (MAX_BEGINNING, time.time()),
            ).fetchall()
        return [_approval(row) for row in rows]

    def waiting(self, code: str) -> Approval | None:
        """One call that waits."""
        with self._connected() as connection:
            row = connection.execute(
                "SELECT * FROM approvals WHERE code = ? AND state = 'parked' AND expires >= ?", (code, time.time())
            ).fetchone()
        return None if row is None else _approval(row)

    def state(self, code: str) -> State | None:
        """What became of a call; None if it is forgotten, as those are that have expired."""
        with self._connected() as connection:
            row = connection.execute("SELECT state FROM approvals WHERE code = ?", (code,)).fetchone()
        return None if row is None else row[0]


def _remedy(error: sqlite3.Error) -> str:
    """What mends it; a caller may read this, so it names no path."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_BUSY:
        return "another program holds them: try again, or end that program"
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return "the file is damaged: end the servers and remove it, with its -wal and -shm; calls that wait ask again"
    return "see that the disk has room, and that the state folder can be written"


def _approval(row: tuple[str, str, str, str, str, str, State, float, float]) -> Approval:
    code, binding, server, principal, name, effect, state, _, expires = row
    return Approval(code, binding, server, principal, name, effect, state, expires)


def new_code() -> str:
    """About 38 bits, in two groups: unguessable within its ten minutes, and short enough to type."""
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(8))
    return f"{letters[:4]}-{letters[4:]}"
