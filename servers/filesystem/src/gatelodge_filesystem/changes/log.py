"""The log of operations: one file each, durable before the first effect.

A file holds the operation as one line, then one mark for each thing that happened: ``+`` a step was made, ``-`` one was
taken back, ``R`` taking back began, ``F`` finished, ``P`` partly settled. The file is locked while its process lives,
so an unfinished one without a lock belongs to a killed process and is settled by the next start.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from gatelodge_core.errors import CallError

from gatelodge_filesystem.changes.records import Operation, Step, Where, decoded, encoded
from gatelodge_filesystem.changes.store import Blobs, sync_directory
from gatelodge_filesystem.locks import WAIT_SECONDS, lock_by, private_directory, try_lock

PRUNE_SECONDS = 2.0
"""How long a pruning waits for those who change something; it can be done later."""
_TIME_DIGITS = 13
_ID = re.compile(r"[0-9a-f]{15}\.op\Z")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept.

    Args:
        size: Bytes of previous versions and trash in all; the newest operation stays even if it is larger.
        age: Seconds.
        count: Operations.
    """

    size: int = 1024 * 1024 * 1024
    age: float = 14 * 86400
    count: int = 10_000


@dataclass(slots=True)
class Entry:
    """An operation in the log, held open by the process that runs or settles it.

    Args:
        operation: What it is.
        fd: Its file, locked.
        path: The file's path.
        marks: What happened so far.
    """

    operation: Operation
    fd: int
    path: str
    marks: str = ""

    def mark(self, mark: str, *, durable: bool = False) -> None:
        """Note that something happened.

        Raises:
            OSError: It isn't on the disk; `marks` has it all the same.
        """
        self.marks += mark
        os.write(self.fd, mark.encode())
        if durable:
            os.fdatasync(self.fd) if hasattr(os, "fdatasync") else os.fsync(self.fd)

    def note(self, mark: str, *, durable: bool = False) -> None:
        """As `mark`, on a disk that may have failed: what is being taken back must not stop half-way."""
        with contextlib.suppress(OSError):
            self.mark(mark, durable=durable)

    @property
    def done(self) -> int:
        """How many steps are known to be made and not taken back."""
        return self.marks.count("+") - self.marks.count("-")


