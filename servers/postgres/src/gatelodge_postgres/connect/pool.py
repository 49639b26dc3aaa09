"""Connections to one database with one role: `psycopg_pool`, except that a call is told at once why none can be had.

The pool itself keeps trying in the background while a server is down, and lets callers wait for their whole time. Here an
attempt that fails is not repeated: whoever waits is told as soon as nothing is left that could come free, and the next
call tries anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from time import monotonic
from typing import Any

import psycopg
from gatelodge_core.errors import CallError
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout
from psycopg_pool.base import AttemptWithBackoff

from gatelodge_postgres.connect.session import Connection
from gatelodge_postgres.connect.target import Target
from gatelodge_postgres.errors import unreachable

logger = logging.getLogger(__name__)
# It tells of failed attempts too, but with less of the reason than `take` has.
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)

MAX_WAITING = 64
LIFETIME = 1800.0
IDLE = 300.0
MIN_ATTEMPT = 2
"""The least that libpq takes for a timeout, in seconds."""
CLOSE_SECONDS = 2.0
_KEEPALIVE = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    # A peer that is gone without a word, as after a laptop's sleep, is noticed by unacknowledged data too.
    "tcp_user_timeout": "20000",
}

Password = Callable[[], Awaitable[str]]
Ready = Callable[[], Awaitable[str]]


class Pool:
    """A pool of connections.

    Args:
        target: Where to.
        size: The most connections.
        seconds: The longest that one may take to be had.
        sessions: What ``target_session_attrs`` asks of a host, if the target doesn't say.
        password: Asked for the password of each new connection.
        ready: Awaited before each new connection, and again when that failed: what the way to the database complained of
            since. Raises `CallError` if there is none.
    """

    def __init__(
        self,
        target: Target,
        *,
        size: int,
        seconds: float,
        sessions: str,
        password: Password | None = None,
        ready: Ready | None = None,
    ) -> None:
        self.target = target
        self.seconds = seconds
        self.plain = False
        """Set once a server did not take a setting that its version should have."""
        self._password = password
        self._ready = ready
        self._parameters = _parameters(target, seconds, sessions)
        self._reason: CallError | None = None
        """Why the newest attempt failed; None after one that didn't."""
        self._failed = asyncio.Event()
        """Set when an attempt has failed, and cleared by who waits for it."""
        self._waiting = 0
        """Calls that wait for a connection. The pool's own count holds those that have given up, too, for as long as
        nothing comes free."""
        self._pool = _Pool(
            connection_class=_connecting(self._connect),
            min_size=0,
            max_size=size,
            open=False,
            timeout=seconds,
            max_lifetime=LIFETIME,
            max_idle=IDLE,
            # One attempt, and no more behind anybody's back.
            reconnect_timeout=0,
            reconnect_failed=self._give_up,
            num_workers=min(size, 4),
            name=target.name,
        )

    async def open(self) -> None:
        """Begin; nothing is connected before the first call."""
        await self._pool.open()

    async def close(self) -> None:
        """Close all connections; those that are leased close when they are given back."""
        await self._pool.close(CLOSE_SECONDS)

    async def drain(self) -> None:
        """Let no connection that exists now be used again."""
        await self._pool.drain()

    async def take(self) -> Connection:
        """A connection, to be given back.

        Raises:
            CallError: None can be had: unreachable (with the reason), or all are busy for too long.
        """
        try:
            if self._stat("pool_available"):
                return await self._pool.getconn(self.seconds)
            if self._waiting >= MAX_WAITING:
                raise CallError("busy", f"{MAX_WAITING} calls wait for database {self.target.name}.", "Try later.")
            return await self._waited()
        except PoolTimeout:
            text = f"all connections to database {self.target.name} were busy for {self.seconds:g} s."
            raise self._reason or CallError("busy", text, "Try again later, or raise pool_size.") from None
        except PoolClosed:
            raise CallError("closing", "the server is shutting down.") from None

    async def give_back(self, connection: Connection) -> None:
        """Return a connection; a broken or old one is closed, and replaced when needed."""
        await self._pool.putconn(connection)

    async def _waited(self) -> Connection:
        """What comes free, or is made; an error as soon as neither can be."""
        self._failed.clear()
        self._waiting += 1
        getting = asyncio.create_task(self._pool.getconn(self.seconds))
        failing: asyncio.Task[bool] | None = None
        taken = False
        try:
            while not getting.done():
                failing = asyncio.create_task(self._failed.wait())
                await asyncio.wait({getting, failing}, return_when=asyncio.FIRST_COMPLETED)
                failing.cancel()
                if not getting.done() and self._failed.is_set():
                    if not self._stat("pool_size") and self._reason is not None:
                        raise self._reason
                    # The server may be full, and then ours that others use are the only ones to be had.
                    self._failed.clear()
            found = getting.result()
            taken = True
            return found
        finally:
            self._waiting -= 1
            if failing is not None:
                failing.cancel()
            if not getting.done():
                getting.cancel()
                await asyncio.wait({getting})
            # Who is cancelled may have been given one a moment before, and does not know of it.
            if not taken and not getting.cancelled() and getting.exception() is None:
                await self.give_back(getting.result())

    def _stat(self, name: str) -> int:
        return self._pool.get_stats().get(name, 0)

    async def _connect(self, connect: Callable[..., Awaitable[Connection]]) -> Connection:
        """A new connection, by the driver's own `connect`.

        Raises:
            psycopg.OperationalError: It can't be made; `_reason` says why.
        """
        try:
            async with asyncio.timeout(self.seconds):
                made = await self._connected(connect)
        except (psycopg.Error, OSError, CallError, TimeoutError) as error:
            told = str(error) if not isinstance(error, TimeoutError) else f"no answer within {self.seconds:g} s."
            self._reason = error if isinstance(error, CallError) else unreachable(self.target.name, told or repr(error))
            logger.warning("%s", self._reason)
            raise psycopg.OperationalError(str(self._reason)) from None
        self._reason = None
        return made

    async def _connected(self, connect: Callable[..., Awaitable[Connection]]) -> Connection:
        if self._ready is None:
            return await self._once(connect)
        await self._ready()
        try:
            return await self._once(connect)
        except psycopg.OperationalError as error:
            # The way may have broken in that very moment, and be there again.
            if said := await self._ready():
                raise unreachable(self.target.name, f"{error} ({said})") from None
            return await self._once(connect)

    async def _once(self, connect: Callable[..., Awaitable[Connection]]) -> Connection:
        parameters = dict(self._parameters)
        if self._password is not None:
            parameters["password"] = await self._password()
        # Named prepared statements break behind poolers that share sessions.
        return await connect(autocommit=True, prepare_threshold=None, **parameters)

    def _give_up(self, _: AsyncConnectionPool[Connection]) -> None:
        self._failed.set()


