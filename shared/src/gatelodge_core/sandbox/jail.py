"""The path jail: one directory, and everything that can be reached beneath it, by descriptor.

There is no check-then-use: a path is pinned (`_opener`), what was pinned is looked at, and that same inode is reopened.
A path that leads out of the root is told from a missing one by nothing, neither type nor text. Changes act on a pinned
parent directory and a single name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import unicodedata
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Self

from gatelodge_core.errors import (
    AlreadyExists,
    BadName,
    Denied,
    IsADirectory,
    JailError,
    NotADirectory,
    NotEmpty,
    NotFound,
    Protected,
    ReadOnly,
    SpecialFile,
)
from gatelodge_core.sandbox._opener import Opener, Pinned, WalkOpener, best_opener
from gatelodge_core.sandbox._syscalls import RENAME_EXCHANGE, RENAME_NOREPLACE, renameat2

MAX_PATH_BYTES = 4096
MAX_NAME_BYTES = 255
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_DIRECTORY = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY
_MISSING = "not found"

_KINDS: dict[int, tuple[type[JailError], str]] = {
    errno.ENOENT: (NotFound, _MISSING),
    errno.ELOOP: (NotFound, _MISSING),
    errno.EXDEV: (NotFound, _MISSING),
    errno.ENOTDIR: (NotADirectory, "not a directory"),
    errno.EISDIR: (IsADirectory, "is a directory"),
    errno.EEXIST: (AlreadyExists, "exists already"),
    errno.ENOTEMPTY: (NotEmpty, "not empty"),
    errno.ENAMETOOLONG: (BadName, "name too long"),
    errno.EACCES: (Denied, "permission denied"),
    errno.EPERM: (Denied, "permission denied"),
    errno.EROFS: (ReadOnly, "read-only file system"),
    errno.ENXIO: (SpecialFile, "special file"),
}


class ExchangeUnsupported(JailError):
    """This file system can't exchange two names in one step."""


class CrossDevice(JailError):
    """A name can't be moved there in one step: it is another file system."""


@dataclass(frozen=True, slots=True)
class Place:
    """A name in a pinned directory; it need not exist.

    Args:
        fd: A readable directory descriptor, valid until the `parent` context ends.
        name: One component.
    """

    fd: int
    name: str


@contextlib.contextmanager
def translated() -> Generator[None]:
    """Turn the errors of path operations into `JailError` kinds; others (EIO, ENOSPC, EMFILE) pass as they are."""
    try:
        yield
    except OSError as error:
        kind = _KINDS.get(error.errno or 0)
        if kind is None:
            raise
        raise kind[0](kind[1]) from None


def check_rel(rel: str) -> None:
    """Refuse a relative path that no system call may see.

    Raises:
        BadName: It has a NUL, a component over 255 bytes, more than 4,096 bytes, or text the system can't encode.
        NotFound: It is absolute.
    """
    try:
        raw = os.fsencode(rel)
    except UnicodeEncodeError:
        raise BadName("name too long or not encodable") from None
    if b"\0" in raw or len(raw) > MAX_PATH_BYTES or any(len(part) > MAX_NAME_BYTES for part in raw.split(b"/")):
        raise BadName("name too long or not encodable")
    if rel.startswith("/"):
        raise NotFound(_MISSING)


def check_name(name: str) -> None:
    """Refuse what isn't a single component.

    Raises:
        BadName: It is empty, ``.``, ``..``, or has a slash or what `check_rel` refuses.
    """
    if name in ("", ".", "..") or "/" in name:
        raise BadName("not a name")
    check_rel(name)


_NAMING = WalkOpener()


