"""Watching folders: one observer for everybody, events coalesced, and none from outside the roots.

The system's notification (watchdog) is only a hint. It is asked for through the descriptor of a folder that the jail
opened, so that no link can be put in its place, and each path that it names is looked at through the jail before anyone
hears of it. A single atomic write makes eight raw events; what arrives within `WINDOW` is one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gatelodge_core.errors import CallError, JailError

from gatelodge_filesystem.atomic import TEMPORARY_PREFIX
from gatelodge_filesystem.crowd import WATCHES, Places
from gatelodge_filesystem.roots import Root
from gatelodge_filesystem.walk import Budget, Folder, Walk

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver, ObservedWatch

logger = logging.getLogger(__name__)

WINDOW = 0.1
"""Seconds in which changes are gathered before anybody is told."""
MAX_PENDING = 1024
"""Paths gathered in one window; more mean "look at everything again"."""
MAX_FOLDERS = 8192
"""Folders below one that is watched with everything below; each costs a watch of the kernel."""

Sink = Callable[["Changes"], None]
"""Told of changes, in the event loop."""
Key = tuple[str, str, bool]


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed in one window.

    Args:
        paths: Paths from the root, without links.
        rescan: More changed than is told, or the system lost count: anything may have.
    """

    paths: tuple[str, ...]
    rescan: bool


@dataclass(eq=False)
class _Watched:
    """One folder that is watched; the handler that watchdog calls, from its own thread."""

    root: Root
    rel: str
    fd: int
    prefix: str
    due: Callable[[_Watched], None]
    sinks: list[Sink] = field(default_factory=list[Sink])
    observed: ObservedWatch | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    pending: set[str] = field(default_factory=set[str])
    rescan: bool = False
    waiting: bool = False

    def dispatch(self, event: Any) -> None:
        """Note an event; see `watchdog.events.FileSystemEventHandler`."""
        found = [self._inside(os.fsdecode(path)) for path in (event.src_path, event.dest_path) if path]
        kept = [rel for rel in found if rel is not None and not _ours(rel)]
        if not kept:
            return
        with self.lock:
            self.pending.update(kept)
            if len(self.pending) > MAX_PENDING:
                self.pending.clear()
                self.rescan = True
            if self.waiting:
                return
            self.waiting = True
        self.due(self)

    def _inside(self, path: str) -> str | None:
        """The path from the root that a path of watchdog's stands for."""
        if path.rstrip("/.") == self.prefix.rstrip("/."):
            return self.rel
        if not path.startswith(self.prefix):
            return None
        rest = path[len(self.prefix) :].lstrip("/")
        return f"{self.rel}/{rest}" if self.rel else rest

    def take(self) -> tuple[set[str], bool]:
        """What was gathered, which is then forgotten."""
        with self.lock:
            taken = self.pending, self.rescan
            self.pending, self.rescan, self.waiting = set(), False, False
        return taken


def _ours(rel: str) -> bool:
    name = rel.rpartition("/")[2]
    return name.startswith(TEMPORARY_PREFIX) and name.endswith(".tmp")


