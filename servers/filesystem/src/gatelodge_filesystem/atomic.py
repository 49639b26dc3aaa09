"""Writing a file so that it is, at any moment, wholly old or wholly new, and nobody's change is lost.

Under the path's lock: the present version is named by its bytes and compared with what the caller saw; the new version
is written beside it, gets owner, attributes and mode, is synced, and exchanges places with the old one in one step.
What was displaced is then named again: a program that does not know our locks may have slipped in between, and its
version goes back to its place. Sources: rename(2), RENAME_EXCHANGE; "Files are hard", Luu 2015.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from gatelodge_core.errors import AlreadyExists, CallError, Denied, JailError, NotFound
from gatelodge_core.sandbox.place import (
    ExchangeUnsupported,
    Place,
    check_name,
    open_at,
    rename_exchange,
    rename_noreplace,
    translated,
)

from gatelodge_filesystem.encoding import etag
from gatelodge_filesystem.locks import Key, PathLocks
from gatelodge_filesystem.metadata import NEW_FILE_MODE, carry_over
from gatelodge_filesystem.pending import Pending
from gatelodge_filesystem.pending import Record as PendingRecord
from gatelodge_filesystem.windows import read_all

MAX_FILE_BYTES = 256 * 1024 * 1024
TEMPORARY_PREFIX = ".gatelodge-"
_TRIES = 100


@dataclass(frozen=True, slots=True)
class Current:
    """A file as it is: its bytes, their name, and its descriptor, valid while the lock is held.

    Args:
        fd: Its descriptor.
        data: Its bytes.
        etag: Their name.
        sha256: Their whole digest in hex, where it is known already.
    """

    fd: int
    data: bytes
    etag: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did.

    Args:
        etag: Of the new version.
        size: Its bytes.
        created: Whether there was no file before.
        notes: What could not be kept, in words.
        change: The operation in the undo journal; empty if nothing changed, or none is kept.
    """

    etag: str
    size: int
    created: bool
    notes: list[str] = field(default_factory=list[str])
    change: str = ""


class StaleError(CallError):
    """The file isn't what the caller saw.

    Args:
        present: The bytes it has now.
    """

    def __init__(self, present: bytes) -> None:
        super().__init__("stale_etag", "the file has changed since it was read.", "Nothing was changed.")
        self.present = present


@dataclass(frozen=True, slots=True)
class Prepared:
    """A new version that is complete but has no name yet.

    Args:
        place: The name it is for.
        temporary: The name it lies under, in the same folder.
        fd: It.
        current: The version it replaces; None for a new file.
        data: Its bytes.
        etag: Of these.
        notes: What could not be kept, in words.
    """

    place: Place
    temporary: str
    fd: int
    current: Current | None
    data: bytes
    etag: str
    notes: list[str]


