"""Making one step, looking at what it acts on before and after, so that nobody's change is lost in between.

A rename takes whatever is under the name at that moment: what was taken is compared with what was looked at, and goes
back if another program slipped in. The caller holds the locks.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Generator, Sequence

from gatelodge_core.errors import AlreadyExists, CallError, JailError, NotFound
from gatelodge_core.sandbox.place import (
    CrossDevice,
    ExchangeUnsupported,
    Place,
    make_directory,
    open_at,
    rename_exchange,
    rename_noreplace,
    translated,
)

from gatelodge_filesystem.atomic import StaleError, Writer
from gatelodge_filesystem.changes.records import STATE, TRASH_FOLDER, Kind, Step, Version, Where, described
from gatelodge_filesystem.changes.store import Blobs
from gatelodge_filesystem.encoding import etag
from gatelodge_filesystem.locks import private_directory
from gatelodge_filesystem.names import shown
from gatelodge_filesystem.roots import Root
from gatelodge_filesystem.trees import measure, remove_tree
from gatelodge_filesystem.walk import below
from gatelodge_filesystem.windows import read_all

HASHED_BYTES = 64 * 1024 * 1024
"""A larger file is compared by size and time when it is moved, since that would otherwise take longer than the move."""


class Conflict(CallError):
    """Something isn't what the step expects; nothing was changed by it.

    Args:
        name: Which, as it is shown.
        what: What is the matter.
    """

    def __init__(self, name: str, what: str) -> None:
        super().__init__("conflict", f"{name} {what}.", "Nothing was changed.")


class Performer:
    """Makes steps in the roots of one server.

    Args:
        roots: They.
        writer: Writes files.
        blobs: Has the previous bytes.
        trash: The folder of removed things in the state directory; made private.
    """

    def __init__(self, roots: Sequence[Root], writer: Writer, blobs: Blobs, trash: str) -> None:
        self._roots = {root.jail.path: root for root in roots}
        self.writer = writer
        self._blobs = blobs
        self._trash = private_directory(trash)

    def reaches(self, where: Where) -> bool:
        """Whether a place is in a root of this server that may be changed, or in the trash of the state directory."""
        root = self._roots.get(where.base)
        return where.base == STATE or (root is not None and root.writable)

    def refuses(self, where: Where) -> bool:
        """Whether a place is in a root of this server, and may not be opened."""
        root = self._roots.get(where.base)
        return root is not None and not where.in_trash and root.jail.refuses(where.rel)

    def name(self, where: Where) -> str:
        """A place as it is shown."""
        root = self._roots.get(where.base)
        return shown(f"{root.name}/{where.rel}" if root else f"trash/{where.rel}")

    @contextlib.contextmanager
    def at(self, where: Where) -> Generator[Place]:
        """A place to act on.

        Raises:
            JailError: Its folder can't be reached.
        """
        if where.base != STATE:
            root = self._roots.get(where.base)
            if root is None:
                raise NotFound("not found")
            if where.folder.rpartition("/")[2] == TRASH_FOLDER:
                with root.jail.parent(where.folder, refused=True) as top, contextlib.suppress(AlreadyExists):
                    make_directory(top.fd, top.name, 0o700)
            with root.jail.parent(where.rel, refused=where.in_trash) as place:
                yield place
            return
        fd = os.open(self._trash, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.ExitStack() as held:
                with translated():
                    folder, name = held.enter_context(below(fd, where.rel))
                yield Place(folder, name)
        finally:
            os.close(fd)

    def look(self, where: Where, *, deep: bool = False, cheap: bool = False) -> Version | None:
        """What is at a place; None if nothing is.

        Args:
            where: The place.
            deep: Name the content of a folder too.
            cheap: Name no content at all.
        """
        try:
            with self.at(where) as place:
                return seen(place, deep=deep, cheap=cheap)
        except JailError:
            return None

    def bytes_at(self, where: Where) -> bytes:
        """The bytes of a file.

        Raises:
            JailError: It is none, or can't be reached.
            CallError: `too_large`.
        """
        with self.at(where) as place, Writer.current(place) as current:
            return current.data

    def state(self, step: Step) -> bool:
        """Whether a step that was under way when its process ended has been made."""
        if step.action == "swap":
            found = self.look(step.target)
            return found is not None and found.kind == "file" and found.etag == step.after.etag
        if step.action == "exchange":
            found = self.look(step.target)
            return found is not None and _is(found, step.before) and not _is(found, step.after, strictly=True)
        source, target = self.look(step.source, cheap=True), self.look(step.target, cheap=not step.fresh)
        if target is None or not _is(target, step.before):
            return False
        if source is not None and source.identity == target.identity:
            # A move in two steps, on a file system without the one: link(2) was made, unlink(2) wasn't.
            with self.at(step.source) as place:
                os.unlink(place.name, dir_fd=place.fd)
            return True
        return source is None

    def perform(self, step: Step) -> None:
        """Make a step.

        Raises:
            Conflict: What it acts on isn't what it expects. Nothing was changed.
            CrossDevice: A move leads to another file system.
            ExchangeUnsupported: The file system can't exchange names.
            CallError: `not_kept`, `no_space`, `too_large`.
        """
        try:
            if step.action == "swap":
                self._swap(step)
            elif step.action == "move":
                self._move(step)
            else:
                self._exchange(step)
        except (CrossDevice, ExchangeUnsupported):
            raise
        except StaleError:
            raise Conflict(self.name(step.source), "has changed since") from None
        except JailError as error:
            raise Conflict(self.name(step.source), f"can't be used: {error}") from None

    def _swap(self, step: Step) -> None:
        data = self._blobs.read(step.after.blob)
        with self.at(step.target) as place, Writer.current(place) as current:
            if current.etag != step.before.etag:
                raise StaleError(current.data)
            folder = os.path.join(step.target.base, step.target.folder) if step.target.folder else step.target.base
            with self.writer.replacing(
                place, current, data, path=folder, attributes=lambda fd: _dress(fd, step.after)
            ) as made:
                self.writer.commit(made)

    def _move(self, step: Step) -> None:
        with self.at(step.source) as source, self.at(step.target) as target, contextlib.ExitStack() as held:
            identity = self._expected(source, step.before, step.source, held)
            try:
                rename_noreplace(source.fd, source.name, target.fd, target.name)
            except AlreadyExists:
                raise Conflict(self.name(step.target), "is taken by something else") from None
            if _identity(target) not in (identity, None):
                raise Conflict(self.name(step.source), _put_back(source, target))
            _sync(source, target)

    def _exchange(self, step: Step) -> None:
        with self.at(step.source) as source, self.at(step.target) as target, contextlib.ExitStack() as held:
            first = self._expected(source, step.before, step.source, held)
            second = self._expected(target, step.after, step.target, held)
            rename_exchange(source.fd, source.name, target.fd, target.name)
            if (_identity(target), _identity(source)) != (first, second):
                rename_exchange(source.fd, source.name, target.fd, target.name)
                raise Conflict(self.name(step.target), "was changed by another program at that moment")
            _sync(source, target)

    def _expected(
        self, place: Place, version: Version, where: Where, held: contextlib.ExitStack
    ) -> tuple[int, int] | None:
        """Check what is at a place, and keep its inode from being used again while it is compared."""
        flags = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        try:
            fd = os.open(place.name, flags, dir_fd=place.fd)
        except OSError:
            raise Conflict(self.name(where), "is not there any more") from None
        held.callback(os.close, fd)
        found = seen(place, deep=version.kind == "folder" and bool(version.etag), cheap=not version.etag)
        kept = os.fstat(fd)
        if found is None or found.identity != (kept.st_dev, kept.st_ino) or not found.same(version):
            raise Conflict(self.name(where), "has changed since")
        return found.identity

    def discard(self, where: Where) -> None:
        """Remove what is at a place in the trash, if anything is."""
        if where.in_trash and self.reaches(where):
            with contextlib.suppress(OSError, JailError), self.at(where) as place:
                remove_tree(place.fd, place.name)


def seen(place: Place, *, deep: bool = False, cheap: bool = False) -> Version | None:
    """What is under a name; None if nothing is.

    Args:
        place: The name.
        deep: Name the content of a folder too.
        cheap: Name no content at all.
    """
    try:
        found = os.stat(place.name, dir_fd=place.fd, follow_symlinks=False)
    except OSError:
        return None
    kind, tag, size = _kind(found.st_mode), "", found.st_size
    if not cheap:
        if kind == "file" and size <= HASHED_BYTES:
            try:
                fd = open_at(place.fd, place.name)
            except (JailError, OSError):
                return described(found, kind, "", size)
            try:
                # The same file's size and bytes, though its name may lead elsewhere by now.
                found = os.fstat(fd)
                tag = etag(read_all(fd, 2 * HASHED_BYTES))
            finally:
                os.close(fd)
        elif kind == "link":
            with contextlib.suppress(OSError):
                tag = etag(os.fsencode(os.readlink(place.name, dir_fd=place.fd)))
        elif kind == "folder" and deep:
            totals = measure(place.fd, place.name, content=True)
            tag, size = totals.digest, totals.size
    return described(found, kind, tag, size)


def _put_back(source: Place, target: Place) -> str:
    """Give what another program slipped in its name again, or one beside it; what is to be said of it."""
    try:
        rename_noreplace(target.fd, target.name, source.fd, source.name)
    except AlreadyExists:
        kept = f"{source.name[:200]}.displaced-{secrets.token_hex(4)}"
        rename_noreplace(target.fd, target.name, source.fd, kept)
        return f"keeps being changed by another program; a version that it overwrote was kept as {shown(kept)}"
    return "was changed by another program at that moment"


def _identity(place: Place) -> tuple[int, int] | None:
    found = seen(place, cheap=True)
    return found.identity if found else None


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "other"


def _is(found: Version, wanted: Version, *, strictly: bool = False) -> bool:
    """Whether a version is the very thing that a step moved, as far as that was noted.

    Args:
        found: What is there.
        wanted: What was noted.
        strictly: Two files with the same bytes are told apart by mode and time; without these they may be one.
    """
    if wanted.identity != (0, 0):
        return found.identity == wanted.identity
    if strictly and (found.mode, found.times[1]) != (wanted.mode, wanted.times[1]):
        return False
    # No content was named where it isn't compared.
    return found.same(wanted) if found.etag and wanted.etag else found.kind == wanted.kind


def _dress(fd: int, version: Version) -> None:
    """Give a restored version its own owner, mode and times."""
    if version.owner != (os.fstat(fd).st_uid, os.fstat(fd).st_gid):
        with contextlib.suppress(OSError):
            os.fchown(fd, *version.owner)
    # Another owner must not inherit the right to act as the old one.
    os.fchmod(fd, version.mode if os.fstat(fd).st_uid == version.owner[0] else version.mode & 0o777)
    os.utime(fd, ns=version.times)


def _sync(source: Place, target: Place) -> None:
    os.fsync(target.fd)
    if os.fstat(source.fd).st_ino != os.fstat(target.fd).st_ino:
        os.fsync(source.fd)
