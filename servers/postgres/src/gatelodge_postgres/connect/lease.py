"""One transaction's life on a leased connection: begun afresh, ended always, stopped on the server when its call ends.

Work runs in a task of its own. A host's cancel would otherwise interrupt the driver in the middle of a message, and the
backend would run on; so the call lets go of the task, the statement is cancelled on the server, the transaction is rolled
back, and the connection is used again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, LiteralString, TypeVar

import psycopg
from gatelodge_core.errors import CallError
from psycopg import pq
from psycopg.errors import InvalidParameterValue, QueryCanceled, UndefinedObject

from gatelodge_postgres.connect.pool import Pool
from gatelodge_postgres.connect.session import Connection, Session
from gatelodge_postgres.errors import Stopped, call_error, is_lost

logger = logging.getLogger(__name__)

T = TypeVar("T")

GRACE = 0.5
"""Seconds that the server's own timeout has to speak before we cancel."""
CANCEL_SECONDS = 2.0
"""How long we try to cancel; then the connection is given up."""
AGAIN_SECONDS = 0.1
END_SECONDS = 3.0
BEGIN_SECONDS = 5.0
"""The longest that the first message on a connection may take: one that slept through its peer's end hangs there."""
_AS_NEW: tuple[LiteralString, ...] = (
    "CLOSE ALL",
    "SET SESSION AUTHORIZATION DEFAULT",
    "RESET ALL",
    "DEALLOCATE ALL",
    "UNLISTEN *",
    "SELECT pg_catalog.pg_advisory_unlock_all()",
    "DISCARD PLANS",
    "DISCARD TEMP",
    "DISCARD SEQUENCES",
)
"""What DISCARD ALL does, which itself can't share a message with others."""
_IN_TRANSACTION = (pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR)