class Writer:
    """Atomic writes under the locks of one state directory.

    Args:
        locks: The locks.
        pending: The records of writes in progress.
    """

    def __init__(self, locks: PathLocks, pending: Pending) -> None:
        self._locks = locks
        self.pending = pending

    def create(
        self, place: Place, data: bytes, *, path: str, commit: Callable[[Prepared], object] | None = None
    ) -> Written:
        """Write a new file; an existing name, a dangling link included, is refused.

        Args:
            place: Where.
            data: Its bytes.
            path: The directory's path, for the record of a write in progress.
            commit: Calls `commit`, with what is to be recorded around it.

        Raises:
            CallError: `exists`, `too_large`, `no_space`, `busy`.
        """
        _check_size(data)
        with self.locked([place]), self.creating(place, data, path=path) as made:
            (commit or self.commit)(made)
        return Written(made.etag, len(data), created=True)

    def replace(
        self,
        place: Place,
        change: Callable[[Current], bytes],
        *,
        path: str,
        expected: str = "",
        commit: Callable[[Prepared], object] | None = None,
    ) -> Written:
        """Replace a file by what `change` makes of it.

        Args:
            place: Where; the name must be a regular file.
            change: Makes the new bytes of the present version; runs under the lock. What it raises stops the write.
            path: The directory's path, for the record of a write in progress.
            expected: The etag that the caller saw; empty to take the version that is there.
            commit: Calls `commit`, with what is to be recorded around it.

        Raises:
            StaleError: The present version isn't `expected`, or another program changed it meanwhile.
            CallError: `too_large`, `no_space`, `busy`, or what `change` raises.
            JailError: The name is missing or not a regular file.
        """
        with self.locked([place]), self.current(place) as current:
            if expected and expected != current.etag:
                raise StaleError(current.data)
            data = change(current)
            if data == current.data:
                return Written(current.etag, len(data), created=False)
            with self.replacing(place, current, data, path=path) as made:
                (commit or self.commit)(made)
        return Written(made.etag, len(data), created=False, notes=made.notes)

    @contextlib.contextmanager
    def locked(self, places: Sequence[Place]) -> Generator[None]:
        """Hold the locks of names; one that isn't free within its time is `busy`, a full disk `no_space`.

        Raises:
            CallError: `busy`, `no_space`.
        """
        keys: list[Key] = []
        for place in places:
            check_name(place.name)
            found = os.fstat(place.fd)
            keys.append((found.st_dev, found.st_ino, place.name))
        with room(), self._locks.hold(keys):
            yield

    @staticmethod
    def would_create(place: Place, data: bytes) -> None:
        """Refuse what `create` would refuse, and write nothing.

        Raises:
            CallError: `exists`, `too_large`.
            JailError: The folder may not be written to.
        """
        _check_size(data)
        if os.access in os.supports_dir_fd and not os.access(".", os.W_OK | os.X_OK, dir_fd=place.fd):
            raise Denied("not permitted")
        with contextlib.suppress(NotFound), translated():
            os.stat(place.name, dir_fd=place.fd, follow_symlinks=False)
            raise _taken()

    @staticmethod
    @contextlib.contextmanager
    def current(place: Place) -> Generator[Current]:
        """The present version of a file.

        Raises:
            JailError: The name is missing or not a regular file.
            CallError: `too_large`.
        """
        fd = open_at(place.fd, place.name)
        try:
            data = read_all(fd, MAX_FILE_BYTES)
            digest = hashlib.sha256(data).hexdigest()
            yield Current(fd, data, etag(data, digest), digest)
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def creating(self, place: Place, data: bytes, *, path: str, mode: int = NEW_FILE_MODE) -> Generator[Prepared]:
        """A new file, on the disk but without its name; the lock must be held."""
        with self._temporary(place, data, path, "") as (name, fd):
            os.fchmod(fd, mode)
            os.fsync(fd)
            yield Prepared(place, name, fd, None, data, etag(data), [])

    @contextlib.contextmanager
    def replacing(
        self,
        place: Place,
        current: Current,
        data: bytes,
        *,
        path: str,
        attributes: Callable[[int], None] | None = None,
    ) -> Generator[Prepared]:
        """A new version of a file, on the disk but without its name; the lock must be held.

        Args:
            place: Where.
            current: The version that is there.
            data: The new bytes.
            path: The directory's path.
            attributes: Sets what is not to be as in the present version.

        Raises:
            CallError: `too_large`.
        """
        _check_size(data)
        with self._temporary(place, data, path, current.etag) as (name, fd):
            notes = carry_over(current.fd, fd)
            if attributes:
                attributes(fd)
            os.fsync(fd)
            yield Prepared(place, name, fd, current, data, etag(data), notes)

    def commit(self, made: Prepared) -> None:
        """Give a new version its name.

        Raises:
            StaleError: Another program changed the file meanwhile.
            CallError: `exists`.
        """
        place = made.place
        if made.current is not None:
            self._exchange(place, made.temporary, made.fd, made.current)
        else:
            try:
                rename_noreplace(place.fd, made.temporary, place.fd, place.name)
            except AlreadyExists:
                raise _taken() from None
        os.fsync(place.fd)

    @contextlib.contextmanager
    def _temporary(self, place: Place, data: bytes, path: str, expected: str) -> Generator[tuple[str, int]]:
        """A private file with the new bytes; gone at the end of the block unless it was given its name."""
        name = temporary_name()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        directory = os.fstat(place.fd)
        record = PendingRecord((directory.st_dev, directory.st_ino), path, name, place.name, expected)
        # The record is made first and removed last, so that no moment leaves a file that nobody knows of.
        with contextlib.ExitStack() as undo:
            note_inode = undo.enter_context(self.pending.noted(record))
            with translated():
                fd = os.open(name, flags, 0o600, dir_fd=place.fd)
            undo.callback(os.close, fd)
            undo.callback(_unlink, place.fd, name)
            note_inode(os.fstat(fd).st_ino)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            yield name, fd

    @staticmethod
    def _exchange(place: Place, temporary: str, fd: int, current: Current) -> None:
        """Give the new bytes their name, unless someone else's are displaced by that."""
        try:
            rename_exchange(place.fd, temporary, place.fd, place.name)
        except ExchangeUnsupported:
            _commit_by_rename(place, temporary, current)
            return
        except NotFound:
            raise StaleError(b"") from None  # removed meanwhile
        if named(place, temporary) != current.etag:
            _put_back(place, temporary, os.fstat(fd).st_ino)


