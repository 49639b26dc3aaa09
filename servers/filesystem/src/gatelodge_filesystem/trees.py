"""Whole folders: what is in one, copying one, removing one; by descriptors, and no link is ever followed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Callable, Generator
from dataclasses import dataclass

from gatelodge_core.errors import CallError, NotFound, SpecialFile
from gatelodge_core.sandbox.place import open_at, translated

MAX_DEPTH = 100
MAX_ENTRIES = 50_000
MAX_BYTES = 4 * 1024 * 1024 * 1024
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | getattr(os, "O_NOFOLLOW", 0) | os.O_CLOEXEC
_CHUNK = 1024 * 1024


@dataclass(slots=True)
class Totals:
    """What a tree holds.

    Args:
        files: Files and links.
        folders: Folders, itself included.
        size: Bytes of the files.
        digest: Names every path, kind and byte in it; empty if the content was not read.
    """

    files: int = 0
    folders: int = 0
    size: int = 0
    digest: str = ""

    def add(self, found: os.stat_result) -> None:
        """Add one entry."""
        if stat.S_ISDIR(found.st_mode):
            self.folders += 1
        else:
            self.files += 1
            self.size += found.st_size if stat.S_ISREG(found.st_mode) else 0

    def count(self, found: os.stat_result) -> None:
        """Add one entry, as long as there are not too many.

        Raises:
            CallError: `too_many_entries`, `too_large`.
        """
        self.add(found)
        if self.files + self.folders > MAX_ENTRIES:
            raise CallError("too_many_entries", f"there are more than {MAX_ENTRIES:,} entries.", "Take a part of it.")
        if self.size > MAX_BYTES:
            raise CallError("too_large", "that is more than 4 GiB.", "Take a part of it.")


@contextlib.contextmanager
def folder(dir_fd: int, name: str) -> Generator[int]:
    """A folder by its name, opened without following a link.

    Raises:
        JailError: It isn't one.
    """
    with translated():
        fd = os.open(name, OPEN_FOLDER, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)


def measure(dir_fd: int, name: str, *, content: bool = False, bounded: bool = True) -> Totals:
    """Count what is under a name, a file or a folder.

    Args:
        dir_fd: The folder that the name is in.
        name: The name.
        content: Read everything, for the digest.
        bounded: Whether more than the most is an error; otherwise counting just ends there.

    Raises:
        CallError: `too_many_entries`, `too_large`.
        JailError: It isn't there.
    """
    totals = Totals()
    digest = hashlib.sha256()

    def see(fd: int, name: str, rel: str, depth: int) -> None:
        with translated():
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
        totals.count(found)
        digest.update(f"{rel}\0{stat.S_IFMT(found.st_mode)}\0".encode("utf-8", "surrogateescape"))
        if stat.S_ISDIR(found.st_mode):
            check_depth(depth)
            with folder(fd, name) as below:
                for entry in sorted(os.listdir(below)):
                    see(below, entry, f"{rel}/{entry}", depth + 1)
        elif content and stat.S_ISREG(found.st_mode):
            digest.update(_file_digest(fd, name))
        elif content and stat.S_ISLNK(found.st_mode):
            digest.update(os.fsencode(_link(fd, name)))

    try:
        see(dir_fd, name, "", 0)
    except CallError:
        if bounded:
            raise
    if content:
        totals.digest = digest.hexdigest()
    return totals


def _file_digest(fd: int, name: str) -> bytes:
    source = open_at(fd, name)
    digest = hashlib.sha256()
    try:
        while chunk := os.read(source, _CHUNK):
            digest.update(chunk)
    finally:
        os.close(source)
    return digest.digest()


def copy(source_fd: int, source: str, target_fd: int, target: str, made: Callable[[int], None]) -> Totals:
    """Copy a file, a link itself, or a folder with all that is in it, to a name that must be free; on the disk after.

    Modes and times are kept; owners are this process's, as with ``cp -a`` of a user.

    Args:
        source_fd: The folder that the source is in.
        source: Its name.
        target_fd: The folder that the copy goes into.
        target: Its name there.
        made: Called with the inode of the copy when it begins to exist.

    Raises:
        CallError: `too_many_entries`, `too_large`, `too_deep`.
        JailError: Something could not be read, or is a pipe, socket or device.
    """
    totals = Totals()

    def one(fd: int, name: str, to: int, new: str, depth: int) -> None:
        with translated():
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
        totals.count(found)
        if stat.S_ISDIR(found.st_mode):
            check_depth(depth)
            with translated():
                os.mkdir(new, 0o700, dir_fd=to)
            if not depth:
                made(os.stat(new, dir_fd=to, follow_symlinks=False).st_ino)
            with folder(fd, name) as below, folder(to, new) as made_folder:
                for entry in sorted(os.listdir(below)):
                    one(below, entry, made_folder, entry, depth + 1)
                _dress(made_folder, found)
                os.fsync(made_folder)
        elif stat.S_ISREG(found.st_mode):
            _copy_file(fd, name, to, new, made if not depth else None)
        elif stat.S_ISLNK(found.st_mode):
            os.symlink(_link(fd, name), new, dir_fd=to)
            if not depth:
                made(os.stat(new, dir_fd=to, follow_symlinks=False).st_ino)
        else:
            raise SpecialFile("special file")

    one(source_fd, source, target_fd, target, 0)
    return totals


def _copy_file(fd: int, name: str, to: int, new: str, made: Callable[[int], None] | None) -> None:
    source = open_at(fd, name)
    try:
        target = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=to)
        try:
            if made:
                made(os.fstat(target).st_ino)
            left = MAX_BYTES  # a file that grows while it is copied ends too
            while left > 0 and (chunk := os.read(source, _CHUNK)):
                left -= len(chunk)
                view = memoryview(chunk)
                while view:
                    view = view[os.write(target, view) :]
            _dress(target, os.fstat(source))
            os.fsync(target)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _link(fd: int, name: str) -> str:
    try:
        return os.readlink(name, dir_fd=fd)
    except OSError:
        raise NotFound("not found") from None  # it was a link a moment ago


def _dress(fd: int, like: os.stat_result) -> None:
    # Another owner's rights are not copied along with the mode.
    os.fchmod(fd, like.st_mode & 0o777)
    os.utime(fd, ns=(like.st_atime_ns, like.st_mtime_ns))


def remove_tree(dir_fd: int, name: str) -> None:
    """Remove a file, a link itself, or a folder with all that is in it; what is gone already is no error.

    Raises:
        OSError: Something can't be removed.
    """
    try:
        os.unlink(name, dir_fd=dir_fd)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EPERM):
            raise
        with contextlib.suppress(NotFound), folder(dir_fd, name) as below:
            if not os.fstat(below).st_mode & stat.S_IWUSR:
                os.fchmod(below, 0o700)
            for entry in os.listdir(below):
                remove_tree(below, entry)
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(name, dir_fd=dir_fd)


def check_depth(depth: int) -> None:
    """Refuse what is nested too deeply.

    Raises:
        CallError: `too_deep`.
    """
    if depth > MAX_DEPTH:
        raise CallError("too_deep", f"folders are nested more than {MAX_DEPTH} deep.", "Take a part of it.")