class _Pool(AsyncConnectionPool[Connection]):
    """The pool, with one attempt for each connection.

    With no time to repeat one, it would still make a second before it gives up: a wrong password would count twice.
    """

    async def _add_connection(self, attempt: AttemptWithBackoff | None, growing: bool = False) -> None:
        if attempt is None:
            attempt = AttemptWithBackoff(timeout=self.reconnect_timeout)
            attempt.update_delay(monotonic())
        await super()._add_connection(attempt, growing)


def _connecting(through: Callable[[Callable[..., Awaitable[Connection]]], Awaitable[Connection]]) -> type[Connection]:
    """The driver's connection, made through `through`, which gives the parameters."""

    class Ours(psycopg.AsyncConnection[Any]):
        @classmethod
        async def connect(cls, *_: Any, **__: Any) -> Any:
            return await through(super().connect)

    return Ours


def _parameters(target: Target, seconds: float, sessions: str) -> dict[str, Any]:
    given = {key: value for key, value in target.parameters.items() if value not in (None, "")}
    attempts = len(target.hosts)
    if attempts > 1:
        given.setdefault("target_session_attrs", sessions)
        # Each host is tried twice, first for a standby, and all of it must fit into the time.
        attempts *= 2 if given["target_session_attrs"] == "prefer-standby" else 1
    return {
        **_KEEPALIVE,
        "connect_timeout": str(max(MIN_ATTEMPT, round(seconds / attempts))),
        "application_name": f"gatelodge-postgres/{version('gatelodge-postgres')}",
        # Values must arrive as UTF-8 whatever the database's encoding.
        "client_encoding": "UTF8",
        **given,
    }
