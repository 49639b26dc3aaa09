"""The names and arguments of the reference server (npm ``@modelcontextprotocol/server-filesystem`` 2026.8.31).

``--compat reference`` offers these instead of our own tools, so that allow-lists and prompts keep working while people
migrate: same engine, same confinement, same budget. Answers have the reference's form; what is cut says so at its end.
"""

from __future__ import annotations

import json
import os
import threading
from typing import Annotated, Literal

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import PRIVATE, READ, WRITE
from gatelodge_core.errors import CallError
from mcp_types import CallToolResult
from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from gatelodge_filesystem.atomic import Current
from gatelodge_filesystem.edits import Edit, apply
from gatelodge_filesystem.encoding import detect
from gatelodge_filesystem.find import Query, find
from gatelodge_filesystem.listing import Listing, list_folder
from gatelodge_filesystem.moving import make_folder, move
from gatelodge_filesystem.names import shown
from gatelodge_filesystem.tools.reading import get_file_info as our_info
from gatelodge_filesystem.tools.reading import rules_for, span
from gatelodge_filesystem.tools.several import read_media
from gatelodge_filesystem.unified import unified
from gatelodge_filesystem.walk import Budget
from gatelodge_filesystem.windows import read_window
from gatelodge_filesystem.workspace import Spot, Workspace

compat = Declarations[Workspace]()

MAX_ENTRIES = 20_000
Excluded = Annotated[list[str], Field(max_length=20)]


@with_config(ConfigDict(extra="forbid", strict=True))
class CompatEdit(TypedDict):
    """One replacement."""

    oldText: str
    newText: str


def _absolute(spot: Spot) -> str:
    return shown(os.path.join(spot.root.jail.path, spot.rel) if spot.rel else spot.root.jail.path)


def _fitted(lines: list[str], budget: int) -> str:
    """As many lines as fit, and how many don't."""
    room = budget - 200
    for number, line in enumerate(lines):
        room -= len(line) + 1
        if room < 0:
            left = len(lines) - number
            return "\n".join([*lines[:number], f"[CUT: {left} more lines; ask for a subfolder or a narrower pattern]"])
    return "\n".join(lines)


@compat.tool(effect=READ, yields=PRIVATE)
async def read_text_file(
    workspace: Workspace,
    path: str,
    tail: Annotated[int, Field(ge=0)] = 0,
    head: Annotated[int, Field(ge=0)] = 0,
) -> str:
    """Read a text file; head or tail gives only its first or last lines."""
    spot = workspace.spot(path)
    if head and tail:
        raise CallError("invalid_arguments", "give head or tail, not both.")

    def work(stop: threading.Event) -> str:
        fd = workspace.open_file(spot)
        try:
            window = read_window(
                fd, start=-tail if tail else 1, max_lines=head or 10_000_000, budget=workspace.budget - 300, stop=stop
            )
        finally:
            os.close(fd)
        cut = window.cut_characters or (window.next_line and not head)
        note = f"\n[CUT: lines {span(window)} are shown; use tail or head]" if cut else ""
        return window.text + note

    return await workspace.read(work)


@compat.tool(effect=READ, yields=PRIVATE)
async def read_file(
    workspace: Workspace,
    path: str,
    tail: Annotated[int, Field(ge=0)] = 0,
    head: Annotated[int, Field(ge=0)] = 0,
) -> str:
    """Read a text file. Deprecated name of read_text_file."""
    return await read_text_file(workspace, path, tail, head)


@compat.tool(effect=READ, yields=PRIVATE)
async def read_media_file(workspace: Workspace, path: str) -> CallToolResult:
    """Read an image or audio file."""
    return await read_media(workspace, path)


