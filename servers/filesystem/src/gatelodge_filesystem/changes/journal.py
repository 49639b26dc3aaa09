"""The undo journal of one server: writes operations down, makes them, settles what was killed, takes them back."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gatelodge_core.errors import CallError, JailError
from gatelodge_core.sandbox.place import CrossDevice, Place

from gatelodge_filesystem.atomic import TEMPORARY_PREFIX, Prepared, Writer
from gatelodge_filesystem.changes.log import Entry, Limits, Log
from gatelodge_filesystem.changes.perform import Conflict, Performer
from gatelodge_filesystem.changes.planning import Plan, Planner
from gatelodge_filesystem.changes.records import STATE, TRASH_FOLDER, Operation, Step, Where, described
from gatelodge_filesystem.changes.store import Blobs
from gatelodge_filesystem.encoding import etag
from gatelodge_filesystem.roots import Root
from gatelodge_filesystem.trees import remove_tree

logger = logging.getLogger(__name__)

PRUNE_EVERY = 200
"""Operations after which the age and number of what is kept is looked at, even if it isn't much."""
_IN_PART = "could only be taken back in part"


@dataclass(frozen=True, slots=True)
class Undone:
    """What taking back came to.

    Args:
        operation: The operation that did it; None if it was only planned.
        operations: What it takes back, the newest first.
        steps: How.
    """

    operation: Operation | None
    operations: list[Operation]
    steps: list[Step]


