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
from psycopg.errors import QueryCanceled

from gatelodge_postgres.connect.pool import Pool
from gatelodge_postgres.connect.session import Connection, Session
from gatelodge_postgres.errors import Stopped, call_error, is_lost

logger = logging.getLogger(__name__)

T = TypeVar("T")

GRACE = 0.5
"""Seconds that the server's own timeout has to speak before we cancel."""
CANCEL_SECONDS = 2.0
END_SECONDS = 3.0
BEGIN_SECONDS = 5.0
"""The longest that the first message on a connection may take: one that slept through its peer's end hangs there."""
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

    def start(self) -> asyncio.Task[T]:
        """Begin to run; the task ends in any case, soon after `stop` at the latest."""
        self._task = asyncio.create_task(self._run())
        return self._task

    async def stop(self, why: str) -> None:
        """End the work: cancel its statement on the server, and wait until the transaction has ended."""
        task = self._task
        if task is None or task.done():
            return
        self._why = self._why or why
        if self._session is None:
            task.cancel()  # it waits for a connection
        else:
            self._session.stopped = True
            with contextlib.suppress(psycopg.Error, OSError):
                await self._session.connection.cancel_safe(timeout=CANCEL_SECONDS)
            await asyncio.wait({task}, timeout=CANCEL_SECONDS)
            if not task.done():
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
        self._stopping = asyncio.get_running_loop().create_task(self.stop("timeout"))

    async def _begun(self) -> Session:
        """A connection in its transaction. Nothing of the caller's was sent before, so trying another one is safe.

        Raises:
            CallError: No connection can be had.
            psycopg.Error: The transaction can't begin.
        """
        while True:
            connection = await self._pool.take()
            session = Session(connection)
            try:
                async with asyncio.timeout(BEGIN_SECONDS):
                    await session.constant(self._opening(session.version))
                return session
            except TimeoutError:
                # What else lies idle is as old, and as likely dead.
                await self._pool.drain()
                await self._drop(connection)
            except psycopg.Error as error:
                if not is_lost(error):
                    await self._end(session, keep=False)
                    raise
                await self._drop(connection)
            except BaseException:
                await self._drop(connection)
                raise

    async def _end(self, session: Session, *, keep: bool) -> None:
        """End the transaction and give the connection back: as new, or closed."""
        connection = session.connection
        stopped, session.stopped = session.stopped, False
        try:
            if connection.pgconn.transaction_status not in (*_IN_TRANSACTION, pq.TransactionStatus.IDLE):
                connection.pgconn.finish()  # in the middle of a message: nothing more can be said on it
            async with asyncio.timeout(END_SECONDS):
                if keep and not stopped:
                    await session.constant("COMMIT")
                elif connection.pgconn.transaction_status in _IN_TRANSACTION:
                    await session.constant("ROLLBACK")
                for sql in session.afterwards:
                    await session.constant(sql)
                if session.tainted and connection.pgconn.status == pq.ConnStatus.OK:
                    await session.constant("DISCARD ALL")
        except (psycopg.Error, TimeoutError) as error:
            connection.pgconn.finish()
            if keep:
                text = "the connection was lost at the commit: whether the change was made is not known."
                raise CallError("unknown_outcome", text, "Look whether it was, before anything is repeated.") from error
        except BaseException:
            connection.pgconn.finish()
            raise
        finally:
            await self._pool.give_back(connection)

    async def _drop(self, connection: Connection) -> None:
        connection.pgconn.finish()
        await self._pool.give_back(connection)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
