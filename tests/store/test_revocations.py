"""What was revoked: known everywhere within a second, for as long as it must be, and nobody is let in by a store that is down."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from gatelodge_core.store import revocations as module
from gatelodge_core.store.errors import StoreError
from gatelodge_core.store.revocations import Revocations
from gatelodge_core.store.shared import Script

from tests.support.valkey import Valkey, eventually, valkey

NAME = "key-id:abcdefgh"


def test_a_revocation_is_known_to_another_replica_within_a_second(server: Valkey) -> None:
    async def main() -> float:
        async with server.opened() as here, server.opened() as there:
            ours, theirs = Revocations(here), Revocations(there)
            assert not await theirs.revoked(NAME)
            await ours.revoke(NAME, 60)
            revoked_at = time.monotonic()
            await eventually(lambda: theirs.revoked(NAME))
            assert not await theirs.revoked("key-id:another")
            return time.monotonic() - revoked_at

    # FRESH_SECONDS, and a machine that does other things.
    assert asyncio.run(main()) < module.FRESH_SECONDS + 5


def test_what_was_told_is_told_again_without_asking_and_for_half_a_second(server: Valkey) -> None:
    async def main() -> None:
        now = 0.0
        async with server.opened() as store:
            list_ = Revocations(store, lambda: now)
            assert not await list_.revoked(NAME)
            await Revocations(store).revoke(NAME, 60)
            now = module.FRESH_SECONDS - 0.01
            assert not await list_.revoked(NAME)
            now = module.FRESH_SECONDS
            assert await list_.revoked(NAME)

    asyncio.run(main())


def test_many_requests_of_one_caller_are_one_question_and_one_that_hangs_up_takes_none_along(server: Valkey) -> None:
    async def main() -> None:
        async with server.opened(20) as store:
            await Revocations(store).revoke(NAME, 60)
            count = Script.of("return redis.call('INFO', 'commandstats')")
            before = int((await store.run(count, [])).decode().partition("cmdstat_exists:calls=")[2].partition(",")[0])
            list_ = Revocations(store)
            asked = [asyncio.create_task(list_.revoked(NAME)) for _ in range(100)]
            await asyncio.sleep(0)
            asked[0].cancel()
            found = await asyncio.gather(*asked, return_exceptions=True)
            assert isinstance(found[0], asyncio.CancelledError)
            assert found[1:] == [True] * 99
            after = int((await store.run(count, [])).decode().partition("cmdstat_exists:calls=")[2].partition(",")[0])
            assert after - before == 1

    asyncio.run(main())


def test_it_ends_when_it_is_told_to_and_is_never_made_shorter(server: Valkey) -> None:
    async def main() -> None:
        async with server.opened() as store:
            list_ = Revocations(store)
            await list_.revoke(NAME, 100)
            await list_.revoke(NAME, 1)
            await list_.revoke("key:alice", 200)
            found = await list_.listed()
            assert [item.name for item in found] == [NAME, "key:alice"]
            assert 90 < found[0].expires - time.time() < 110
            await list_.revoke("short", 0.05)

            async def gone() -> bool:
                return "short" not in [item.name for item in await list_.listed()]

            await eventually(gone)
            assert not await Revocations(store).revoked("short")

    asyncio.run(main())


def test_the_list_and_its_names_are_bounded(server: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REVOKED", 3)
    monkeypatch.setattr(module, "MAX_KNOWN", 10)

    async def main() -> None:
        async with server.opened() as store:
            list_ = Revocations(store)
            for number in range(3):
                await list_.revoke(f"n{number}", 60)
            with pytest.raises(StoreError, match="3 names"):
                await list_.revoke("n3", 60)
            await list_.revoke("n0", 90)
            for bad in ("", "x" * 601, "a\nb"):
                with pytest.raises(StoreError, match="printable"):
                    await list_.revoke(bad, 60)
            for number in range(50):
                await list_.revoked(f"n{number}")
            assert await list_.revoked("n1")

    asyncio.run(main())


def test_while_the_store_is_down_the_list_says_nothing_not_even_what_it_knew(tmp_path: Path) -> None:
    async def main(server: Valkey) -> None:
        async with server.opened(0.5) as store:
            list_ = Revocations(store)
            assert not await list_.revoked(NAME)
            server.kill()
            await eventually(lambda: bool(store.failure))
            with pytest.raises(StoreError):
                await list_.revoked(NAME)
            with pytest.raises(StoreError):
                await list_.revoke(NAME, 60)

    with valkey(tmp_path) as server:
        asyncio.run(main(server))
