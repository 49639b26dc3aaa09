"""From the spawn of a process to its first answer and to its first tool result: the four servers beside the reference one.

    python -m benchmarks.start                 about two minutes; --rounds N

POSIX only. What each has to do for its result is small and real, and asks nobody outside this machine: a file, pages in a
folder, a user of a stand-in for GitHub, ``select 1`` in a PostgreSQL of its own.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._contenders import REFERENCE, environment, gatelodge_command, program, reference_command
from benchmarks._postgres_data import database
from benchmarks._table import Cell, Runner, Sample, absent, markdown, measure
from benchmarks._wire import Driver, Era
from tests.postgres.processes import Unavailable

ANSWER, RESULT = "spawn to first answer", "spawn to first tool result"
ANSWER_SECONDS, RESULT_SECONDS = 0.1, 0.9
"""The budgets, on an idle machine of two cores."""


@dataclass(frozen=True)
class Started:
    """A server to start.

    Args:
        label: Its name in the table.
        command: How it is started.
        tool: What is called first.
        arguments: With what.
        expected: What the result must hold.
        variables: Its variables beside the usual ones.
        era: What is spoken; a server without an era of 2026 speaks the older one.
    """

    label: str
    command: tuple[str, ...]
    tool: str
    arguments: Mapping[str, Any]
    expected: str
    era: Era
    variables: Mapping[str, str] | None = None


def start(server: Started, env: Mapping[str, str]) -> tuple[Sample, Sample]:
    """One start: to the first answer, and to the first result."""
    with Driver(server.command, server.era, {**env, **(server.variables or {})}) as driver:
        opening = driver.open()
        first = Sample(time.perf_counter() - driver.started, opening.size)
        answer = driver.call(server.tool, server.arguments)
        result = Sample(time.perf_counter() - driver.started, answer.size, cpu=driver.cpu())
        assert server.expected in answer.text, f"not {server.expected!r}: {answer.text[:200]}"
        return first, result


def starts(servers: Sequence[Started], env: Mapping[str, str], rounds: int) -> list[Cell]:
    """All starts, in turns; after one of each that isn't counted."""
    cells = {(mark, server.label): Cell(mark, server.label) for mark in (ANSWER, RESULT) for server in servers}
    for turn in range(rounds + 1):
        at = turn % len(servers)
        for server in (*servers[at:], *servers[:at]):
            samples = start(server, env)
            if turn:
                for mark, sample in zip((ANSWER, RESULT), samples, strict=True):
                    cells[mark, server.label].add(sample)
    return list(cells.values())


class _Hub(http.server.BaseHTTPRequestHandler):
    """A stand-in for GitHub: it knows one user."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer any question with the user."""
        body = json.dumps({"login": "octocat", "id": 1, "type": "User"}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing."""


@contextmanager
def hub() -> Generator[str]:
    """The stand-in's address, for as long as the context lasts."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def servers(folder: Path, api: str, database_url: str, era: Era) -> list[Started]:
    """Who is started."""
    path = str(folder / "a.md")
    ours = {
        name: tuple(gatelodge_command(f"gatelodge-{name}"))
        for name in ("filesystem", "github", "postgres", "websearch")
    }
    token = {"GATELODGE_GITHUB_TOKEN": "a-stand-ins-token"}
    found = [
        Started("filesystem", (*ours["filesystem"], str(folder)), "read_file", {"path": path}, "gate", era),
        Started(
            "websearch", (*ours["websearch"], "--folders", str(folder)), "search_local", {"query": "gate"}, "a.md", era
        ),
        Started("github", (*ours["github"], "--api-url", api), "get_me", {}, "octocat", era, token),
    ]
    if database_url:
        found.append(Started("postgres", (*ours["postgres"], database_url), "run_query", {"sql": "select 1"}, "1", era))
    reference = reference_command()
    if reference is not None:
        found.append(
            Started("reference", (*reference, str(folder)), "read_text_file", {"path": path}, "gate", "legacy")
        )
    return found


def verdicts(cells: Sequence[Cell]) -> list[str]:
    """The budgets, and whether each is kept."""
    medians = {
        (cell.operation, cell.label): statistics.median(s.seconds for s in cell.samples)
        for cell in cells
        if cell.samples
    }
    peer = medians.get((ANSWER, "reference"))
    lines: list[str] = []
    for (mark, label), median in medians.items():
        if label == "reference" or label.startswith("limit"):
            continue
        budget = ANSWER_SECONDS if mark == ANSWER else RESULT_SECONDS
        kept = median <= budget and (mark == RESULT or peer is None or median < peer)
        beside = f", the reference {peer * 1000:.0f}" if mark == ANSWER and peer is not None else ""
        lines.append(
            f"- {label}, {mark}: {median * 1000:.0f} ms of {budget * 1000:.0f}{beside}: {'kept' if kept else 'MISSED'}"
        )
    return lines


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21, help="starts of each (21)")
    parser.add_argument(
        "--era", choices=("legacy", "modern"), default="modern", help="what ours are spoken to in (modern)"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    given = arguments(argv)
    with tempfile.TemporaryDirectory(prefix="gatelodge-start-") as scratch, ExitStack() as stack:
        base = Path(scratch).resolve()
        folder, home = base / "root", base / "home"
        folder.mkdir()
        home.mkdir()
        (folder / "a.md").write_text("# The gate\n\nA lodge stands at the gate.\n", encoding="utf-8")
        env = environment(home)
        try:
            url = stack.enter_context(database(rows=1, tables=1)).url
        except Unavailable as error:
            sys.stderr.write(f"without postgres: {error}\n")
            url = ""
        found = servers(folder, stack.enter_context(hub()), url, given.era)
        load = os.getloadavg()[0]
        cells = starts(found, env, given.rounds)
        floor = Runner("limit: python -c pass", lambda: program([sys.executable, "-c", "pass"], env))
        cells += measure(ANSWER, [floor], given.rounds)
        if reference_command() is None:
            cells.append(absent(ANSWER, "reference", f"{REFERENCE} isn't installed; python tests/clients/install.py"))
    print(markdown(sorted(cells, key=lambda cell: cell.operation)))
    print(f"\nLoad before: {load:.1f}.\n")
    print("\n".join(verdicts(cells)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
