"""The path jail: one directory, and everything that can be reached beneath it, by descriptor.

There is no check-then-use: a path is pinned (`_opener`), what was pinned is looked at, and that same inode is reopened.
A path that leads out of the root is told from a missing one by nothing, neither type nor text. Changes act on a pinned
parent directory and a single name (`place`).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Generator
from typing import Self

from gatelodge_core.errors import NotFound, Protected, ReadOnly
from gatelodge_core.sandbox._opener import Opener, Pinned, WalkOpener, best_opener
from gatelodge_core.sandbox.place import MISSING, Place, check_name, check_rel, reopen, translated

_DIRECTORY = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY

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
            return reopen(fd)

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
                raise NotFound(MISSING)
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
