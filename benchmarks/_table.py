"""Measuring in turns, and one table of what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks._wire import Driver, WireError

MB = 1e6
COARSE_SECONDS = 0.03
"""Below this, a difference of two counters that go by 10 ms (user and system time) says nothing."""


@dataclass(frozen=True)
class Sample:
    """One measurement.

    Args:
        seconds: Wall time of all calls.
        wire: Bytes of all answers; 0 where nothing is answered.
        calls: How many calls it was.
        cpu: Processor seconds of all calls, where no server that goes on running can be asked.
        note: What a reader of the table must know, such as that the answer was cut.
    """

    seconds: float
    wire: int = 0
    calls: int = 1
    cpu: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Runner:
    """One contender in one operation.

    Args:
        label: Its name in the table.
        run: Does the operation once, checks the answer, and returns the measurement. `WireError` and
            `AssertionError` mean that the answer was wrong.
        driver: The server, for its memory and processor time.
    """

    label: str
    run: Callable[[], Sample]
    driver: Driver | None = None


@dataclass
class Cell:
    """What one contender did in one operation; memory in bytes, processor time in seconds of all samples."""

    operation: str
    label: str
    samples: list[Sample] = field(default_factory=list[Sample])
    cpu: float | None = None
    rss_before: int = 0
    rss_after: int = 0
    cpu_coarse: bool = False
    """Whether `cpu` was read from a counter that goes by 10 ms."""
    problem: str = ""
    """Why there are no figures."""
    failed: bool = False
    """Whether the problem is a fault, not just something that doesn't exist."""

    def add(self, sample: Sample) -> None:
        """Keep a measurement."""
        self.samples.append(sample)
        if sample.cpu is not None:
            self.cpu = (self.cpu or 0.0) + sample.cpu


def measure(operation: str, runners: Sequence[Runner], rounds: int, *, warm: bool = True) -> list[Cell]:
    """Run each contender `rounds` times in turns, so that load on the machine hits all of them alike.

    Before that each runs once unmeasured, if `warm`: the first use loads code. Who goes first changes by the round.
    """
    cells = [Cell(operation, runner.label) for runner in runners]
    for runner, cell in zip(runners, cells, strict=True):
        if runner.driver is not None:
            cell.rss_before = runner.driver.rss()
        if warm:
            _once(runner, cell, keep=False)
    # From here to the end, so that what a server does after an answer, such as collecting garbage, counts too.
    spent = [runner.driver.cpu() if runner.driver else 0.0 for runner in runners]
    for turn in range(rounds):
        order = list(zip(runners, cells, strict=True))
        order = order[turn % len(order) :] + order[: turn % len(order)]
        for runner, cell in order:
            if not cell.problem:
                _once(runner, cell, keep=True)
    for runner, cell, before in zip(runners, cells, spent, strict=True):
        if runner.driver is not None and not cell.failed:
            cell.rss_after = runner.driver.rss()
            cell.cpu, cell.cpu_coarse = runner.driver.cpu() - before, True
    return cells


def absent(operation: str, label: str, reason: str) -> Cell:
    """A contender that can't do the operation at all."""
    return Cell(operation, label, problem=reason)


def _once(runner: Runner, cell: Cell, *, keep: bool) -> None:
    try:
        sample = runner.run()
    except (WireError, AssertionError) as error:
        cell.problem, cell.failed = f"failed: {str(error)[:160]}", True
        cell.samples.clear()
        return
    if keep:
        cell.add(sample)


HEADINGS = (
    "operation", "contender", "median ms", "min", "max", "calls/s", "CPU ms/call", "KB/call", "RSS MB", "note",
)  # fmt: skip


def rows(cells: Iterable[Cell]) -> list[list[str]]:
    """The cells as text, in the order of `HEADINGS`."""
    table: list[list[str]] = []
    last = ""
    for cell in cells:
        shown = cell.operation if cell.operation != last else ""
        last = cell.operation
        if not cell.samples:
            table.append([shown, cell.label, *[""] * 6, _memory(cell), cell.problem])
            continue
        per_call = [sample.seconds / sample.calls for sample in cell.samples]
        calls = sum(sample.calls for sample in cell.samples)
        wire = sum(sample.wire for sample in cell.samples) / calls
        many = cell.samples[0].calls > 1
        table.append(
            [
                shown,
                cell.label,
                *(_ms(value) for value in (statistics.median(per_call), min(per_call), max(per_call))),
                f"{1 / statistics.median(per_call):,.0f}" if many else "",
                _cpu(cell, calls),
                f"{wire / 1000:,.1f}" if wire else "",
                _memory(cell),
                cell.samples[-1].note,
            ]
        )
    return table


def markdown(cells: Iterable[Cell]) -> str:
    """One Markdown table, its columns aligned for reading as plain text."""
    body = [list(HEADINGS), *rows(cells)]
    body = [[text.replace("|", "\\|").replace("\n", " ") for text in row] for row in body]
    widths = [max(len(row[column]) for row in body) for column in range(len(HEADINGS) - 1)]

    def line(row: Sequence[str]) -> str:
        padded = [text.ljust(width) if column < 2 else text.rjust(width)
                  for column, (text, width) in enumerate(zip(row, widths, strict=False))]  # fmt: skip
        return "| " + " | ".join([*padded, row[-1]]) + " |"

    rule = (
        "|"
        + "|".join("-" * (width + 1) + ("-" if column < 2 else ":") for column, width in enumerate(widths))
        + "|---|"
    )
    return "\n".join([line(body[0]), rule, *(line(row) for row in body[1:])])


def records(cells: Iterable[Cell]) -> list[dict[str, Any]]:
    """The cells with every sample, for JSON."""
    return [asdict(cell) for cell in cells]


def _ms(seconds: float) -> str:
    value = seconds * 1000
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _cpu(cell: Cell, calls: int) -> str:
    if cell.cpu is None:
        return ""
    if cell.cpu_coarse and cell.cpu < COARSE_SECONDS:
        return f"< {_ms(COARSE_SECONDS / calls)}"
    return _ms(cell.cpu / calls)


def _memory(cell: Cell) -> str:
    if not cell.rss_after:
        return ""
    if not cell.rss_before:
        return f"{cell.rss_after / MB:.0f}"
    return f"{cell.rss_before / MB:.0f} → {cell.rss_after / MB:.0f}"
