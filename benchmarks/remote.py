"""What authenticated HTTP costs and withstands: throughput beside the bare SDK's, refusals under a flood, and a soak.

    python -m benchmarks.remote                     about four minutes
    python -m benchmarks.remote --soak 30           with half an hour of soak
    python -m benchmarks.remote --soak 30 --full    the same as fast as it goes: about a million answers

Each server is a process of its own on loopback with one function; the load comes from this process over kept connections,
without an MCP client, so that little but the server is measured. The lodge has everything on: keys, limits, policy,
redaction, a durable journal, confinement, metrics. Calls per processor second are what one core serves; they say more
than calls per second on a machine that others use too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.remote import PEPPER, make_keys
from tests.support.wire import MODERN, MODERN_META, Server, python_module

IN_FLIGHT = (32, 16)
"""All that two cores have in flight, and a core's share, as the server under load is one process."""
PAIR = "two lodges"
"""A process a core, which share the machine with what makes the load."""
CALLERS = tuple(f"caller{number}" for number in range(8))
MB = 1e6


@dataclass(slots=True)
class Run:
    """What one load did."""

    seconds: float = 0
    cpu: float = 0
    statuses: Counter[int] = field(default_factory=Counter[int])
    times: dict[int, list[float]] = field(default_factory=dict[int, list[float]])

    def quantile(self, status: int, share: float) -> float:
        """Milliseconds within which a share of the answers of a status came."""
        found = sorted(self.times.get(status, []))
        return 1000 * found[min(len(found) - 1, int(share * len(found)))] if found else float("nan")


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and what is sent to it in turn."""

    port: int
    process: psutil.Process
    requests: Sequence[bytes]


def request(port: int, tool: str, key: str = "", text: str = "x") -> bytes:
    """One call, as bytes."""
    params = {"name": tool, "arguments": {"name": text}, "_meta": MODERN_META}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    lines = [
        "POST /mcp HTTP/1.1", f"host: 127.0.0.1:{port}", "content-type: application/json",
        "accept: application/json, text/event-stream", f"mcp-protocol-version: {MODERN}", "mcp-method: tools/call",
        f"mcp-name: {tool}", f"content-length: {len(body)}", *([f"authorization: Bearer {key}"] if key else []),
    ]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode() + body


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> tuple[int, bytes]:
    """Send a request and read its whole answer: the status and the body."""
    writer.write(data)
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return status, await reader.readexactly(length)


async def load(targets: Sequence[Target], *, width: int, seconds: float, pause: float = 0) -> Run:
    """Keep `width` calls in flight for some seconds, spread over the servers."""
    run = Run()
    until = time.perf_counter() + seconds

    async def client(place: int) -> None:
        target = targets[place % len(targets)]
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        data = target.requests[place // len(targets) % len(target.requests)]
        if pause:
            await asyncio.sleep(pause * random.random())
        while time.perf_counter() < until:
            began = time.perf_counter()
            status, _ = await exchange(reader, writer, data)
            run.statuses[status] += 1
            run.times.setdefault(status, []).append(time.perf_counter() - began)
            if pause:
                # Not all at the same moment, as clients that know nothing of each other.
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))
        writer.close()
        await writer.wait_closed()

    used, began = sum(used_by(target.process) for target in targets), time.perf_counter()
    await asyncio.gather(*(client(place) for place in range(width)))
    run.seconds, run.cpu = time.perf_counter() - began, sum(used_by(target.process) for target in targets) - used
    return run


def used_by(process: psutil.Process) -> float:
    """Processor seconds so far."""
    found = process.cpu_times()
    return found.user + found.system


@contextlib.contextmanager
def serving(folder: Path, *arguments: str, bare: bool = False) -> Generator[tuple[int, psutil.Process, dict[str, str]]]:
    """A server; its port, its process and its keys."""
    keys = {} if bare else make_keys(folder / "state", CALLERS, ("bench:read",))
    given = ["sdk"] if bare else [
        "lodge", "--http", "127.0.0.1:0", "--auth", "keys", "--keys-file", str(folder / "state" / "keys.json"),
        "--metrics", "on", *arguments,
    ]  # fmt: skip
    env = {"GATELODGE_KEY_PEPPER": PEPPER, "GATELODGE_STATE_DIR": str(folder / "state")}
    server = Server(python_module("benchmarks._remote_servers", *given), env)
    try:
        port = int(server.wait_for_stderr(r"listening on http://127\.0\.0\.1:(\d+)/mcp").group(1))
        yield port, psutil.Process(server.process.pid), keys
    finally:
        server.process.terminate()
        server.end()


def _target(port: int, process: psutil.Process, keys: dict[str, str]) -> Target:
    return Target(port, process, [request(port, "echo_text", key) for key in keys.values() or ("",)])


def throughput(rounds: int, seconds: float) -> None:
    """Both servers in turns, so that what else the machine does hits them alike."""
    free = ("--calls-per-second", "100000", "--call-burst", "1000000")
    with (
        tempfile.TemporaryDirectory() as name,
        serving(Path(name) / "sdk", bare=True) as sdk,
        serving(Path(name) / "one", *free) as one,
        serving(Path(name) / "two", *free) as two,
    ):
        first, second = (_target(*server) for server in (one, two))
        contenders = {"bare SDK": [_target(*sdk)], "lodge": [first], PAIR: [first, second]}
        figures: dict[tuple[str, int], list[Run]] = {}
        for number in range(rounds + 1):
            for width in IN_FLIGHT:
                for label, targets in contenders.items():
                    if label == PAIR and width != max(IN_FLIGHT):
                        continue
                    run = asyncio.run(load(targets, width=width, seconds=seconds if number else 1))
                    assert set(run.statuses) == {200}, run.statuses
                    if number:
                        figures.setdefault((label, width), []).append(run)
    print(f"\n{rounds} rounds of {seconds:g} s (medians)")
    print(f"{'':12}{'in flight':>10}{'calls/s':>10}{'calls per CPU s':>18}{'p50 ms':>10}{'p99 ms':>10}")
    for (label, width), runs in sorted(figures.items()):
        middle = [
            statistics.median(figure)
            for figure in (
                [run.statuses[200] / run.seconds for run in runs],
                [run.statuses[200] / run.cpu for run in runs],
                [run.quantile(200, 0.5) for run in runs],
                [run.quantile(200, 0.99) for run in runs],
            )
        ]
        print(f"{label:12}{width:10}{middle[0]:10.0f}{middle[1]:18.0f}{middle[2]:10.1f}{middle[3]:10.1f}")


def refusals(seconds: float) -> None:
    """Strangers, and five times what one caller may have in flight."""
    arguments = (
        "--calls-at-once",
        "8",
        "--calls-waiting",
        "8",
        "--calls-per-second",
        "100000",
        "--call-burst",
        "1000000",
    )
    with tempfile.TemporaryDirectory() as name, serving(Path(name), *arguments) as (port, process, keys):
        before = process.memory_info().rss
        flood = [request(port, "wait_a_while", keys[CALLERS[0]])]
        over = asyncio.run(load([Target(port, process, flood)], width=16 * 5, seconds=seconds, pause=0.1))
        unknown = Target(port, process, [request(port, "echo_text", "glk_nobody")])
        strangers = asyncio.run(load([unknown], width=8, seconds=seconds))
        grown = (process.memory_info().rss - before) / MB
    print(f"\nRefusals, {seconds:g} s each")
    print(f"{'':36}{'answers':>10}{'p50 ms':>10}{'p99 ms':>10}{'CPU ms each':>14}")
    for label, run, status in (
        ("five times the capacity: 429", over, 429),
        ("five times the capacity: served", over, 200),
        ("strangers: 401", strangers, 401),
    ):
        each = 1000 * run.cpu / max(1, run.statuses.total())
        print(
            f"{label:36}{run.statuses[status]:10}{run.quantile(status, 0.5):10.1f}{run.quantile(status, 0.99):10.1f}"
            f"{each:14.2f}"
        )
    print(f"memory grown by {grown:.1f} MB")


def soak(minutes: float, *, full: bool) -> None:
    """Even load for some minutes: what memory and descriptors do, and whether an answer went to somebody else."""
    with tempfile.TemporaryDirectory() as name, serving(Path(name), "--calls-per-second", "100000", "--call-burst", "1000000") as (
        port, process, keys,
    ):  # fmt: skip
        # Until every cache and pool has its size.
        asyncio.run(canaries(port, keys, seconds=20, pause=0))
        points: list[tuple[float, float, int]] = []
        began = time.perf_counter()
        answers: Counter[str] = Counter()
        while (at := time.perf_counter() - began) < minutes * 60:
            points.append((at / 60, process.memory_info().rss / MB, process.num_fds()))
            answers += asyncio.run(canaries(port, keys, seconds=5, pause=0 if full else 0.02))
    slope = statistics.linear_regression([point[0] for point in points], [point[1] for point in points]).slope
    print(f"\nSoak, {minutes:g} min, {len(keys)} callers with two connections each, every call with a text of its own")
    print(", ".join(f"{word}: {count}" for word, count in sorted(answers.items())))
    print(f"memory {points[0][1]:.1f} to {points[-1][1]:.1f} MB, slope {slope * 10:+.2f} MB in 10 min")
    print(f"descriptors {points[0][2]} to {points[-1][2]}, at most {max(point[2] for point in points)}")


async def canaries(port: int, keys: dict[str, str], *, seconds: float, pause: float) -> Counter[str]:
    """What became of calls whose right answer has the caller's name and the call's own text."""
    found: Counter[str] = Counter()
    until = time.perf_counter() + seconds

    async def client(name: str, key: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < until:
            text = secrets.token_hex(8)
            status, body = await exchange(reader, writer, request(port, "say_who", key, text))
            if status != 200:
                found[f"status {status}"] += 1
            else:
                found["right" if f'"key:{name} was given {text}"'.encode() in body else "WRONG"] += 1
            if pause:
                await asyncio.sleep(pause)
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(client(name, key) for name, key in keys.items() for _ in range(2)))
    return found


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--soak", type=float, default=2, metavar="MINUTES")
    parser.add_argument("--full", action="store_true", help="soak without pauses between a client's calls")
    given = parser.parse_args()
    print(
        f"Python {sys.version.split()[0]}, {psutil.cpu_count()} cores, load {psutil.getloadavg()[0]:.1f} at the start"
    )
    throughput(given.rounds, given.seconds)
    refusals(given.seconds)
    if given.soak:
        soak(given.soak, full=given.full)


if __name__ == "__main__":
    main()