@compat.tool(effect=READ, yields=PRIVATE)
async def read_multiple_files(
    workspace: Workspace, paths: Annotated[list[str], Field(min_length=1, max_length=50)]
) -> str:
    """Read several text files; one that fails doesn't stop the others."""

    def work(stop: threading.Event) -> str:
        parts: list[str] = []
        room = workspace.budget - 500
        for number, path in enumerate(paths):
            share = max(room // (len(paths) - number) - 300, 200)
            try:
                fd = workspace.open_file(workspace.spot(path))
                try:
                    window = read_window(fd, start=1, max_lines=10_000_000, budget=share, stop=stop)
                finally:
                    os.close(fd)
                note = f"\n[CUT after line {window.last}]" if window.next_line else ""
                part = f"{path}:\n{window.text}{note}\n"
            except CallError as error:
                part = f"{path[:400]}: Error - {error}"
            room -= len(part) + 5
            if room < 0:
                parts.append(f"[CUT: {len(paths) - number} more files; ask for them again]")
                break
            parts.append(part)
        return "\n---\n".join(parts)

    return await workspace.read(work)


@compat.tool(effect=WRITE, yields=PRIVATE, idempotent=True)
async def write_file(workspace: Workspace, path: str, content: str) -> str:
    """Create a file, or overwrite one without a question."""
    spot = workspace.spot(path)
    data = content.encode()

    def work() -> str:
        try:
            workspace.create(spot, data)
        except CallError as error:
            if error.code != "exists":
                raise
            workspace.replace(spot, lambda _: data, "", tool="write_file")
        return f"Successfully wrote to {path}"

    return await workspace.change(work)


@compat.tool(effect=WRITE, yields=PRIVATE)
async def edit_file(
    workspace: Workspace,
    path: str,
    edits: Annotated[list[CompatEdit], Field(min_length=1, max_length=200)],
    dryRun: bool = False,  # noqa: N803 - the reference's name
) -> str:
    """Replace exact text, each unique in the file; answers with the diff. dryRun changes nothing."""
    spot = workspace.spot(path)
    versions: list[tuple[bytes, bytes]] = []

    def change(current: Current) -> bytes:
        found = detect(current.data[:65536], whole=len(current.data) <= 65536)
        if not found.is_text:
            raise CallError("is_binary", f"{spot} is not text.")
        made = apply(current.data, [Edit(edit["oldText"], edit["newText"]) for edit in edits], found).data
        versions[:] = [(current.data, made)]
        return made

    def work() -> str:
        if dryRun:
            change(workspace.current(spot))
        else:
            workspace.replace(spot, change, "", tool="edit_file")
        before, after = versions[0]
        found = detect(after[:65536], whole=len(after) <= 65536)
        return f"```diff\n{unified(before, after, _absolute(spot), found, budget=workspace.budget - 500).text}```\n"

    return await workspace.change(work)


@compat.tool(effect=WRITE, yields=PRIVATE, additive=True, idempotent=True)
async def create_directory(workspace: Workspace, path: str) -> str:
    """Create a folder and those above it; nothing happens if it exists."""
    spot = workspace.spot(path)

    def work() -> str:
        make_folder(workspace, spot, parents=True)
        return f"Successfully created directory {path}"

    return await workspace.change(lambda: workspace.guarded(spot, work))


def _listed(workspace: Workspace, spot: Spot, stop: threading.Event, order: Literal["name", "size"]) -> Listing:
    fd = workspace.open_directory(spot)
    try:
        rel, _ = rules_for(workspace, spot, use=False)
        return list_folder(
            fd, depth=1, order=order, hidden=True, use_ignore=False, limit=MAX_ENTRIES, room=1 << 40, cursor="",
            budget=Budget(stop), prefix=f"{rel}/" if rel else "", refuses=spot.root.jail.refuses,
        )  # fmt: skip
    finally:
        os.close(fd)


@compat.tool(effect=READ, yields=PRIVATE)
async def list_directory(workspace: Workspace, path: str) -> str:
    """List a folder, each entry marked [FILE] or [DIR]."""
    spot = workspace.spot(path)

    def work(stop: threading.Event) -> str:
        items = _listed(workspace, spot, stop, "name").items
        return _fitted([f"{_mark(item.kind)} {shown(item.rel)}" for item in items], workspace.budget)

    return await workspace.read(work)


def _mark(kind: str) -> str:
    return "[DIR]" if kind == "folder" else "[FILE]"


@compat.tool(effect=READ, yields=PRIVATE)
async def list_directory_with_sizes(
    workspace: Workspace,
    path: str,
    sortBy: Literal["name", "size"] = "name",  # noqa: N803 - the reference's name
) -> str:
    """List a folder with the sizes of its files, sorted by name or size."""
    spot = workspace.spot(path)

    def work(stop: threading.Event) -> str:
        items = _listed(workspace, spot, stop, sortBy).items
        lines = [
            f"{_mark(item.kind)} {shown(item.rel):<30} {_size(item.size) if item.kind == 'file' else '':>10}".rstrip()
            for item in items
        ]
        folders = sum(item.kind == "folder" for item in items)
        total = [
            "",
            f"Total: {len(items) - folders} files, {folders} directories",
            f"Combined size: {_size(sum(item.size for item in items))}",
        ]
        return _fitted(lines, workspace.budget - 200) + "\n" + "\n".join(total)

    return await workspace.read(work)


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.2f} {unit}"
        count /= 1024
    return f"{count:.2f} TB"


