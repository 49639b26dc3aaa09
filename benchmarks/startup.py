"""Where the start-up time of a server goes: bytecode, imports by package, and the floor under both.

    python -m benchmarks.startup               about half a minute

POSIX only.
"""

from __future__ import annotations

import argparse
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks._contenders import environment, gatelodge_command, program
from benchmarks._table import Cell, Runner, Sample, markdown, measure
from benchmarks._wire import Driver, Era

_LINE = re.compile(r"^import time:\s*(\d+) \|\s*(\d+) \| ( *)(\S+)$", re.MULTILINE)
"""What PYTHONPROFILEIMPORTTIME writes: own and cumulative microseconds, nesting by two spaces, module."""


def start(command: Sequence[str], era: Era, env: Mapping[str, str], path: Path) -> tuple[Sample, Sample, str]:
    """Start a server and read a file; the times to its first answer and to that result, and its standard error."""
    with Driver(command, era, env) as driver:
        opening = driver.open()
        first = Sample(time.perf_counter() - driver.started, opening.size, cpu=driver.cpu())
        answer = driver.call("read_file", {"path": str(path)})
        result = Sample(time.perf_counter() - driver.started, answer.size, cpu=driver.cpu())
        assert path.read_text(encoding="utf-8").strip() in answer.text, "not the file"
        return first, result, driver.stderr()


def bytecode(command: Sequence[str], era: Era, env: Mapping[str, str], path: Path, rounds: int) -> list[Cell]:
    """Starts without any bytecode of the packages, as the first after an installation, and with it.

    Each start of the first kind gets an empty cache folder. Only the standard library's bytecode is put there before,
    since Python itself is installed with it.
    """
    profile = {**env, "PYTHONPROFILEIMPORTTIME": "1"}
    standard = [
        name for name, _, _ in imports(start(command, era, profile, path)[2]) if _top(name) in sys.stdlib_module_names
    ]
    cells: dict[tuple[str, str], Cell] = {}
    for turn in range(rounds):
        with tempfile.TemporaryDirectory(prefix="gatelodge-pycache-") as cache:
            cached = {**env, "PYTHONPYCACHEPREFIX": cache}
            _import_all(standard, cached)
            for label in ("first start, no bytecode", "later start"):
                first, result, _ = start(command, era, cached, path)
                for mark, sample in (("spawn to first answer", first), ("spawn to first tool result", result)):
                    cells.setdefault((mark, label), Cell(mark, label)).add(sample)
        sys.stderr.write(f"round {turn + 1} of {rounds}\n")
    return sorted(cells.values(), key=lambda cell: cell.operation)


def _import_all(names: Sequence[str], env: Mapping[str, str]) -> None:
    code = "import contextlib, importlib, sys\nfor name in sys.argv[1:]:\n with contextlib.suppress(ImportError):\n  importlib.import_module(name)"
    subprocess.run([sys.executable, "-c", code, *names], env=dict(env), timeout=120, check=True, capture_output=True)


def floors(env: Mapping[str, str], rounds: int) -> list[Cell]:
    """What no change of ours can go below: Python itself, and the SDK's import."""
    runners = [
        Runner(code, lambda code=code: program([sys.executable, "-c", code], env))
        for code in ("pass", "import pydantic", "import mcp_types", "import mcp.server.lowlevel.server")
    ]
    return measure("python -c", runners, rounds)


def imports(stderr: str) -> list[tuple[str, int, int]]:
    """The imports in a profile: module, own microseconds, cumulative microseconds."""
    return [(name, int(own), int(total)) for own, total, _, name in _LINE.findall(stderr)]


def by_package(profiles: Sequence[list[tuple[str, int, int]]]) -> list[tuple[str, int, float]]:
    """Own time by top package, most first: package (the standard library as one), modules, median milliseconds."""
    spent: dict[str, list[float]] = defaultdict(list)
    modules: dict[str, int] = {}
    for profile in profiles:
        sums: dict[str, list[int]] = defaultdict(list)
        for name, own, _ in profile:
            top = _top(name)
            sums["standard library" if top in sys.stdlib_module_names else top].append(own)
        for package, parts in sums.items():
            spent[package].append(sum(parts) / 1000)
            modules[package] = len(parts)
    found = [(package, modules[package], statistics.median(values)) for package, values in spent.items()]
    return sorted(found, key=lambda row: -row[2])


def _top(name: str) -> str:
    return name.partition(".")[0]


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="starts of each kind (5)")
    parser.add_argument("--era", choices=("legacy", "modern"), default="modern", help="protocol era (modern)")
    parser.add_argument("--top", type=int, default=15, help="how many packages and modules to show (15)")
    parser.add_argument("--command", help="the server's command without the root (the installed gatelodge-filesystem)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    given = arguments(argv)
    era: Era = given.era
    with tempfile.TemporaryDirectory(prefix="gatelodge-startup-") as scratch:
        root, home = Path(scratch).resolve() / "root", Path(scratch).resolve() / "home"
        root.mkdir()
        home.mkdir()
        path = root / "a.txt"
        path.write_text("a line\n", encoding="utf-8")
        env = environment(home)
        command = [*(shlex.split(given.command) if given.command else gatelodge_command()), str(root)]
        start(command, era, env, path)  # fills the page cache and the bytecode cache
        cells = bytecode(command, era, env, path, given.rounds) + floors(env, given.rounds)
        profiled = {**env, "PYTHONPROFILEIMPORTTIME": "1"}
        profiles = [imports(start(command, era, profiled, path)[2]) for _ in range(given.rounds)]
    print(markdown(cells))
    packages = by_package(profiles)
    total = sum(milliseconds for _, _, milliseconds in packages)
    print(f"\nImports up to the first tool result: {total:,.0f} ms (the profile itself slows them), by package:\n")
    print("| package | modules | own ms |\n|---|---:|---:|")
    for package, modules, milliseconds in packages[: given.top]:
        print(f"| {package} | {modules} | {milliseconds:.1f} |")
    print("\n| module | own ms | with what it imports |\n|---|---:|---:|")
    for name, own, cumulative in sorted(profiles[-1], key=lambda row: -row[1])[: given.top]:
        print(f"| {name} | {own / 1000:.1f} | {cumulative / 1000:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
