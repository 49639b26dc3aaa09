"""What the changing tools of ``--compat reference`` would do, for the person who is asked first."""

from __future__ import annotations

import threading

from gatelodge_core.errors import CallError

from gatelodge_filesystem.encoding import detect
from gatelodge_filesystem.moving import move
from gatelodge_filesystem.tools.compat import CompatEdit, edit_file
from gatelodge_filesystem.unified import unified
from gatelodge_filesystem.workspace import Workspace


async def preview_write(workspace: Workspace, path: str, content: str) -> str:
    """What `write_file` would do, for the person who is asked: the new file's text, or the diff of the old one's.

    Raises:
        CallError: As `write_file` would refuse it.
    """
    spot = workspace.spot(path)
    data = content.encode()

    def work(_: threading.Event) -> str:
        try:
            workspace.would_create(spot, data)
        except CallError as error:
            if error.code != "exists":
                raise
        else:
            return f"[{spot}] would be created with {len(data)} bytes\n{content}"
        before = workspace.current(spot).data
        head = f"[{spot}] would be overwritten: {len(data)} bytes in place of {len(before)}"
        if not all(detect(version[:65536], whole=len(version) <= 65536).is_text for version in (before, data)):
            return f"{head}, not text\n{content}"
        found = detect(before[:65536], whole=len(before) <= 65536)
        return f"{head}\n{unified(before, data, str(spot), found, budget=workspace.budget - 500).text}"

    return await workspace.read(work)


async def preview_edit(workspace: Workspace, path: str, edits: list[CompatEdit], **_: object) -> str:
    """What `edit_file` would do, for the person who is asked.

    Raises:
        CallError: As `edit_file` would refuse it.
    """
    return await edit_file(workspace, path, edits, dryRun=True)


async def preview_move(workspace: Workspace, source: str, destination: str) -> str:
    """What `move_file` would do, for the person who is asked.

    Raises:
        CallError: As `move_file` would refuse it.
    """
    old, new = workspace.spot(source), workspace.spot(destination)
    made = await workspace.change(lambda: move(workspace, old, new, overwrite=False, if_match="", dry_run=True))
    return f"[{old}] would be moved to [{new}], a {made.kind} of {made.totals.size} bytes"