def _put_back(place: Place, temporary: str, ours: int) -> NoReturn:
    """Someone slipped in before the exchange: give the name the newest foreign version again, and say so.

    What comes out of the name by an exchange is newer than what went in before, if it isn't the same. So exchange until
    it is; then the name has the newest version, and what lies beside is ours, or one that was overwritten.
    """
    inside = ours
    with contextlib.ExitStack() as held:
        for _ in range(_TRIES):
            beside = _hold(place, temporary, held)
            with contextlib.suppress(NotFound):
                rename_exchange(place.fd, temporary, place.fd, place.name)
            if _hold(place, temporary, held) == inside:
                break
            inside = beside
        if _hold(place, temporary, held) == ours:
            raise StaleError(_bytes_of(place))
        kept = f"{place.name[:200]}.displaced-{secrets.token_hex(4)}"
        rename_noreplace(place.fd, temporary, place.fd, kept)
    raise CallError(
        "stale_etag",
        f"another program keeps changing the file; a version that it overwrote was kept as {kept}.",
        "Read both, then decide.",
    )


def _hold(place: Place, name: str, held: contextlib.ExitStack) -> int:
    """The inode of a name, kept from being used again while it is compared."""
    flags = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
    fd = os.open(name, flags, dir_fd=place.fd)
    held.callback(os.close, fd)
    return os.fstat(fd).st_ino


def _commit_by_rename(place: Place, temporary: str, current: Current) -> None:
    """Where names can't be exchanged: look once more, then rename over. A change in between those two is lost."""
    if named(place, place.name) != current.etag:
        raise StaleError(_bytes_of(place))
    with translated():
        os.rename(temporary, place.name, src_dir_fd=place.fd, dst_dir_fd=place.fd)


def named(place: Place, name: str = "") -> str:
    """The etag of a place's file, or of another name in its folder; empty if that isn't a regular file now."""
    try:
        fd = open_at(place.fd, name or place.name)
    except (OSError, JailError):
        return ""
    try:
        return etag(read_all(fd, MAX_FILE_BYTES))
    except CallError:
        return ""
    finally:
        os.close(fd)


def _bytes_of(place: Place) -> bytes:
    try:
        fd = open_at(place.fd, place.name)
    except (OSError, NotFound):
        return b""
    try:
        return read_all(fd, MAX_FILE_BYTES)
    finally:
        os.close(fd)


def _unlink(dir_fd: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=dir_fd)


def _taken() -> CallError:
    return CallError(
        "exists",
        "there is a file of this name already.",
        "Read it, then overwrite it with mode=overwrite and if_match, or use edit_file.",
    )


def _check_size(data: bytes) -> None:
    if len(data) > MAX_FILE_BYTES:
        raise CallError("too_large", f"a file written here has {MAX_FILE_BYTES} bytes at most.", "Write less.")


def temporary_name() -> str:
    """A name for what is not finished; short, so that it fits wherever a name of 255 bytes does."""
    return f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.tmp"


@contextlib.contextmanager
def room() -> Generator[None]:
    """A full disk as an error of the call.

    Raises:
        CallError: `no_space`.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise CallError("no_space", "there is no room left to write it.", "The old version is untouched.") from None
