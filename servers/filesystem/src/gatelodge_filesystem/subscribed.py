"""Which resource a URI names, and watching it for those who subscribed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from gatelodge_core.errors import CallError, JailError
from mcp.shared.uri_template import UriTemplate

from gatelodge_filesystem.state import glance, state_of, watchable
from gatelodge_filesystem.watching import Changes
from gatelodge_filesystem.workspace import Spot, Workspace

BY_NAME = "fs://{root}/{+path}"
BY_PATH = "file:///{+path}"
INDEX = "fs://"
LOOK_SECONDS = 5.0
"""How often a subscribed resource is glanced at besides: links and folders above it may lead elsewhere by now."""

_BY_NAME = UriTemplate.parse(BY_NAME)
_BY_PATH = UriTemplate.parse(BY_PATH)


def path_of(uri: str) -> str:
    """The path that a resource's URI means, in the form that `Workspace.spot` takes.

    The same parser decodes here and for the resource itself: a policy must judge exactly what is read.
    """
    found = _BY_NAME.match(uri)
    return uri if found is None else f"{found['root']}/{found['path']}"


class Subscribed:
    """Watches resources.

    Args:
        workspace: Where they are.
        look_seconds: How often each is glanced at besides.
    """

    def __init__(self, workspace: Workspace, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._workspace = workspace
        self._look_seconds = look_seconds

    async def watch(self, uri: str, changed: Callable[[], None]) -> Callable[[], None]:
        """Watch one resource, a file (which need not exist yet) or a folder's entries; see `subscriptions.Watch`.

        Raises:
            CallError: It is no file or folder of a root, or is refused.
        """
        if uri == INDEX:
            return lambda: None  # roots never change while the server runs
        if _BY_NAME.match(uri) is None and _BY_PATH.match(uri) is None:
            # A path would be found by tools, but no resource is read by it.
            raise CallError("not_found", "no file or folder has this URI.", "Give fs://root/path or file:///path.")
        spot = self._workspace.spot(path_of(uri))
        folder, rel, state = await asyncio.to_thread(self._place, spot)
        one = _One(spot, rel, state, changed)
        try:
            stop = await self._workspace.watcher.watch(spot.root, folder, one.hint, recursive=False)
        except JailError as error:
            raise self._workspace.failure(spot, error) from None
        looking = asyncio.get_running_loop().create_task(one.look(self._look_seconds))

        def end() -> None:
            looking.cancel()
            one.end()
            stop()

        return end

    def _place(self, spot: Spot) -> tuple[str, str, str]:
        """(folder to watch, canonical path, state now)."""
        rel, is_folder = self._workspace.guarded(spot, lambda: watchable(spot))
        folder = rel if is_folder else os.path.dirname(rel)
        return folder, rel, state_of(spot)


class _One:
    """One resource: hints in, changes out."""

    def __init__(self, spot: Spot, rel: str, state: str, changed: Callable[[], None]) -> None:
        self._spot = spot
        self._rel = rel
        self._state = state
        self._changed = changed
        self._again = False
        self._task: asyncio.Task[None] | None = None

    def hint(self, changes: Changes) -> None:
        """Look, if this may be meant."""
        if changes.rescan or any(path == self._rel or os.path.dirname(path) == self._rel for path in changes.paths):
            self._check()

    def end(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    async def look(self, seconds: float) -> None:
        """Glance every so often, and look closer at what seems to differ."""
        seen = await asyncio.to_thread(glance, self._spot)
        while True:
            await asyncio.sleep(seconds)
            now = await asyncio.to_thread(glance, self._spot)
            if now != seen:
                seen = now
                self._check()

    def _check(self) -> None:
        self._again = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._compare())

    async def _compare(self) -> None:
        while self._again:
            self._again = False
            state = await asyncio.to_thread(state_of, self._spot)
            if state != self._state:
                self._state = state
                self._changed()
