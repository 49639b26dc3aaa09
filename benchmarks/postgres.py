"""The PostgreSQL server beside DBHub, the archived reference server and bare psycopg, in one run and one table.

    python -m benchmarks.postgres              a few minutes
    python -m benchmarks.postgres --quick      about a minute, fewer rounds and a smaller database
    python -m benchmarks.postgres --profile    where a point query's processor time goes in our server

Read README.md in this folder for what the columns mean. POSIX only; needs PostgreSQL's own programs (initdb).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import FrameType
from typing import NoReturn

from benchmarks import _contenders, _packages, _postgres_operations, _postgres_profile
from benchmarks._contenders import Contender, environment
from benchmarks._postgres_bulk import Bulk, bulk
from benchmarks._postgres_data import Data, database
from benchmarks._postgres_limits import Limits
from benchmarks._postgres_starts import starts
from benchmarks._table import MB, Cell, markdown, records
from benchmarks.filesystem import ERAS, Turns, running
from tests.clients.install import InstallError
from tests.postgres.processes import Unavailable

DBHUB, ARCHIVED = "@bytebase/dbhub", "@modelcontextprotocol/server-postgres"
IN_FLIGHT = 16
CPU_TARGET, PAGE_TARGET, GROWTH_TARGET = 0.9e-3, 60e-3, 40e6
"""Seconds of processor time of a small query, seconds of a page of the list, bytes of growth by any result."""
NAMES = "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname ~ '^t_[0-9]+$'"


@dataclass(frozen=True)
class Scale:
    """How much is measured; `rounds` counts for slow operations, `many` for quick ones."""

    rounds: int
    many: int
    calls: int
    rows: int
    tables: int


FULL = Scale(rounds=3, many=15, calls=2000, rows=1_000_000, tables=2000)
QUICK = Scale(rounds=1, many=3, calls=400, rows=100_000, tables=200)
PARTS = ("starts", "calls", "lists", "rows")
ONE_BY_ONE = 50
"""Calls of ``select 1`` in one sample."""


def contenders(given: argparse.Namespace, url: str) -> list[Contender]:
    """The servers to measure, all with their defaults, on `url`."""
    command = shlex.split(given.command) if given.command else _contenders.gatelodge_command("gatelodge-postgres")
    ours = (*command, url, "--sandbox", given.sandbox)
    found = [Contender(f"gatelodge {name}", "gatelodge", ours, name) for name in ERAS[given.era]]
    if given.alone:
        return found
    _packages.install(given.clients)
    node, dbhub, archived = (
        _contenders.node_binary(),
        *(_packages.script(one, given.clients) for one in (DBHUB, ARCHIVED)),
    )
    found.append(Contender("DBHub", "dbhub", (str(node), str(dbhub), "--transport", "stdio", "--dsn", url), "legacy"))
    found.append(Contender("server-postgres", "server-postgres", (str(node), str(archived), url), "legacy"))
    return found


def calls(turns: Turns, limits: Limits, scale: Scale) -> Iterator[list[Cell]]:
    """Small queries, one by one and many under way, with the servers running."""
    one = {live.contender.label: _postgres_operations.OneByOne(live, ONE_BY_ONE) for live in turns.lives}
    ones = limits.runners(lambda: [("select 1", ())] * ONE_BY_ONE, 1, 1)
    cells = turns.row("select 1", lambda live: one[live.contender.label], scale.many, *ones)
    for cell in cells:
        if cell.label in one:
            one[cell.label].tell(cell)
    yield cells
    asked = _postgres_operations.Points()
    for name, bound in (("point query", False), ("point query with $1", True)):
        statements = asked.bound if bound else asked.literal
        cells = turns.row(
            f"{scale.calls:,} x {name}, {IN_FLIGHT} under way",
            lambda live, bound=bound: _postgres_operations.points(live, scale.calls, IN_FLIGHT, bound=bound),
            scale.rounds,
            *limits.runners(lambda statements=statements: statements(scale.calls), 1, IN_FLIGHT),
        )
        yield because(cells, "takes no parameters")


def lists(turns: Turns, data: Data, limits: Limits, scale: Scale) -> Iterator[list[Cell]]:
    """The list of tables."""
    cells = turns.row(f"list {data.tables:,} tables, first page", _postgres_operations.first_page, scale.many)
    yield because(cells, "gives all at once")
    yield turns.row(
        f"list {data.tables:,} tables, all names",
        lambda live: _postgres_operations.all_pages(live, data),
        scale.rounds,
        limits.cursor(NAMES, data.tables),
    )


def because(cells: list[Cell], reason: str) -> list[Cell]:
    """The cells, those without figures with a reason that says more."""
    for cell in cells:
        if cell.problem and not cell.failed:
            cell.problem = reason
    return cells


def targets(cells: Sequence[Cell], growth: Mapping[str, int], rows: int) -> str:
    """What was aimed at, and what our server did, as text."""
    lines = [f"{'target':<42} {'contender':<18} {'measured':>9}"]

    def line(target: str, label: str, measured: float, limit: float, shown: str) -> None:
        lines.append(f"{target:<42} {label:<18} {shown:>9}  {'met' if measured <= limit else 'NOT met'}")

    for cell in cells:
        if not cell.label.startswith("gatelodge") or not cell.samples:
            continue
        calls = sum(sample.calls for sample in cell.samples)
        if "point query" in cell.operation and cell.cpu is not None:
            cpu = cell.cpu / calls
            how = "with $1" if "$1" in cell.operation else "literal"
            line(f"CPU of a small query ({how}) <= 0.9 ms", cell.label, cpu, CPU_TARGET, f"{cpu * 1000:.2f} ms")
        elif "first page" in cell.operation:
            middle = sorted(sample.seconds for sample in cell.samples)[len(cell.samples) // 2]
            line("first page of the list <= 60 ms", cell.label, middle, PAGE_TARGET, f"{middle * 1000:.0f} ms")
    for label, grown in growth.items():
        if label.startswith("gatelodge"):
            line(f"RSS growth, {rows:,} rows, <= 40 MB", label, grown, GROWTH_TARGET, f"{grown / MB:.0f} MB")
    return "\n".join(lines)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.postgres", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds and a smaller database, to see that it works"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="measure only these (all)")
    parser.add_argument("--profile", action="store_true", help="only profile our server's point queries")
    parser.add_argument("--era", choices=tuple(ERAS), default="both", help="protocol era for our server (both)")
    parser.add_argument("--sandbox", choices=("on", "off"), default="on", help="our server's kernel sandbox (on)")
    parser.add_argument("--command", help="our server's command without the URL (the installed gatelodge-postgres)")
    parser.add_argument("--alone", action="store_true", help="measure no server but ours")
    parser.add_argument(
        "--clients", type=Path, default=_packages.HERE, help="where the pinned npm packages are or go (clients/)"
    )
    parser.add_argument("--json", type=Path, help="write every sample to this file as well")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; exit status 1 if any answer was wrong."""
    given = arguments(argv)
    # As an exit, so that the database and the servers end with us.
    signal.signal(signal.SIGTERM, _ended)
    try:
        return _main(given, QUICK if given.quick else FULL)
    except (InstallError, Unavailable) as error:
        sys.stderr.write(f"benchmarks.postgres: {error}\n")
        return 1


