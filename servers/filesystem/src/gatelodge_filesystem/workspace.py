"""The workspace: roots, the way from a path as it was asked for to a place inside one, and bounded work on threads.

A path is given as ``name/rest`` (the form answers use), as an absolute path under a root, as a ``file://`` URI, or,
where there is one root, relative to it. Paths are split as text only to choose the root; whether ``..`` or a link
leaves it is decided by the jail, at the moment of opening.
"""

from __future__ import annotations

import difflib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar
from urllib.parse import unquote_to_bytes, urlsplit

import anyio
import anyio.to_thread
from gatelodge_core.errors import CallError, JailError, NotFound, Protected, ReadOnly
from gatelodge_core.sandbox.place import check_name, find_normalised

from gatelodge_filesystem.atomic import TEMPORARY_PREFIX, Current, Prepared, Writer, Written
from gatelodge_filesystem.changes.journal import Journal
from gatelodge_filesystem.changes.log import Limits
from gatelodge_filesystem.changes.records import Where
from gatelodge_filesystem.crowd import EACH, Crowd, Kind
from gatelodge_filesystem.locks import PathLocks
from gatelodge_filesystem.names import check_native, given, shown
from gatelodge_filesystem.pending import Pending
from gatelodge_filesystem.refusals import worded
from gatelodge_filesystem.roots import Root
from gatelodge_filesystem.spots import Spot
from gatelodge_filesystem.waiters import Waiters
from gatelodge_filesystem.watching import Watcher

__all__ = ["CALL_SECONDS", "Spot", "Workspace"]

T = TypeVar("T")

CALL_SECONDS = 50.0
"""The longest a call may work; some hosts give up at 60 s."""


class _Recorder:
    """Gives one file's new version its name through the undo journal."""

    def __init__(self, journal: Journal, tool: str, where: Where) -> None:
        self._journal, self._tool, self._where = journal, tool, where
        self.change = ""

    def __call__(self, made: Prepared) -> None:
        self.change = self._journal.commit(self._tool, [(self._where, made)]).id


