"""What a caller has read, known to every replica before the answer can lead to anything."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from gatelodge_core.auth.principal import Principal
from gatelodge_core.effects import READ, WRITE, Nature
from gatelodge_core.guard.call import Call, Outcome
from gatelodge_core.guard.flowing import FlowStep
from gatelodge_core.guard.limits import UnavailableError
from gatelodge_core.store import flow as module
from gatelodge_core.store.errors import StoreError
from gatelodge_core.store.flow import MAX_PRINCIPALS, PINNED, Flow, SharedFlow
from gatelodge_github.trust.repositories import Facts
from gatelodge_github.trust.taint import Taint

from tests.guard.test_admission import FakeHost
from tests.support.valkey import Valkey, eventually, valkey

ALICE, BOB = "key:alice", "key:bob"
HOUR = 3600.0


def test_what_one_replica_noted_another_knows_in_the_same_order(server: Valkey) -> None:
    async def main() -> None:
        async with server.opened() as here, server.opened() as there:
            ours, theirs = SharedFlow(here, "github"), SharedFlow(there, "github")
            for name in ("one", "two", "three", "one"):
                ours.mark(ALICE, name, HOUR)
            await theirs.refresh(ALICE)
            assert theirs.marks(ALICE) == []
            await ours.flush(ALICE)
            await theirs.refresh(ALICE)
            assert theirs.marks(ALICE) == ours.marks(ALICE) == ["two", "three", "one"]
            assert theirs.marks(BOB) == []
            other = SharedFlow(there, "websearch")
            await other.refresh(ALICE)
            assert other.marks(ALICE) == []

    asyncio.run(main())


def test_very_many_marks_push_out_the_oldest_but_not_the_pinned_one(
    server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_MARKS", 300)

    async def main() -> None:
        async with server.opened() as here, server.opened() as there:
            ours, theirs = SharedFlow(here, "github"), SharedFlow(there, "github")
            ours.mark(ALICE, "!untrusted", HOUR)
            for number in range(1000):
                ours.mark(ALICE, f"r{number}", HOUR)
            await ours.flush(ALICE)
            await theirs.refresh(ALICE)
            for found in (ours.marks(ALICE), theirs.marks(ALICE)):
                assert found[0] == "!untrusted"
                assert found[1:] == [f"r{number}" for number in range(1000 - len(found) + 1, 1000)]
                assert 299 <= len(found) <= 301

    asyncio.run(main())


def test_a_mark_ends_in_its_time_and_a_shorter_one_takes_nothing_off(server: Valkey) -> None:
    async def main() -> None:
        async with server.opened() as here, server.opened() as there:
            ours = SharedFlow(here, "github")
            ours.mark(ALICE, "long", HOUR)
            ours.mark(ALICE, "short", 0.2)
            await ours.flush(ALICE)
            ours.mark(ALICE, "long", 0.1)
            await ours.flush(ALICE)
            async with asyncio.timeout(20):
                while True:
                    theirs = SharedFlow(there, "github")
                    await theirs.refresh(ALICE)
                    if theirs.marks(ALICE) == ["long"]:
                        break
                    await asyncio.sleep(0.05)

    asyncio.run(main())


def test_an_answer_waits_for_marks_that_another_call_took_along(tmp_path: Path) -> None:
    async def main(server: Valkey) -> None:
        async with server.opened(deadline=10) as store:
            flow = SharedFlow(store, "github")
            flow.mark(ALICE, "one", HOUR)
            server.freeze()
            first = asyncio.create_task(flow.flush(ALICE))
            await asyncio.sleep(0.05)
            second = asyncio.create_task(flow.flush(ALICE))
            await asyncio.sleep(0.05)
            assert not second.done()
            server.thaw()
            await asyncio.gather(first, second)

    with valkey(tmp_path) as server:
        asyncio.run(main(server))


def test_marks_that_could_not_be_noted_are_noted_with_the_next_answer(tmp_path: Path) -> None:
    async def main(server: Valkey) -> None:
        async with server.opened(0.5) as store, server.opened(0.5) as there:
            flow = SharedFlow(store, "github")
            server.kill()
            flow.mark(ALICE, "one", HOUR)
            with pytest.raises(StoreError):
                await flow.flush(ALICE)
            with pytest.raises(StoreError):
                await flow.refresh(ALICE)
            server.start()
            await eventually(lambda: not (store.failure or there.failure))
            await flow.flush(ALICE)
            theirs = SharedFlow(there, "github")
            await theirs.refresh(ALICE)
            assert theirs.marks(ALICE) == ["one"]

    with valkey(tmp_path) as server:
        asyncio.run(main(server))


def call(nature: Nature, principal: str = "alice") -> Call:
    host = FakeHost(can_ask=False, retries=False)
    return Call(
        "tool", "t", {}, nature, "toy:write", Principal("key", principal), "http", "2025-11-25", 1, {}, host, "t"
    )


def test_no_answer_leaves_unless_it_is_noted_what_it_tells_of(tmp_path: Path) -> None:
    async def main(server: Valkey) -> None:
        async with server.opened(0.5) as store:
            flow = SharedFlow(store, "github")
            step, ran = FlowStep(flow), list[str]()

            async def read(asked: Call) -> Outcome:
                ran.append("read")
                flow.mark(str(asked.principal), "secret", HOUR)
                return Outcome({"text": "the secret"})

            assert (await step(call(Nature(READ)), read)).result == {"text": "the secret"}
            server.kill()
            withheld = await step(call(Nature(READ)), read)
            assert withheld.failed
            assert "secret" not in str(withheld.result)
            assert "withheld" in str(withheld.result)
            # What would act on what was read is not even begun.
            with pytest.raises(UnavailableError, match="store_unavailable"):
                await step(call(Nature(WRITE)), read)
            assert ran == ["read", "read"]

    with valkey(tmp_path) as server:
        asyncio.run(main(server))


def test_what_was_read_by_one_replica_is_asked_about_by_another(server: Valkey) -> None:
    private = Facts("Alice/Private", "private", "main", push=True, known=True)
    public = Facts("alice/public", "public", "main", push=True, known=True)

    async def main() -> None:
        async with server.opened() as here, server.opened() as there:
            ours, theirs = SharedFlow(here, "github"), SharedFlow(there, "github")
            reader, writer = Taint(ours), Taint(theirs)
            reader.read(private)
            reader.saw_untrusted()
            caller = local()
            await ours.flush(str(caller))
            await theirs.refresh(str(caller))
            assert writer.elsewhere(caller, public) == ["alice/private"]
            assert writer.elsewhere(caller, private) == []
            assert writer.untrusted(caller)

    asyncio.run(main())


def local() -> Principal:
    from gatelodge_core.auth.principal import local_user

    return local_user()


def test_without_a_store_it_is_all_in_memory() -> None:
    flow = Flow()
    flow.mark(ALICE, "one", HOUR)
    asyncio.run(flow.flush(ALICE))
    asyncio.run(flow.refresh(ALICE))
    assert flow.marks(ALICE) == ["one"]


def test_no_crowd_of_other_callers_makes_one_be_taken_for_clean() -> None:
    now = 0.0
    flow = Flow(lambda: now)
    flow.mark(ALICE, f"{PINNED}untrusted", HOUR)
    flow.mark(ALICE, "ended", 1)
    for number in range(10):
        flow.mark(ALICE, f"secret {number}", HOUR)
    now = 2.0
    for number in range(2 * MAX_PRINCIPALS):
        flow.mark(f"somebody {number}", "anything", HOUR)
    assert flow.marks(ALICE) == [f"{PINNED}untrusted", "secret 7", "secret 8", "secret 9"]
    flow.mark(ALICE, "one more", HOUR)
    assert flow.marks(ALICE)[-2:] == ["secret 9", "one more"]
    now = 2.0 * HOUR
    assert flow.marks(ALICE) == []


def test_callers_whose_marks_have_ended_are_not_kept() -> None:
    now = 0.0
    flow = Flow(lambda: now)
    for number in range(3 * MAX_PRINCIPALS):
        now += 1
        flow.mark(f"somebody {number}", "anything", 10)
    assert flow.marks("somebody 0") == []
    assert len(vars(flow)["_earlier"]) == 0
