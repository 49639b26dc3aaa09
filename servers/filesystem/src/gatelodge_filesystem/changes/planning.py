"""Working out how to take operations back, and what stands in the way, before anything is touched.

Taking back several operations changes one name more than once, and moves folders that later steps reach into. So the
plan keeps what will be where, step by step, over what is there now.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from gatelodge_filesystem.changes.records import Operation, Step, Version, Where


class Look(Protocol):
    """What is at a place now."""

    def __call__(self, where: Where, *, deep: bool = False) -> Version | None:
        """None if nothing is there."""
        ...


@dataclass(slots=True)
class Plan:
    """How operations are taken back.

    Args:
        steps: What to do.
        conflicts: Places that aren't as the operations left them, and why.
        locations: For each step, where its source is before the first step, to be locked.
        read: Of these, files whose present bytes have to be kept, by the number of the step.
    """

    steps: list[Step] = field(default_factory=list[Step])
    conflicts: list[tuple[Where, str]] = field(default_factory=list[tuple[Where, str]])
    locations: list[Where] = field(default_factory=list[Where])
    read: dict[int, Where] = field(default_factory=dict[int, Where])


class Planner:
    """Plans on top of what is there.

    Args:
        look: Tells what is there now.
        trash: A fresh place in the trash for what is at a place.
    """

    def __init__(self, look: Look, trash: Callable[[Where], Where]) -> None:
        self._look = look
        self._trash = trash
        self._over: dict[Where, Version | None] = {}
        self._moves: list[tuple[Where, Where]] = []
        self._exchanged: set[int] = set()

    def plan(self, operations: Sequence[Operation]) -> Plan:
        """Plan to take operations back, in the order given: the newest first."""
        plan = Plan()
        for operation in operations:
            for step in reversed(operation.steps):
                self._add(plan, step)
        return plan

    def _add(self, plan: Plan, made: Step) -> None:
        step = made.inverse()
        if made.fresh:
            step = replace(step, target=self._trash(made.target))
        found = self._now(step.source, step.before)
        if found is None:
            plan.conflicts.append((step.source, "is not there any more"))
            return
        if not found.same(step.before):
            plan.conflicts.append((step.source, "has changed since"))
            return
        if step.action == "move" and self._now(step.target, step.before) is not None:
            plan.conflicts.append((step.target, "is taken by something else"))
            return
        if step.action == "exchange":
            other = self._now(step.target, step.after)
            if other is None or not other.same(step.after):
                plan.conflicts.append((step.target, "has changed since"))
                return
            step = replace(step, after=replace(other, etag=step.after.etag or other.etag))
        real = self._real(step.source)
        plan.locations += [real, step.target]
        if step.action == "swap" and not found.blob:
            plan.read[len(plan.steps)] = real
        # Steps before this one make new inodes, so none is told by its inode.
        before = replace(found, etag=step.before.etag or found.etag, identity=(0, 0))
        step = replace(step, before=before, after=replace(step.after, identity=(0, 0)))
        if step.action == "move":
            step = replace(step, after=before)
        plan.steps.append(step)
        self._apply(step)

    def _apply(self, step: Step) -> None:
        if step.action == "swap":
            self._over[step.target] = step.after
        elif step.action == "exchange":
            self._over[step.source], self._over[step.target] = step.after, step.before
            self._moves.append((step.source, step.target))
            self._exchanged.add(len(self._moves) - 1)
        else:
            for where in [where for where in self._over if _inside(where, step.source)]:
                self._over[_rebased(where, step.source, step.target)] = self._over.pop(where)
            self._over[step.source], self._over[step.target] = None, step.before
            self._moves.append((step.source, step.target))

    def _now(self, where: Where, expected: Version) -> Version | None:
        if where in self._over:
            return self._over[where]
        above = where
        while above.folder:
            above = Where(above.base, above.folder)
            if above in self._over:
                if self._over[above] is None:
                    return None
                break
        # What was taken out of a folder, or put into it, in this plan changes its digest: it is checked when made.
        touched = any(_inside(other, where) for other in self._over)
        return self._look(self._real(where), deep=expected.kind == "folder" and bool(expected.etag) and not touched)

    def _real(self, where: Where) -> Where:
        """Where something that will be at a place is now."""
        for number, (source, target) in reversed(list(enumerate(self._moves))):
            if where == target or _inside(where, target):
                where = _rebased(where, target, source)
            elif number in self._exchanged and where == source:
                where = target
        return where


def _inside(where: Where, folder: Where) -> bool:
    return where.base == folder.base and where.rel.startswith(f"{folder.rel}/")


def _rebased(where: Where, source: Where, target: Where) -> Where:
    return Where(target.base, target.rel + where.rel[len(source.rel) :])