class Jail:
    """One directory, pinned. Threads may share it.

    Args:
        path: As it was configured, absolute.
        fd: The pinned directory; the jail's to close.
        writable: Whether `parent` gives places to change.
        opener: The way of pinning.
        refuses: Whether a canonical path (no links, no ``..``) may not be opened, whatever name leads there.
    """

    def __init__(
        self,
        path: str,
        fd: int,
        *,
        writable: bool,
        opener: Opener,
        refuses: Callable[[str], bool] | None = None,
    ) -> None:
        self.path = path
        self.writable = writable
        self._refuses = refuses
        self._fd = fd
        self._opener = opener
        found = os.fstat(fd)
        self.identity = (found.st_dev, found.st_ino)
        """Device and inode of the directory."""
        self._aliases = tuple({path, os.path.realpath(path)} - {"/"})

    @classmethod
    def pin(
        cls,
        path: str,
        *,
        writable: bool,
        opener: Opener | None = None,
        refuses: Callable[[str], bool] | None = None,
    ) -> Self:
        """Open a root. Links in the configured path itself are followed: a person wrote it.

        Raises:
            JailError: It isn't an existing directory, or can't be opened.
        """
        flags = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
        with translated():
            fd = os.open(os.path.realpath(path), flags)
        return cls(path, fd, writable=writable, opener=opener or best_opener(), refuses=refuses)

    def refuses(self, rel: str) -> bool:
        """Whether a canonical path may not be opened."""
        return self._refuses is not None and self._refuses(rel)

    @property
    def level(self) -> str:
        """How paths are held: ``openat2`` or ``walk``."""
        return self._opener.level if self._refuses is None else _NAMING.level

    def close(self) -> None:
        """Let go of the root."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _pinned(self, rel: str, *, follow: bool = True, seen: bool = False) -> Generator[int]:
        """Hold a path; with `seen` it is only looked at, so that just the folders above it must not be refused."""
        check_rel(rel)
        with translated():
            pinned = self._pin(rel, follow=follow)
        try:
            if pinned.names is not None and self._refuses is not None:
                names = pinned.names[:-1] if seen else pinned.names
                if names and self._refuses("/".join(names)):
                    raise Protected("kept from being opened")
            yield pinned.fd
        finally:
            os.close(pinned.fd)

    def _pin(self, rel: str, *, follow: bool) -> Pinned:
        if self._refuses is not None:
            # The names must be those of the very descriptor: asking for them later could be answered for another.
            return _NAMING.pin(self._fd, rel, follow=follow, aliases=self._aliases)
        return self._opener.pin(self._fd, rel, follow=follow, aliases=self._aliases)

    def stat(self, rel: str, *, follow: bool = True) -> os.stat_result:
        """What `rel` is now; with `follow` false, of a link itself.

        Raises:
            JailError: It can't be reached.
        """
        with self._pinned(rel, follow=follow, seen=True) as fd:
            return os.fstat(fd)

    def open_file(self, rel: str) -> int:
        """A readable descriptor of a regular file, the caller's to close.

        Raises:
            JailError: `SpecialFile` at once for a FIFO, socket or device; `IsADirectory`; `Protected`; or it can't be
                reached.
        """
        with self._pinned(rel) as fd:
            return _reopen(fd)

    def open_directory(self, rel: str) -> int:
        """A fresh readable descriptor of a directory, with an offset of its own, the caller's to close.

        Raises:
            JailError: It is no directory, or can't be reached.
        """
        with self._pinned(rel) as fd, translated():
            return os.open(".", _DIRECTORY, dir_fd=fd)

    def read_link(self, rel: str) -> str:
        """The text of a link, which may name anything.

        Raises:
            JailError: It is no link, or can't be reached.
        """
        with self._pinned(rel, follow=False) as fd:
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                raise NotFound(_MISSING)
            with translated():
                return os.readlink("", dir_fd=fd)

    def canonical(self, rel: str, *, follow: bool = True) -> str:
        """The path without links and ``..`` that leads to the same file now.

        Raises:
            JailError: It can't be reached.
        """
        check_rel(rel)
        with translated():
            # The kernel's way doesn't tell the names it went by.
            pinned = WalkOpener().pin(self._fd, rel, follow=follow, aliases=self._aliases)
        os.close(pinned.fd)
        return "/".join(pinned.names or ())

    @contextlib.contextmanager
    def parent(self, rel: str, *, refused: bool = False) -> Generator[Place]:
        """The directory that `rel` is in, pinned, and its last component, which is not followed.

        Args:
            rel: The path.
            refused: Whether what may not be opened is reached all the same: for paths that no caller chose.

        Raises:
            JailError: `ReadOnly` if the root isn't writable; `BadName` if there is no name; `Protected`; or it can't be
                reached.
        """
        if not self.writable:
            raise ReadOnly("granted for reading only")
        head, _, name = rel.rstrip("/").rpartition("/")
        check_name(name)
        check_rel(head)
        with translated():
            pinned = self._pin(head, follow=True)
        try:
            if not refused and self._refuses is not None and self._refuses("/".join((*(pinned.names or ()), name))):
                raise Protected("kept from being opened")
            with translated():
                fd = os.open(".", _DIRECTORY, dir_fd=pinned.fd)
        finally:
            os.close(pinned.fd)
        try:
            yield Place(fd, name)
        finally:
            os.close(fd)


def _reopen(pinned: int) -> int:
    """Open for reading the very file that is pinned, if it is a regular one."""
    mode = os.fstat(pinned).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectory("is a directory")
    if stat.S_ISLNK(mode):
        raise NotFound(_MISSING)
    if not stat.S_ISREG(mode):
        raise SpecialFile("special file")
    with translated():
        if not hasattr(os, "O_PATH"):
            return os.dup(pinned)
        # The one path that is not below a root: it names our own descriptor, and needs no Landlock rule.
        return os.open(f"/proc/self/fd/{pinned}", _READ)


def open_at(dir_fd: int, name: str) -> int:
    """A readable descriptor of the regular file `name` in a pinned directory; a link is refused as missing.

    Raises:
        JailError: It isn't one, or can't be opened.
    """
    check_name(name)
    with translated():
        pinned = os.open(name, getattr(os, "O_PATH", _READ) | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=dir_fd)
    try:
        return _reopen(pinned)
    finally:
        os.close(pinned)


def rename_noreplace(source_fd: int, source: str, target_fd: int, target: str) -> None:
    """Rename, but never over an existing name.

    Raises:
        CrossDevice: The two are on different file systems.
        JailError: `AlreadyExists`, or as for any rename.
    """
    check_name(source)
    check_name(target)
    with translated():
        try:
            renameat2(source_fd, source, target_fd, target, RENAME_NOREPLACE)
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise CrossDevice("on another file system") from None
            if error.errno not in (errno.ENOSYS, errno.EINVAL):
                raise
            # As atomic for a file: link(2) refuses an existing name. A moment with both names is harmless.
            os.link(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd, follow_symlinks=False)
            os.unlink(source, dir_fd=source_fd)


def rename_exchange(first_fd: int, first: str, second_fd: int, second: str) -> None:
    """Exchange two existing names in one step.

    Raises:
        ExchangeUnsupported: This file system can't.
        JailError: One of them is missing, or as for any rename.
    """
    check_name(first)
    check_name(second)
    with translated():
        try:
            renameat2(first_fd, first, second_fd, second, RENAME_EXCHANGE)
        except OSError as error:
            if error.errno == errno.EXDEV:
                raise CrossDevice("on another file system") from None
            if error.errno in (errno.ENOSYS, errno.EINVAL):
                raise ExchangeUnsupported("can't exchange names here") from None
            raise


def make_directory(dir_fd: int, name: str, mode: int = 0o777) -> None:
    """Create a directory; `mode` is masked by the umask.

    Raises:
        JailError: `AlreadyExists`, or as for any creation.
    """
    check_name(name)
    with translated():
        os.mkdir(name, mode, dir_fd=dir_fd)


def remove(dir_fd: int, name: str) -> None:
    """Remove a file or a link (itself, never its target).

    Raises:
        JailError: It is missing or a directory.
    """
    check_name(name)
    with translated():
        os.unlink(name, dir_fd=dir_fd)


def find_normalised(dir_fd: int, name: str) -> str | None:
    """The one entry that equals `name` after Unicode normalisation (NFC), such as a decomposed name from macOS.

    Args:
        dir_fd: A readable directory descriptor; its offset is used.
        name: As it was asked for.

    Returns:
        The entry's own name, or None if there is none, or more than one.
    """
    wanted = unicodedata.normalize("NFC", name)
    with os.scandir(dir_fd) as entries:
        found = [entry.name for entry in entries if unicodedata.normalize("NFC", entry.name) == wanted]
    return found[0] if len(found) == 1 else None
