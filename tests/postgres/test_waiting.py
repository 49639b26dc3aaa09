"""Waiting for a connection: who gives up at any moment loses none, and takes nobody's place."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncGenerator

import pytest
from gatelodge_core.errors import CallError
from gatelodge_postgres.connect.database import Database, Timeouts
from gatelodge_postgres.connect.pool import MAX_WAITING, Pool
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.connect.target import parse

from tests.postgres.bed import Bed
from tests.postgres.test_resilience import USER
from tests.postgres.test_resilience import own as own  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def opened(bed: Bed, size: int = 1, seconds: float = 10) -> AsyncGenerator[Pool]:
    pool = Pool(parse("db", bed.url(user=USER)), size=size, seconds=seconds, sessions="any")
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


async def steps(number: int) -> None:
    """Let what is ready run, so many times."""
    for _ in range(number):
        await asyncio.sleep(0)


async def test_a_connection_given_to_one_who_is_cancelled_just_then_is_not_lost(own: Bed) -> None:
    async with opened(own) as pool:
        await pool.give_back(await pool.take())
        await steps(20)
        before = len(asyncio.all_tasks())
        for ticks in range(12):
            held = await pool.take()
            waiter = asyncio.create_task(pool.take())
            await steps(5)
            await pool.give_back(held)
            await steps(ticks)
            waiter.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await pool.give_back(await waiter)
            async with asyncio.timeout(5):
                await pool.give_back(await pool.take())
        await steps(20)
        assert len(asyncio.all_tasks()) == before


async def test_calls_cancelled_while_one_ends_leave_the_connection_to_the_next(own: Bed) -> None:
    chance = random.Random(5)

    async def short(session: Session) -> None:
        await session.rows("SELECT 1")

    async def longer(session: Session) -> None:
        await session.rows("SELECT pg_sleep(0.01)")

    async with opened(own) as pool:
        database = Database("db", pool, Timeouts(5))
        await database.run(short)
        for _ in range(60):
            holder = asyncio.create_task(database.run(longer))
            await asyncio.sleep(0.003)
            waiters = [asyncio.create_task(database.run(short)) for _ in range(3)]
            await asyncio.sleep(chance.uniform(0.006, 0.012))
            for waiter in waiters:
                waiter.cancel()
            await asyncio.gather(*waiters, holder, return_exceptions=True)
            async with asyncio.timeout(5):
                await database.run(short)


async def test_those_who_gave_up_do_not_count_as_waiting(own: Bed) -> None:
    async with opened(own) as pool:
        held = await pool.take()
        for _ in range(2 * MAX_WAITING):
            waiter = asyncio.create_task(pool.take())
            await steps(4)
            waiter.cancel()
            await asyncio.wait({waiter})
        waiters = [asyncio.create_task(pool.take()) for _ in range(MAX_WAITING)]
        await steps(4)
        with pytest.raises(CallError, match=f"{MAX_WAITING} calls wait for database db"):
            await pool.take()
        assert not any(waiter.done() for waiter in waiters)
        await pool.give_back(held)
        for waiter in waiters:
            await pool.give_back(await waiter)


async def test_one_call_is_one_attempt_to_connect(own: Bed) -> None:
    asked = 0

    async def password() -> str:
        nonlocal asked
        asked += 1
        return "wrong"

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    url = f"postgresql://{USER}@127.0.0.1:{port}/postgres"
    pool = Pool(parse("db", url), size=2, seconds=5, sessions="any", password=password)
    await pool.open()
    try:
        for number in range(1, 4):
            with pytest.raises(CallError) as caught:
                await pool.take()
            assert caught.value.code == "unreachable"
            # Nothing goes on behind anybody's back.
            await asyncio.sleep(0.05)
            assert asked == number
    finally:
        await pool.close()
