"""Connections to one database with one role: a pool that says why it can't connect, and never hands out a dead one.

It is our own since a call should be told at once what is wrong: `psycopg_pool` connects in the background, one at a
time, and lets callers wait while a server is down. Here whoever needs a connection makes it, in its own task and time.
While a connection lies idle the event loop watches it: a server that ends it is noticed then, not by the next call.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import psycopg
from gatelodge_core.errors import CallError
from psycopg import pq

from gatelodge_postgres.connect.session import Connection
from gatelodge_postgres.connect.target import Target
from gatelodge_postgres.errors import unreachable

logger = logging.getLogger(__name__)

MAX_WAITING = 64
LIFETIME = 1800.0
IDLE = 300.0
MIN_ATTEMPT = 2
"""The least that libpq takes for a timeout, in seconds."""
_KEEPALIVE = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    # A peer that is gone without a word, as after a laptop's sleep, is noticed by unacknowledged data too.
    "tcp_user_timeout": "20000",
}

Password = Callable[[], Awaitable[str]]
Ready = Callable[[], Awaitable[str]]
_Place = asyncio.Future[Connection | None]
"""What a waiting call gets: a connection, or None for the right to make one."""


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
        self._size = size
        self._password = password
        self._ready = ready
        self._parameters = _parameters(target, seconds, sessions)
        self._count = 0
        """Connections that there are or that are being made."""
        self._idle: deque[Connection] = deque()
        """The one used last stands last, and is used first, so that the others can grow old and go."""
        self._ends: dict[Connection, float] = {}
        """When each connection is too old to be used again, by the loop's clock."""
        self._since: dict[Connection, float] = {}
        """Since when each idle one is so."""
        self._waiting: deque[_Place] = deque()
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = True

    async def open(self) -> None:
        """Begin; nothing is connected before the first call."""
        self._closed = False

    async def close(self) -> None:
        """Close all connections; those that are leased close when they are given back."""
        self._closed = True
        await self.drain()
        for place in self._waiting:
            if not place.done():
                place.set_exception(_closing())
        self._waiting.clear()
        if self._sweeping is not None:
            self._sweeping.cancel()

    async def drain(self) -> None:
        """Let no connection that exists now be used again."""
        for connection in self._ends:
            self._ends[connection] = 0
        for connection in list(self._idle):
            self._leave(connection)
            self._discard(connection)

    async def take(self) -> Connection:
        """A connection, to be given back.

        Raises:
            CallError: None can be had: unreachable (with the reason), or all are busy for too long.
        """
        deadline = asyncio.get_running_loop().time() + self.seconds
        reason: CallError | None = None
        may = False
        while True:
            if self._closed:
                raise _closing()
            if not may and self._idle:
                connection = self._idle[-1]
                self._leave(connection)
                return connection
            if may or (reason is None and self._count < self._size):
                self._count += 0 if may else 1
                may = False
                try:
                    return await self._made(deadline)
                except CallError as error:
                    if not self._count:
                        raise
                    # The server may be full, and then ours that others use are the only ones to be had.
                    reason = error
            found = await self._waited(deadline, reason)
            if found is not None:
                return found
            may = True

    async def give_back(self, connection: Connection) -> None:
        """Return a connection; a broken or old one is closed, and replaced when needed."""
        now = asyncio.get_running_loop().time()
        fit = connection.pgconn.transaction_status == pq.TransactionStatus.IDLE
        if self._closed or not fit or self._ends.get(connection, 0) <= now:
            self._discard(connection)
            return
        if not self._hand_on(connection):
            self._lie(connection, now)

    async def _made(self, deadline: float) -> Connection:
        """A new connection, for which a place was counted; without one the place is free again.

        Raises:
            CallError: It can't be made.
        """
        try:
            async with asyncio.timeout_at(deadline):
                connection = await self._connected()
        except BaseException as error:
            told = error
            if isinstance(error, TimeoutError):
                told = unreachable(self.target.name, f"no answer within {self.seconds:g} s.")
            elif isinstance(error, (psycopg.Error, OSError)):
                told = unreachable(self.target.name, str(error) or type(error).__name__)
            self._count -= 1
            if isinstance(told, CallError):
                logger.warning("%s", told)
                self._tell_all(told)
            else:
                self._hand_on(None)
            if told is error:
                raise
            raise told from None
        if self._closed:
            connection.pgconn.finish()
            self._count -= 1
            raise _closing()
        self._ends[connection] = asyncio.get_running_loop().time() + LIFETIME * random.uniform(0.9, 1)  # noqa: S311 - spreads the load
        return connection

    async def _connected(self) -> Connection:
        if self._ready is None:
            return await self._connect()
        await self._ready()
        try:
            return await self._connect()
        except psycopg.OperationalError as error:
            # It may have broken in that very moment, and be there again.
            if said := await self._ready():
                raise unreachable(self.target.name, f"{error} ({said})") from None
            return await self._connect()

    async def _connect(self) -> Connection:
        parameters = dict(self._parameters)
        if self._password is not None:
            parameters["password"] = await self._password()
        return await psycopg.AsyncConnection[Any].connect(
            autocommit=True,
            # Named prepared statements break behind poolers that share sessions.
            prepare_threshold=None,
            **parameters,
        )

    async def _waited(self, deadline: float, reason: CallError | None) -> Connection | None:
        """What comes free: a connection, or the place for one."""
        if len(self._waiting) >= MAX_WAITING:
            raise CallError("busy", f"{MAX_WAITING} calls wait for database {self.target.name}.", "Try later.")
        place: _Place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            async with asyncio.timeout_at(deadline):
                return await place
        except TimeoutError:
            self._forget(place)
            text = f"all connections to database {self.target.name} were busy for {self.seconds:g} s."
            raise reason or CallError("busy", text, "Try again later, or raise pool_size.") from None
        except asyncio.CancelledError:
            self._forget(place)
            raise

    def _forget(self, place: _Place) -> None:
        """Take back what a call no longer waits for; if it was given something in that moment, another one gets it."""
        if place in self._waiting:
            self._waiting.remove(place)
        elif place.done() and not place.cancelled() and place.exception() is None:
            connection = place.result()
            if connection is None:
                self._count -= 1
                self._hand_on(None)
            elif not self._hand_on(connection):
                self._lie(connection, asyncio.get_running_loop().time())

    def _hand_on(self, connection: Connection | None) -> bool:
        """Give a connection, or the place for one, to the call that waits longest; whether there was one."""
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                self._count += connection is None
                place.set_result(connection)
                return True
        return False

    def _tell_all(self, error: CallError) -> None:
        """Once there is no connection left to come free, whoever waits is told why."""
        while self._waiting and not self._count:
            place = self._waiting.popleft()
            if not place.done():
                place.set_exception(error)

    def _discard(self, connection: Connection) -> None:
        connection.pgconn.finish()
        if self._ends.pop(connection, None) is not None:
            self._count -= 1
            self._hand_on(None)

    def _lie(self, connection: Connection, now: float) -> None:
        """Let a connection wait for its next use."""
        loop = asyncio.get_running_loop()
        self._idle.append(connection)
        self._since[connection] = now
        # Nothing was asked, so what it says can only be its end.
        loop.add_reader(connection.pgconn.socket, self._spoke, connection)
        if self._sweeping is None:
            self._sweeping = loop.call_later(IDLE, self._sweep)

    def _leave(self, connection: Connection) -> None:
        """Take a connection out of the idle ones."""
        asyncio.get_running_loop().remove_reader(connection.pgconn.socket)
        self._idle.remove(connection)
        del self._since[connection]

    def _spoke(self, connection: Connection) -> None:
        logger.info("database %s ended a connection", self.target.name)
        self._leave(connection)
        self._discard(connection)

    def _sweep(self) -> None:
        """Close what lies unused for too long, and look again while anything lies there."""
        loop = asyncio.get_running_loop()
        self._sweeping = None
        now = loop.time()
        for connection in list(self._idle):
            if self._since[connection] + IDLE <= now or self._ends[connection] <= now:
                self._leave(connection)
                self._discard(connection)
        if self._since:
            self._sweeping = loop.call_at(min(self._since.values()) + IDLE, self._sweep)


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


def _closing() -> CallError:
    return CallError("closing", "the server is shutting down.")
