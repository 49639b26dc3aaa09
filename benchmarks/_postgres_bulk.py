"""Many rows at once: time, size of the answer, and the most memory that the server took meanwhile."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks._contenders import Contender, Live
from benchmarks._postgres_data import TOWN, Data
from benchmarks._postgres_limits import Limits
from benchmarks._postgres_operations import MOST_BYTES, MOST_ROWS, Peak, first_query, query
from benchmarks._table import Cell, Sample, absent, measure
from benchmarks._wire import Answer, WireError

ALL = "SELECT * FROM big"
SOME_ROWS = 10_000
SOME = f"{ALL} WHERE id <= {SOME_ROWS}"
_WARM = 20
_EXPORTED = re.compile(r": (\d+) rows, (\d+) bytes")

Ask = Callable[[Live], tuple[Answer, str]]


@dataclass(frozen=True)
class Work:
    """One operation.

    Args:
        name: In the table.
        idle: Resident bytes of the server before it was asked for many rows.
        rounds: How often.
        ask: Does it; the answer, and what to note.
    """

    name: str
    idle: int
    rounds: int
    ask: Ask


@dataclass
class Bulk:
    """What was measured.

    Args:
        cells: For the table.
        growth: Bytes that a server grew by at most while it was asked for all rows, by its label.
    """

    cells: list[Cell] = field(default_factory=list[Cell])
    growth: dict[str, int] = field(default_factory=dict[str, int])


def bulk(servers: Sequence[Contender], env: Mapping[str, str], data: Data, limits: Limits, rounds: int) -> Bulk:
    """Ask each server, in a process of its own that did little before, for some rows, and for all."""
    found = Bulk()
    some, whole, file = (
        f"{SOME_ROWS:,} rows of {data.width} bytes", f"{data.rows:,} rows asked for", f"{data.rows:,} rows to a file",
    )  # fmt: skip
    cells: dict[str, list[Cell]] = {some: [], whole: [], file: []}
    for server in servers:
        live = Live(server, env)
        try:
            for _ in range(_WARM):
                live.driver.call(*first_query(server.kind))
            idle = live.driver.rss()
            _add(cells[some], live, Work(some, idle, rounds, lambda live: _rows(live, SOME, SOME_ROWS)))
            # Once: what it left behind would be in the next one's figures.
            peak = _add(cells[whole], live, Work(whole, idle, 1, lambda live: _rows(live, ALL, data.rows)))
            if peak is not None:
                found.growth[server.label] = peak.growth
            if "export_query" in live.tools:
                _add(cells[file], live, Work(file, idle, 1, lambda live: _export(live, data.rows)))
            else:
                cells[file].append(absent(file, server.label, "has no such tool"))
        finally:
            live.driver.close()
    cells[some] += measure(some, [limits.cursor(SOME, SOME_ROWS)], rounds)
    cells[whole] += measure(whole, [limits.cursor(ALL, data.rows)], 1, warm=False)
    found.cells = [cell for row in cells.values() for cell in row]
    return found


def _add(row: list[Cell], live: Live, work: Work) -> Peak | None:
    """Measure one operation of one server; its memory, None if an answer was wrong."""
    cell = Cell(work.name, live.contender.label, rss_before=live.driver.rss())
    row.append(cell)
    before = live.driver.cpu()
    peak = Peak(live.driver.pid, work.idle)
    try:
        with peak:
            asked = [work.ask(live) for _ in range(work.rounds)]
        for answer, note in asked:
            cell.add(Sample(answer.seconds, answer.size, note=f"{peak}{'; ' * bool(note)}{note}"))
    except (WireError, AssertionError) as error:
        cell.problem, cell.failed = f"failed: {str(error)[:160]}", True
        cell.samples.clear()
        return None
    cell.rss_after = live.driver.rss()
    cell.cpu, cell.cpu_coarse = live.driver.cpu() - before, True
    return peak


def _rows(live: Live, sql: str, expected: int) -> tuple[Answer, str]:
    asked = query(live.contender.kind, sql, max_rows=MOST_ROWS, max_bytes=MOST_BYTES)
    assert asked is not None
    answer = live.driver.call(*asked)
    shown = answer.text.count(TOWN)
    # Only one that says so may give less.
    capped = live.contender.kind == "gatelodge" and "MORE: cursor=" in answer.text and shown == MOST_ROWS
    assert shown == expected or capped, f"{shown} of {expected} rows"
    return answer, "" if shown == expected else f"capped: first {shown:,}, and how to get more"


def _export(live: Live, expected: int) -> tuple[Answer, str]:
    answer = live.driver.call("export_query", {"sql": ALL, "format": "csv"})
    found = _EXPORTED.search(answer.text)
    assert found is not None, f"no export: {answer.text[:200]!r}"
    assert int(found[1]) == expected, f"{found[1]} of {expected} rows: {answer.text[:200]!r}"
    return answer, f"{int(found[2]) / 1e6:,.0f} MB of CSV"
