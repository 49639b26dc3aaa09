"""Change tokens: what `preview_change` found, kept in this process, and spent by one `apply_change`.

A token is 256 random bits; the record behind it says all that will be done, so nothing of that travels or can be altered.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from gatelodge_core.errors import CallError

from gatelodge_postgres.changing.rehearsal import Rehearsal

SECONDS = 600.0
MAX_KEPT = 64
MAX_EACH = 16
"""Of one caller, so that nobody pushes others' out."""
MAX_BYTES = 32 * 1024 * 1024
"""Of statements and parameters that all records hold together."""
# Letters alone: a run of digits could look like a card's number, and be masked on its way out.
_ALPHABET = "bcdfghjkmnpqrstv"
_AGAIN = "Call preview_change again."


@dataclass(frozen=True)
class Record:
    """A change that was previewed.

    Args:
        id: What the answers and the log call it.
        connection: The database's name.
        principal: Who previewed it.
        sql: The statement.
        parameters: Its parameters.
        full_table: Whether it may change whole tables.
        found: What the rehearsal found.
        expires: By the monotonic clock.
    """

    id: str
    connection: str
    principal: str
    sql: str
    parameters: tuple[object, ...]
    full_table: bool
    found: Rehearsal
    expires: float = 0.0


@dataclass
class Tokens:
    """The tokens of one process; only their digests are kept."""

    clock: Callable[[], float] = time.monotonic
    _records: OrderedDict[bytes, Record] = field(default_factory=OrderedDict[bytes, Record])
    _used: OrderedDict[bytes, None] = field(default_factory=OrderedDict[bytes, None])

    def give(self, record: Record) -> str:
        """Keep a record; its token. When there are too many, the oldest go of whoever has most."""
        token = "".join(_ALPHABET[half] for byte in secrets.token_bytes(32) for half in (byte >> 4, byte & 15))
        own = [digest for digest, one in self._records.items() if one.principal == record.principal]
        for digest in own[: len(own) - MAX_EACH + 1] if len(own) >= MAX_EACH else []:
            del self._records[digest]
        self._records[_digest(token)] = record
        while len(self._records) > MAX_KEPT:
            self._forget_one(lambda _: 1)
        while len(self._records) > 1 and sum(_size(one) for one in self._records.values()) > MAX_BYTES:
            self._forget_one(_size)
        return token

    def _forget_one(self, weight: Callable[[Record], int]) -> None:
        """Drop the oldest record of the caller whose records weigh most, but not the newest of all."""
        *older, _ = self._records
        weights = Counter[str]()
        for one in self._records.values():
            weights[one.principal] += weight(one)
        del self._records[max(older, key=lambda digest: weights[self._records[digest].principal])]

    def look(self, token: str, principal: str, connection: str = "") -> Record:
        """The record of a token.

        Raises:
            CallError: It is unknown, used, expired, somebody else's, or of another database.
        """
        digest = _digest(token)
        record = self._records.get(digest)
        if record is None:
            if digest in self._used:
                raise CallError("token_used", "this change_token was used already.", _AGAIN)
            raise CallError("unknown_token", "there is no such change_token here, or not any more.", _AGAIN)
        if record.principal != principal:
            raise CallError("wrong_caller", "this change_token was given to another caller.", _AGAIN)
        if self.clock() >= record.expires:
            text = f"this change_token is older than {SECONDS / 60:.0f} minutes."
            raise CallError("token_expired", text, _AGAIN)
        if connection not in ("", record.connection):
            text = f"this change_token is for database {record.connection}, not {connection[:60]}."
            raise CallError("wrong_connection", text, "Leave connection out, or name that one.")
        return record

    def take(self, token: str, principal: str, connection: str = "") -> Record:
        """The same, and the token is spent, whatever comes of it.

        Raises:
            CallError: As `look`.
        """
        record = self.look(token, principal, connection)
        digest = _digest(token)
        del self._records[digest]
        self._used[digest] = None
        while len(self._used) > MAX_KEPT * 4:
            self._used.popitem(last=False)
        return record


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.strip().encode("utf-8", "replace")).digest()


def _size(record: Record) -> int:
    return len(record.sql) + sum(len(str(value)) for value in record.parameters)
