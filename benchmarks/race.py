"""The race of the protocol eras, many times: ``server/discover`` and ``initialize`` with every delay between, in both orders.

    python -m benchmarks.race                  500 runs, some minutes; --runs N --seconds S --batch B

Each run is a server of its own, in turn one of the four and a server without a porter. It must answer both, speak the
handshake's era alone, and refuse by nothing but what a host passes over. Exit status 1 if one run does not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.race import ORDERS, Run, race

SERVERS = ("filesystem", "github", "postgres", "websearch", "varying")


def commands(base: Path) -> dict[str, list[str]]:
    """How each server is started."""
    (base / "root").mkdir()
    more = {"filesystem": [str(base / "root")], "postgres": ["postgresql://nobody@127.0.0.1:1/none"]}
    modules = {name: f"gatelodge_{name}" for name in SERVERS} | {"varying": "tests.support.varying"}
    state = ["--state-dir", str(base / "state")]
    return {name: [sys.executable, "-m", modules[name], *more.get(name, []), *state] for name in SERVERS}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.race", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=500, help="how many (500)")
    parser.add_argument("--seconds", type=float, default=5.0, help="the longest delay (5)")
    parser.add_argument("--batch", type=int, default=6, help="how many at once (6)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Race, and print what came out; the exit status."""
    given = arguments(argv)
    runs: int = given.runs
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gatelodge-race-") as scratch, ThreadPoolExecutor(given.batch) as pool:
        started = commands(Path(scratch))

        def run(number: int) -> tuple[str, Run]:
            # Both orders at each delay; the servers take turns with a period that is prime to that.
            server = SERVERS[number % len(SERVERS)]
            delay = given.seconds * (number // 2) / max(1, (runs - 1) // 2)
            return server, race(started[server], ORDERS[number % 2], delay)

        found = list(pool.map(run, range(runs)))
    wrong = [(server, item) for server, item in found if item.problems]
    outcomes = Counter((item.order, "answered" if item.answered else "refused") for _, item in found)
    print("| first sent | server/discover | runs |\n|---|---|---:|")
    for (order, outcome), count in sorted(outcomes.items()):
        print(f"| {order.split()[0]} | {outcome} | {count} |")
    print(f"\n{runs} runs, delays from 0 to {given.seconds:g} s, {len(wrong)} wrong, {time.monotonic() - began:.0f} s.")
    for server, item in wrong:
        print(f"- {server}, {item.order}, {item.delay:.3f} s: {'; '.join(item.problems)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