class Watcher:
    """The one observer of a workspace; it starts with the first watch.

    Args:
        polling: Look at the folders again and again instead of being notified, as on network file systems.
        most: Folders (with or without what lies below them) watched at once; each costs a thread of watchdog.
        places: Of all workspaces together, for these.
    """

    def __init__(self, *, polling: bool = False, most: int = WATCHES, places: Places | None = None) -> None:
        self._most, self._places = most, places or Places(most)
        self._polling = polling
        self._observer: BaseObserver | None = None
        self._watched: dict[Key, _Watched] = {}
        self._lock = threading.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def watch(self, root: Root, rel: str, sink: Sink, *, recursive: bool) -> Callable[[], None]:
        """Watch a folder.

        Args:
            root: The root it is in.
            rel: Its canonical path from there.
            sink: Told of changes of the folder's entries, or of everything below.
            recursive: Whether folders below are watched too.

        Returns:
            Ends it.

        Raises:
            CallError: `too_many_watches`, `too_many_folders`, or `not_watchable`.
            JailError: The folder can't be opened.
        """
        loop = asyncio.get_running_loop()
        key = (root.name, rel, recursive)
        # In a thread: importing watchdog takes 65 ms, a recursive start looks into each folder.
        await asyncio.to_thread(self._join, key, root, sink, loop)

        def stop() -> None:
            loop.run_in_executor(None, self._leave, key, sink)

        return stop

    def close(self) -> None:
        """End all watches."""
        with self._lock:
            observer, self._observer = self._observer, None
            for watched in self._watched.values():
                os.close(watched.fd)
            self._places.give_back(len(self._watched))
            self._watched.clear()
        if observer is not None:
            observer.stop()
            observer.join()

    def _join(self, key: Key, root: Root, sink: Sink, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            watched = self._watched.get(key)
            if watched is None:
                watched = self._start(key, root, loop)
            watched.sinks.append(sink)

    def _start(self, key: Key, root: Root, loop: asyncio.AbstractEventLoop) -> _Watched:
        if len(self._watched) >= self._most:
            raise CallError("too_many_watches", f"{self._most} folders are watched already.", "End some first.")
        _, rel, recursive = key
        if recursive:
            _refuse_large(root, rel)
        fd = root.jail.open_directory(rel)
        try:
            self._places.take()
        except CallError:
            os.close(fd)
            raise
        try:
            # By descriptor: the folder that the jail opened, whatever has its name now.
            prefix = f"/proc/self/fd/{fd}/." if os.path.isdir("/proc/self/fd") else os.path.join(root.jail.path, rel)
            watched = _Watched(root, rel, fd, prefix, lambda it: self._due(it, loop))
            watched.observed = self._schedule(watched, recursive=recursive)
        except BaseException:
            self._places.give_back()
            os.close(fd)
            raise
        self._watched[key] = watched
        return watched

    def _schedule(self, watched: _Watched, *, recursive: bool) -> ObservedWatch:
        from watchdog import events  # noqa: PLC0415 - 65 ms, and threads: only when something is watched

        wanted: list[type[events.FileSystemEvent]] = [
            events.FileCreatedEvent, events.FileDeletedEvent, events.FileModifiedEvent, events.FileMovedEvent,
            events.DirCreatedEvent, events.DirDeletedEvent, events.DirMovedEvent,
        ]  # fmt: skip
        handler: Any = watched
        for attempt in (1, 2):
            observer = self._observing()
            try:
                return observer.schedule(handler, watched.prefix, recursive=recursive, event_filter=wanted)
            except OSError as error:
                if attempt == 2 or self._polling or self._watched:
                    raise CallError("not_watchable", f"this can't be watched: {error.strerror}.") from None
                # Out of watches, or a file system without notification.
                logger.warning("the system can't notify (%s); folders are looked at once a second instead", error)
                self._polling = True
                observer.stop()
                self._observer = None
        raise AssertionError("unreachable")

    def _observing(self) -> BaseObserver:
        if self._observer is None:
            if self._polling:
                from watchdog.observers.polling import PollingObserver as Observer  # noqa: PLC0415 - as above
            else:
                from watchdog.observers import Observer  # noqa: PLC0415 - as above
            self._observer = Observer()
            self._observer.daemon = True
            self._observer.start()
        return self._observer

    def _leave(self, key: Key, sink: Sink) -> None:
        with self._lock:
            watched = self._watched.get(key)
            if watched is None or sink not in watched.sinks:
                return
            watched.sinks.remove(sink)
            if watched.sinks:
                return
            del self._watched[key]
            if self._observer is not None and watched.observed is not None:
                self._observer.unschedule(watched.observed)
            os.close(watched.fd)
            self._places.give_back()

    def _due(self, watched: _Watched, loop: asyncio.AbstractEventLoop) -> None:
        def later() -> None:
            loop.call_later(WINDOW, self._flush, watched, loop)

        if not loop.is_closed():
            loop.call_soon_threadsafe(later)

    def _flush(self, watched: _Watched, loop: asyncio.AbstractEventLoop) -> None:
        task = loop.create_task(self._tell(watched))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, watched: _Watched) -> None:
        paths, rescan = watched.take()
        inside = await asyncio.to_thread(_inside, watched.root, paths)
        if inside or rescan:
            changes = Changes(tuple(inside), rescan)
            for sink in list(watched.sinks):
                sink(changes)


def _inside(root: Root, paths: set[str]) -> list[str]:
    """Those paths whose folder is a folder of the root now, by that very name, and which aren't credentials."""
    folders: dict[str, bool] = {"": True}
    kept: list[str] = []
    for rel in sorted(paths):
        folder = rel.rpartition("/")[0]
        if folder not in folders:
            try:
                folders[folder] = root.jail.canonical(folder) == folder
            except JailError:
                # Gone with its folder: its parent tells of that.
                folders[folder] = False
        if folders[folder] and not root.jail.refuses(rel):
            kept.append(rel)
    return kept


def _refuse_large(root: Root, rel: str) -> None:
    """Refuse to watch a tree of too many folders."""
    count = 0

    def visit(_: Folder) -> None:
        nonlocal count
        count += 1
        if count > MAX_FOLDERS:
            raise CallError(
                "too_many_folders", f"there are more than {MAX_FOLDERS} folders below this one.", "Name a subfolder."
            )

    fd = root.jail.open_directory(rel)
    try:
        Walk(visit, Budget(seconds=20), use_ignore=False, hidden=True).run(fd)
    finally:
        os.close(fd)
