"""The journal's file: JSON lines, appended whole, or not at all.

One file per process, readable by its owner alone, so that servers started twice, or side by side, never interleave.
Python's `logging` is never the sink: on a full disk it loses records and goes on.
"""

from __future__ import annotations

import datetime
import json
import os
import secrets
import stat
import threading
from collections.abc import Mapping

from gatelodge_core.errors import GatelodgeError

FORMAT = 1


class JournalError(GatelodgeError):
    """A record could not be written; what it was to record must not happen."""


class Journal:
    """An open journal file. Threads may share it.

    Args:
        directory: Where journals lie; made private.
        server: Which server this is; part of the file's name.
        header: Facts about the process, for the first record.

    Raises:
        JournalError: The directory isn't this user's own, or can't be written.
    """

    def __init__(self, directory: str, server: str, header: Mapping[str, object]) -> None:
        self._lock = threading.Lock()
        self._seq = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        self.path = os.path.join(directory, f"{server}-{os.getpid()}-{secrets.token_hex(8)}.jsonl")
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
            found = os.lstat(directory)
            if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
                raise JournalError(f"{directory} is not this user's own directory")
            self._fd = os.open(self.path, flags | getattr(os, "O_CLOEXEC", 0), 0o600)
        except OSError as error:
            raise JournalError(f"{directory}: no journal can be kept there: {error.strerror}") from None
        self.write({"type": "header", "format": FORMAT, "server": server, "pid": os.getpid(), **header})

    def write(self, record: Mapping[str, object]) -> int:
        """Append one record, with its number and time; gives the number.

        Raises:
            JournalError: It could not be written whole. Nothing of it is left in the file.
        """
        with self._lock:
            entry = {"seq": self._seq, "ts": datetime.datetime.now(datetime.UTC).isoformat(), **record}
            line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
            self._append(line)
            self._seq += 1
            return self._seq - 1

    def _append(self, line: bytes) -> None:
        try:
            written = os.write(self._fd, line)
        except OSError as error:
            raise JournalError(f"the journal can't be written: {error.strerror}") from None
        if written != len(line):
            # A disk that fills up takes a part first and fails only the next time.
            os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            raise JournalError("the journal can't be written: there is no room for a whole record")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
