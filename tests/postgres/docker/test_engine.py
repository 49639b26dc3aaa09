"""The server before PostgreSQL 17 in a container: every tool, what is new in 17, and a container that restarts."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import anyio
import pytest

from tests.postgres.compatibility import LONG, Compatibility, place
from tests.postgres.docker.contained import Contained
from tests.postgres.seed import READER, Home
from tests.postgres.support import server
from tests.postgres.test_resilience import soon
from tests.postgres.writing import ask


@pytest.fixture(scope="module")
def bed(seventeen_bed: Contained) -> Contained:
    return seventeen_bed


@pytest.fixture(scope="module")
def shop(bed: Contained) -> Generator[Home]:
    with place(bed) as made:
        yield made


# In one class, so that one worker of xdist runs them, on one container. An engine may have to build its image first.
@pytest.mark.docker
@pytest.mark.timeout(300)
@pytest.mark.anyio
class TestSeventeenInAContainer(Compatibility):
    """What `Compatibility` asks, and what is there for a container alone."""

    async def test_it_is_debians_own_17_and_asks_for_passwords(self, shop: Home, tmp_path: Path) -> None:
        async with server(tmp_path, shop.url()) as called:
            assert "PostgreSQL 17." in await called.text("run_query", sql="SELECT version() AS v")
        async with server(tmp_path / "wrong", shop.bed.url(shop.db, READER, "gl-wrong-secret")) as called:
            said = await called.error("run_query", sql="SELECT 1")
            assert "password authentication failed" in said
            assert "gl-wrong-secret" not in said

    async def test_a_transaction_has_an_end_of_its_own_by_the_server(self, shop: Home, tmp_path: Path) -> None:
        async with server(tmp_path, shop.url(), query_seconds=3, pool_size=1) as called:
            assert await called.rows("SELECT current_setting('transaction_timeout') AS t") == ['{"t":"8s"}']
            # It ends with the transaction, and so is no trace on a connection that a pooler lends to others.
            (pid,) = shop.bed.backends(shop.db)
            assert ask(shop, f"SELECT state FROM pg_stat_activity WHERE pid = {pid}") == [("idle",)]

    async def test_a_restart_of_the_container_ends_a_query_clearly_and_the_next_call_works(
        self, bed: Contained, shop: Home, tmp_path: Path
    ) -> None:
        said: list[str] = []

        def running() -> bool:
            return bool(ask(shop, "SELECT FROM pg_stat_activity WHERE state = 'active' AND query ~ '^FETCH'"))

        async with server(tmp_path, shop.url(), max_cost=0) as called:

            async def long() -> None:
                said.append(await called.error("run_query", sql=LONG))

            async with anyio.create_task_group() as group:
                group.start_soon(long)
                await soon(running)
                await anyio.to_thread.run_sync(bed.restart)
            assert "connection_lost" in said[0]
            assert "The next call connects anew" in said[0]
            assert await called.rows("SELECT 7 AS n") == ['{"n":7}']
            await anyio.to_thread.run_sync(bed.stop)
            try:
                down = await called.error("run_query", sql="SELECT 7 AS n")
                assert "unreachable" in down
                assert "the next call tries again" in down
            finally:
                await anyio.to_thread.run_sync(bed.start)
            assert await called.rows("SELECT count(*) AS n FROM shop.customer") == ['{"n":500}']
