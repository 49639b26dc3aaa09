"""What `gatelodge install` has written where, and the backups of what was there before.

Kept in the state folder, for the owner alone: backups hold whatever secrets people put into their hosts' files.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self, cast

from gatelodge_core.cli.hosts.made import Made
from gatelodge_core.errors import SettingsError

KEPT = 10
"""Backups of each file."""
LOCK_SECONDS = 60.0


@dataclass(slots=True)
class FileRecord:
    """What was written into one file.

    Args:
        created: Whether the file was made for it.
        made: What else was made in it.
        entries: The servers by their keys, each with the ids of its inputs.
    """

    created: bool = False
    made: Made = field(default_factory=Made)
    entries: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def copy(self) -> FileRecord:
        """One of its own."""
        return FileRecord.of(json.loads(json.dumps(self.table())))

    def table(self) -> dict[str, Any]:
        """As it is kept."""
        return {"created": self.created, "made": self.made.table(), "entries": self.entries}

    @classmethod
    def of(cls, table: object) -> Self:
        """As it was kept."""
        given = cast("dict[str, Any]", table) if isinstance(table, dict) else {}
        entries = given.get("entries")
        kept = cast("dict[str, Any]", entries) if isinstance(entries, dict) else {}
        return cls(
            given.get("created") is True,
            Made.of(given.get("made")),
            {key: [str(item) for item in cast("list[Any]", ids)] for key, ids in kept.items() if isinstance(ids, list)},
        )


class Records:
    """The record of all files; to be used inside `locked`.

    Args:
        state: The state folder, absolute.
    """

    def __init__(self, state: str) -> None:
        self._state = state
        self._path = os.path.join(state, "hosts.json")
        self.files: dict[str, FileRecord] = {}
        # A damaged record means that nothing is known: then less is taken out, never more.
        with contextlib.suppress(OSError, ValueError):
            with open(self._path, encoding="utf-8") as source:
                table: Any = json.load(source)
            files = cast("dict[str, Any]", table).get("files") if isinstance(table, dict) else None
            if isinstance(files, dict):
                self.files = {path: FileRecord.of(item) for path, item in cast("dict[str, Any]", files).items()}

    def of(self, path: str) -> FileRecord:
        """That of one file."""
        return self.files.get(path, FileRecord())

    def keep(self, path: str, record: FileRecord) -> None:
        """Write that of one file down; one without entries is forgotten.

        Raises:
            SettingsError: It can't be written.
        """
        self.files.pop(path, None)
        if record.entries:
            self.files[path] = record
        table = {"version": 1, "files": {name: item.table() for name, item in self.files.items()}}
        _write(self._path, json.dumps(table, indent=1).encode())

    def backup(self, path: str, data: bytes) -> str:
        """Keep a file's bytes; where they are now.

        Raises:
            SettingsError: It can't be written.
        """
        folder = os.path.join(self._state, "backups")
        name = os.path.basename(os.path.dirname(path)).lstrip(".") + "-" + os.path.basename(path).lstrip(".")
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        made = os.path.join(folder, f"{name}.{stamp}.bak")
        _write(made, data)
        for old in sorted(item for item in os.listdir(folder) if item.startswith(f"{name}.2"))[:-KEPT]:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(folder, old))
        return made


@contextlib.contextmanager
def locked(state: str) -> Generator[Records]:
    """The record, while no other `gatelodge install` or `uninstall` runs.

    Raises:
        SettingsError: The state folder can't be used, or another one doesn't end.
    """
    try:
        os.makedirs(state, mode=0o700, exist_ok=True)
        descriptor = os.open(os.path.join(state, "hosts.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SettingsError(
            f"the state folder {state} can't be used: {error.strerror}; choose one: --state-dir"
        ) from None
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while not _lock(descriptor):
            if time.monotonic() > deadline:
                raise SettingsError("another gatelodge install is running; wait for it to end, and try again")
            time.sleep(0.05)
        yield Records(state)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Take the lock, which ends with the descriptor; false if somebody else has it."""
    try:
        if os.name == "nt":
            import msvcrt  # noqa: PLC0415 - Windows only

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] - Windows only
        else:
            import fcntl  # noqa: PLC0415 - not on Windows

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _write(path: str, data: bytes) -> None:
    """Write a file for the owner alone, in one step."""
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        beside = f"{path}.{os.getpid()}.tmp"
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as sink:
            sink.write(data)
            sink.flush()
            os.fsync(sink.fileno())
        os.replace(beside, path)
    except OSError as error:
        raise SettingsError(
            f"{path} can't be written: {error.strerror}; choose another state folder: --state-dir"
        ) from None