class Journal:
    """The journal.

    Args:
        directory: Where it lies; made private.
        roots: The server's roots.
        writer: Writes files.
        limits: How much is kept.
    """

    def __init__(self, directory: str, roots: Sequence[Root], writer: Writer, limits: Limits) -> None:
        self._limits = limits
        self._writer = writer
        self.blobs = Blobs(os.path.join(directory, "versions"))
        self.log = Log(directory, self.blobs)
        self._trash = os.path.join(directory, "trash")
        self.performer = Performer(roots, writer, self.blobs, self._trash)
        self._room = 0
        self._until_pruning = PRUNE_EVERY

    def commit(self, tool: str, files: Sequence[tuple[Where, Prepared]], folders: Sequence[Step] = ()) -> Operation:
        """Give new versions of files their names, and new folders theirs, all or none. Their locks are held.

        Raises:
            StaleError: Another program changed one meanwhile; none is changed.
            CallError: `exists`.
        """
        with self.log.gate():
            steps = [*folders, *(self._step(where, made) for where, made in files)]
            entry = self.log.begin(self.log.fresh_id(), tool, steps)
        acts = [lambda step=step: self.performer.perform(step) for step in folders]
        return self._make(entry, [*acts, *(lambda made=made: self._writer.commit(made) for _, made in files)])

    def _step(self, where: Where, made: Prepared) -> Step:
        new = described(os.fstat(made.fd), "file", made.etag, len(made.data))
        if made.current is None:
            return Step("move", where.beside(made.temporary), where, new, new, fresh=True)
        current = made.current
        blob = self.blobs.keep(current.data, current.sha256)
        old = described(os.fstat(current.fd), "file", current.etag, len(current.data), blob)
        return Step("swap", where, where, old, new)

    def run(
        self,
        tool: str,
        steps: Sequence[Step],
        *,
        id: str = "",  # noqa: A002 - the word for it everywhere
        undoes: Sequence[str] = (),
        read: Mapping[int, Where] | None = None,
    ) -> Operation:
        """Make steps, all or none. Their locks are held.

        Args:
            tool: Which tool does it.
            steps: In their order.
            id: The operation's; a fresh one if empty.
            undoes: What is taken back by this.
            read: Files whose present bytes have to be kept first, by the number of the step that changes them.

        Raises:
            CallError: See `Performer.perform`; nothing was changed.
            CrossDevice: A move leads to another file system; nothing was changed.
        """
        with self.log.gate():
            known = list(steps)
            for number, where in (read or {}).items():
                try:
                    data = self.performer.bytes_at(where)
                except JailError:
                    data = b""
                if etag(data) != known[number].before.etag:
                    raise Conflict(self.performer.name(where), "has changed since")
                blob = self.blobs.keep(data)
                known[number] = replace(known[number], before=replace(known[number].before, blob=blob))
            entry = self.log.begin(id or self.log.fresh_id(), tool, known, undoes)
        return self._make(entry, [lambda step=step: self.performer.perform(step) for step in known])

    def _make(self, entry: Entry, acts: Sequence[Callable[[], None]]) -> Operation:
        try:
            for number, act in enumerate(acts, 1):
                act()
                # Which steps are made must be known after a power cut too, while others are not.
                entry.mark("+", durable=number < len(acts))
            # What can't be noted could not be undone from the list, so it is taken back as well.
            made = self.log.finish(entry)
        except BaseException as error:
            if not self._took_back(entry) and isinstance(error, Exception):
                raise _half_made(entry.operation.id) from error
            raise
        self._room -= made.kept
        self._until_pruning -= 1
        if self._room < 0 or not self._until_pruning:
            self._prune_now_or_later()
        return made

    def _took_back(self, entry: Entry) -> bool:
        try:
            return self._settle(entry, back=True) != _IN_PART
        except (JailError, OSError) as error:
            # It can't even be looked at. Given up here, it is settled by the next start.
            logger.warning("%s %s could not be looked at: %s", entry.operation.tool, entry.operation.id, error)
            os.close(entry.fd)
            return False

    def settle(self) -> list[str]:
        """Settle the operations of killed processes; what was done, one line each."""
        lines: list[str] = []
        for entry in self.log.unfinished():
            operation = entry.operation
            if all(self.performer.reaches(where) for step in operation.steps for where in (step.source, step.target)):
                lines.append(f"{operation.tool} {operation.id}, which was killed, {self._settle(entry)}")
            else:
                os.close(entry.fd)  # another server's
        self._prune_now_or_later()
        return lines

    def _settle(self, entry: Entry, *, back: bool = False) -> str:
        """Bring an operation to its end, or undo what of it was made.

        Args:
            entry: It; given up by this.
            back: Take it back even if it is complete.
        """
        steps = entry.operation.steps
        mark = entry.note if back else entry.mark
        done = entry.done
        if "R" in entry.marks:
            if done and not self.performer.state(steps[done - 1]):
                done = self._taken_back(entry, steps[done - 1], clean=True)  # killed before the mark
        else:
            if done < len(steps) and self.performer.state(steps[done]):
                mark("+")
                done += 1
            if done == len(steps) and not back:
                self.log.finish(entry)
                return "was complete"
            mark("R", durable=True)
        while done:
            step = steps[done - 1]
            try:
                self.performer.perform(step.inverse())
            except (CallError, JailError, OSError) as error:
                # Another program's change is in the way; the previous bytes stay in the journal.
                logger.warning("%s %s could not be taken back: %s", entry.operation.tool, entry.operation.id, error)
                mark("P", durable=True)
                os.close(entry.fd)
                return _IN_PART
            # While its maker lives, a new thing is the maker's to remove, or to try again with.
            done = self._taken_back(entry, step, clean=not back)
        self.log.drop(entry)
        return "was taken back"

    def _taken_back(self, entry: Entry, step: Step, *, clean: bool) -> int:
        if clean and step.fresh and step.source.rel.rpartition("/")[2].startswith(TEMPORARY_PREFIX):
            with contextlib.suppress(JailError, OSError), self.performer.at(step.source) as place:
                remove_tree(place.fd, place.name)
        mark = entry.mark if clean else entry.note
        mark("-", durable=True)
        return entry.done

    def listing(self) -> list[Operation]:
        """The operations on this server's roots, the newest first."""
        return [operation for operation in self.log.all() if self._reached(operation)]

    def get(self, id: str) -> Operation:  # noqa: A002
        """One operation on this server's roots.

        Raises:
            CallError: `no_such_change`.
        """
        operation = self.log.get(id)
        if not self._reached(operation):
            raise CallError("no_such_change", f"there is no change {id[:40]!r}.", "Call list_changes for those kept.")
        return operation

    def _reached(self, operation: Operation) -> bool:
        return all(self.performer.reaches(where) for where in operation.paths)

    def undo(self, id: str, *, since: bool, dry_run: bool) -> Undone:  # noqa: A002
        """Take back one operation, or it and everything after it; an operation itself.

        Raises:
            CallError: `no_such_change`; `conflict`, naming what changed since; `not_kept`, `busy`.
        """
        first = self.get(id)
        operations = [item for item in self.listing() if item.id >= id] if since else [first]
        for level in range(3):
            plan, fresh = self._plan(operations, level)
            if dry_run:
                return Undone(None, operations, plan.steps)
            with contextlib.ExitStack() as held, contextlib.suppress(CrossDevice):
                places: list[Place] = []
                for where in dict.fromkeys(plan.locations):
                    # What lies in a folder that comes back only by this can't be locked, nor changed by others.
                    with contextlib.suppress(JailError):
                        places += [held.enter_context(self.performer.at(where))] if where.base != STATE else []
                held.enter_context(self._writer.locked(places))
                made = self.run(
                    "undo_change", plan.steps, id=fresh, undoes=[item.id for item in operations], read=plan.read
                )
                return Undone(made, operations, list(made.steps))
        raise CallError("cross_device", "this can't be taken back across file systems.", "Nothing was changed.")

    def _plan(self, operations: Sequence[Operation], level: int) -> tuple[Plan, str]:
        fresh = self.log.fresh_id()
        number = 0

        def trash(where: Where) -> Where:
            nonlocal number
            number += 1
            return self.trash(where, f"{fresh}-{number}", level)

        plan = Planner(self.performer.look, trash).plan(operations)
        if plan.conflicts:
            newest = max(operation.id for operation in operations)
            taken = {operation.id for operation in operations}
            later = [item for item in self.listing() if item.id not in taken and (item.id > newest or len(taken) == 1)]
            raise CallError(
                "conflict",
                "; ".join(
                    f"{self.performer.name(where)} {what}{self._by(where, later, newest)}"
                    for where, what in plan.conflicts[:20]
                )
                + ("; and more" if len(plan.conflicts) > 20 else "")
                + ".",
                "Nothing was changed. Undo what came later first (since=true does all at once), or edit by hand.",
            )
        return plan, fresh

    @staticmethod
    def _by(where: Where, later: Sequence[Operation], newest: str) -> str:
        names = [item.id for item in later if item.id > newest and where in item.paths]
        return f" (by {', '.join(names[-3:])})" if names else ""

    @staticmethod
    def trash(where: Where, name: str, level: int) -> Where:
        """A place in the trash: of the state directory, then of the root, then of the folder itself.

        A rename can't leave its file system, so what can't go to the first goes to the next.
        """
        if level == 0:
            return Where(STATE, name)
        if level == 1:
            return Where(where.base, f"{TRASH_FOLDER}/{name}")
        return where.beside(f"{TRASH_FOLDER}/{name}")

    def version(self, operation: Operation, step: Step) -> bytes | None:
        """The bytes that an operation left in a file, if they are still somewhere."""
        if step.after.blob:
            with contextlib.suppress(CallError):
                return self.blobs.read(step.after.blob)
        with contextlib.suppress(CallError, JailError):
            data = self.performer.bytes_at(step.target)
            if etag(data) == step.after.etag:
                return data
        for later in self.log.all():
            if later.id < operation.id:
                break
            for other in later.steps:
                if other.before.etag == step.after.etag and other.before.blob:
                    with contextlib.suppress(CallError):
                        return self.blobs.read(other.before.blob)
        return None

    def _prune_now_or_later(self) -> None:
        """Prune, if that is possible now: the change was made, and must not fail for what comes after it."""
        try:
            self.prune()
        except (CallError, JailError, OSError) as error:
            logger.warning("the undo journal is pruned later: %s", error)
            self._room, self._until_pruning = self._limits.size // 10, PRUNE_EVERY

    def prune(self) -> None:
        """Forget the oldest operations beyond the limits, and what nothing refers to. The newest one always stays.

        Raises:
            CallError: `busy`.
        """
        with self.log.gate(alone=True):
            total = 0
            gone: list[Where] = []
            for number, operation in enumerate(self.log.all()):
                total += operation.kept
                old = operation.at < time.time() - self._limits.age
                trash = [step.target for step in operation.steps if step.target.in_trash]
                ours = all(self.performer.reaches(where) for where in trash)
                if number and ours and (old or total > self._limits.size or number >= self._limits.count):
                    self.log.remove(operation)
                    gone += trash
            self.log.sweep()
            blobs, places = self.log.used()
            self.blobs.sweep(blobs)
            # One thing may have come and gone by several operations: it stays as long as one of them.
            gone += [Where(STATE, name) for name in os.listdir(self._trash)]
            for where in set(gone) - places:
                self.performer.discard(where)
        # What is over the limit by the newest alone must not lead to pruning at every step.
        self._room = max(self._limits.size - total, self._limits.size // 10)
        self._until_pruning = PRUNE_EVERY

    def forget(self, operation: Operation) -> None:
        """Forget an operation, and remove for good what it put into the trash."""
        for step in operation.steps:
            if step.target.in_trash:
                self.performer.discard(step.target)
        self.log.remove(operation)


def _half_made(change: str) -> CallError:
    return CallError(
        "partly_changed",
        f"the change failed in the middle and {_IN_PART}: the disk fails, or another program changed the same files.",
        f"What was there before is kept as change={change}: mend the disk, restart this server, and see list_changes.",
    )