class Log:
    """The log of one state directory.

    Args:
        directory: Where it lies; made private.
        blobs: The store of previous bytes.
    """

    def __init__(self, directory: str, blobs: Blobs) -> None:
        self.blobs = blobs
        private_directory(directory)
        self._directory = private_directory(os.path.join(directory, "operations"))
        self._gate = os.path.join(directory, "gate.lock")
        self._known: dict[str, Operation] = {}
        # A clock that was put back must not put what comes now before what came then.
        self._last = max((int(name[:_TIME_DIGITS], 16) for name in self._names() if _ID.match(name)), default=0)
        self._lock = threading.Lock()

    def fresh_id(self) -> str:
        """A new operation's id: microseconds in hex, later ones greater, and two digits of chance."""
        with self._lock:
            self._last = max(time.time_ns() // 1000, self._last + 1)
            return f"{self._last:0{_TIME_DIGITS}x}{secrets.token_hex(1)}"

    @contextlib.contextmanager
    def gate(self, *, alone: bool = False) -> Generator[None]:
        """Hold off pruning while bytes are kept that no operation refers to yet; `alone` for the pruning itself.

        Raises:
            CallError: `busy`: a process that was stopped in the midst of it holds it for too long.
        """
        fd = os.open(self._gate, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            seconds = min(PRUNE_SECONDS, WAIT_SECONDS) if alone else WAIT_SECONDS
            if not lock_by(fd, time.monotonic() + seconds, shared=not alone):
                raise CallError("busy", "another server holds the undo journal.", "Nothing was changed; try again.")
            yield
        finally:
            os.close(fd)

    def begin(self, id: str, tool: str, steps: Sequence[Step], undoes: Sequence[str] = ()) -> Entry:  # noqa: A002
        """Write an operation down; it is on the disk when this returns. The gate must be held."""
        operation = Operation(id, tool, time.time(), tuple(steps), tuple(undoes))
        path = os.path.join(self._directory, f"{id}.op")
        # Locked and whole before it has a name that others look for.
        unnamed = os.path.join(self._directory, f"{id}.new")
        fd = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_APPEND, 0o600)
        try:
            try_lock(fd)
            view = memoryview(encoded(operation))
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
            os.rename(unnamed, path)
            sync_directory(self._directory)
        except BaseException:
            os.close(fd)
            for name in (unnamed, path):
                with contextlib.suppress(OSError):
                    os.unlink(name)
            raise
        return Entry(operation, fd, path)

    def drop(self, entry: Entry) -> None:
        """Forget an operation that left nothing."""
        with contextlib.suppress(OSError):
            os.unlink(entry.path)
        os.close(entry.fd)

    def finish(self, entry: Entry) -> Operation:
        """Note that an operation is done. Not synced: without the mark it would be found done, step by step.

        Raises:
            OSError: It can't be noted; the entry stays open.
        """
        entry.mark("F")
        os.close(entry.fd)
        return replace(entry.operation, state="finished")

    def unfinished(self) -> list[Entry]:
        """Operations of killed processes, locked for the caller, the newest first."""
        found: list[Entry] = []
        for name in sorted(self._names(), reverse=True):
            path = os.path.join(self._directory, name)
            with contextlib.suppress(FileNotFoundError):
                fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
                if not try_lock(fd):
                    os.close(fd)
                    continue  # its process lives
                line, marks = _parts(fd)
                try:
                    entry = Entry(decoded(line), fd, path, marks)
                except ValueError:
                    # Torn while it was written: nothing was changed yet.
                    os.unlink(path)
                    os.close(fd)
                    continue
                if "F" in marks or "P" in marks:
                    os.close(fd)
                else:
                    found.append(entry)
        return found

    def all(self) -> list[Operation]:
        """Every finished operation, the newest first."""
        names = set(self._names())
        found: list[Operation] = []
        for name in sorted(names, reverse=True):
            operation = self._known.get(name) or self._load(name)
            if operation is not None and operation.state != "begun":
                self._known[name] = operation
                found.append(operation)
        for name in self._known.keys() - names:
            self._known.pop(name, None)
        return found

    def get(self, id: str) -> Operation:  # noqa: A002
        """One operation.

        Raises:
            CallError: `no_such_change`.
        """
        name = f"{id}.op"
        operation = self._load(name) if id.isalnum() else None
        if operation is None or operation.state == "begun":
            raise CallError("no_such_change", f"there is no change {id[:40]!r}.", "Call list_changes for those kept.")
        return operation

    def remove(self, operation: Operation) -> None:
        """Forget a finished operation."""
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self._directory, f"{operation.id}.op"))
        self._known.pop(f"{operation.id}.op", None)

    def used(self) -> tuple[set[str], set[Where]]:
        """The names of all bytes, and the places in the trash, that operations refer to; unfinished ones included."""
        blobs: set[str] = set()
        trash: set[Where] = set()
        for name in self._names():
            operation = self._known.get(name) or self._load(name)
            for step in operation.steps if operation else ():
                blobs.update((step.before.blob, step.after.blob))
                trash.update(where for where in (step.source, step.target) if where.in_trash)
        return blobs, trash

    def sweep(self) -> None:
        """Remove what killed writers left. Nobody may be beginning an operation meanwhile."""
        for name in os.listdir(self._directory):
            if name.endswith(".new"):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(self._directory, name))

    def _names(self) -> list[str]:
        return [name for name in os.listdir(self._directory) if name.endswith(".op")]

    def _load(self, name: str) -> Operation | None:
        try:
            fd = os.open(os.path.join(self._directory, name), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            line, marks = _parts(fd)
            operation = decoded(line)
        except ValueError:
            return None
        finally:
            os.close(fd)
        return replace(operation, state="partial" if "P" in marks else "finished" if "F" in marks else "begun")


def _parts(fd: int) -> tuple[bytes, str]:
    with os.fdopen(fd, "rb", closefd=False) as source:
        data = source.read()
    line, _, marks = data.partition(b"\n")
    return line, marks.decode("ascii", "replace")