@compat.tool(effect=READ, yields=PRIVATE)
async def directory_tree(workspace: Workspace, path: str, excludePatterns: Excluded = []) -> str:  # noqa: N803, B006
    """A folder as a JSON tree of name, type and children; large or ignored folders are only counted."""
    spot = workspace.spot(path)

    def work(stop: threading.Event) -> str:
        rel, above = rules_for(workspace, spot, use=True)
        fd = workspace.open_directory(spot)
        try:
            found = list_folder(
                fd, depth=20, order="name", hidden=True, use_ignore=False, limit=MAX_ENTRIES,
                room=workspace.budget - 1000, cursor="", budget=Budget(stop), above=above,
                prefix=f"{rel}/" if rel else "", refuses=spot.root.jail.refuses, exclude=tuple(excludePatterns),
            )  # fmt: skip
        finally:
            os.close(fd)
        return _tree(found)

    return await workspace.read(work)


def _tree(found: Listing) -> str:
    top: list[dict[str, object]] = []
    inside: dict[str, list[dict[str, object]]] = {"": top}
    collapsed = {item.rel: item for item in found.collapsed}
    for item in found.items:
        folder, _, name = item.rel.rpartition("/")
        entry: dict[str, object] = {"name": shown(name), "type": "directory" if item.kind == "folder" else "file"}
        if item.rel in collapsed:
            entry["collapsed"] = f"{collapsed[item.rel].entries} entries, {collapsed[item.rel].reason}"
        elif item.kind == "folder":
            entry["children"] = inside[item.rel] = []
        # Sorted by path, a folder comes before what is in it.
        inside.get(folder, top).append(entry)
    if found.cursor:
        left = found.total - len(found.items)
        top.append({"name": f"[CUT: {left} more entries; ask for a subfolder]", "type": "file"})
    return json.dumps(top, ensure_ascii=False, separators=(",", ":"))


@compat.tool(effect=WRITE, yields=PRIVATE)
async def move_file(workspace: Workspace, source: str, destination: str) -> str:
    """Move or rename a file or folder in one step; fails if the destination exists."""
    old, new = workspace.spot(source), workspace.spot(destination)

    def work() -> str:
        move(workspace, old, new, overwrite=False, if_match="", dry_run=False)
        return f"Successfully moved {source} to {destination}"

    return await workspace.change(work)


@compat.tool(effect=READ, yields=PRIVATE)
async def search_files(workspace: Workspace, path: str, pattern: str, excludePatterns: Excluded = []) -> str:  # noqa: N803, B006
    """Find files and folders whose path matches a glob; answers with full paths."""
    spot = workspace.spot(path)
    query = Query(
        (pattern,), tuple(excludePatterns), "any", order="path", use_ignore=False, hidden=True, limit=MAX_ENTRIES,
        room=workspace.budget,
    )  # fmt: skip

    def work(stop: threading.Event) -> str:
        rel, _ = rules_for(workspace, spot, use=False)
        fd = workspace.open_directory(spot)
        try:
            found = find(fd, query, Budget(stop), prefix=f"{rel}/" if rel else "", refuses=spot.root.jail.refuses)
        finally:
            os.close(fd)
        base = _absolute(spot)
        lines = [os.path.join(base, shown(name).rstrip("/")) for name in found.paths]
        # Those that were not given a place count as cut, too.
        left = found.total - len(lines)
        text = _fitted(lines, workspace.budget - 200)
        return (text + (f"\n[CUT: {left} more matches]" if left else "")) or "No matches found"

    return await workspace.read(work)


@compat.tool(effect=READ, yields=PRIVATE)
async def get_file_info(workspace: Workspace, path: str) -> str:
    """Size, times, type and permissions of a file or folder."""
    record = (await our_info(workspace, [path])).files[0]
    if record.error:
        raise CallError(*record.error.split(": ", 1))
    return "\n".join(
        (
            f"size: {record.size}",
            f"modified: {record.modified}",
            f"isDirectory: {str(record.type == 'folder').lower()}",
            f"isFile: {str(record.type == 'file').lower()}",
            f"permissions: {record.mode}",
            f"etag: {record.etag}",
        )
    )


@compat.tool(effect=READ)
async def list_allowed_directories(workspace: Workspace) -> str:
    """The folders that this server may use."""
    return "\n".join(("Allowed directories:", *(shown(root.jail.path) for root in workspace.roots)))