class Lease(Generic[T]):
    """A transaction to be.

    Args:
        pool: Where its connection comes from.
        opening: The text that begins it, for a server of the given version.
        work: What runs in it.
        seconds: The most it may take, from its beginning.
        keep: Whether the work's result is to be committed; without it all is rolled back.
    """

    def __init__(
        self,
        pool: Pool,
        opening: Callable[[int], LiteralString],
        work: Callable[[Session], Awaitable[T]],
        seconds: float,
        keep: Callable[[T], bool] | None = None,
    ) -> None:
        self._pool = pool
        self._opening = opening
        self._work = work
        self._seconds = seconds
        self._keep = keep
        self._session: Session | None = None
        self._task: asyncio.Task[T] | None = None
        self._why = ""
        self._stopping: asyncio.Task[None] | None = None
        self._cancelling: asyncio.Task[None] | None = None
        self._ending = False

    def start(self) -> asyncio.Task[T]:
        """Begin to run; the task ends in any case, soon after `stop` at the latest."""
        self._task = asyncio.create_task(self._run())
        # Nobody asks what became of the work of a call that was cancelled.
        self._task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._task

    async def stop(self, why: str) -> None:
        """End the work: cancel its statement on the server, and wait until the transaction has ended."""
        await asyncio.wait({self._halt(why)})

    def _halt(self, why: str) -> asyncio.Task[None]:
        """Begin to stop, once; nothing more is sent for the work."""
        if self._stopping is None:
            self._why = why
            if self._session is not None and not self._ending:
                self._session.stopped = True
            self._stopping = asyncio.create_task(self._stop())
        return self._stopping

    async def _stop(self) -> None:
        task, session = self._task, self._session
        assert task is not None
        if session is None:
            task.cancel()  # it waits for a connection
        else:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + CANCEL_SECONDS
            while not self._ending and not task.done() and loop.time() < deadline:
                self._cancelling = loop.create_task(_cancel(session.connection))
                await asyncio.wait({self._cancelling})
                # A backend that had yet to read the statement knows nothing of a cancel that came before.
                await asyncio.wait({task}, timeout=AGAIN_SECONDS)
            if not self._ending and not task.done():
                logger.warning("a server does not answer to a cancel; its connection is given up")
                task.cancel()
        await asyncio.wait({task}, timeout=END_SECONDS)

    def result(self, sql: str = "") -> T:
        """What came of it, once the task is done.

        Raises:
            CallError: Nothing did.
        """
        task = self._task
        assert task is not None
        if not task.done():
            raise CallError("timeout", "the database did not answer and was given up.", "Try again.")
        late = f"took more than {self._seconds:g} s and was stopped on the server."
        try:
            return task.result()
        except (Stopped, asyncio.CancelledError):
            raise CallError("timeout", f"the statement {late}", "Narrow it, or raise timeout_ms.") from None
        except QueryCanceled as error:
            if self._why or "statement timeout" in str(error):
                raise CallError("timeout", f"the statement {late}", "Narrow it, or raise timeout_ms.") from None
            raise call_error(error, sql=sql) from None
        except psycopg.Error as error:
            if self._why:
                raise CallError("timeout", f"the statement {late}", "Narrow it, or raise timeout_ms.") from None
            if is_lost(error):
                text = f"the connection to database {self._pool.target.name} was lost: {_first_line(error)}."
                raise CallError("connection_lost", text, "The next call connects anew.") from None
            raise call_error(error, sql=sql) from None

    async def _run(self) -> T:
        session = await self._begun()
        self._session = session
        timer = asyncio.get_running_loop().call_later(self._seconds + GRACE, self._late)
        session.connection.add_notice_handler(session.note)
        keep = False
        try:
            found = await self._work(session)
            keep = self._keep is not None and self._keep(found)
            return found
        finally:
            timer.cancel()
            session.connection.remove_notice_handler(session.note)
            await self._end(session, keep=keep)

    def _late(self) -> None:
        self._halt("timeout")

    async def _begun(self) -> Session:
        """A connection in its transaction. Nothing of the caller's was sent before, so trying another one is safe.

        Raises:
            CallError: No connection can be had, or it doesn't answer.
            psycopg.Error: The transaction can't begin.
        """
        again = True
        while True:
            connection = await self._pool.take()
            session = Session(connection)
            try:
                async with asyncio.timeout(BEGIN_SECONDS):
                    await self._open(session)
                return session
            except TimeoutError:
                await self._drop(connection)
                if not again:
                    text = f"database {self._pool.target.name}, or a pooler before it, did not answer."
                    raise CallError("no_answer", text, "It may be full or stuck; try again later.") from None
            except psycopg.Error as error:
                if not is_lost(error):
                    await self._end(session, keep=False)
                    raise
                await self._drop(connection)
                if not again:
                    raise
            except BaseException:
                await self._drop(connection)
                raise
            # What else lies idle is as old, and as likely dead; a new one that fails as well tells the truth.
            await self._pool.drain()
            again = False

    async def _open(self, session: Session) -> None:
        status = session.connection.pgconn.parameter_status
        # Bytes that are no UTF-8 would be refused on their way to us; nothing converts them.
        raw = "; SET LOCAL client_encoding='SQL_ASCII'" if status(b"server_encoding") == b"SQL_ASCII" else ""
        try:
            await session.constant(self._opening(0 if self._pool.plain else session.version) + raw)
        except (InvalidParameterValue, UndefinedObject):
            if self._pool.plain:
                raise
            # Some servers lack a setting of their version, as on systems that can't tell whether a client is there.
            await session.constant("ROLLBACK")
            await session.constant(self._opening(0) + raw)
            self._pool.plain = True

    async def _end(self, session: Session, *, keep: bool) -> None:
        """End the transaction and give the connection back: as new, or closed.

        Raises:
            CallError: It was to be committed, and was not, or nobody knows.
            psycopg.Error: PostgreSQL refused the commit.
            Stopped: The call ended before the commit, so there was none.
        """
        connection = session.connection
        self._ending = True
        committing = False
        try:
            if self._cancelling is not None:
                # It must not meet what we send next, nor what the connection's next user does.
                await asyncio.wait({self._cancelling})
            stopped, session.stopped = session.stopped, False
            status = connection.pgconn.transaction_status
            if status not in (*_IN_TRANSACTION, pq.TransactionStatus.IDLE):
                connection.pgconn.finish()  # in the middle of a message: nothing more can be said on it
            async with asyncio.timeout(END_SECONDS):
                if keep and not stopped and status == pq.TransactionStatus.INTRANS:
                    committing = True
                    await session.constant("COMMIT")
                    committing = keep = False
                await self._clean(session)
        except (psycopg.Error, TimeoutError) as error:
            connection.pgconn.finish()
            if committing:
                if isinstance(error, psycopg.Error) and not is_lost(error):
                    raise
                text = "the connection was lost at the commit: whether the change was made is not known."
                raise CallError("unknown_outcome", text, "Look whether it was, before anything is repeated.") from error
        except BaseException:
            connection.pgconn.finish()
            raise
        finally:
            await self._pool.give_back(connection)
        if keep:
            # Rolled back instead; without a word, the caller would take it for done.
            raise Stopped

    async def _clean(self, session: Session) -> None:
        """Leave nothing behind. In one message: behind a pooler, the next one could be answered by another backend."""
        pgconn = session.connection.pgconn
        if pgconn.status != pq.ConnStatus.OK:
            return
        last: list[LiteralString] = []
        if pgconn.transaction_status in _IN_TRANSACTION:
            last.append("ROLLBACK")
        last.extend(session.afterwards)
        if session.tainted:
            last.extend(_AS_NEW)
        if last:
            await session.constant("; ".join(last))

    async def _drop(self, connection: Connection) -> None:
        connection.pgconn.finish()
        await self._pool.give_back(connection)


async def _cancel(connection: Connection) -> None:
    """Cancel what runs on a connection, and wait until the server has been told."""
    with contextlib.suppress(psycopg.Error, OSError):
        await connection.cancel_safe(timeout=CANCEL_SECONDS)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
