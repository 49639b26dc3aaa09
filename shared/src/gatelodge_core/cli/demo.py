"""``gatelodge demo``: a real host's session with real files, from launch to journal, leaving nothing behind."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from gatelodge_core.audit import cli as audit
from gatelodge_core.errors import SettingsError

WIDTH = 150
_FILES = {
    "README.md": "# Harbour\n\nNotes on a small harbour. Start with plan.md; the budget is in budget/2026.csv.\n",
    "plan.md": "# Plan\n\n1. Repair the quay\n2. Dredge the basin\n3. Paint the lighthouse\n\nThe budget for all of it is 120000.\n",
    "budget/2026.csv": "item,amount\r\nquay,70000\r\nbasin,35000\r\nlighthouse,15000\r\n",
    "log/january.txt": "02 calm\n03 storm, quay damaged\n04 calm\n",
}


@dataclass
class Session:
    """One connected client, and what it has shown so far.

    Args:
        client: The SDK's client.
        scratch: The folder that paths are shown relative to.
    """

    client: Any
    scratch: str
    step: int = 0

    async def call(self, story: str, tool: str, /, **arguments: Any) -> str:
        """Call a tool, print the exchange, and give the text of the answer."""
        self.step += 1
        print(f"\n{self.step:2}. {story}")
        print(f"    > {tool} {self._plain(json.dumps(arguments, ensure_ascii=False))}")
        result = await self.client.call_tool(tool, arguments)
        text = "\n".join(block.text for block in result.content if block.type == "text")
        mark = "    ! " if result.is_error else "    | "
        shown = self._plain(text).rstrip("\n").split("\n")
        for line in shown[:12]:
            print(_short(mark + line))
        if len(shown) > 12:
            print(f"{mark}... {len(shown) - 12} more lines")
        return text

    def _plain(self, text: str) -> str:
        return text.replace(self.scratch, "SCRATCH")


def run(argv: Sequence[str]) -> int:
    """Run the demo.

    Returns:
        0, or 2 if the filesystem server isn't installed.
    """
    parser = argparse.ArgumentParser(
        prog="gatelodge demo", description="A host's session with the filesystem server, on files made for it."
    )
    parser.parse_args(list(argv))
    try:
        command = _command("gatelodge-filesystem")
    except SettingsError as error:
        print(f"gatelodge demo: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="gatelodge-demo-") as folder:
        scratch = os.path.realpath(folder)
        _furnish(Path(scratch))
        anyio.run(_tell, command, scratch)
    print("\nThe scratch folder is gone again. Next: gatelodge-filesystem ~/some/folder, or see the README.")
    return 0


def _command(name: str) -> str:
    """The installed command of a server.

    Raises:
        SettingsError: It isn't installed.
    """
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        raise SettingsError(f"{name} is not installed. Install it with: uv pip install 'gatelodge[filesystem]'")
    return found


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


async def _tell(command: str, scratch: str) -> None:
    # The SDK's client, as a host would use it; imported late, since only the demo needs it.
    from mcp import Client, StdioServerParameters  # noqa: PLC0415
    from mcp.client.stdio import stdio_client  # noqa: PLC0415

    state = os.path.join(scratch, "state")
    roots = [os.path.join(scratch, "harbour"), os.path.join(scratch, "archive:ro")]
    arguments = [*roots, "--state-dir", state]
    print("Launching, as a host does:")
    print("    gatelodge-filesystem SCRATCH/harbour SCRATCH/archive:ro --state-dir SCRATCH/state")
    server = stdio_client(StdioServerParameters(command=command, args=arguments))
    async with Client(server) as client:
        tools = await client.list_tools()
        print(f"    it offers {len(tools.tools)} tools: {', '.join(tool.name for tool in tools.tools)}")
        await _story(Session(client, scratch), scratch)
    _show_journal(os.path.join(state, "journal"))


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
    await session.call(
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
    await session.call("Climb out with ../: refused.", "read_file", path="harbour/../private.txt")
    await session.call(
        "Follow a link that leads out: refused, as if it were not there.", "read_file", path="harbour/shortcut.txt"
    )
    await session.call("Ask for a file elsewhere: refused.", "read_file", path=os.path.join(scratch, "private.txt"))
    await session.call(
        "Write where only reading was granted: refused.", "write_file", path="archive/2020.md", content="New notes.\n"
    )
    await session.call("Write a new file.", "write_file", path="harbour/log/february.txt", content="01 calm\n")


def _show_journal(directory: str) -> None:
    print("\n$ gatelodge audit show")
    audit.run(["show", "--directory", directory, "-n", "6"])
    print("\n$ gatelodge audit verify")
    if audit.run(["verify", "--directory", directory]):
        raise SystemExit("The journal does not verify.")


def _short(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 4]} ..."
