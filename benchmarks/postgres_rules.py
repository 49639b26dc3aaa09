"""What relation rules and the cost gate add to a call of the PostgreSQL server, with and without them in one run.

    python -m benchmarks.postgres_rules            about half a minute; --tables N for a larger catalog

In this process, over an in-memory client, since only the difference counts. Needs PostgreSQL's own programs (initdb).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from gatelodge_postgres.sources import Source
from gatelodge_postgres.verdict.shut import shut

from benchmarks._postgres_data import Data, database
from benchmarks._table import Cell, Sample, markdown
from tests.postgres.processes import Unavailable
from tests.postgres.support import Called, server

ROUNDS, CALLS = 7, 40
RULES: dict[str, dict[str, Any]] = {
    "no rules": {},
    "deny_relations": {"deny_relations": ["*.t_0001", "hr.*"]},
    "no cost gate": {"max_cost": 0},
}
Step = Callable[[int], Awaitable[Any]]


def steps(called: Called) -> dict[str, Step]:
    """What is timed; a step's number makes its constants new."""
    source = called.sources.pick("")

    def query(sql: str) -> Step:
        return lambda number: called.text("run_query", sql=sql.format(number))

    return {
        "list_objects, 20 tables": lambda _: called.text("list_objects", limit=20),
        "run_query, one row by key, other constants": query("SELECT id FROM big WHERE id = {}"),
        "run_query, a range, other constants": query("SELECT id FROM big WHERE id > {} LIMIT 1"),
        "run_query, a range, the same constants": query("SELECT id FROM big WHERE id > 1 LIMIT 1"),
        "the question alone: what is closed": lambda _: _shut(source),
    }


async def _shut(source: Source) -> None:
    await source.database.run(lambda session: shut(session, source.reader.judge))


async def timed(step: Step, first: int) -> Sample:
    """One sample of some calls."""
    since, before = time.perf_counter(), time.process_time()
    for number in range(first, first + CALLS):
        await step(number)
    return Sample(time.perf_counter() - since, calls=CALLS, cpu=time.process_time() - before)


@contextlib.asynccontextmanager
async def servers(folder: Path, url: str) -> AsyncGenerator[dict[str, Called]]:
    """A server for each set of rules."""
    async with contextlib.AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(server(folder / str(number), url, pool_size=1, **given))
            for number, (name, given) in enumerate(RULES.items())
        }


async def measured(data: Data, rounds: int) -> list[Cell]:
    """The cells, taken in turns."""
    cells: dict[tuple[str, str], Cell] = {}
    with tempfile.TemporaryDirectory(prefix="gatelodge-benchmark-") as folder:
        async with servers(Path(folder), data.url) as running:
            for turn in range(rounds + 1):
                for label, called in running.items():
                    for operation, step in steps(called).items():
                        sample = await timed(step, turn * CALLS)
                        if turn:  # the first warms up
                            cells.setdefault((operation, label), Cell(operation, label)).samples.append(sample)
    return [cells[key] for key in sorted(cells)]


def added(cells: Sequence[Cell]) -> str:
    """Milliseconds that a call takes more or less than without rules, as text."""
    middle = {(cell.operation, cell.label): statistics.median(one.seconds / one.calls for one in cell.samples) for cell in cells}  # fmt: skip
    lines = [f"{'operation':<46} {'rules':<16} {'ms a call':>9} {'added':>7}"]
    for (operation, label), seconds in middle.items():
        plus = (seconds - middle[operation, "no rules"]) * 1000
        lines.append(f"{operation:<46} {label:<16} {seconds * 1000:>9.2f} {plus:>+7.2f}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.postgres_rules", description=(__doc__ or "").splitlines()[0])  # fmt: skip
    parser.add_argument("--tables", type=int, default=2000, help="tables in the database (2000)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"samples of {CALLS} calls ({ROUNDS})")
    given = parser.parse_args(argv)
    try:
        with database(rows=1000, tables=given.tables) as data:
            cells = asyncio.run(measured(data, given.rounds))
    except Unavailable as error:
        sys.stderr.write(f"benchmarks.postgres_rules: {error}\n")
        return 1
    print(f"PostgreSQL {data.version}, {given.tables} tables\n\n{markdown(cells)}\n\n{added(cells)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
