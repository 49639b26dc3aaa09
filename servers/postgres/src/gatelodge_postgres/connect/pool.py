"""Connections to one database with one role: a pool that says why it can't connect, and never hands out a dead one.

`psycopg_pool` keeps waiting while a server is down; a call should rather be told the reason. So an attempt that fails is
not repeated in the background: whoever waits is told, and the next call tries anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import psycopg
from gatelodge_core.errors import CallError
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from gatelodge_postgres.connect.session import Connection
from gatelodge_postgres.connect.target import Target
from gatelodge_postgres.errors import unreachable

logger = logging.getLogger(__name__)

MAX_WAITING = 64
LIFETIME = 1800.0
IDLE = 300.0
_KEEPALIVE = {
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    # A peer that is gone without a word, as after a laptop's sleep, is noticed by unacknowledged data too.
    "tcp_user_timeout": "20000",
}

Password = Callable[[], Awaitable[str]]


class Pool:
    """A pool of connections.

    Args:
        target: Where to.
        size: The most connections.
        seconds: The longest that one may take to be had.
        sessions: What ``target_session_attrs`` asks of a host, if the target doesn't say.
        password: Asked for the password of each new connection.
        configure: Called with each new connection.
    """

    def __init__(
        self,
        target: Target,
        *,
        size: int,
        seconds: float,
        sessions: str,
        password: Password | None = None,
        configure: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> None:
        self.target = target
        self.seconds = seconds
        self._password = password
        self._reason = ""
        self._failed = asyncio.Event()
        parameters = {
            **_KEEPALIVE,
            "connect_timeout": str(max(2, round(seconds))),
            "application_name": f"gatelodge-postgres/{version('gatelodge-postgres')}",
            # Values must arrive as UTF-8 whatever the database's encoding.
            "client_encoding": "UTF8",
            **{key: value for key, value in target.parameters.items() if value not in (None, "")},
        }
        if len(target.hosts) > 1:
            parameters.setdefault("target_session_attrs", sessions)
        self._pool = AsyncConnectionPool[Connection](
            connection_class=_reporting(self._tell),
            kwargs=self._with_password if password else {**parameters, **_OPTIONS},
            min_size=0,
            max_size=size,
            open=False,
            configure=configure,
            timeout=seconds,
            max_waiting=MAX_WAITING,
            max_lifetime=LIFETIME,
            max_idle=IDLE,
            reconnect_timeout=0,
            reconnect_failed=self._give_up,
            num_workers=2,
            name=f"{target.name}",
        )
        self._parameters = parameters

    async def open(self) -> None:
        """Begin; nothing is connected before the first call."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close(timeout=2)

    async def drain(self) -> None:
        """Let no connection that exists now be used again."""
        await self._pool.drain()

    async def take(self) -> Connection:
        """A connection, to be given back.

        Raises:
            CallError: None can be had: unreachable (with the reason), or all are busy for too long.
        """
        self._failed.clear()
        getting = asyncio.create_task(self._pool.getconn(self.seconds))
        failing = asyncio.create_task(self._failed.wait())
        try:
            await asyncio.wait({getting, failing}, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done() and not self._pool.get_stats().get("pool_size"):
                # The attempt that this call waited for has failed, and no other connection could come free.
                getting.cancel()
                await asyncio.wait({getting})
            if getting.cancelled():
                raise unreachable(self.target.name, self._reason)
            return await getting
        except TooManyRequests:
            raise CallError(
                "busy", f"{MAX_WAITING} calls wait for database {self.target.name}.", "Try later."
            ) from None
        except PoolTimeout:
            if self._reason:
                raise unreachable(self.target.name, self._reason) from None
            text = f"all connections to database {self.target.name} were busy for {self.seconds:.0f} s."
            raise CallError("busy", text, "Try again later, or raise pool_size.") from None
        except PoolClosed:
            raise CallError("closing", "the server is shutting down.") from None
        except asyncio.CancelledError:
            getting.cancel()
            await asyncio.wait({getting})
            if not getting.cancelled() and getting.exception() is None:
                await self.give_back(getting.result())
            raise
        finally:
            failing.cancel()

    async def give_back(self, connection: Connection) -> None:
        """Return a connection; a broken one is replaced when needed."""
        await self._pool.putconn(connection)

    async def _with_password(self) -> dict[str, Any]:
        assert self._password is not None
        try:
            return {**self._parameters, **_OPTIONS, "password": await self._password()}
        except CallError as error:
            self._tell(str(error))
            raise psycopg.OperationalError(str(error)) from None

    def _tell(self, reason: str) -> None:
        """Remember why the newest attempt failed; an empty reason is a success."""
        self._reason = reason

    def _give_up(self, _: AsyncConnectionPool[Connection]) -> None:
        self._failed.set()


_OPTIONS: dict[str, Any] = {
    "autocommit": True,
    # Named prepared statements break behind poolers that share sessions.
    "prepare_threshold": None,
}


def _reporting(tell: Callable[[str], None]) -> type[Connection]:
    """The driver's connection, except that it tells how connecting went."""

    class Reporting(psycopg.AsyncConnection[Any]):
        @classmethod
        async def connect(cls, *args: Any, **kwargs: Any) -> Any:
            try:
                made = await super().connect(*args, **kwargs)
            except Exception as error:
                tell(str(error) or type(error).__name__)
                raise
            tell("")
            return made

    return Reporting
