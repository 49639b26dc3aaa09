"""What limits any server in Python: psycopg in this process, bare, and with the transaction that keeps reads reads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self

import psycopg

from benchmarks._table import Runner, Sample

OPENING = b"; ".join(
    [
        b"BEGIN READ ONLY",
        b"SET LOCAL statement_timeout=15000",
        b"SET LOCAL lock_timeout=2000",
        b"SET LOCAL idle_in_transaction_session_timeout=20000",
        b"SET LOCAL synchronize_seqscans=off",
        b"SET LOCAL intervalstyle='iso_8601'",
        b"SET LOCAL datestyle='ISO'",
        b"SET LOCAL bytea_output='hex'",
        b"SET LOCAL extra_float_digits=1",
    ]
)
CONNECTIONS = 4
_FETCHED = 2000

Connection = psycopg.AsyncConnection[Any]
Ask = Callable[[Connection, str, Sequence[int]], Awaitable[int]]


async def bare(connection: Connection, sql: str, params: Sequence[int]) -> int:
    """One statement as psycopg sends it by itself; how many rows came."""
    cursor = psycopg.AsyncRawCursor(connection)
    await cursor.execute(sql.encode(), params or None)
    return len(await cursor.fetchall())


async def hardened(connection: Connection, sql: str, params: Sequence[int]) -> int:
    """BEGIN READ ONLY with its SET LOCALs, DECLARE, FETCH, ROLLBACK; how many rows came."""
    await connection.execute(OPENING)
    cursor = psycopg.AsyncRawServerCursor(connection, "q")
    count = 0
    try:
        await cursor.execute(sql.encode(), params or None)
        while rows := await cursor.fetchmany(_FETCHED):
            count += len(rows)
            if len(rows) < _FETCHED:
                break
    finally:
        await connection.rollback()
        await cursor.close()
    return count


class Limits:
    """psycopg's connections and their event loop; a context manager.

    Args:
        url: The database.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._runner = asyncio.Runner()
        self._connections: list[Connection] = []

    def __enter__(self) -> Self:
        self._connections = self._runner.run(self._connected())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._closed())
        self._runner.close()

    def runners(self, statements: Callable[[], Sequence[tuple[str, Sequence[int]]]], rows: int, at_once: int) -> list[Runner]:  # fmt: skip
        """The two limits for some statements, `at_once` of them under way, each of which must give `rows` rows."""
        return [
            Runner(f"limit: psycopg, {name}", lambda ask=ask: self._sample(ask, statements(), rows, at_once))
            for name, ask in (("read-only cursor", hardened), ("bare", bare))
        ]

    def cursor(self, sql: str, rows: int) -> Runner:
        """The hardened limit alone, for one statement."""
        return Runner("limit: psycopg, read-only cursor", lambda: self._sample(hardened, [(sql, ())], rows, 1))

    def _sample(self, ask: Ask, statements: Sequence[tuple[str, Sequence[int]]], rows: int, at_once: int) -> Sample:
        since, before = time.perf_counter(), time.process_time()
        counts = self._runner.run(self._all(ask, statements, at_once))
        taken = Sample(time.perf_counter() - since, calls=len(statements), cpu=time.process_time() - before)
        assert counts == [rows] * len(statements), "not the rows"
        return taken

    async def _all(self, ask: Ask, statements: Sequence[tuple[str, Sequence[int]]], at_once: int) -> list[int]:
        waiting = iter(enumerate(statements))
        counts = [-1] * len(statements)
        free: asyncio.Queue[Connection] = asyncio.Queue()
        for connection in self._connections:
            free.put_nowait(connection)

        async def work() -> None:
            for number, (sql, params) in waiting:
                connection = await free.get()
                try:
                    counts[number] = await ask(connection, sql, params)
                finally:
                    free.put_nowait(connection)

        await asyncio.gather(*(work() for _ in range(at_once)))
        return counts

    async def _connected(self) -> list[Connection]:
        return [
            await psycopg.AsyncConnection[Any].connect(self._url, autocommit=True, prepare_threshold=None)
            for _ in range(CONNECTIONS)
        ]

    async def _closed(self) -> None:
        for connection in self._connections:
            await connection.close()
