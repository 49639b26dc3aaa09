"""Files that nobody else may change or read: opened once, judged by what was opened, replaced whole."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
import time
from collections.abc import Generator
from typing import NamedTuple

from gatelodge_core.errors import SettingsError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

DRAFT = ".draft-"
"""How a file that isn't whole yet begins; left over only if its maker was killed."""
_DOCKER = "/run/secrets/"
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
# Opening a FIFO would wait for a writer for ever.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _FLAGS


class Stamp(NamedTuple):
    """What tells one state of a file from another, without reading it."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int

    @classmethod
    def of(cls, facts: os.stat_result) -> Stamp:
        """The stamp of what was looked at."""
        return cls(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


def read_private(path: str, most: int, what: str) -> tuple[Stamp, bytes]:
    """A file's content, and the stamp of exactly that.

    Links are followed, as orchestrators mount secrets through them.

    Args:
        path: Its path.
        most: The most bytes it may have.
        what: What it is, for errors.

    Raises:
        FileNotFoundError: There is none.
        SettingsError: It can't be read, isn't a regular file of ours, is open to others, or is too large.
    """
    try:
        descriptor = os.open(path, _READ)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise SettingsError(f"{path}: {what} can't be read: {error.strerror}{_owner(path)}") from None
    try:
        facts = os.fstat(descriptor)
        if flaw := _flaw(facts, forbidden(descriptor, facts, path)):
            raise SettingsError(f"{path}: {what}: {flaw.format(path=path)}")
        with os.fdopen(descriptor, "rb", closefd=False) as source:
            content = source.read(most + 1)
    except OSError as error:
        raise SettingsError(f"{path}: {what} can't be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if len(content) > most:
        raise SettingsError(f"{path}: {what}: it has more than {most} bytes")
    return Stamp.of(facts), content


def folder_flaw(folder: str) -> str:
    """Why files in a folder could be swapped by others; empty if they can't, or if there is no such folder yet."""
    if sys.platform == "win32":
        return ""
    try:
        facts = os.stat(folder)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"can't be looked at: {error.strerror}"
    if facts.st_uid not in {os.geteuid(), 0}:
        return f"belongs to user {facts.st_uid}, who could change what is in it"
    # In a sticky folder nobody replaces another's files; Kubernetes mounts secrets in such ones.
    if facts.st_mode & 0o022 and not facts.st_mode & stat.S_ISVTX:
        return f"can be changed by others; run: chmod go-w {folder}"
    return ""


def create(path: str, content: bytes) -> None:
    """Write a whole file (0600), in place of one that is there; after a crash it is the old or the new one.

    Raises:
        OSError: It can't be written.
    """
    folder = os.path.dirname(path)
    draft = os.path.join(folder, DRAFT + secrets.token_hex(8))
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS | _NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as target:
            target.write(content)
            target.flush()
            os.fsync(target.fileno())
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    if sys.platform != "win32":
        # The name, too, must outlive a power failure: a revoked key must not come back.
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _FLAGS)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


@contextlib.contextmanager
def locked(path: str, seconds: float) -> Generator[None]:
    """Hold a lock file; drafts that others left in its folder are removed.

    Raises:
        OSError: It can't be made.
        TimeoutError: Another process holds it for too long.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS | _NOFOLLOW, 0o600)
    try:
        deadline = time.monotonic() + seconds
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"another process holds {path} for more than {seconds:.0f} s")
            time.sleep(0.01)
        for name in os.listdir(os.path.dirname(path)):
            if name.startswith(DRAFT):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(os.path.dirname(path), name))
        yield
    finally:
        # Closing gives the lock back; the file stays, since removing it would split those who wait from those to come.
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def forbidden(descriptor: int, facts: os.stat_result, path: str) -> int:
    """The permissions that the file of a secret must not give; it belongs to root or to this user.

    Args:
        descriptor: Of the opened file.
        facts: Of that.
        path: By which it was opened.
    """
    if sys.platform == "win32" or facts.st_uid != 0 or os.geteuid() == 0:
        return 0o077
    # Docker's secrets are root's, and open to all in the container they are mounted in, which is this user alone.
    if os.path.realpath(path).startswith(_DOCKER) and os.fstatvfs(descriptor).f_flag & os.ST_RDONLY:
        return 0o033
    # The group may read what root owns: that is how Kubernetes mounts secrets (fsGroup).
    return 0o037


def _flaw(facts: os.stat_result, closed: int) -> str:
    """What is wrong with an opened file; ``{path}`` stands for its path."""
    if not stat.S_ISREG(facts.st_mode):
        return "it is not a regular file"
    if sys.platform == "win32":
        return ""
    if facts.st_uid not in {os.geteuid(), 0}:
        return f"it belongs to user {facts.st_uid}, who could change it"
    if facts.st_mode & closed:
        return "it is open to others; run: chmod 600 {path}"
    return ""


def _owner(path: str) -> str:
    """Whose a file is that can't be read, since that is the usual reason."""
    try:
        owner = os.stat(path).st_uid
    except OSError:
        return ""
    geteuid = getattr(os, "geteuid", None)
    if geteuid is None or owner == geteuid():
        return ""
    return f" (it belongs to user {owner}, and this is user {geteuid()})"
