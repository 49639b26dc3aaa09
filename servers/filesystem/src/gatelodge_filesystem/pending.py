"""What a write was about to do, written down first, so that a killed process leaves nothing behind.

Each write in progress has a record in the state directory, locked while its process lives. A record without a living
owner is settled at the next start: a temporary file that was never published is removed; one that holds bytes which
were displaced, and which nobody had a copy of, becomes a visible sibling of its target instead.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import stat
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass

from gatelodge_core.errors import IsADirectory, JailError, NotFound
from gatelodge_core.sandbox.place import open_at, rename_noreplace

from gatelodge_filesystem.encoding import etag
from gatelodge_filesystem.locks import private_directory, try_lock
from gatelodge_filesystem.trees import remove_tree

logger = logging.getLogger(__name__)

MAX_RECORDS = 10_000


@dataclass(frozen=True, slots=True)
class Record:
    """One write in progress.

    Args:
        directory: Device and inode of the directory it happens in.
        path: That directory's path, for finding it again.
        temporary: The name of the temporary file there.
        target: The name it is to get.
        expected: Etag of the version to be displaced; empty for a new file.
    """

    directory: tuple[int, int]
    path: str
    temporary: str
    target: str
    expected: str


class Pending:
    """The records of one state directory.

    Args:
        directory: Where they lie; made private.
    """

    def __init__(self, directory: str) -> None:
        self._directory = private_directory(directory)

    @contextlib.contextmanager
    def noted(self, record: Record) -> Generator[Callable[[int], None]]:
        """Keep a record while the block runs; it is removed at its end, however that comes.

        The block gets a function that adds the inode of the temporary file once it is made; another inode under its
        name is a displaced version.
        """
        path = os.path.join(self._directory, f"{secrets.token_hex(8)}.json")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            try_lock(fd)
            os.write(fd, json.dumps(asdict(record)).encode() + b"\n")
            yield lambda inode: _append(fd, inode)
        finally:
            os.unlink(path)
            os.close(fd)

    def settle(self, reach: Callable[[str, tuple[int, int]], int | None]) -> list[str]:
        """Settle what killed processes left.

        Args:
            reach: Gives a readable descriptor of a directory by its path and identity, or None if it is out of reach
                (another root's, moved, gone); its record is then kept for a server that reaches it.

        Returns:
            What was done, one line each.
        """
        done: list[str] = []
        for name in sorted(os.listdir(self._directory))[:MAX_RECORDS]:
            path = os.path.join(self._directory, name)
            with contextlib.suppress(OSError):
                fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    if not try_lock(fd):
                        continue  # its process lives
                    if self._settle_one(fd, reach, done):
                        os.unlink(path)
                finally:
                    os.close(fd)
        return done

    @staticmethod
    def _settle_one(fd: int, reach: Callable[[str, tuple[int, int]], int | None], done: list[str]) -> bool:
        try:
            text, _, inode = os.read(fd, 65536).partition(b"\n")
            table = json.loads(text)
            table["directory"] = tuple(table["directory"])
            record = Record(**table)
        except (ValueError, TypeError, KeyError):
            return True  # torn before its write began: there is no temporary file yet
        directory = reach(record.path, record.directory)
        if directory is None:
            return False
        try:
            done += _recover(directory, record, int(inode or 0))
        except (IsADirectory, NotFound):
            done += _recover_copy(directory, record, int(inode or 0))
        except JailError:
            return True  # nothing under that name: it was published, or never made
        finally:
            os.close(directory)
        return True


def _append(fd: int, inode: int) -> None:
    os.write(fd, str(inode).encode())


def _recover_copy(directory: int, record: Record, inode: int) -> list[str]:
    """A folder or link in the making never displaces anything: it is removed, if it is the one that was begun."""
    try:
        found = os.stat(record.temporary, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return []  # it was published, or never made
    if stat.S_ISREG(found.st_mode) or inode not in (0, found.st_ino):
        return []
    remove_tree(directory, record.temporary)
    return [f"removed {record.temporary}, left by a copy that was killed"]


def _recover(directory: int, record: Record, inode: int) -> list[str]:
    fd = open_at(directory, record.temporary)
    try:
        # Without an inode the process died before it could have exchanged anything.
        unpublished = inode in (0, os.fstat(fd).st_ino)
        with os.fdopen(fd, "rb", closefd=False) as source:
            known = unpublished or etag(source.read()) == record.expected
    finally:
        os.close(fd)
    if known:
        os.unlink(record.temporary, dir_fd=directory)
        return [f"removed {record.temporary}, left by a write that was killed"]
    kept = f"{record.target[:200]}.displaced-{secrets.token_hex(4)}"
    rename_noreplace(directory, record.temporary, directory, kept)
    return [f"kept {kept}: another program's version, displaced by a write that was killed"]
