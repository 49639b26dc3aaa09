"""A name in a pinned directory, and the acts on it: none follows a link or a path, so that none leads out of the directory.

Errors of the system come out as `JailError` kinds, whose text tells no more than its type.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import unicodedata
from collections.abc import Generator
from dataclasses import dataclass

from gatelodge_core.errors import (
    AlreadyExists,
    BadName,
    Denied,
    IsADirectory,
    JailError,
    NotADirectory,
    NotEmpty,
    NotFound,
    ReadOnly,
    SpecialFile,
)
from gatelodge_core.sandbox._syscalls import RENAME_EXCHANGE, RENAME_NOREPLACE, renameat2

MAX_PATH_BYTES = 4096
MAX_NAME_BYTES = 255
MISSING = "not found"
"""What is said of all that can't be reached, so that a way out of a root looks like a missing file."""
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

_KINDS: dict[int, tuple[type[JailError], str]] = {
    errno.ENOENT: (NotFound, MISSING),
    errno.ELOOP: (NotFound, MISSING),
    errno.EXDEV: (NotFound, MISSING),
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
        raise NotFound(MISSING)


def check_name(name: str) -> None:
    """Refuse what isn't a single component.

    Raises:
        BadName: It is empty, ``.``, ``..``, or has a slash or what `check_rel` refuses.
    """
    if name in ("", ".", "..") or "/" in name:
        raise BadName("not a name")
    check_rel(name)


def reopen(pinned: int) -> int:
    """Open for reading the very file that is pinned, if it is a regular one."""
    mode = os.fstat(pinned).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectory("is a directory")
    if stat.S_ISLNK(mode):
        raise NotFound(MISSING)
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
        return reopen(pinned)
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
