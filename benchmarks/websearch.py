"""Reading pages: ours beside mcp-server-fetch and duckduckgo-mcp-server, over a site on loopback.

python -m benchmarks.websearch [--rounds N] [--no-peers]

All are started as a host starts them and driven over their standard streams. The peers are installed from the package
index, in exact versions, into an environment that is removed; their limits of requests a minute are lifted, and they
may reach loopback. mcp-server-fetch runs without Node, as `uvx` gives it on a machine that has none.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import _contenders, _peers
from benchmarks._table import Cell, Runner, Sample, absent, markdown, measure
from benchmarks._wire import Driver

FIRST_MS, EACH_SECOND = 400.0, 100.0
OURS = "gatelodge-websearch"
MANY = 200


@dataclass(frozen=True)
class Server:
    """A server to measure.

    Args:
        label: Its name in the table.
        command: How it is started.
        environment: Its whole environment.
        tool: Which of its tools reads a page.
        given: Arguments beside the URL.
    """

    label: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    tool: str
    given: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def arguments(self, url: str) -> dict[str, Any]:
        """The tool's arguments for a URL."""
        return {**self.given, **({"pages": [url]} if self.tool == "read_page" else {"url": url})}


@contextmanager
def site() -> Generator[int]:
    """Run the site, and give its port."""
    command = [sys.executable, "-m", "benchmarks._websearch_site"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


def servers(port: int, folder: Path, *, peers: bool) -> list[Server]:
    """Who is measured; peers that can't be installed are left out, with a line on stderr."""
    place = f"127.0.0.1:{port}"
    ours = (
        *_contenders.gatelodge_command(OURS),
        "--allow-hosts",
        place,
        "--ports",
        f"80,443,{port}",
        "--robots",
        "off",
    )
    (folder / "home").mkdir()
    found = [Server(OURS, ours, _contenders.environment(folder / "home"), "read_page")]
    if not peers:
        return found
    try:
        commands = _peers.install(folder / "peers", _peers.FETCH, _peers.DUCKDUCKGO)
    except _peers.Missing as error:
        print(f"Left out, the peers: {error}", file=sys.stderr)
        return found
    fetch = (str(commands / "mcp-server-fetch"), "--ignore-robots-txt", "--allow-private-ips")
    found.append(Server("mcp-server-fetch", fetch, _peers.environment(folder), "fetch"))
    lifted = _peers.environment(
        folder, DDG_ALLOW_PRIVATE_URLS="1", DDG_FETCH_RPM="1000000", DDG_CACHE_TTL="0", DDG_SEARCH_BACKEND="httpx"
    )
    duckduckgo = (str(commands / "duckduckgo-mcp-server"),)
    found.append(Server("duckduckgo, text", duckduckgo, lifted, "fetch_content"))
    found.append(Server("duckduckgo, Markdown", duckduckgo, lifted, "fetch_content", {"parse_mode": "markdown"}))
    return found


def started(server: Server) -> Sample:
    """From the spawn to the tools."""
    with Driver(server.command, "legacy", server.environment) as driver:
        driver.open()
        listed = driver.request("tools/list")
        seconds = time.perf_counter() - driver.started
        return Sample(seconds, listed.size, note=f"{len(listed.result['tools'])} tools")


def read(server: Server, driver: Driver, url: str) -> Sample:
    """One page, checked."""
    answer = driver.call(server.tool, server.arguments(url))
    _checked(answer.text)
    return Sample(answer.seconds, answer.size, note=f"{len(answer.text):,} characters to the model")


def read_many(server: Server, driver: Driver, urls: Sequence[str]) -> Sample:
    """Many pages at once, each checked."""
    begun = time.perf_counter()
    requests = [("tools/call", {"name": server.tool, "arguments": server.arguments(url)}) for url in urls]
    answers = driver.pipeline(requests, window=len(urls))
    seconds = time.perf_counter() - begun
    for answer in answers:
        _checked(answer.text)
    given = sum(len(answer.text) for answer in answers) // len(answers)
    return Sample(seconds, sum(answer.size for answer in answers), len(answers), note=f"{given:,} characters each")


def _checked(text: str) -> None:
    assert "quick brown fox" in text, text[:200]


def measured(found: Sequence[Server], port: int, rounds: int) -> list[Cell]:
    """All operations of all servers."""
    number = itertools.count()

    def url(kind: str) -> str:
        return f"http://127.0.0.1:{port}/{kind}/{next(number)}"

    def first(server: Server) -> Sample:
        # A new process each time: the first page makes a server load what it extracts with.
        with Driver(server.command, "legacy", server.environment) as driver:
            driver.open()
            return read(server, driver, url("large"))

    cells = measure("start to tools/list", [Runner(one.label, lambda one=one: started(one)) for one in found], rounds)
    cells += measure("1 MB page, first", [Runner(one.label, lambda one=one: first(one)) for one in found], rounds)
    with ExitStack() as stack:
        live = [(one, stack.enter_context(Driver(one.command, "legacy", one.environment))) for one in found]
        for _, driver in live:
            driver.open()
        runners = [Runner(one.label, lambda one=one, driver=driver: read(one, driver, url("large")), driver) for one, driver in live]  # fmt: skip
        cells += measure("1 MB page, later", runners, rounds)
    with ExitStack() as stack:
        live = [(one, stack.enter_context(Driver(one.command, "legacy", one.environment))) for one in found]
        for _, driver in live:
            driver.open()
        runners = [Runner(one.label, lambda one=one, driver=driver: read(one, driver, url("small")), driver) for one, driver in live]  # fmt: skip
        cells += measure("8 KB page", runners, rounds)
        runners = [
            Runner(one.label, lambda one=one, driver=driver: read_many(one, driver, [url("small") for _ in range(MANY)]), driver)
            for one, driver in live
        ]  # fmt: skip
        cells += measure(f"{MANY} of 8 KB at once", runners, max(1, rounds // 2))
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description="Reading pages beside other servers.")
    parser.add_argument("--rounds", type=int, default=5, help="How often each operation is done.")
    parser.add_argument("--no-peers", action="store_true", help="Ours alone.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, site() as port:
        found = servers(port, Path(folder), peers=not given.no_peers)
        cells = measured(found, port, given.rounds)
    if given.no_peers:
        cells.append(absent("all", "peers", "left out"))
    print(markdown(cells))
    for name, limit in (("1 MB page, first", FIRST_MS), ("1 MB page, later", FIRST_MS)):
        worst = _median(cells, name) * 1000
        print(f"target, {name}: at most {limit:.0f} ms: {worst:.0f}, {'held' if worst <= limit else 'MISSED'}")
    rate = 1 / _median(cells, f"{MANY} of 8 KB at once")
    print(f"target, {MANY} at once: {EACH_SECOND:.0f}/s: {rate:.0f}, {'held' if rate >= EACH_SECOND else 'MISSED'}")
    sys.exit(any(cell.failed for cell in cells if cell.label == OURS))


def _median(cells: Sequence[Cell], operation: str) -> float:
    """Seconds a call of ours; endless where it failed."""
    cell = next(cell for cell in cells if (cell.operation, cell.label) == (operation, OURS))
    times = sorted(sample.seconds / sample.calls for sample in cell.samples)
    return times[len(times) // 2] if times else float("inf")


if __name__ == "__main__":
    main()
