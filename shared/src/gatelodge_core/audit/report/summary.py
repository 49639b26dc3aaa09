"""The report in numbers: what a reader without scripts sees, and what the command says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from gatelodge_core.audit.report.flows import Flows, Spot, outcome, place, sink
from gatelodge_core.audit.report.rows import NO_TIME, Row

SHOWN = 20
"""The most lines of one table."""


@dataclass(slots=True)
class Group:
    """Some calls.

    Args:
        name: What they have in common.
        calls: How many.
        errors: Of them, those that ended in an error, timeout or cancellation.
        refused: Those that were refused.
        times: Their durations in microseconds.
        last: Time of the last, in milliseconds since 1970.
    """

    name: str
    calls: int = 0
    errors: int = 0
    refused: int = 0
    times: list[int] = field(default_factory=list[int])
    last: int = 0

    def add(self, row: Row) -> None:
        """Count a call."""
        self.calls += 1
        self.errors += row.status in ("error", "timeout", "cancelled")
        self.refused += row.status == "refused"
        self.last = max(self.last, row.time)
        if row.micros != NO_TIME:
            self.times.append(row.micros)

    def percentile(self, part: int) -> int | None:
        """The duration in microseconds that so many of a hundred don't exceed (nearest rank); None without any."""
        self.times.sort()
        return self.times[max(-(-len(self.times) * part // 100), 1) - 1] if self.times else None


@dataclass(frozen=True, slots=True)
class Flow:
    """Calls of one sink that came after reads of one source."""

    source: Spot
    sink: Spot
    passed: int
    asked: int
    stopped: int

    @property
    def calls(self) -> int:
        """How many."""
        return self.passed + self.asked + self.stopped


@dataclass(frozen=True, slots=True)
class Summary:
    """The numbers.

    Args:
        whole: All calls.
        servers: By server.
        tools: By server and tool.
        principals: By caller.
        decisions: By what policy said.
        reasons: Refused calls by reason.
        flows: The most frequent flows.
        first: Time of the first call, in milliseconds since 1970.
        unfinished: Calls without an outcome.
    """

    whole: Group
    servers: list[Group]
    tools: list[Group]
    principals: list[Group]
    decisions: list[Group]
    reasons: list[Group]
    flows: list[Flow]
    first: int
    unfinished: int


def summarise(rows: Sequence[Row], flows: Flows) -> Summary:
    """Count what the rows have; tables are cut to `SHOWN` lines, the largest."""
    whole = Group("all")
    for row in rows:
        whole.add(row)
    return Summary(
        whole,
        _groups(rows, lambda row: row.server),
        _groups(rows, lambda row: f"{row.server} {place(row)}"),
        _groups(rows, lambda row: row.principal),
        _groups(rows, lambda row: row.decision),
        _groups((row for row in rows if row.status == "refused"), lambda row: row.reason),
        _flows(rows, flows),
        rows[0].time if rows else 0,
        sum(row.status == "unfinished" for row in rows),
    )


def _groups(rows: Iterable[Row], key: Callable[[Row], str]) -> list[Group]:
    found: dict[str, Group] = {}
    for row in rows:
        name = key(row)
        if name not in found:
            found[name] = Group(name)
        found[name].add(row)
    return sorted(found.values(), key=lambda group: (-group.calls, group.name))[:SHOWN]


def _flows(rows: Sequence[Row], flows: Flows) -> list[Flow]:
    found: dict[tuple[int, Spot], dict[str, int]] = {}
    for row, number in zip(rows, flows.before, strict=True):
        if number:
            spot, became = Spot(row.server, place(row), sink(row)), outcome(row)
            for source in flows.sets[number]:
                counts = found.setdefault((source, spot), {"passed": 0, "asked": 0, "stopped": 0})
                counts[became] += 1
    made = [Flow(flows.sources[source], spot, **counts) for (source, spot), counts in found.items()]
    return sorted(made, key=lambda flow: (-flow.calls, flow.source, flow.sink))[:SHOWN]
