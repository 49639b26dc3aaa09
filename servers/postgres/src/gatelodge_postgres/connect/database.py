"""One configured database, with the role that reads, or the one that changes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import LiteralString, TypeVar, cast

import anyio
from gatelodge_core.auth.principal import CALLER
from gatelodge_core.errors import CallError

from gatelodge_postgres.connect.lease import Lease
from gatelodge_postgres.connect.pool import Pool
from gatelodge_postgres.connect.session import Session

T = TypeVar("T")

READ_ONLY: LiteralString = "BEGIN READ ONLY"
READ_WRITE: LiteralString = "BEGIN"
CONFLICT = "serialization_failure"
PAUSE = 0.25
"""Seconds before what a replica gave up runs once more."""
PRINCIPAL = "{principal}"
"""Stands in a role for the caller's subject."""
MAX_ROLE_BYTES = 63
"""PostgreSQL cuts longer names, and a cut name could be another caller's."""


@dataclass(frozen=True)
class Timeouts:
    """How long things may take on the server, in seconds."""

    statement: float = 15
    lock: float = 2


class Database:
    """A database.

    Args:
        name: What callers call it.
        pool: Its connections.
        timeouts: On the server.
        description: What is in it, for models.
        role: Taken in each transaction; ``{principal}`` is the caller's subject.
        begin: How a transaction begins.
        gate: Called in the first transaction; raises `CallError` to refuse the database, and is then asked again.
    """

    def __init__(
        self,
        name: str,
        pool: Pool,
        timeouts: Timeouts,
        *,
        description: str = "",
        role: str = "",
        begin: LiteralString = READ_ONLY,
        gate: Callable[[Session], Awaitable[None]] | None = None,
    ) -> None:
        self.name = name
        self.description = description
        self.timeouts = timeouts
        self._pool = pool
        self._role = role
        self._begin: LiteralString = begin
        self._gate = gate
        self._open = False

    @property
    def target(self) -> str:
        """Where it is, for people."""
        return self._pool.target.shown

    @contextlib.asynccontextmanager
    async def life(self) -> AsyncGenerator[None]:
        """Its pool's life; nothing is connected before the first call."""
        await self._pool.open()
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await self._pool.close()

    async def run(
        self,
        work: Callable[[Session], Awaitable[T]],
        *,
        seconds: float = 0,
        sql: str = "",
        keep: Callable[[T], bool] | None = None,
    ) -> T:
        """Run `work` in one transaction, which is rolled back after it.

        Args:
            work: Gets the session; it must not keep it. It is stopped on the server when the call is cancelled.
            seconds: The most that one statement, and all of it, may take; the setting's unless given.
            sql: The caller's text, to show where in it an error is.
            keep: Whether what the work returned is to be committed.

        Raises:
            CallError: The database can't be had, the work took too long, or PostgreSQL refused a statement.
        """
        limit = seconds or self.timeouts.statement
        opening = self._opening(limit)

        async def gated(session: Session) -> T:
            if self._gate is not None and not self._open:
                await self._gate(session)
                self._open = True
            return await work(session)

        try:
            return await _leased(Lease(self._pool, opening, gated, limit, keep), sql)
        except CallError as error:
            if error.code != CONFLICT or self._begin != READ_ONLY:
                raise
            # A replica had to remove what the query still looked at, and often more in the same moment.
            await asyncio.sleep(PAUSE)
            return await _leased(Lease(self._pool, opening, gated, limit, keep), sql)

    def _opening(self, seconds: float) -> Callable[[int], LiteralString]:
        """The text that begins a transaction. Everything in it ends with the transaction, as poolers need."""
        role = self._role_text()

        def text(version: int) -> LiteralString:
            wait = round(seconds * 1000)
            parts = [
                self._begin,
                f"SET LOCAL statement_timeout={wait}",
                f"SET LOCAL lock_timeout={round(self.timeouts.lock * 1000)}",
                # Between two statements we only compute; much longer means that this process is gone.
                f"SET LOCAL idle_in_transaction_session_timeout={wait + 5000}",
                # The verdict reads strings by the standard; a role or database may be set otherwise.
                "SET LOCAL standard_conforming_strings=on",
                "SET LOCAL synchronize_seqscans=off",
                "SET LOCAL intervalstyle='iso_8601'",
                "SET LOCAL datestyle='ISO'",
                "SET LOCAL bytea_output='hex'",
                "SET LOCAL extra_float_digits=1",
            ]
            if version >= 140000:
                # Ends the backend's work when this process is gone without a cancel.
                parts.append("SET LOCAL client_connection_check_interval=1000")
            if version >= 170000:
                parts.append(f"SET LOCAL transaction_timeout={wait + 5000}")
            # Made of our words, numbers, and one quoted name.
            return cast("LiteralString", "; ".join([*parts, *role]))

        return text

    def _role_text(self) -> list[str]:
        if not self._role:
            return []
        caller = CALLER.get()
        name = self._role.replace(PRINCIPAL, caller.subject if caller else "")
        if not name or name.lower() == "none" or len(name.encode()) > MAX_ROLE_BYTES or "\0" in name:
            raise CallError("no_role", "this caller has no role in the database.", "The person must make one.")
        quoted = name.replace('"', '""')
        return [f'SET LOCAL ROLE "{quoted}"']


async def _leased(lease: Lease[T], sql: str) -> T:
    task = lease.start()
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True):
            await lease.stop("cancelled")
        raise
    return lease.result(sql)