def _ended(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _main(given: argparse.Namespace, scale: Scale) -> int:
    with tempfile.TemporaryDirectory(prefix="gatelodge-benchmark-") as home:
        env = environment(Path(home).resolve())
        sys.stderr.write("making the database\n")
        with database(rows=1000 if given.profile else scale.rows, tables=scale.tables) as data:
            if given.profile:
                given.alone = True
                for contender in contenders(given, data.url):
                    for bound in (False, True):
                        print(_postgres_profile.report(contender, env, scale.calls, IN_FLIGHT, bound=bound))
                return 0
            return _measured(given, scale, env, data)


def _measured(given: argparse.Namespace, scale: Scale, env: Mapping[str, str], data: Data) -> int:
    servers = contenders(given, data.url)
    cells: list[Cell] = []
    many = Bulk()
    if "starts" in given.parts:
        sys.stderr.write("starting servers\n")
        cells += starts(servers, env, data.url, scale.rounds)
    with Limits(data.url) as limits:
        with running(servers, env) as lives:
            turns = Turns(lives)
            wanted = {"calls": calls(turns, limits, scale), "lists": lists(turns, data, limits, scale)}
            for row in chain.from_iterable(rows for part, rows in wanted.items() if part in given.parts):
                sys.stderr.write(f"{row[0].operation}\n")
                cells += row
        if "rows" in given.parts:
            sys.stderr.write("many rows\n")
            many = bulk(servers, env, data, limits, scale.rounds)
    cells += many.cells
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"PostgreSQL {data.version}, Python {platform.python_version()}, {os.cpu_count()} processors, load {load}")
    if not given.alone:
        print(", ".join(f"{name} {version}" for name, version in _packages.pins().items()))
    print(f"{scale.rounds} to {scale.many} rounds; our sandbox {given.sandbox}\n\n{markdown(cells)}\n")
    print(targets(cells, many.growth, data.rows))
    if given.json:
        given.json.write_text(json.dumps(records(cells), indent=1), encoding="utf-8")
    return 1 if any(cell.failed for cell in cells) else 0


if __name__ == "__main__":
    sys.exit(main())
