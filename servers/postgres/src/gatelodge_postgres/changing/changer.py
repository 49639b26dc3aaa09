"""The changes of one database: previewed in a transaction that is rolled back, applied in one that is kept if it does the same."""

from __future__ import annotations

import asyncio
import logging
import secrets
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from gatelodge_core.auth.principal import CALLER
from gatelodge_core.errors import CallError

from gatelodge_postgres.changing.comparing import same
from gatelodge_postgres.changing.rehearsal import Limits, Rehearsal, Wanted, rehearse
from gatelodge_postgres.changing.tokens import SECONDS, Record, Tokens
from gatelodge_postgres.connect.database import Database
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.reading.near import near
from gatelodge_postgres.sources import Source, Sources

logger = logging.getLogger(__name__)

_NUMBER: LiteralString = "SELECT pg_current_xact_id_if_assigned()::text"
_OUTCOME: LiteralString = "SELECT pg_xact_status($1::xid8)::text, pg_current_wal_lsn()::text"
ASKING = 3.0
"""Seconds to ask what became of a commit."""
TRIES = 15


@dataclass(frozen=True)
class Applied:
    """A change that was made.

    Args:
        found: What it did.
        transaction: Its number; empty if nothing was written.
        wal: A position in the log at or after its commit; empty if it couldn't be asked.
        note: What was out of the ordinary.
    """

    found: Rehearsal
    transaction: str
    wal: str
    note: str = ""


class Changer:
    """Makes the changes of one database.

    Args:
        source: The database.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._known = source.known_to_writer

    def writer(self) -> Database:
        """The database with the role that changes things.

        Raises:
            CallError: None is configured.
        """
        writer = self._source.writer
        if writer is None:
            name = self._source.name
            variable = "GATELODGE_POSTGRES_" + ("" if name == "default" else f"{name.upper()}_") + "WRITE_URL"
            raise CallError(
                "not_writable",
                f"database {name} has no role that may change things.",
                f"The person sets {variable} (write_url) to the same database with such a role, and --allow-write.",
            )
        return writer

    async def preview(self, sql: str, parameters: Sequence[object], *, full_table: bool) -> Rehearsal:
        """Run a change, and roll it back.

        Raises:
            CallError: It is refused, or fails.
        """
        writer, wanted = self.writer(), self._wanted(sql, parameters, full_table=full_table)

        async def work(session: Session) -> Rehearsal:
            return await self._rehearse(session, wanted, sampled=True)

        try:
            return await writer.run(work, sql=sql)
        except CallError as error:
            raise await near(self._source.reader, sql, error) from None

    async def apply(self, record: Record) -> Applied:
        """Run a change again, and keep it if it does what the preview said.

        Raises:
            CallError: It does something else, is refused, or fails: nothing was changed. With ``unknown_outcome`` that is
                not known.
        """
        writer = self.writer()
        wanted = self._wanted(record.sql, record.parameters, full_table=record.full_table)
        number: list[str] = []

        async def work(session: Session) -> Rehearsal:
            found = await self._rehearse(session, wanted, sampled=False)
            same(record.found, found)
            ((xid,),) = await session.rows(_NUMBER)
            number.append(xid or "")
            return found

        done: Rehearsal | None = None
        failure: CallError | None = None
        try:
            done = await writer.run(work, sql=record.sql, keep=lambda _: True)
        except CallError as error:
            if not number:
                raise
            # The work was done, and the end of its transaction failed: only the server knows how it ended.
            failure = error
        finally:
            if record.found.profile == "ddl":
                self._source.reader.forget()
                self._known.forget()
        return await self._settled(writer, record, done, failure, number[0])

    async def _settled(
        self, writer: Database, record: Record, done: Rehearsal | None, failure: CallError | None, number: str
    ) -> Applied:
        """Ask the server how the transaction ended."""
        status, wal = "", ""
        if number:
            status, wal = await self._outcome(writer, number)
        if status == "aborted" or (failure is not None and not number):
            text = "the transaction was rolled back at its end: nothing was changed."
            raise CallError("rolled_back", text, failure.message if failure else "Call preview_change again.")
        if failure is None and done is not None:
            logger.info("change %s: %s of %d rows, transaction %s", record.id, done.word, done.rows, number or "none")
            return Applied(done, number, wal)
        if status == "committed":
            logger.warning("change %s: its connection was lost at the commit of transaction %s", record.id, number)
            note = "the connection was lost at the commit; the server says that the transaction was committed"
            return Applied(record.found, number, wal, note)
        text = f"whether transaction {number} was committed is not known: {failure.message if failure else ''}"
        raise CallError("unknown_outcome", text, "Look whether the change is there before anything is repeated.")

    async def _outcome(self, writer: Database, number: str) -> tuple[str, str]:
        async def ask(session: Session) -> tuple[str, str]:
            status, wal = "", ""
            for _ in range(TRIES):
                ((status, wal),) = await session.rows(_OUTCOME, [number])
                if status != "in progress":
                    break
                # Its backend may not have noticed yet that nobody waits any more.
                await asyncio.sleep(ASKING / TRIES / 2)
            return status or "", wal

        try:
            return await writer.run(ask, seconds=ASKING)
        except CallError as error:
            logger.warning("what became of transaction %s can't be asked: %s", number, error)
            return "", ""

    async def _rehearse(self, session: Session, wanted: Wanted, *, sampled: bool) -> Rehearsal:
        settings = self._source.settings
        limits = Limits(self._source.reader.judge.rules, settings.allow_superuser, self._source.masks, self._known)
        try:
            return await rehearse(session, wanted, limits, sampled=sampled)
        except CallError as error:
            if error.code.startswith("undefined_"):
                self._known.forget()
            raise

    def _wanted(self, sql: str, parameters: Sequence[object], *, full_table: bool) -> Wanted:
        return Wanted(sql, tuple(parameters), full_table, self._source.settings.write_profile)


class Changes:
    """The changers of all databases, and the tokens they share."""

    def __init__(self) -> None:
        self.tokens = Tokens()

    def of(self, source: Source) -> Changer:
        """The changer of a database, for its caller."""
        return Changer(source)

    def remember(self, source: Source, sql: str, parameters: Sequence[object], found: Rehearsal, *, full_table: bool) -> tuple[Record, str]:  # fmt: skip
        """Keep what was previewed; (the record, its token)."""
        expires = self.tokens.clock() + SECONDS
        record = Record(secrets.token_hex(5), source.name, caller(), sql, tuple(parameters), full_table, found, expires)
        return record, self.tokens.give(record)


def caller() -> str:
    """Who makes this call; empty outside of one."""
    principal = CALLER.get()
    return str(principal) if principal else ""


_CHANGES: weakref.WeakKeyDictionary[Sources, Changes] = weakref.WeakKeyDictionary()


def changes_of(sources: Sources) -> Changes:
    """The changes of a server's databases; they live as long as it."""
    return _CHANGES.setdefault(sources, Changes())