class Workspace:
    """What the tools act on.

    Args:
        roots: The pinned roots.
        budget: The most characters of text in one result.
        state_dir: Where locks and the undo journal are kept.
        kept: How much the undo journal keeps.
        locks: Where locks are kept, if others who change the same files keep theirs elsewhere.
        crowd: What it shares with the workspaces of other callers.
    """

    def __init__(
        self,
        roots: Sequence[Root],
        *,
        budget: int,
        state_dir: str,
        kept: Limits | None = None,
        locks: str = "",
        crowd: Crowd | None = None,
    ) -> None:
        self.roots = tuple(roots)
        self.budget = budget
        self._crowd = crowd = crowd or Crowd()
        self.watcher = Watcher(most=crowd.part, places=crowd.watches)
        self.waiters = Waiters(self.watcher)
        self._pending = Pending(os.path.join(state_dir, "pending"))
        self.writer = Writer(PathLocks(locks or os.path.join(state_dir, "locks")), self._pending)
        self.journal = Journal(os.path.join(state_dir, "changes"), self.roots, self.writer, kept or Limits())
        self._limiters: dict[Kind, anyio.CapacityLimiter] = {}

    def spot(self, path: str) -> Spot:
        """The place that a path means.

        Raises:
            CallError: `outside_roots` or `bad_name`.
        """
        text = given(_from_uri(path))
        if "\0" in text or len(os.fsencode(text)) > 4096:
            raise CallError("bad_name", "a path has no NUL and at most 4,096 bytes.")
        if os.path.isabs(text):
            return self._absolute(text)
        check_native(text)
        parts = [part for part in text.split("/") if part not in ("", ".")]
        named = {root.name: root for root in self.roots}
        if parts and parts[0] in named:
            return Spot(named[parts[0]], "/".join(parts[1:]))
        if len(self.roots) == 1:
            return Spot(self.roots[0], "/".join(parts))
        if not parts:
            raise CallError(
                "which_root", "there are several roots.", "Begin path with the name of one; see list_roots."
            )
        raise CallError(
            "outside_roots",
            f"{shown(text)[:200]} does not begin with the name of a root.",
            "Call list_roots for the names.",
        )

    def _absolute(self, text: str) -> Spot:
        best: Spot | None = None
        for root in self.roots:
            for base in {root.jail.path, os.path.realpath(root.jail.path)}:
                if text == base or text.startswith(base.rstrip(os.sep) + os.sep):
                    rel = "/".join(part for part in text[len(base) :].split(os.sep) if part not in ("", "."))
                    if best is None or len(base) > len(best.root.jail.path):
                        best = Spot(root, rel)
        if best is None and text.strip("/") == "" and len(self.roots) == 1:
            return Spot(self.roots[0], "")  # the root of all that can be seen
        if best is None:
            raise CallError(
                "outside_roots", "the path is outside the folders this server may use.", "Call list_roots for these."
            )
        return best

    def failure(self, spot: Spot, error: JailError) -> CallError:
        """The error of a jail as one that the caller can act on."""
        code, text = worded(error)
        hint = self._nearest(spot) if code == "not_found" else ""
        return CallError(code, f"{str(spot)[:400]}: {text}", hint)

    def _nearest(self, spot: Spot) -> str:
        """Names beside the missing one that it may have meant."""
        parent, _, name = spot.rel.rpartition("/")
        try:
            fd = spot.root.jail.open_directory(parent)
        except JailError:
            return "Call list_directory on a folder that exists."
        try:
            with os.scandir(fd) as entries:
                names = [entry.name for entry, _ in zip(entries, range(2000), strict=False)]
        except OSError:
            return ""
        finally:
            os.close(fd)
        close = [item for item in difflib.get_close_matches(name, names, 4, 0.6) if item != name]
        if not close:
            return f"Call list_directory on {Spot(spot.root, parent)} to see what is there."
        return "Did you mean: " + ", ".join(str(Spot(spot.root, parent).child(item)) for item in close) + "?"

    def guarded(self, spot: Spot, act: Callable[[], T]) -> T:
        """Run `act` on a spot, its jail errors worded for the caller.

        Raises:
            CallError: For every `JailError`.
        """
        try:
            return act()
        except JailError as error:
            raise self.failure(spot, error) from None

    def open_file(self, spot: Spot) -> int:
        """A readable descriptor of a regular file, the caller's to close.

        Raises:
            CallError: It can't be reached or isn't one.
        """
        return self.guarded(spot, lambda: self._open(spot))

    def open_directory(self, spot: Spot) -> int:
        """A fresh readable descriptor of a folder, the caller's to close.

        Raises:
            CallError: It can't be reached or isn't one.
        """
        return self.guarded(spot, lambda: spot.root.jail.open_directory(spot.rel))

    def _open(self, spot: Spot) -> int:
        try:
            return spot.root.jail.open_file(spot.rel)
        except NotFound:
            stored = self.stored(spot)
            if stored == spot:
                raise
            return spot.root.jail.open_file(stored.rel)

    @staticmethod
    def stored(spot: Spot) -> Spot:
        """The same place by its own name: one typed composed may be stored decomposed, as on disks from macOS.

        Raises:
            JailError: Its folder can't be reached.
        """
        head, _, name = spot.rel.rpartition("/")
        folder = spot.root.jail.open_directory(head)
        try:
            found = find_normalised(folder, name)
        finally:
            os.close(folder)
        return Spot(spot.root, head).child(found) if found else spot

    def create(self, spot: Spot, data: bytes, *, tool: str = "write_file") -> Written:
        """Write a new file.

        Raises:
            CallError: See `Writer.create`.
        """

        def act() -> Written:
            where = self.where(spot)
            with spot.root.jail.parent(where.rel) as place:
                record = _Recorder(self.journal, tool, where)
                written = self.writer.create(place, data, path=self.folder_of(where), commit=record)
            return replace(written, change=record.change)

        return self.guarded(spot, act)

    def would_create(self, spot: Spot, data: bytes) -> None:
        """Refuse what `create` would refuse, and write nothing.

        Raises:
            CallError: See `Writer.would_create`.
        """

        def act() -> None:
            where = self.where(spot)
            with spot.root.jail.parent(where.rel) as place:
                self.writer.would_create(place, data)

        self.guarded(spot, act)

    def replace(self, spot: Spot, change: Callable[[Current], bytes], expected: str, *, tool: str) -> Written:
        """Replace a file; where the path is a link inside the root, its target, so that the link stays.

        Raises:
            CallError: See `Writer.replace`.
        """

        def act() -> Written:
            where = self.where(spot, follow=True)
            with spot.root.jail.parent(where.rel) as place:
                record = _Recorder(self.journal, tool, where)
                written = self.writer.replace(
                    place, change, path=self.folder_of(where), expected=expected, commit=record
                )
            return replace(written, change=record.change)

        return self.guarded(spot, act)

    def where(self, spot: Spot, *, follow: bool = False) -> Where:
        """A spot as the undo journal names it: without links in its folders.

        Args:
            spot: It.
            follow: Whether a link under the name itself is followed too.

        Raises:
            JailError: Its folder can't be reached, it is the root itself or the server's own, or the root is read-only.
        """
        jail = spot.root.jail
        if not jail.writable:
            raise ReadOnly("granted for reading only")
        rel = spot.rel.rstrip("/")
        self.check_reserved(spot, rel)
        if follow:
            try:
                where = Where(jail.path, jail.canonical(rel))
            except NotFound:
                where = Where(jail.path, jail.canonical(self.stored(Spot(spot.root, rel)).rel))
        else:
            head, _, name = rel.rpartition("/")
            check_name(name)
            folder = jail.canonical(head) if head else ""
            where = Where(jail.path, f"{folder}/{name}" if folder else name)
        self.check_reserved(spot, where.rel)
        if spot.root.kept.below(where.rel):
            raise Protected("the server's own")
        return where

    @staticmethod
    def check_reserved(spot: Spot, rel: str) -> None:
        """Refuse names that are kept for what is not finished.

        Raises:
            CallError: `reserved`.
        """
        if any(part.startswith(TEMPORARY_PREFIX) for part in rel.split("/")):
            raise CallError("reserved", f"{spot}: that name is kept for temporary files and the trash.")

    @staticmethod
    def folder_of(where: Where) -> str:
        """The path of the folder that a place is in, for the records of writes in progress."""
        return os.path.join(where.base, where.folder) if where.folder else where.base

    def current(self, spot: Spot) -> Current:
        """A file as it is, for a change that is only shown. Its descriptor is closed already.

        Raises:
            CallError: It can't be reached, isn't a file, or the root is read-only: as `replace` would refuse it.
        """

        def act() -> Current:
            where = self.where(spot, follow=True)
            with spot.root.jail.parent(where.rel) as place, self.writer.current(place) as current:
                return replace(current, fd=-1)

        return self.guarded(spot, act)

    def settle(self) -> list[str]:
        """Settle what killed writers left in these roots; what was done, one line each."""
        return self._pending.settle(self._reach) + self.journal.settle()

    def _reach(self, path: str, identity: tuple[int, int]) -> int | None:
        """A folder of ours by its path, if it still is the same one."""
        try:
            fd = self.open_directory(self.spot(path))
        except CallError:
            return None
        found = os.fstat(fd)
        if (found.st_dev, found.st_ino) == identity:
            return fd
        os.close(fd)
        return None

    async def read(self, work: Callable[[threading.Event], T], *, seconds: float = CALL_SECONDS) -> T:
        """Run reading work on a thread; it is left alone when the call is cancelled or its time is up.

        Args:
            work: Gets an event that is set when nobody waits for it any more.
            seconds: The deadline.

        Raises:
            CallError: `timeout`.
        """
        stop = threading.Event()
        try:
            with anyio.fail_after(seconds):
                async with self._limiter("read"):
                    return await anyio.to_thread.run_sync(
                        work, stop, limiter=self._crowd.limiter("read"), abandon_on_cancel=True
                    )
        except TimeoutError:
            raise CallError(
                "timeout", f"this took more than {seconds:.0f} s.", "Narrow it: a subfolder, a glob, a smaller limit."
            ) from None
        finally:
            stop.set()

    async def change(self, work: Callable[[], T]) -> T:
        """Run changing work on a thread, to its end: a cancelled call must not leave a change half known."""
        # Not abandoned on cancel: anyio then waits for the thread, shielded.
        async with self._limiter("write"):
            return await anyio.to_thread.run_sync(work, limiter=self._crowd.limiter("write"))

    def _limiter(self, kind: Kind) -> anyio.CapacityLimiter:
        """The caller's own part, taken before that of all."""
        return self._limiters.setdefault(kind, anyio.CapacityLimiter(EACH[kind]))

    def close(self) -> None:
        """Let go of the roots."""
        self.watcher.close()
        for root in self.roots:
            root.jail.close()


def _from_uri(path: str) -> str:
    """The path of a ``file://`` URI, decoded once; any other text as it is.

    Raises:
        CallError: The URI has a host, so it names a file of another machine.
    """
    if not path.startswith("file:"):
        return path
    parts = urlsplit(path)
    if parts.netloc not in ("", "localhost"):
        raise CallError("outside_roots", "a file URI with a host names another machine's file.")
    return os.fsdecode(unquote_to_bytes(parts.path))
