"""Journals of a made-up week: four servers, a few callers, habits, mistakes and an attack; as many calls as are wanted.

They are written by the journal itself, under a clock of ours, so they verify like any other.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from unittest.mock import patch

from gatelodge_core.audit import journal as journal_module
from gatelodge_core.audit import writer as writer_module
from gatelodge_core.audit.canonical import measure
from gatelodge_core.audit.journal import Journal, JournalSettings
from gatelodge_core.audit.records import Decision, Intent, Outcome, Refusal, Status
from gatelodge_core.effects import DESTROY, EXTERNAL, LOCAL, PRIVATE, READ, UNTRUSTED, WRITE, Effect, Label, Reach

START = 1_794_787_200
"""2026-11-16, a Monday, 00:00 UTC."""
DAY = 86_400
UNSYNCED = JournalSettings(sync=False, reserve=0)


class Habit(NamedTuple):
    """A tool, and how it is used."""

    server: str
    name: str
    weight: int
    effect: Effect
    reach: Reach
    label: Label
    typical: float
    """Its usual duration in milliseconds."""


HABITS = (
    Habit("filesystem", "read_file", 300, READ, LOCAL, PRIVATE, 0.9),
    Habit("filesystem", "search_text", 120, READ, LOCAL, PRIVATE, 24),
    Habit("filesystem", "list_directory", 90, READ, LOCAL, PRIVATE, 0.7),
    Habit("filesystem", "edit_file", 60, WRITE, LOCAL, PRIVATE, 3.1),
    Habit("filesystem", "delete_path", 6, DESTROY, LOCAL, PRIVATE, 2.2),
    Habit("postgres", "run_query", 150, READ, LOCAL, PRIVATE, 38),
    Habit("postgres", "describe_objects", 50, READ, LOCAL, PRIVATE, 9),
    Habit("postgres", "apply_change", 9, WRITE, LOCAL, PRIVATE, 61),
    Habit("github", "list_issues", 70, READ, LOCAL, PRIVATE | UNTRUSTED, 240),
    Habit("github", "get_file", 60, READ, LOCAL, PRIVATE | UNTRUSTED, 190),
    Habit("github", "add_comment", 14, WRITE, EXTERNAL, PRIVATE, 410),
    Habit("github", "create_pull", 5, WRITE, EXTERNAL, PRIVATE, 620),
    Habit("websearch", "search_web", 80, READ, EXTERNAL, UNTRUSTED, 530),
    Habit("websearch", "read_page", 70, READ, EXTERNAL, UNTRUSTED, 780),
)
CALLERS = (
    ({"method": "os-user", "subject": "1000"}, 70),
    ({"method": "oauth", "subject": "ann@example.com"}, 18),
    ({"method": "oauth", "subject": "ben@example.com"}, 8),
    ({"method": "key", "subject": "nightly-build"}, 4),
)
REASONS = {
    READ: ("denied_by_policy (rule on line 6)", "over_limit", "insufficient_scope (scope)", "unauthenticated"),
    WRITE: ("approval_required (default)", "denied_by_policy (rule on line 6)", "masked_text"),
    DESTROY: ("approval_required (default)", "declined (default)"),
}


class Clock:
    """Time as the journal is told it; it only goes where it is set."""

    def __init__(self) -> None:
        self.now = float(START)

    def module(self) -> SimpleNamespace:
        """What stands in for the module ``time``."""
        return SimpleNamespace(
            time_ns=lambda: int(self.now * 1e9),
            perf_counter_ns=lambda: int(self.now * 1e9),
            monotonic_ns=lambda: int(self.now * 1e9),
            monotonic=time.monotonic,
            time=lambda: self.now,
        )


@contextmanager
def told(clock: Clock) -> Generator[None]:
    """Within this, journals take their time from a clock."""
    with ExitStack() as stack:
        for module in (journal_module, writer_module):
            stack.enter_context(patch.object(module, "time", clock.module()))
        yield


def made_up_week(folder: Path, count: int, *, seed: int = 7) -> Path:
    """Write a journal with so many calls.

    Args:
        folder: The journal's folder; made.
        count: Calls.
        seed: Another one makes another week.
    """
    pick, clock = random.Random(seed), Clock()
    weights = [habit.weight for habit in HABITS]
    with told(clock), ExitStack() as stack:
        journals = {
            server: stack.enter_context(Journal.open(str(folder), server=server, version="0.1.0", settings=UNSYNCED))
            for server in dict.fromkeys(habit.server for habit in HABITS)
        }
        for moment in sorted(_moment(pick) for _ in range(count)):
            clock.now = max(moment, clock.now)
            (habit,) = pick.choices(HABITS, weights)
            _call(journals[habit.server], habit, pick, clock)
    return folder


def _moment(pick: random.Random) -> float:
    """Mostly in working hours, and many in one bad hour of Wednesday."""
    if pick.random() < 0.04:
        return START + 2 * DAY + 14 * 3600 + pick.random() * 2400
    day = pick.choices(range(7), (20, 22, 21, 20, 15, 3, 2))[0]
    hour = min(max(pick.gauss(10.5, 1.4) if pick.random() < 0.5 else pick.gauss(15, 1.7), 0), 23.9)
    return START + day * DAY + hour * 3600


def _call(journal: Journal, habit: Habit, pick: random.Random, clock: Clock) -> None:
    (caller,) = pick.choices([caller for caller, _ in CALLERS], [weight for _, weight in CALLERS])
    args = measure({"path": f"notes/{pick.randrange(400)}.md", "tool": habit.name})
    asked = habit.effect is DESTROY or (habit.reach is EXTERNAL and habit.effect is WRITE)
    decision: Decision = "confirm" if asked else "allow"
    intent = Intent(
        name=habit.name,
        effect=habit.effect,
        reach=habit.reach,
        principal=caller,
        transport="stdio" if caller["method"] == "os-user" else "http",
        protocol=pick.choice(("2025-11-25", "2026-07-28")),
        request_id=pick.randrange(10_000),
        args_digest=args.digest,
        args_bytes=args.size,
        decision=decision,
        rule="default, raised by the server" if habit.reach is EXTERNAL and asked else "default",
        confirm={"answer": "approved"} if asked else {},
        claims={"name": pick.choice(("claude-code", "cursor", "vscode"))},
    )
    if pick.random() < (0.3 if asked else 0.015):
        journal.refusal(Refusal(intent, pick.choice(REASONS[habit.effect])))
        return
    ticket = journal.intent(intent)
    if pick.random() < 0.0003:
        return
    clock.now += habit.typical * math.exp(pick.gauss(0, 0.8)) / 1000
    status: Status = pick.choices(("ok", "error", "timeout", "cancelled"), (95, 4, 0.4, 0.6))[0]
    result = measure({"bytes": pick.randrange(10**9)})
    journal.outcome(
        ticket,
        Outcome(
            status,
            result.digest,
            int(200 * math.exp(pick.gauss(2, 1.4))),
            "tool" if status == "error" else "",
            int(pick.random() < 0.01),
            habit.label.as_ifc(),
        ),
    )


Spoil = Callable[[bytes], bytes]


def spoiled(folder: Path, spoil: Spoil, *, server: str = "filesystem") -> Path:
    """Tamper with a journal's file of one server; returns the file."""
    file = next(file for file in sorted(folder.glob(f"{server}-*.jsonl")))
    file.write_bytes(spoil(file.read_bytes()))
    return file
