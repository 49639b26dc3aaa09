"""Limits: what is over them is refused at once and told when to come back; what is under them is not touched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest
from gatelodge_core.auth.principal import Principal
from gatelodge_core.effects import READ, Nature
from gatelodge_core.guard.call import Call, Outcome
from gatelodge_core.guard.limits import LimitError, Limits, LimitStep, size_of

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
