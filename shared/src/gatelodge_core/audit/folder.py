"""The journal's directory: its own, checked once, then used by descriptor.

Everything inside is opened relative to the descriptor and never through a symbolic link, so that swapping the directory
or a file after the check leads nowhere. Windows has no such opens: there, paths are joined, and its access lists are
trusted as the profile directory sets them.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from typing import Self

from gatelodge_core.audit.errors import JournalError

if sys.platform != "win32":
    import fcntl

MAX_FILES = 100_000
"""Entries of a directory beyond which we stop reading it: something else lives there."""
SERVER = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_NAME = re.compile(r"([a-z][a-z0-9_-]{0,31}-[0-9]{1,10}-[0-9a-f]{32})(?:\.([0-9]{4,9}))?\.jsonl")

_SAFE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
# Opening a FIFO for reading would wait for a writer for ever.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)


class Folder:
    """An open directory. A context manager; also closed with `close`."""

    def __init__(self, path: str, descriptor: int | None) -> None:
        self.path = path
        self._fd = descriptor

    @classmethod
    def own(cls, path: str) -> Self:
        """Open the directory for writing, making it (0700) and its parents if they are missing.

        Raises:
            JournalError: It can't be made or opened, is a symbolic link, belongs to another user, or others may
                enter it.
        """
        path = os.path.abspath(path)
        try:
            os.makedirs(path, mode=0o700, exist_ok=True)
            folder = cls._open(path)
        except OSError as error:
            raise JournalError(
                f"The journal's directory {path} can't be used: {error.strerror}. It must be a directory of yours, not "
                "a symbolic link; choose another with the state directory setting."
            ) from None
        try:
            folder._check()
        except BaseException:
            folder.close()
            raise
        return folder

    @classmethod
    def read(cls, path: str) -> Self:
        """Open a directory for reading, whoever owns it.

        Raises:
            JournalError: It isn't a directory, is a symbolic link, or can't be read.
        """
        try:
            return cls._open(os.path.abspath(path))
        except FileNotFoundError:
            raise JournalError(
                f"{path}: there is no journal yet; a server begins one when it starts. If it lies elsewhere: --state-dir "
                "or --directory"
            ) from None
        except OSError as error:
            raise JournalError(f"{path}: {error.strerror}. Give the journal's directory, or its files.") from None

    @classmethod
    def _open(cls, path: str) -> Self:
        if os.open not in os.supports_dir_fd:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
            return cls(path, None)
        return cls(path, os.open(path, _READ | os.O_DIRECTORY | _SAFE))

    def _check(self) -> None:
        if self._fd is None or sys.platform == "win32":
            return
        found = os.fstat(self._fd)
        if found.st_uid != os.geteuid():
            raise JournalError(
                f"The journal's directory {self.path} belongs to user {found.st_uid}, and this process is user "
                f"{os.geteuid()}: its owner could rewrite the journal. Choose a directory of your own."
            )
        if found.st_mode & 0o077:
            raise JournalError(
                f"The journal's directory {self.path} is open to others (mode {found.st_mode & 0o777:04o}). "
                f"Run: chmod 700 {self.path}"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor."""
        if self._fd is not None and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _at(self, name: str) -> str:
        if not name or "/" in name or "\\" in name or name in {".", ".."}:
            raise ValueError("a name inside the directory, not a path")
        return name if self._fd is not None else os.path.join(self.path, name)

    def create(self, name: str, flags: int) -> int:
        """Open a new file, 0600; it must not exist yet (O_EXCL)."""
        return os.open(self._at(name), flags | os.O_CREAT | os.O_EXCL | _SAFE, 0o600, dir_fd=self._fd)

    def open(self, name: str, flags: int = _READ) -> int:
        """Open an existing regular file.

        Raises:
            OSError: As `os.open`; ELOOP for a symbolic link, and EINVAL for a FIFO, socket or device.
        """
        descriptor = os.open(self._at(name), flags | _SAFE, dir_fd=self._fd)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a regular file", name)
        return descriptor

    def stat(self, name: str) -> os.stat_result:
        """Facts of the entry itself; a symbolic link isn't followed."""
        return os.stat(self._at(name), dir_fd=self._fd, follow_symlinks=False)

    def remove(self, name: str) -> None:
        """Unlink a file."""
        os.unlink(self._at(name), dir_fd=self._fd)

    def link(self, name: str, new: str) -> None:
        """Give a file a second name, which must not exist yet."""
        os.link(self._at(name), self._at(new), src_dir_fd=self._fd, dst_dir_fd=self._fd, follow_symlinks=False)

    def names(self) -> list[str]:
        """The entries, sorted.

        Raises:
            JournalError: More than `MAX_FILES`.
        """
        names = os.listdir(self.path if self._fd is None else self._fd)
        if len(names) > MAX_FILES:
            raise JournalError(
                f"{self.path} has {len(names):,} entries; prune it, or give the journal its own directory."
            )
        return sorted(names)

    def sync(self) -> None:
        """Make new and removed names durable."""
        if self._fd is not None:
            os.fsync(self._fd)


def sync_data(descriptor: int) -> None:
    """Wait until a file's bytes, and the size that is needed to read them, are on the disk.

    On macOS fsync leaves them in the drive's own cache, and F_FULLFSYNC is what asks for more (its fsync(2) man page).
    """
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    elif sys.platform == "win32":
        os.fsync(descriptor)
    else:
        os.fdatasync(descriptor)


def lock(descriptor: int) -> bool:
    """Mark a file as in use by this process, for as long as it is open; False if someone else has it."""
    return _flock(descriptor, exclusive=True)


def is_locked(descriptor: int) -> bool:
    """Whether a process has the file in use."""
    return not _flock(descriptor, exclusive=False)


def _flock(descriptor: int, *, exclusive: bool) -> bool:
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks; then no process ever shows as running, and prune goes by age alone.
        return True
    return True


def file_name(chain: str, part: int) -> str:
    """Name of a chain's part: ``<server>-<pid>-<uuid>.jsonl``, and from part 2 on ``.0002.jsonl``."""
    return f"{chain}.jsonl" if part == 1 else f"{chain}.{part:04d}.jsonl"


def parse_name(name: str) -> tuple[str, int] | None:
    """Chain and part of a journal file's name; None if it isn't one."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    part = int(found[2] or 1)
    return (found[1], part) if file_name(found[1], part) == name else None
