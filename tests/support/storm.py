"""A mixed load on replicas while these and their store are killed and started again, and a book of all that goes wrong."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import httpx2
from gatelodge_core.store.approving import SharedApprovals
from gatelodge_core.store.errors import StoreError

from tests.support.estate import YES, Answer, Host, Replicas, balanced
from tests.support.replica import offered
from tests.support.wire import MODERN_META

CALLERS = {f"caller{number}": 0 for number in range(7)} | {"metered": 60}
"""Eight principals; the last one has a number of calls a minute."""
REFUSED = frozenset({0, 429, 502, 503})
"""What may come instead of an answer while something is down; 0 is a broken connection."""
TOLERANCE = 2
"""Calls that the metered one may have beyond its number, for what its first and last second are cut off."""


@dataclass
class Book:
    """What happened.

    Args:
        statuses: Answers, by HTTP status.
        made: Calls that ran and answered, by tool.
        wrong: Answers that should never be, in words.
        claimed: What clients were told was done.
        metered: Answered calls of the metered principal.
        slow: Seconds of the calls that ran.
    """

    statuses: Counter[int] = field(default_factory=Counter[int])
    made: Counter[str] = field(default_factory=Counter[str])
    wrong: list[str] = field(default_factory=list[str])
    claimed: list[str] = field(default_factory=list[str])
    metered: int = 0
    slow: list[float] = field(default_factory=list[float])

    def note(self, tool: str, answer: Answer, took: float) -> bool:
        """Enter an answer; whether the call was made."""
        self.statuses[answer.status] += 1
        if answer.made:
            self.made[tool] += 1
            self.slow.append(took)
        elif answer.status not in REFUSED and answer.status != 200:
            self.wrong.append(f"{tool}: status {answer.status}: {answer.text[:200]}")
        return answer.made

    def judge(self, estate: Replicas, seconds: float) -> list[str]:
        """All that is wrong, with what the replicas wrote down.

        Args:
            estate: The replicas.
            seconds: How long it went on.
        """
        done = Counter(estate.lines())
        found = list(self.wrong)
        found += [f"{line}: done {count} times" for line, count in done.items() if count > 1]
        found += [f"{line}: told as done, and never done" for line in self.claimed if not done[line]]
        per_minute = CALLERS["metered"]
        if self.metered > (most := per_minute + seconds * per_minute / 60 + TOLERANCE):
            found.append(f"the metered caller had {self.metered} calls, {most:.0f} at most are its own")
        return found

    def percentile(self, part: float) -> float:
        """Seconds within which a part of the calls that ran had answered."""
        times = sorted(self.slow)
        return times[min(len(times) - 1, math.floor(part * len(times)))] if times else math.nan


class Caller:
    """One client.

    Args:
        host: Sends.
        name: Whose it is.
        book: What happened.
        approve: Says yes to a code, as a person would.
        chance: Decides what comes next.
        number: Of the client, for texts that are its own.
    """

    def __init__(
        self,
        host: Host,
        name: str,
        book: Book,
        approve: Callable[[str], Awaitable[bool]],
        chance: random.Random,
        number: int,
    ) -> None:
        self._host, self._name, self._book, self._approve = host, name, book, approve
        self._chance, self._number, self._count = chance, number, 0

    async def run(self, until: float) -> None:
        """Call until then."""
        while time.monotonic() < until:
            self._count += 1
            text = f"canary-{self._number}-{self._count}-{self._chance.getrandbits(40):x}"
            if self._name == "metered":
                await self._say(text)
                continue
            await self._chance.choices((self._say, self._list, self._answer, self._wait), (75, 5, 12, 8))[0](text)

    async def _call(self, tool: str, text: str, *, asks: bool = False, **params: object) -> Answer:
        began = time.monotonic()
        arguments = {"text": text} if tool == "say_who" else {"key": text}
        answer = await self._host.call(tool, arguments, asks=asks, **params)
        if self._book.note(tool, answer, time.monotonic() - began):
            self._book.metered += self._name == "metered"
            said = {"say_who": f"key:{self._name} {text}", "strike": f"key:{self._name} struck {text}"}[tool]
            if answer.text != said:
                self._book.wrong.append(f"{tool}: {said!r} was answered with {answer.text[:200]!r}")
            elif tool == "strike":
                self._book.claimed.append(f"key:{self._name} {text}")
        elif answer.status in REFUSED:
            # As a client that is told to come back, if not as patient.
            await asyncio.sleep(0.05 + 0.1 * self._chance.random())
        return answer

    async def _say(self, text: str) -> None:
        await self._call("say_who", text)

    async def _list(self, _: str) -> None:
        answer = await self._host.send("tools/list", {"_meta": MODERN_META})
        self._book.note("tools/list", answer, 0.0)
        names = [tool["name"] for tool in answer.result.get("tools", [])]
        if answer.status == 200 and sorted(names) != sorted(offered.tools):
            self._book.wrong.append(f"tools/list: {names}")

    async def _answer(self, text: str) -> None:
        """Be asked by one replica, answer to three at once, and again."""
        asked = await self._call("strike", text, asks=True)
        if state := asked.result.get("requestState"):
            given = {**YES, "requestState": state}
            await asyncio.gather(*(self._call("strike", text, asks=True, **given) for _ in range(3)))
            await self._call("strike", text, asks=True, **given)
        elif asked.made:
            self._book.wrong.append(f"strike {text}: made without being asked")

    async def _wait(self, text: str) -> None:
        """Be told to wait for approval; then repeat the call at three replicas at once."""
        told = await self._call("strike", text)
        if told.made:
            self._book.wrong.append(f"strike {text}: made without approval")
        code = told.text.partition("gatelodge approve ")[2][:9]
        if code and await self._approve(code):
            await asyncio.gather(*(self._call("strike", text) for _ in range(3)))


async def storm(
    estate: Replicas, seconds: float, *, clients: int = 64, troubles: Sequence[tuple[float, str]] = (), seed: int = 9
) -> Book:
    """Load the replicas.

    Args:
        estate: The replicas.
        seconds: For how long.
        clients: How many call at once.
        troubles: Parts of that time, and what happens then: ``replica N`` or ``store`` is killed and started again.
        seed: Decides what the clients do.
    """
    book, until = Book(), time.monotonic() + seconds
    limits = httpx2.Limits(max_connections=clients * 4, max_keepalive_connections=0)
    async with (
        estate.store.opened() as store,
        balanced(estate.ports) as url,
        httpx2.AsyncClient(timeout=60, limits=limits) as client,
    ):
        person = SharedApprovals(store)

        async def approve(code: str) -> bool:
            try:
                return await person.decide(code, approved=True)
            except StoreError:
                return False

        names = list(CALLERS)
        callers = [
            Caller(
                Host(client, url, estate.keys[names[number % len(names)]]),
                names[number % len(names)], book, approve, random.Random(seed * 1000 + number), number,
            )
            for number in range(clients)
        ]  # fmt: skip
        trouble = asyncio.create_task(_trouble(estate, seconds, troubles))
        await asyncio.gather(*(caller.run(until) for caller in callers))
        await trouble
    return book


async def _trouble(estate: Replicas, seconds: float, troubles: Sequence[tuple[float, str]]) -> None:
    began = time.monotonic()
    for part, what in troubles:
        await asyncio.sleep(max(0.0, began + part * seconds - time.monotonic()))
        if what == "store":
            await asyncio.to_thread(estate.store.kill)
            await asyncio.to_thread(estate.store.start)
        else:
            number = int(what.removeprefix("replica "))
            await asyncio.to_thread(estate.kill, number)
            await asyncio.to_thread(estate.start, number)
