"""The demo's part with files."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import anyio

from gatelodge_core.cli.demo_session import Session, command, show_journal

_FILES = {
    "README.md": "# Harbour\n\nNotes on a small harbour. Start with plan.md; the budget is in budget/2026.csv.\n",
    "plan.md": "# Plan\n\n1. Repair the quay\n2. Dredge the basin\n3. Paint the lighthouse\n\nThe budget for all of it is 120000.\n",
    "budget/2026.csv": "item,amount\r\nquay,70000\r\nbasin,35000\r\nlighthouse,15000\r\n",
    "log/january.txt": "02 calm\n03 storm, quay damaged\n04 calm\n",
}


def run() -> None:
    """A session on files in a scratch folder.

    Raises:
        SettingsError: The filesystem server isn't installed.
        Unexpected: It did otherwise than the demo says.
    """
    found = command("gatelodge-filesystem", "filesystem")
    with tempfile.TemporaryDirectory(prefix="gatelodge-demo-") as folder:
        scratch = os.path.realpath(folder)
        _furnish(Path(scratch))
        anyio.run(_tell, found, scratch)


def _furnish(scratch: Path) -> None:
    """Make the files, a private file outside the folder, and a link that leads to it."""
    for name, text in _FILES.items():
        path = scratch / "harbour" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    (scratch / "private.txt").write_text("This is outside the folder that was granted.\n", encoding="utf-8")
    (scratch / "harbour" / "shortcut.txt").symlink_to(scratch / "private.txt")
    (scratch / "archive").mkdir()
    (scratch / "archive" / "2019.md").write_text("Old notes, granted for reading only.\n", encoding="utf-8")


async def _tell(server_command: str, scratch: str) -> None:
    # The SDK's client, as a host would use it; imported late, since only the demo needs it.
    from mcp import Client, StdioServerParameters  # noqa: PLC0415 - the SDK
    from mcp.client.stdio import stdio_client  # noqa: PLC0415 - the SDK

    state = os.path.join(scratch, "state")
    roots = [os.path.join(scratch, "harbour"), os.path.join(scratch, "archive:ro")]
    arguments = [*roots, "--state-dir", state]
    print("Launching, as a host does:")
    print("    gatelodge-filesystem SCRATCH/harbour SCRATCH/archive:ro --state-dir SCRATCH/state")
    server = stdio_client(StdioServerParameters(command=server_command, args=arguments))
    async with Client(server) as client:
        tools = await client.list_tools()
        print(f"    it offers {len(tools.tools)} tools: {', '.join(tool.name for tool in tools.tools)}")
        await _story(Session(client, scratch), scratch)
    show_journal(os.path.join(state, "journal"))


async def _story(session: Session, scratch: str) -> None:
    await session.call("What may be used here?", "list_roots")
    await session.call("Find the notes, newest first.", "find_files", path="harbour", globs=["*.md"])
    await session.call("Where is the budget mentioned?", "search_text", pattern="budget", path="harbour")
    text = await session.call(
        "Read the lines that matter.", "read_file", path="harbour/plan.md", start_line=3, max_lines=3
    )
    found = re.search(r"etag=(\S+?),", text)
    etag = found.group(1) if found else ""
    edit = [{"old": "3. Paint the lighthouse", "new": "3. Paint the lighthouse\n4. Mend the nets"}]
    await session.call("Try an edit without making it.", "edit_file", path="harbour/plan.md", edits=edit, dry_run=True)
    await session.call(
        "Make it, for the version that was read.", "edit_file", path="harbour/plan.md", edits=edit, if_match=etag
    )
    await session.refused(
        "Edit again with the etag of the version before: refused, nothing is lost.",
        "edit_file",
        path="harbour/plan.md",
        edits=[{"old": "Repair", "new": "Rebuild"}],
        if_match=etag,
    )
    await session.call(
        "Change a figure in a file with Windows line ends: the other bytes stay as they are.",
        "edit_file",
        path="harbour/budget/2026.csv",
        edits=[{"old": "basin,35000", "new": "basin,41000"}],
    )
    await session.refused("Climb out with ../: refused.", "read_file", path="harbour/../private.txt")
    await session.refused(
        "Follow a link that leads out: refused, as if it were not there.", "read_file", path="harbour/shortcut.txt"
    )
    await session.refused("Ask for a file elsewhere: refused.", "read_file", path=os.path.join(scratch, "private.txt"))
    await session.refused(
        "Write where only reading was granted: refused.", "write_file", path="archive/2020.md", content="New notes.\n"
    )
    await session.call("Write a new file.", "write_file", path="harbour/log/february.txt", content="01 calm\n")
