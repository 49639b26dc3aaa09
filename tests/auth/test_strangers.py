"""A flood of made-up tokens: it reaches the issuer in small numbers only, and shuts out nobody whom the issuer spoke for."""

from __future__ import annotations

import time

import anyio
import pytest
from gatelodge_core.auth.claims import Rules
from gatelodge_core.auth.introspection import GOOD_SECONDS, MAX_PENDING, Introspection
from gatelodge_core.auth.model import Unauthenticated
from gatelodge_core.auth.strangers import ALL_BURST, ALL_SECOND, EACH_BURST, EACH_SECOND, MAX_ADDRESSES, Strangers

from tests.auth.mint import ISSUER, RESOURCE

ATTACKER, OFFICE = "203.0.113.7", "198.51.100.1"


class Issuer:
    """Answers questions at once, or as soon as it is let to; knows each token that begins with `good`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.clock = time.time()
        self.free = anyio.Event()
        self.free.set()

    async def ask(self, token: str) -> dict[str, object]:
        self.asked.append(token)
        if not token.startswith("good"):
            await self.free.wait()
            return {"active": False}
        return {"active": True, "aud": RESOURCE, "sub": token, "client_id": "desk", "exp": self.clock + 3600}

    def judge(self) -> Introspection:
        return Introspection(self.ask, Rules(ISSUER, RESOURCE), now=lambda: self.clock)


async def flood(judge: Introspection, number: int, address: str = ATTACKER, name: str = "made up") -> Unauthenticated:
    """Present made-up tokens; the last refusal."""
    last: Unauthenticated | None = None
    for count in range(number):
        with pytest.raises(Unauthenticated) as caught:
            await judge.authenticate(f"{name} {count} {address}", address)
        last = caught.value
    assert last is not None
    return last


def test_one_address_asks_a_few_questions_and_then_some_a_second() -> None:
    async def run() -> None:
        issuer = Issuer()
        judge = issuer.judge()
        last = await flood(judge, 1000)
        assert len(issuer.asked) == EACH_BURST
        assert last.crowded
        assert 0 < last.unavailable <= 1 / EACH_SECOND
        issuer.clock += 10
        await flood(judge, 1000, name="later")
        assert len(issuer.asked) == EACH_BURST + 10 * EACH_SECOND
        # Another address has its own.
        assert (await judge.authenticate("good from elsewhere", OFFICE)).subject.endswith("|desk")

    anyio.run(run)


def test_all_addresses_together_have_a_bound() -> None:
    async def run() -> None:
        issuer = Issuer()
        judge = issuer.judge()
        for number in range(200):
            await flood(judge, 5, address=f"10.0.0.{number}")
        assert len(issuer.asked) == ALL_BURST
        issuer.clock += 2
        for number in range(200):
            await flood(judge, 5, address=f"10.0.1.{number}")
        assert len(issuer.asked) == ALL_BURST + 2 * ALL_SECOND

    anyio.run(run)


def test_a_flood_shuts_out_nobody_whom_the_issuer_spoke_for() -> None:
    """Also when what was remembered is over, and the issuer has to be asked anew in the midst of the flood."""

    async def run() -> None:
        issuer = Issuer()
        judge = issuer.judge()
        await judge.authenticate("good", ATTACKER)
        issuer.free = anyio.Event()
        async with anyio.create_task_group() as group:
            for number in range(2 * MAX_PENDING):
                group.start_soon(flood, judge, 1, f"10.0.0.{number % 250}", f"made up {number}")
            await anyio.wait_all_tasks_blocked()
            issuer.clock += GOOD_SECONDS + 1
            with anyio.fail_after(10):
                await judge.authenticate("good", ATTACKER)
            assert issuer.asked[-1] == "good"
            issuer.free.set()

    anyio.run(run)


def test_good_tokens_of_one_address_cost_it_nothing() -> None:
    async def run() -> None:
        issuer = Issuer()
        judge = issuer.judge()
        for number in range(4 * EACH_BURST):
            await judge.authenticate(f"good {number}", OFFICE)
        await flood(judge, 1000, address=OFFICE)
        assert len(issuer.asked) == 5 * EACH_BURST

    anyio.run(run)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:203.0.113.7", "203.0.113.7", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("203.0.113.7", "203.0.113.8", False),
        ("", "nonsense", False),
    ],
)
def test_addresses_of_one_customer_are_one(one: str, other: str, same: bool) -> None:
    strangers = Strangers()
    assert not any(strangers.take(one, 100.0) for _ in range(EACH_BURST))
    assert bool(strangers.take(other, 100.0)) is same


def test_the_memory_of_addresses_is_bounded_and_what_is_given_back_is_no_gift() -> None:
    strangers = Strangers()
    for number in range(3 * MAX_ADDRESSES):
        strangers.take(f"2001:db8:{number:x}::1", float(number))
    assert len(strangers) == MAX_ADDRESSES
    for _ in range(1000):
        strangers.give_back(OFFICE)
    taken = [strangers.take(OFFICE, 1e6) for _ in range(EACH_BURST + 1)]
    for _ in range(1000):
        strangers.give_back(OFFICE)
    assert [bool(wait) for wait in taken] == [False] * EACH_BURST + [True]
    assert [bool(strangers.take(OFFICE, 1e6)) for _ in range(EACH_BURST + 1)] == [False] * EACH_BURST + [True]


def test_a_clock_that_is_set_back_neither_locks_out_nor_opens() -> None:
    strangers = Strangers()
    for _ in range(EACH_BURST):
        strangers.take(OFFICE, 1000.0)
    assert strangers.take(OFFICE, 10.0)
    assert not strangers.take(OFFICE, 11.0)
