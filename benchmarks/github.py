"""GitHub: ours beside the archived reference server, over one emulator, in one run.

python -m benchmarks.github [--rounds N] [--calls N] [--no-peer]

Both are started as a host starts them and driven over their standard streams; the emulator and the proxy that counts are
those of the tests (``python tests/github/install.py``). The reference server knows api.github.com alone, so its `fetch` is
led to the proxy by a preloaded file; nothing else of it is touched. What a request to GitHub itself takes (80 to 400 ms) is
in none of the figures.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import _contenders
from benchmarks._table import Cell, Runner, Sample, markdown, measure
from benchmarks._wire import Driver
from tests.clients.install import find_node
from tests.github import emulator as emulators
from tests.github.emulator import SCOPES, token_of
from tests.github.furnishing import furnish
from tests.github.install import lanes
from tests.github.manners import Manners
from tests.github.proxy import Proxy, proxying

OURS, PEER = "gatelodge-github", "server-github 2025.4.8"
REPO = "alice/public-repo"
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Server:
    """A server to measure.

    Args:
        label: Its name in the table.
        command: How it is started.
        environment: Its whole environment.
        calls: Tool and arguments of each operation.
    """

    label: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    calls: Mapping[str, tuple[str, Mapping[str, Any]]]


def servers(proxy: Proxy, folder: Path, issue: int, path: str, *, peer: bool) -> list[Server]:
    """Who is measured."""
    token = token_of("alice")
    home = folder / "home"
    home.mkdir()
    usual = _contenders.environment(home)
    command = (*_contenders.gatelodge_command(OURS), "--api-url", proxy.url, "--repo", REPO)
    found = [
        Server(
            OURS,
            command,
            {**usual, "GITHUB_TOKEN": token},
            {
                "get issue": ("get_issue", {"number": issue}),
                "get file": ("get_file", {"path": path}),
                "list pulls": ("list_pulls", {"state": "all"}),
            },
        )
    ]
    if peer:
        script = lanes() / "node_modules/@modelcontextprotocol/server-github/dist/index.js"
        owner, _, name = REPO.partition("/")
        where = {"owner": owner, "repo": name}
        found.append(
            Server(
                PEER,
                (str(find_node().binary), "--import", (HERE / "_github_peer.mjs").as_uri(), str(script)),
                {**usual, "GITHUB_PERSONAL_ACCESS_TOKEN": token, "BENCHMARK_GITHUB": proxy.url},
                {
                    "get issue": ("get_issue", {**where, "issue_number": issue}),
                    "get file": ("get_file_contents", {**where, "path": path}),
                    "list pulls": ("list_pull_requests", {**where, "state": "all"}),
                },
            )
        )
    return found


def started(server: Server) -> Sample:
    """From the spawn to the tools."""
    with Driver(server.command, "legacy", server.environment) as driver:
        driver.open()
        listed = driver.request("tools/list")
        seconds = time.perf_counter() - driver.started
        tools = json.dumps(listed.result["tools"], ensure_ascii=False, separators=(",", ":"))
        return Sample(seconds, listed.size, note=f"{len(listed.result['tools'])} tools, about {len(tools) // 4} tokens")


def called(server: Server, driver: Driver, operation: str) -> Sample:
    """One call, checked."""
    tool, arguments = server.calls[operation]
    answer = driver.call(tool, arguments)
    assert answer.text
    return Sample(answer.seconds, answer.size, note=f"{len(answer.text):,} characters to the model")


def upstream(server: Server, driver: Driver, proxy: Proxy, operation: str, calls: int) -> tuple[float, float, float]:
    """Milliseconds (p50), requests, and requests that GitHub counts, for each of several equal calls."""
    seen, counted = len(proxy.requests), proxy.counted()
    tool, arguments = server.calls[operation]
    times = [driver.call(tool, arguments).seconds for _ in range(calls)]
    return (
        statistics.median(times) * 1000,
        (len(proxy.requests) - seen) / calls,
        (proxy.counted() - counted) / calls,
    )


def measured(found: Sequence[Server], proxy: Proxy, rounds: int, calls: int) -> list[Cell]:
    """All operations of all servers; what they ask of GitHub is printed on the way."""
    cells = measure("start to tools/list", [Runner(one.label, _starting(one)) for one in found], rounds)
    with ExitStack() as stack:
        live = [(one, stack.enter_context(Driver(one.command, "legacy", one.environment))) for one in found]
        for _, driver in live:
            driver.open()
        idle = {one.label: driver.rss() for one, driver in live}
        for operation in ("get issue", "get file", "list pulls"):
            runners = [Runner(one.label, _calling(one, driver, operation), driver) for one, driver in live]
            cells += measure(operation, runners, rounds * 4)
        print("| operation | server | p50 of equal calls (ms) | requests a call | counted by GitHub |")
        print("|---|---|---|---|---|")
        for operation in ("get issue", "get file", "list pulls"):
            for one, driver in live:
                p50, sent, counted = upstream(one, driver, proxy, operation, calls)
                print(f"| {operation} | {one.label} | {p50:.2f} | {sent:.2f} | {counted:.2f} |")
        for one, driver in live:
            print(f"\n{one.label}: {idle[one.label] / 1e6:.1f} MB idle, {driver.rss() / 1e6:.1f} MB after the calls.")
        print()
    return cells


def _starting(server: Server) -> Callable[[], Sample]:
    return lambda: started(server)


def _calling(server: Server, driver: Driver, operation: str) -> Callable[[], Sample]:
    return lambda: called(server, driver, operation)


def main() -> None:
    parser = argparse.ArgumentParser(description="GitHub beside the archived reference server.")
    parser.add_argument("--rounds", type=int, default=7, help="How often each operation is done.")
    parser.add_argument("--calls", type=int, default=200, help="Equal calls whose requests are counted.")
    parser.add_argument("--no-peer", action="store_true", help="Ours alone.")
    given = parser.parse_args()
    manners = Manners({token_of(login): scopes for login, scopes in SCOPES.items()})
    with tempfile.TemporaryDirectory() as folder, emulators.running() as emulator:
        furniture = furnish(emulator)
        with proxying(emulator.url, manners) as proxy:
            found = servers(proxy, Path(folder), furniture.issue, "README.md", peer=not given.no_peer)
            cells = measured(found, proxy, given.rounds, given.calls)
    print(markdown(cells))
    sys.exit(any(cell.failed for cell in cells if cell.label == OURS))


if __name__ == "__main__":
    main()
