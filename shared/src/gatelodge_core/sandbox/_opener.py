"""Pinning a path below a directory, so that nothing outside is ever reached, whoever swaps names meanwhile.

A pinned path is a descriptor of the file or directory that was there (O_PATH where the system has it, so that nothing
is opened for real: a FIFO doesn't block, a device doesn't act). Two ways with the same verdicts:

* `KernelOpener`: one openat2(2) with RESOLVE_BENEATH. It refuses every absolute link; one that points back into the
  root is then taken by the walk.
* `WalkOpener`: one component at a time with O_NOFOLLOW, links resolved here, ``..`` by a stack of held descriptors.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from typing import Protocol

from gatelodge_core.sandbox._syscalls import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, openat2, openat2_works

MAX_LINKS = 40
"""The kernel's own limit on links in one path (path_resolution(7))."""
_RETRIES = 8

# Without O_PATH (macOS, BSD) a file has to be opened for reading; O_NONBLOCK keeps a FIFO from blocking.
_PIN = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY) | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Pinned:
    """A held path.

    Args:
        fd: The caller's to close.
        names: The components that lead to it from the root, without links and ``..``; None if not known.
    """

    fd: int
    names: tuple[str, ...] | None = None


class Opener(Protocol):
    """One way of pinning."""

    @property
    def level(self) -> str:
        """Its name in `list_roots`, the journal and `doctor`."""
        ...

    def pin(self, root_fd: int, rel: str, *, follow: bool, aliases: tuple[str, ...]) -> Pinned:
        """Pin `rel` below `root_fd`.

        Args:
            root_fd: The root.
            rel: Relative, "/"-separated; empty is the root itself.
            follow: Whether a link as the last component is followed.
            aliases: Absolute paths of the root: a link that begins with one leads back into it.

        Raises:
            OSError: EXDEV if the path leads out of the root.
        """
        ...


def components(rel: str) -> list[str]:
    """The components of a path, without the empty ones and ``.``."""
    return [part for part in rel.split("/") if part not in ("", ".")]


@dataclass(slots=True)
class _Trail:
    """The descriptors and names walked so far; the first is the root's own and stays open."""

    root_fd: int
    fds: list[int] = field(default_factory=list[int])
    names: list[str] = field(default_factory=list[str])

    @property
    def here(self) -> int:
        return self.fds[-1] if self.fds else self.root_fd

    def descend(self, fd: int, name: str) -> None:
        self.fds.append(fd)
        self.names.append(name)

    def ascend(self) -> None:
        if not self.fds:
            raise OSError(errno.EXDEV, "leads out of the root")
        os.close(self.fds.pop())
        self.names.pop()

    def restart(self) -> None:
        while self.fds:
            self.ascend()

    def take(self) -> Pinned:
        """The end of the trail; the rest is closed."""
        end = self.fds.pop() if self.fds else os.open(".", _PIN | os.O_DIRECTORY, dir_fd=self.root_fd)
        pinned = Pinned(end, tuple(self.names))
        self.close()
        return pinned

    def close(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()


class WalkOpener:
    """One component at a time; works on every POSIX system."""

    level = "walk"

    def pin(self, root_fd: int, rel: str, *, follow: bool, aliases: tuple[str, ...]) -> Pinned:
        """Pin by walking; see `Opener`."""
        trail = _Trail(root_fd)
        try:
            self._walk(trail, rel, follow, aliases)
            return trail.take()
        except BaseException:
            trail.close()
            raise

    @staticmethod
    def _walk(trail: _Trail, rel: str, follow: bool, aliases: tuple[str, ...]) -> None:
        pending = components(rel)[::-1]
        links = 0
        while pending:
            name = pending.pop()
            if name == "..":
                trail.ascend()
                continue
            fd, mode = _node(trail.here, name)
            if stat.S_ISLNK(mode):
                if not pending and not follow:
                    trail.descend(fd, name)
                    return
                try:
                    target = (
                        os.readlink("", dir_fd=fd) if hasattr(os, "O_PATH") else os.readlink(name, dir_fd=trail.here)
                    )
                finally:
                    os.close(fd)
                links += 1
                if links > MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                if target.startswith("/"):
                    target = _inside(target, aliases)
                    trail.restart()
                pending += components(target)[::-1]
                continue
            trail.descend(fd, name)
            if pending and not stat.S_ISDIR(mode):
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


def _inside(target: str, aliases: tuple[str, ...]) -> str:
    """The part of an absolute link below the root.

    Raises:
        OSError: EXDEV, if it leads elsewhere.
    """
    for alias in aliases:
        base = alias.rstrip("/")
        if target == base or target.startswith(f"{base}/"):
            return target[len(base) :]
    raise OSError(errno.EXDEV, "leads out of the root")


def _node(dir_fd: int, name: str) -> tuple[int, int]:
    """Hold what `name` is now, a link included; its descriptor and mode."""
    if hasattr(os, "O_PATH"):
        fd = os.open(name, _PIN | os.O_NOFOLLOW, dir_fd=dir_fd)
        return fd, os.fstat(fd).st_mode
    # Without O_PATH a link can't be held: its descriptor is then a stand-in, and it is read by name.
    found = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        return os.dup(dir_fd), found.st_mode
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise OSError(errno.ENXIO, "a special file is not opened")
    fd = os.open(name, _PIN | os.O_NOFOLLOW, dir_fd=dir_fd)
    opened = os.fstat(fd)
    if (opened.st_dev, opened.st_ino) != (found.st_dev, found.st_ino):
        os.close(fd)
        raise OSError(errno.ENOENT, "changed while it was opened")
    return fd, opened.st_mode


class KernelOpener:
    """One system call; Linux 5.6 or newer."""

    level = "openat2"

    def __init__(self) -> None:
        self._walk = WalkOpener()

    def pin(self, root_fd: int, rel: str, *, follow: bool, aliases: tuple[str, ...]) -> Pinned:
        """Pin by openat2; see `Opener`."""
        parts = components(rel)
        path = os.fsencode("/".join(parts)) or b"."
        flags = _PIN | (0 if follow else os.O_NOFOLLOW)
        for _ in range(_RETRIES):
            try:
                return Pinned(openat2(root_fd, path, flags, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS))
            except OSError as error:
                if error.errno == errno.EXDEV:
                    # Out of the root, or by an absolute link back into it: only the walk can tell.
                    break
                if error.errno != errno.EAGAIN:  # a rename raced a ".."; openat2(2) says to retry
                    raise
        return self._walk.pin(root_fd, rel, follow=follow, aliases=aliases)


def best_opener() -> Opener:
    """The strongest way that this system has."""
    return KernelOpener() if openat2_works() else WalkOpener()
