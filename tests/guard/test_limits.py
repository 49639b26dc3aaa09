"""Limits: what is over them is refused at once and told when to come back; what is under them is not touched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest
from gatelodge_core.auth.principal import Principal
from gatelodge_core.effects import READ, Nature
from gatelodge_core.guard.call import Call, Outcome
from gatelodge_core.guard.limits import TIME, CallTime, LimitError, Limits, LimitStep, size_of

from tests.guard.test_admission import FakeHost


def call(principal: str = "a", tool: str = "t") -> Call:
    return Call(
        "tool", tool, {}, Nature(READ), "toy:read", Principal("key", principal), "stdio", "2025-11-25", 1, {},
        FakeHost(can_ask=False, retries=False), tool,
    )  # fmt: skip


async def quick(_: Call) -> Outcome:
    return Outcome({"content": []})


def test_the_rate_is_held_and_refills() -> None:
    now = 0.0

    async def main() -> None:
        nonlocal now
        step = LimitStep(Limits(per_second=10, burst=5), clock=lambda: now)
        for _ in range(5):
            await step(call(), quick)
        with pytest.raises(LimitError) as caught:
            await step(call(), quick)
        assert caught.value.wait == pytest.approx(0.1)
        assert caught.value.error.data == {"retry_after_ms": 100}
        await step(call("b"), quick)  # another caller has an allowance of its own
        now += 0.1
        await step(call(), quick)
        with pytest.raises(LimitError):
            await step(call(), quick)
        now += 1000
        for _ in range(5):
            await step(call(), quick)
        with pytest.raises(LimitError):
            await step(call(), quick)

    anyio.run(main)


def test_a_caller_may_have_a_number_of_calls_a_minute_of_its_own() -> None:
    now = 0.0

    def of(per_minute: int, subject: str = "a") -> Call:
        made = call()
        return replace(made, principal=replace(made.principal, subject=subject, per_minute=per_minute))

    async def main() -> None:
        nonlocal now
        step = LimitStep(Limits(per_second=10, burst=100), clock=lambda: now)
        for _ in range(6):
            await step(of(6), quick)
        with pytest.raises(LimitError, match="6 calls a minute") as caught:
            await step(of(6), quick)
        assert caught.value.wait == pytest.approx(10)
        # Two keys of one holder share it, whatever each says.
        with pytest.raises(LimitError):
            await step(of(5), quick)
        await step(of(6, "b"), quick)
        now += 10
        await step(of(6), quick)
        with pytest.raises(LimitError):
            await step(of(6), quick)
        now += 1e6
        for _ in range(6):
            await step(of(6), quick)
        with pytest.raises(LimitError):
            await step(of(6), quick)

    anyio.run(main)


def test_a_call_over_one_limit_takes_nothing_from_the_other() -> None:
    now = 0.0

    async def main() -> None:
        nonlocal now
        step = LimitStep(Limits(per_second=1, burst=3), clock=lambda: now)
        hasty = replace(call(), principal=replace(call().principal, per_minute=2))
        for _ in range(2):
            await step(hasty, quick)
        for _ in range(20):
            with pytest.raises(LimitError, match="2 calls a minute"):
                await step(hasty, quick)
        now += 1  # the shared bucket is full again, the own one isn't
        with pytest.raises(LimitError, match="2 calls a minute"):
            await step(hasty, quick)
        for _ in range(2):
            await step(call(), quick)
        with pytest.raises(LimitError, match="too many calls"):
            await step(hasty, quick)
        now += 29.5
        await step(hasty, quick)
        with pytest.raises(LimitError, match="2 calls a minute"):
            await step(hasty, quick)

    anyio.run(main)


def test_only_so_many_run_and_wait_at_once() -> None:
    async def main() -> None:
        step = LimitStep(Limits(concurrent=3, concurrent_per_tool=2, queued=4))
        running = most = refused = done = 0
        per_tool: dict[str, int] = {}
        gate = anyio.Event()

        async def slow(asked: Call) -> Outcome:
            nonlocal running, most
            running += 1
            per_tool[asked.target] = per_tool.get(asked.target, 0) + 1
            assert per_tool[asked.target] <= 2
            most = max(most, running)
            await gate.wait()
            running -= 1
            per_tool[asked.target] -= 1
            return Outcome({})

        async def one(tool: str) -> None:
            nonlocal refused, done
            try:
                await step(call(tool=tool), slow)
                done += 1
            except LimitError:
                refused += 1

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(one, f"t{number % 3}")
            await anyio.wait_all_tasks_blocked()
            assert most == 3
            assert refused == 20 - 3 - 4
            gate.set()
        assert done == 7

    anyio.run(main)


def test_a_cancelled_wait_gives_its_place_back() -> None:
    async def main() -> None:
        step = LimitStep(Limits(concurrent=1, queued=1))
        gate = anyio.Event()

        async def slow(_: Call) -> Outcome:
            await gate.wait()
            return Outcome({})

        async with anyio.create_task_group() as group:
            group.start_soon(step, call(), slow)
            await anyio.wait_all_tasks_blocked()
            with anyio.move_on_after(0.01):
                await step(call(), slow)
            with anyio.move_on_after(0.01):  # the place in the queue is free again
                await step(call(), slow)
            gate.set()

    anyio.run(main)


def test_a_call_that_takes_too_long_is_stopped_and_said() -> None:
    async def main() -> Outcome:
        stopped = anyio.Event()

        async def endless(_: Call) -> Outcome:
            try:
                await anyio.sleep_forever()
            finally:
                stopped.set()
            raise AssertionError

        outcome = await LimitStep(Limits(seconds=0.01))(call(), endless)
        assert stopped.is_set()
        return outcome

    outcome = anyio.run(main)
    assert outcome.failed
    assert "timeout: t took more than" in outcome.result["text"]


def test_a_result_over_its_size_does_not_leave() -> None:
    async def big(_: Call) -> Outcome:
        return Outcome({"content": [{"type": "text", "text": "x" * 5000}]})

    async def main(limit: int) -> Outcome:
        return await LimitStep(Limits(result_bytes=limit))(call(), big)

    assert anyio.run(main, 4000).failed
    assert not anyio.run(main, 6000).failed


@pytest.mark.parametrize("value", ["x", {"a": [1, "b", None]}, [], "\u00fc" * 10])
def test_the_size_is_about_what_json_takes(value: Any) -> None:
    import json

    assert abs(size_of(value) - len(json.dumps(value, ensure_ascii=False, separators=(",", ":")))) < 40


def test_callers_nobody_hears_of_again_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatelodge_core.guard.limits.MAX_KEYS", 10)

    async def main() -> None:
        step = LimitStep(Limits())
        for number in range(100):
            await step(call(f"p{number}"), quick)
        assert len(step._uses) <= 11  # pyright: ignore[reportPrivateUsage] - nothing else shows it

    anyio.run(main)


def test_defaults_are_bounded() -> None:
    limits = Limits()
    assert all(
        value > 0 for value in (limits.per_second, limits.burst, limits.concurrent, limits.queued, limits.seconds)
    )
    assert replace(limits, burst=1).burst == 1


def test_what_would_be_refused_as_the_one_before_is_known_without_taking_anything() -> None:
    now = 0.0

    async def main() -> None:
        nonlocal now
        step = LimitStep(Limits(per_second=1, burst=2), clock=lambda: now)
        alice = call().principal
        assert step.standing(alice) is None
        for _ in range(2):
            await step(call(), quick)
        # Over, but none was refused yet: the first is the guard's, with a record of its own.
        assert step.standing(alice) is None
        with pytest.raises(LimitError):
            await step(call(), quick)
        for _ in range(1000):
            over = step.standing(alice)
            assert over is not None
            assert over.wait == pytest.approx(1.0)
        assert step.standing(call("b").principal) is None
        now += 0.5
        over = step.standing(alice)
        assert over is not None
        assert over.wait == pytest.approx(0.5)
        now += 0.5
        assert step.standing(alice) is None
        await step(call(), quick)

    anyio.run(main)


def test_a_full_queue_is_known_for_as_long_as_it_is_full() -> None:
    async def main() -> None:
        step = LimitStep(Limits(concurrent=1, queued=1))
        alice, go = call().principal, anyio.Event()

        async def slow(_: Call) -> Outcome:
            await go.wait()
            return Outcome({"content": []})

        async with anyio.create_task_group() as group:
            group.start_soon(step, call(), slow)
            group.start_soon(step, call(), slow)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(LimitError, match="2 calls run or wait"):
                await step(call(), quick)
            assert step.standing(alice) is not None
            go.set()
        assert step.standing(alice) is None

    anyio.run(main)


def test_names_that_callers_make_up_are_not_remembered() -> None:
    async def main() -> None:
        step = LimitStep(Limits(burst=1000))
        for number in range(100):
            uri = f"x:{number}" + "A" * 1000
            await step(replace(call(), kind="resource", name=uri, target=uri), quick)
            await step(replace(call(), kind="completion", name=uri, target=uri), quick)
        (use,) = step._uses.values()  # pyright: ignore[reportPrivateUsage] - what is kept shows nowhere else
        assert set(use.tools) == {"resource", "completion"}

    anyio.run(main)


def test_who_waits_longer_than_a_call_may_run_is_refused_and_leaves_no_place_taken() -> None:
    async def main() -> None:
        step = LimitStep(Limits(concurrent=2, concurrent_per_tool=1, queued=8, seconds=0.05))
        gate = anyio.Event()
        refused: list[str] = []

        async def asking(asked: Call) -> Outcome:
            # A person is asked, and takes their time.
            time: CallTime = asked.notes[TIME]
            with time.still():
                await gate.wait()
            return Outcome({})

        async def late(tool: str) -> None:
            with pytest.raises(LimitError, match="no place became free") as caught:
                await step(call(tool=tool), quick)
            assert caught.value.wait > 0
            refused.append(tool)

        async with anyio.create_task_group() as group:
            group.start_soon(step, call(tool="one"), asking)
            group.start_soon(step, call(tool="two"), asking)
            await anyio.wait_all_tasks_blocked()
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(late, "one")  # for its tool's place
                waiting.start_soon(late, "three")  # for one of the caller's
            assert sorted(refused) == ["one", "three"]
            await step(call("b"), quick)  # nobody else is in the way
            gate.set()
        for tool in ("one", "two", "three"):
            assert not (await step(call(tool=tool), quick)).failed
        assert step._uses["key:a"].inside == 0  # pyright: ignore[reportPrivateUsage] - nothing else shows it

    anyio.run(main)


def test_calls_get_their_places_in_the_order_in_which_they_came_and_a_cancelled_one_holds_up_nobody() -> None:
    async def main() -> None:
        step = LimitStep(Limits(concurrent=1, concurrent_per_tool=5))
        order: list[int] = []
        gates = {number: anyio.Event() for number in range(6)}

        async def slow(asked: Call) -> Outcome:
            number = int(asked.request_id)
            order.append(number)
            await gates[number].wait()
            return Outcome({})

        async def one(number: int, scope: anyio.CancelScope) -> None:
            with scope:
                await step(replace(call(tool=f"t{number}"), request_id=number), slow)

        scopes = [anyio.CancelScope() for _ in range(6)]
        async with anyio.create_task_group() as group:
            for number, scope in enumerate(scopes):
                group.start_soon(one, number, scope)
                await anyio.wait_all_tasks_blocked()
            scopes[2].cancel()  # one that waits
            await anyio.wait_all_tasks_blocked()
            scopes[0].cancel()  # the one that runs
            await anyio.wait_all_tasks_blocked()
            assert order == [0, 1]
            for number in (1, 3, 4, 5):
                assert order[-1] == number
                gates[number].set()
                await anyio.wait_all_tasks_blocked()

    anyio.run(main)


def test_a_time_out_within_a_call_is_not_taken_for_the_end_of_its_time() -> None:
    async def main() -> None:
        async def inner(_: Call) -> Outcome:
            raise TimeoutError("the backend's own")

        asked = call()
        with pytest.raises(TimeoutError, match="the backend's own"):
            await LimitStep(Limits())(asked, inner)
        assert "refusal" not in asked.notes

    anyio.run(main)


def test_one_more_caller_than_are_remembered_is_served_while_all_others_are_inside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gatelodge_core.guard.limits.MAX_KEYS", 3)

    async def main() -> None:
        step = LimitStep(Limits())
        gate = anyio.Event()

        async def slow(_: Call) -> Outcome:
            await gate.wait()
            return Outcome({})

        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(step, call(f"p{number}"), slow)
            await anyio.wait_all_tasks_blocked()
            await step(call("another"), quick)
            await step(call("one more"), quick)
            gate.set()

    anyio.run(main)
