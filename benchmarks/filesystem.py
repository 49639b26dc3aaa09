"""The filesystem server beside the reference server and beside what limits both, in one run and one table.

    python -m benchmarks.filesystem            about four minutes
    python -m benchmarks.filesystem --quick    under a minute, smaller trees

Read README.md in this folder for what the columns mean. POSIX only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import _contenders, _operations, _trees
from benchmarks._contenders import Contender, Live, environment, program
from benchmarks._table import Cell, Runner, Sample, absent, markdown, measure, records
from benchmarks._trees import NEEDLE, NEEDLE_EXPRESSION, Trees
from benchmarks._wire import Driver, Era, WireError

NO_SUCH_TOOL = "has no such tool"
ERAS: dict[str, tuple[Era, ...]] = {"legacy": ("legacy",), "modern": ("modern",), "both": ("legacy", "modern")}


@dataclass(frozen=True)
class Scale:
    """How much is measured; `rounds` counts for slow operations, `many` for quick ones."""

    rounds: int
    many: int
    calls: int
    flat_count: int
    project_count: int
    large_size: int


FULL = Scale(rounds=7, many=31, calls=640, flat_count=10_000, project_count=50_000, large_size=20 << 20)
QUICK = Scale(rounds=2, many=5, calls=128, flat_count=1_000, project_count=5_000, large_size=4 << 20)


def contenders(era: str, command: Sequence[str], reference: Sequence[str] | None, root: Path) -> list[Contender]:
    """The servers to measure, each on `root`."""
    found = [Contender(f"gatelodge {name}", "gatelodge", (*command, str(root)), name) for name in ERAS[era]]
    if reference is not None:
        found.append(Contender("reference", "reference", (*reference, str(root)), "legacy"))
    return found


def starts(servers: Sequence[Contender], env: Mapping[str, str], trees: Trees, scale: Scale) -> Iterator[Cell]:
    """From the start of the process: to the first answer, to tools/list, to the first result; memory after it."""
    marks = ("spawn to first answer", "spawn to tools/list", "spawn to first tool result")
    cells = {(mark, server.label): Cell(mark, server.label) for mark in marks for server in servers}
    idle = {server.label: Cell("idle RSS, after one call", server.label) for server in servers}
    # The first round is not kept: it may compile bytecode and fill the page cache.
    for turn in range(scale.rounds + 1):
        for server in [*servers[turn % len(servers) :], *servers[: turn % len(servers)]]:
            try:
                samples, memory = _start(server, env, trees)
            except (WireError, AssertionError) as error:
                for mark in marks:
                    cells[mark, server.label].problem, cells[mark, server.label].failed = f"failed: {error}", True
                continue
            for mark, taken in zip(marks, samples, strict=True):
                cell = cells[mark, server.label]
                if turn and not cell.failed:
                    cell.add(taken)
            idle[server.label].rss_after = memory
    for mark in marks:
        yield from (cells[mark, server.label] for server in servers)
        if mark == marks[0]:
            yield from _bare_starts(env, scale)
    yield from idle.values()


def _start(server: Contender, env: Mapping[str, str], trees: Trees) -> tuple[list[Sample], int]:
    with Driver(server.command, server.era, env) as driver:
        samples: list[Sample] = []

        def mark(size: int) -> None:
            samples.append(Sample(time.perf_counter() - driver.started, size, cpu=driver.cpu()))

        mark(driver.open().size)
        listed = driver.request("tools/list")
        mark(listed.size)
        assert listed.result["tools"], "no tools"
        tool = "read_text_file" if server.kind == "reference" else "read_file"
        answer = driver.call(tool, {"path": str(trees.small)})
        mark(answer.size)
        assert "quick brown fox" in answer.text
        return samples, driver.rss()


def _bare_starts(env: Mapping[str, str], scale: Scale) -> list[Cell]:
    runners = [Runner("limit: python -c pass", lambda: program([sys.executable, "-c", "pass"], env))]
    node = _contenders.node_binary()
    if node is not None:
        runners.append(Runner("limit: node -e 0", lambda: program([str(node), "-e", "0"], env)))
    return measure("spawn to first answer", runners, scale.rounds)


@dataclass(frozen=True)
class Turns:
    """The servers that run, measured in turns."""

    lives: Sequence[Live]

    def row(
        self, name: str, make: Callable[[Live], Callable[[], Sample] | None], rounds: int, *limits: Runner
    ) -> list[Cell]:
        """One operation on all servers, and what limits it; `make` gives None for a server without the tool."""
        runners: list[Runner] = []
        without: list[Cell] = []
        for live in self.lives:
            run = make(live)
            if run is None:
                without.append(absent(name, live.contender.label, NO_SUCH_TOOL))
            else:
                runners.append(Runner(live.contender.label, run, live.driver))
        measured = [*runners, *limits]
        # Without the reference server nobody may be left who has the tool.
        return (measure(name, measured, rounds) if measured else []) + without


def operations(turns: Turns, env: Mapping[str, str], trees: Trees, scale: Scale) -> Iterator[list[Cell]]:
    """Each operation with the servers running."""
    row = turns.row
    for name, path, size, rounds in (
        ("read 1 KB", trees.small, 1 << 10, scale.many),
        ("read 1 MB", trees.medium, 1 << 20, scale.many),
        (f"read {trees.large_size >> 20} MB", trees.large, trees.large_size, scale.rounds),
    ):
        yield row(name, lambda live, path=path, size=size: _operations.read(live, path, size), rounds)
    last = trees.large_size // len(_trees.LINE.format(0)) - 1
    for name, tail in (("head 100 lines", False), ("tail 100 lines", True)):
        yield row(
            f"{name} of {trees.large_size >> 20} MB",
            lambda live, tail=tail: _operations.ends(live, trees.large, 100, tail=tail, last=last),
            scale.many,
        )
    entries = f"{trees.flat_count:,}"
    yield row(f"list {entries}, first page", lambda live: _ours(live, _operations.first_page(live, trees)), scale.many)
    scan = Runner("limit: os.scandir + stat", _timed(lambda: _trees.sizes(str(trees.flat))))
    listing = _operations.list_flat
    yield row(f"list {entries} with sizes, whole", lambda live: listing(live, trees, sizes=True), scale.rounds, scan)
    yield row(
        f"list {entries} without sizes", lambda live: _theirs(live, listing(live, trees, sizes=False)), scale.rounds
    )
    yield from _searches(turns, env, trees, scale)
    yield row("edit in 1 MB", lambda live: _operations.edit(live, _copy(live, trees)), scale.many)
    for window in (1, 16, 64):
        yield row(
            f"read 1 KB, {window} under way",
            lambda live, window=window: _operations.pipelined(live, trees.small, scale.calls, window),
            scale.rounds,
        )


def _searches(turns: Turns, env: Mapping[str, str], trees: Trees, scale: Scale) -> Iterator[list[Cell]]:
    row = turns.row
    files, project = f"{trees.project_count:,}", str(trees.project)
    rg = _contenders.ripgrep()
    limits = [Runner("limit: bare os.scandir walk", _timed(lambda: _trees.walk(project), trees.project_count))]
    if rg is not None:
        listing = [rg, "--no-config", "--files", "-g", "*.py", project]
        limits.append(Runner("limit: rg --files", lambda: program(listing, env, trees.python_files)))
    yield row(
        f"find **/*.py in {files}",
        lambda live: _operations.find(live, trees, "**/*.py", trees.python_files), scale.rounds, *limits,
    )  # fmt: skip
    yield row(f"find nothing in {files}", lambda live: _operations.find(live, trees, "**/*.nothing", 0), scale.rounds)
    for kind, pattern, regex in (("text", NEEDLE, False), ("expression", NEEDLE_EXPRESSION, True)):
        searchers: list[Runner] = []
        if rg is not None:
            searching = [
                rg,
                "--no-config",
                "--line-number",
                *([] if regex else ["--fixed-strings"]),
                "-e",
                pattern,
                project,
            ]
            searchers.append(Runner("limit: rg", lambda searching=searching: program(searching, env, trees.needles)))
        yield row(
            f"search {files} for {kind}",
            lambda live, pattern=pattern, regex=regex: _operations.search(live, trees, pattern, regex=regex),
            scale.rounds, *searchers,
        )  # fmt: skip
    yield row(f"tree of {files}", lambda live: _operations.tree(live, trees), scale.rounds)


def _ours(live: Live, run: Callable[[], Sample]) -> Callable[[], Sample] | None:
    return run if live.contender.kind == "gatelodge" else None


def _theirs(live: Live, run: Callable[[], Sample]) -> Callable[[], Sample] | None:
    return run if live.contender.kind == "reference" else None


def _copy(live: Live, trees: Trees) -> Path:
    path = trees.root / f"edit {live.contender.label}.txt"
    shutil.copyfile(trees.medium, path)
    return path


def _timed(work: Callable[[], int], expected: int | None = None) -> Callable[[], Sample]:
    def run() -> Sample:
        since, before = time.perf_counter(), time.process_time()
        found = work()
        taken = Sample(time.perf_counter() - since, cpu=time.process_time() - before)
        assert expected is None or found == expected, f"{found}, not {expected}"
        return taken

    return run


@contextmanager
def running(servers: Sequence[Contender], env: Mapping[str, str]) -> Generator[list[Live]]:
    """All servers at once; they are ended at the end."""
    with ExitStack() as stack:
        lives: list[Live] = []
        for server in servers:
            live = Live(server, env)
            stack.callback(live.driver.close)
            lives.append(live)
        yield lives


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.filesystem", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller trees, to see that it works")
    parser.add_argument("--era", choices=tuple(ERAS), default="both", help="protocol era for our server (both)")
    parser.add_argument("--command", help="our server's command without the root (the installed gatelodge-filesystem)")
    parser.add_argument("--reference", help="the reference server's command without the root (the pinned npm package)")
    parser.add_argument("--scratch", type=Path, help="where the files are made, about 250 MB (the temporary folder)")
    parser.add_argument("--json", type=Path, help="write every sample to this file as well")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; exit status 1 if any answer was wrong."""
    given = arguments(argv)
    scale = QUICK if given.quick else FULL
    command = shlex.split(given.command) if given.command else _contenders.gatelodge_command()
    reference = shlex.split(given.reference) if given.reference else _contenders.reference_command()
    if reference is None:
        sys.stderr.write("no reference server: run `python tests/clients/install.py` first; measuring ours alone\n")
    cells: list[Cell] = []
    with tempfile.TemporaryDirectory(prefix="gatelodge-benchmark-", dir=given.scratch) as scratch:
        home, served = Path(scratch).resolve() / "home", Path(scratch).resolve() / "served"
        home.mkdir()
        served.mkdir()
        sys.stderr.write("making the files\n")
        trees = _trees.make(
            served, flat_count=scale.flat_count, project_count=scale.project_count, large_size=scale.large_size
        )
        env = environment(home)
        servers = contenders(given.era, command, reference, served)
        sys.stderr.write("starting servers\n")
        cells += starts(servers, env, trees, scale)
        with running(servers, env) as lives:
            for row in operations(Turns(lives), env, trees, scale):
                sys.stderr.write(f"{row[0].operation}\n")
                cells += row
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} processors, load {load}; {scale.rounds} to {scale.many} rounds\n"
    )
    print(markdown(cells))
    if given.json:
        given.json.write_text(json.dumps(records(cells), indent=1), encoding="utf-8")
    return 1 if any(cell.failed for cell in cells) else 0


if __name__ == "__main__":
    sys.exit(main())
