"""What could have flowed where: for each call that changes or sends something, what its caller had read shortly before.

The journal has no contents, so this shows ways that were open, not that anything took them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gatelodge_core.audit.report.rows import Row

WINDOW = 30 * 60 * 1000
"""Milliseconds for which something read counts as known to its caller."""
MAX_SOURCES = 32
"""The most sources that are kept for one caller; the latest."""


class Spot(NamedTuple):
    """A place in the drawing.

    Args:
        server: The server.
        name: Tool or prompt; all resources of a server are one.
        trait: What makes it a source (its label) or a sink (its effect and reach).
    """

    server: str
    name: str
    trait: str


@dataclass(slots=True)
class Flows:
    """Sources by number, sets of them by number, and the set that each row had before it.

    Args:
        sources: All sources.
        sets: Sets of sources, as their numbers; the first is empty.
        before: For each row, the number of its set.
    """

    sources: list[Spot] = field(default_factory=list[Spot])
    sets: list[tuple[int, ...]] = field(default_factory=lambda: [()])
    before: list[int] = field(default_factory=list[int])


def place(row: Row) -> str:
    """The name of a row's place: that of the tool or prompt, or the kind."""
    return row.name if row.kind in ("tool", "prompt") else f"{row.kind}s"


def is_source(row: Row) -> bool:
    """Whether what it answered is private, or was written by others."""
    return bool(row.label) and row.status != "refused"


def sink(row: Row) -> str:
    """What makes a call a sink: ``write``, ``destroy``, ``external`` or a pair of these; empty if it is none."""
    return " ".join(filter(None, ("" if row.effect == "read" else row.effect, row.reach)))


def find(rows: Sequence[Row]) -> Flows:
    """The flows among rows, which are in the order of time."""
    flows = Flows()
    numbers: dict[Spot, int] = {}
    known: dict[tuple[int, ...], int] = {(): 0}
    recent: dict[str, dict[int, int]] = {}
    for row in rows:
        seen = recent.setdefault(row.principal, {})
        if sink(row):
            seen = recent[row.principal] = {number: time for number, time in seen.items() if time >= row.time - WINDOW}
            found = tuple(sorted(seen))
            if found not in known:
                known[found] = len(flows.sets)
                flows.sets.append(found)
            flows.before.append(known[found])
        else:
            flows.before.append(0)
        if is_source(row):
            spot = Spot(row.server, place(row), row.label)
            if spot not in numbers:
                numbers[spot] = len(flows.sources)
                flows.sources.append(spot)
            # Taken out first, so that the order is that of the last reads.
            seen.pop(numbers[spot], None)
            seen[numbers[spot]] = row.time
            if len(seen) > MAX_SOURCES:
                del seen[next(iter(seen))]
    return flows


def outcome(row: Row) -> str:
    """What became of a call that could carry something on: ``stopped``, ``asked`` or ``passed``."""
    if row.status == "refused":
        return "stopped"
    return "asked" if row.decision == "confirm" else "passed"
