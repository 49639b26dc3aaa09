"""The tool that waits for changes, for hosts without subscriptions."""

from __future__ import annotations

import stat
import threading
from typing import Annotated, Literal

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import PRIVATE, READ
from gatelodge_core.errors import JailError
from pydantic import BaseModel, Field

from gatelodge_filesystem.state import state_of, watchable
from gatelodge_filesystem.waiters import Target, gathered
from gatelodge_filesystem.workspace import Spot, Workspace

waiting = Declarations[Workspace]()

MAX_SECONDS = 50
MAX_TOLD = 200


class ChangeRecord(BaseModel):
    """One path that changed."""

    path: str
    kind: Literal["file", "folder", "other", "gone"]
    etag: str


class ChangesRecord(BaseModel):
    """What changed; `rescan` says that more did than is told: look at everything again."""

    changes: list[ChangeRecord]
    rescan: bool
    cursor: str


@waiting.tool(effect=READ, yields=PRIVATE)
async def wait_for_changes(
    workspace: Workspace,
    paths: Annotated[list[str], Field(min_length=1, max_length=10, description="Folders, with all below, or files.")],
    cursor: Annotated[str, Field(description="From the last answer: nothing in between is missed.")] = "",
    timeout: Annotated[int, Field(ge=0, le=MAX_SECONDS)] = 30,  # noqa: ASYNC109 - the caller's word
) -> ChangesRecord:
    """Wait until files change, or the timeout. Repeat with the cursor to hear what changed since; changes are merged."""
    targets = await workspace.read(lambda _: [_target(workspace, workspace.spot(path)) for path in paths])
    waiter = await workspace.waiters.waiter(targets, cursor, workspace.failure)
    changed, rescan = await gathered(waiter, timeout)
    rescan = rescan or waiter.lost
    waiter.lost = False

    def work(_: threading.Event) -> list[ChangeRecord]:
        return [_told(spot) for spot in changed[:MAX_TOLD]]

    told: list[ChangeRecord] = []
    room = workspace.budget - 1000
    for record in await workspace.read(work):
        room -= len(record.path) + 80
        if room < 0:
            break
        told.append(record)
    return ChangesRecord(changes=told, rescan=rescan or len(told) < len(changed), cursor=waiter.key)


def _target(workspace: Workspace, spot: Spot) -> Target:
    rel, folder = workspace.guarded(spot, lambda: watchable(spot))
    return Target(spot, rel, folder)


def _told(spot: Spot) -> ChangeRecord:
    try:
        mode = spot.root.jail.stat(spot.rel, follow=False).st_mode
    except JailError:
        return ChangeRecord(path=str(spot), kind="gone", etag="")
    if stat.S_ISREG(mode):
        return ChangeRecord(path=str(spot), kind="file", etag=state_of(spot))
    return ChangeRecord(path=str(spot), kind="folder" if stat.S_ISDIR(mode) else "other", etag="")
