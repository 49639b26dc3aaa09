"""What the lodge costs on top of the SDK: processor time per call, and calls per second with several in flight.

    python -m benchmarks.guard                 about half a minute

Both contenders run the same function in this process, called by the SDK's own client over its memory transport, in turns,
so the difference is the lodge: strict wire and arguments, limits, policy, journal and everything else between door and tool.
The client's and the SDK's own cost is in both. The journal is real and in a scratch folder.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from gatelodge_core.declare import Declarations
from gatelodge_core.effects import READ, WRITE
from gatelodge_core.keeper import Keeper
from gatelodge_core.server import Identity, Lodge
from gatelodge_core.settings import LodgeSettings
from mcp.client import Client
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError

IN_FLIGHT = (1, 16, 64)
WORDS = "an answer of a few words"
ANSWER = "def answer() -> int:\n    return 42\n" * 30
Call = Callable[[], Awaitable[None]]

offered = Declarations[None]()


@offered.tool(effect=READ)
async def read_text(domain: None, name: str) -> str:
    """Read a text."""
    del domain, name
    return ANSWER


@offered.tool(effect=READ)
async def echo_text(domain: None, name: str) -> str:
    """Answer shortly."""
    del domain, name
    return WORDS


@offered.tool(effect=READ)
async def wait_a_while(domain: None, name: str) -> str:
    """Hold a place."""
    del domain, name
    await anyio.sleep(0.05)
    return WORDS


@offered.tool(effect=WRITE)
async def keep_text(domain: None, name: str) -> str:
    """Keep a text."""
    del domain, name
    return "kept"


class GuardSettings(LodgeSettings):
    """Settings of a server that only answers."""

    server = "benchmark"


@dataclass
class Figures:
    """Microseconds of processor time of each call, and calls per second by how many are in flight."""

    label: str
    cpu: list[float]
    rates: dict[int, float]

    def row(self, floor: Figures | None) -> list[str]:
        """The table's row; extra cost is over `floor`."""
        middle = statistics.median(self.cpu)
        extra = f"{middle - statistics.median(floor.cpu):+.0f}" if floor else ""
        late = statistics.quantiles(self.cpu, n=100)[98]
        return [self.label, f"{middle:.0f}", f"{late:.0f}", extra, *(f"{self.rates[n]:,.0f}" for n in IN_FLIGHT)]


@asynccontextmanager
async def bare() -> AsyncGenerator[Client]:
    """The SDK alone, with the same function."""
    server = MCPServer("bare")

    @server.tool()
    async def read_text(name: str) -> str:
        """Read a text."""
        del name
        return ANSWER

    @server.tool()
    async def keep_text(name: str) -> str:
        """Keep a text."""
        del name
        return "kept"

    @server.tool()
    async def echo_text(name: str) -> str:
        """Answer shortly."""
        del name
        return WORDS

    async with Client(server) as client:
        yield client


@asynccontextmanager
async def guarded(at_once: int = 64, waiting: int = 10_000) -> AsyncGenerator[Client]:
    """The same behind the lodge."""
    identity = Identity("benchmark", "Benchmark", "Answers.", "Answers.", "0")
    with tempfile.TemporaryDirectory(prefix="gatelodge-benchmark-") as state:
        settings = GuardSettings(
            state_dir=state,
            calls_per_second=1e9,
            call_burst=1_000_000_000,
            calls_at_once=at_once,
            calls_waiting=waiting,
        )
        keeper = Keeper(settings, identity, offered)
        lodge = Lodge(identity, offered, None, keeper.steps, hidden=keeper.hidden)
        async with keeper.life(lambda: None), Client(lodge.mcp) as client:
            yield client


async def one(client: Client, tool: str, expected: str) -> None:
    """One call, its answer checked."""
    result = await client.call_tool(tool, {"name": "notes/plan.md"})
    assert result.content[0].type == "text"
    assert result.content[0].text == expected


async def each(call: Call, count: int) -> list[float]:
    """Processor microseconds of each call, one after the other, all threads counted."""
    spent: list[float] = []
    for _ in range(count):
        before = time.process_time_ns()
        await call()
        spent.append((time.process_time_ns() - before) / 1000)
    return spent


async def together(call: Call, count: int, in_flight: int) -> float:
    """Calls per second with so many in flight."""
    left = count

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call()

    began = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(in_flight):
            tasks.start_soon(worker)
    return count / (time.perf_counter() - began)


async def run(rounds: int, count: int) -> list[Figures]:
    """Measure all contenders in turns."""
    async with bare() as plain, guarded() as ours:
        calls: dict[str, Call] = {
            "bare SDK, a few words": lambda: one(plain, "echo_text", WORDS),
            "lodge, a few words": lambda: one(ours, "echo_text", WORDS),
            "bare SDK, 1 KB": lambda: one(plain, "read_text", ANSWER),
            "lodge, 1 KB": lambda: one(ours, "read_text", ANSWER),
            "bare SDK, write": lambda: one(plain, "keep_text", "kept"),
            "lodge, write (on disk before it runs)": lambda: one(ours, "keep_text", "kept"),
        }
        figures = {label: Figures(label, [], dict.fromkeys(IN_FLIGHT, 0.0)) for label in calls}
        for turn in range(rounds + 1):
            for label, call in calls.items():
                spent = await each(call, count)
                rates = {n: await together(call, count, n) for n in IN_FLIGHT}
                if turn:  # the first is to warm up
                    figures[label].cpu += spent
                    figures[label].rates = {n: max(rate, figures[label].rates[n]) for n, rate in rates.items()}
            sys.stderr.write(f"round {turn} of {rounds}\n")
    return list(figures.values())


async def flood(capacity: int, calls: int) -> str:
    """Five times as many callers as there are places: what a refusal costs its caller, in words."""
    refused: list[float] = []
    served = 0

    async def caller(client: Client) -> None:
        nonlocal served
        for _ in range(calls):
            began = time.perf_counter()
            try:
                await one(client, "wait_a_while", WORDS)
                served += 1
            except MCPError as error:
                if "over_limit" not in str(error):
                    raise
                refused.append((time.perf_counter() - began) * 1000)
                await anyio.sleep(0.05)

    async with guarded(at_once=capacity // 2, waiting=capacity // 2) as client, anyio.create_task_group() as tasks:
        for _ in range(5 * capacity):
            tasks.start_soon(caller, client)
    late = statistics.quantiles(refused, n=100)
    return (
        f"{5 * capacity} callers for {capacity} places: {served} served, {len(refused)} refused; "
        f"a refusal takes {late[49]:.1f} ms (p50), {late[98]:.1f} ms (p99)"
    )


def _rows(figures: list[Figures]) -> list[list[str]]:
    """Each pair of contenders: the bare SDK, then ours against it."""
    return [item.row(figures[place - 1] if place % 2 else None) for place, item in enumerate(figures)]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=500, help="Calls a round and measurement.")
    given = parser.parse_args()
    figures = anyio.run(run, given.rounds, given.calls)
    heads = ["", "CPU p50 us", "p99 us", "over the SDK us", *(f"{n} in flight, calls/s" for n in IN_FLIGHT)]
    rows = [heads, ["---"] * len(heads), *_rows(figures)]
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print(f"\n{anyio.run(flood, 16, 50)}")


if __name__ == "__main__":
    main()
