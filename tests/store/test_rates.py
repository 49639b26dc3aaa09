"""How often a caller may call all replicas together."""

from __future__ import annotations

import asyncio
import contextlib
import time

from gatelodge_core.store.rates import Rate, Refusal, SharedRates
from gatelodge_core.store.shared import Script

from tests.support.valkey import Valkey, eventually

ALICE, BOB = "key:alice", "key:bob"


def test_three_replicas_give_out_one_burst_and_then_the_rate(server: Valkey) -> None:
    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            rates = [SharedRates(await stack.enter_async_context(server.opened(20)), "toy") for _ in range(3)]
            limit = [Rate(per_second=20, burst=50)]
            began = time.monotonic()
            found = await asyncio.gather(*(rates[n % 3].take(ALICE, limit) for n in range(300)))
            given, took = sum(item is None for item in found), time.monotonic() - began
            assert 50 <= given <= 50 + 20 * took + 1
            refused = next(item for item in found if item is not None)
            assert 0 < refused.wait <= 1 / 20
            # What one has used is nobody else's, nor another server's.
            assert await rates[0].take(BOB, limit) is None
            other = SharedRates(await stack.enter_async_context(server.opened(20)), "other")
            assert await other.take(ALICE, limit) is None

    asyncio.run(main())


def test_a_call_is_taken_from_all_limits_or_from_none(server: Valkey) -> None:
    async def main() -> None:
        async with server.opened() as store:
            rates = SharedRates(store, "toy")
            both = [Rate(0.001, 5), Rate(0.001, 2)]
            assert [await rates.take(ALICE, both) for _ in range(2)] == [None, None]
            for _ in range(10):
                refused = await rates.take(ALICE, both)
                assert isinstance(refused, Refusal)
                assert refused.which == 1
                assert 990 < refused.wait <= 1000
            # Ten refusals took nothing from the first one.
            assert [await rates.take(ALICE, both[:1]) for _ in range(3)] == [None] * 3
            last = await rates.take(ALICE, both[:1])
            assert last is not None
            assert last.which == 0

    asyncio.run(main())


def test_a_clock_that_was_set_back_locks_nobody_out_for_longer_than_a_whole_bucket(server: Valkey) -> None:
    async def main() -> None:
        async with server.opened() as store:
            rates = SharedRates(store, "toy")
            assert await rates.take(ALICE, [Rate(10, 5)]) is None
            spoil = (
                "for _, key in ipairs(redis.call('KEYS', '*rate*')) do redis.call('SET', key, '9999999999999999') end"
            )
            await store.run(Script.of(spoil), [])
            refused = await rates.take(ALICE, [Rate(10, 5)])
            assert refused is not None
            assert refused.wait <= 0.1

    asyncio.run(main())


def test_nothing_is_left_of_a_caller_who_is_gone(server: Valkey) -> None:
    async def main() -> None:
        async with server.opened() as store:
            assert await SharedRates(store, "toy").take(ALICE, [Rate(50, 5), Rate(50, 5)]) is None
            count = Script.of("return #redis.call('KEYS', '*rate*')")
            assert await store.run(count, []) in (0, 2)

            async def gone() -> bool:
                return not await store.run(count, [])

            await eventually(gone)

    asyncio.run(main())
