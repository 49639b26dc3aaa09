"""One file of the journal: a record goes in with one write, or not at all."""

from __future__ import annotations

import errno
import os
import sys

from gatelodge_core.audit.errors import JournalError
from gatelodge_core.audit.folder import Folder, sync_data


class Broken(JournalError):
    """The file can't be trusted to hold what is written any more; only a new process can go on."""


class Sink:
    """An append-only file, made new.

    Args:
        folder: The journal's directory.
        name: The file's name in it.
    """

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder = folder
        self.name = name
        self.size = 0
        self.fd = folder.create(name, os.O_WRONLY | os.O_APPEND)
        facts = os.fstat(self.fd)
        self._identity = (facts.st_dev, facts.st_ino)

    def write(self, line: bytes) -> None:
        """Append a line.

        A full disk takes the first part of a write and only refuses the next one (write(2)), so the count is
        compared and the file cut back to its last whole line.

        Raises:
            OSError: Nothing was written; a later attempt may succeed.
            Broken: The file was removed, replaced or changed by someone else, or can't be cut back.
        """
        self._check()
        written = os.write(self.fd, line)
        if written == len(line):
            self.size += written
            return
        try:
            os.ftruncate(self.fd, self.size)
        except OSError as error:
            raise Broken(f"A record was written in part and can't be taken back: {error.strerror}.") from None
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _check(self) -> None:
        # By name and not by descriptor: an unlinked file takes writes as gladly as any.
        try:
            facts = self._folder.stat(self.name)
        except OSError as error:
            raise Broken(f"The journal file is gone: {error.strerror}. Restart the server.") from None
        if (facts.st_dev, facts.st_ino) != self._identity or facts.st_size != self.size:
            raise Broken("The journal file was changed by someone else. Verify the journal and restart the server.")

    def sync(self) -> None:
        """Make all that was written durable."""
        sync_data(self.fd)

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def discard(self) -> None:
        """Close and remove a file that was never used."""
        self.close()
        self._folder.remove(self.name)


class Reserve:
    """Space kept aside, so that a full disk can still be told that calls were refused and how running ones ended.

    A file of its own, allocated with posix_fallocate(3) and unlinked at once, so that the kernel frees it whatever
    becomes of us. Not slack behind the journal's end: posix_fallocate moves the end, and appended records would come
    after zeros. The space is given back to the file system in steps right before each try, so another writer that takes
    some of it doesn't take all. On Windows, which can't unlink an open file, there is no reserve.

    Args:
        folder: The journal's directory.
        name: A name for the moment in which it has one.
        size: Bytes.
    """

    STEP = 64 * 1024

    def __init__(self, folder: Folder, name: str, size: int) -> None:
        self._size = size if sys.platform != "win32" else 0
        self._held = 0
        self._fd = -1
        if self._size:
            self._fd = folder.create(name, os.O_RDWR)
            try:
                folder.remove(name)
                self.fill()
            except BaseException:
                self.close()
                raise

    def fill(self) -> None:
        """Allocate what is missing.

        Raises:
            OSError: There isn't enough space; what was held stays held.
        """
        if self._held == self._size or sys.platform == "win32":
            return
        try:
            if sys.platform != "darwin":
                os.posix_fallocate(self._fd, 0, self._size)
            # No posix_fallocate on macOS; random bytes, which no file system compresses away.
            elif os.pwrite(self._fd, os.urandom(self._size - self._held), self._held) < self._size - self._held:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.ftruncate(self._fd, self._held)
            raise
        self._held = self._size

    def release(self) -> bool:
        """Give one step back to the file system; False if nothing is left."""
        if not self._held:
            return False
        self._held = max(0, self._held - self.STEP)
        os.ftruncate(self._fd, self._held)
        return True

    def close(self) -> None:
        """Free all of it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
