"""The names and arguments of the reference server (npm ``@modelcontextprotocol/server-filesystem`` 2026.8.31).

``--compat reference`` offers these instead of our own tools, so that allow-lists and prompts keep working while people
migrate: same engine, same confinement, same budget. Answers have the reference's form; what is cut says so at its end.
"""

from __future__ import annotations

import base64
import os
import stat
import threading
from pathlib import Path
from typing import Annotated, Literal

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import PRIVATE, READ, WRITE
from gatelodge_core.errors import CallError
from mcp_types import BlobResourceContents, CallToolResult, EmbeddedResource
from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from gatelodge_filesystem.atomic import Current
from gatelodge_filesystem.edits import Edit, apply
from gatelodge_filesystem.encoding import detect
from gatelodge_filesystem.find import Query, find
from gatelodge_filesystem.listing import Listing, list_folder
from gatelodge_filesystem.mime import mime_of
from gatelodge_filesystem.moving import make_folder, move
from gatelodge_filesystem.names import shown
from gatelodge_filesystem.tools.compat_words import anywhere, fenced, in_its_words, to_go_on, tree_of, worded
from gatelodge_filesystem.tools.reading import get_file_info as our_info
from gatelodge_filesystem.tools.reading import rules_for, span, stamp
from gatelodge_filesystem.tools.several import read_media
from gatelodge_filesystem.unified import unified
from gatelodge_filesystem.walk import Budget
from gatelodge_filesystem.windows import read_all, read_window
from gatelodge_filesystem.workspace import Spot, Workspace

compat = Declarations[Workspace]()

MAX_ENTRIES = 20_000
MAX_EMBEDDED = 750_000
"""Bytes of the largest file that is embedded, as of a sound."""
MAX_FILES = 200
Excluded = Annotated[list[str], Field(max_length=100)]


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
@in_its_words
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
        note = f"\n[CUT: lines {span(window)} are shown; {to_go_on(window)}]" if cut else ""
        return window.text + note

    return await workspace.read(work)


@compat.tool(effect=READ, yields=PRIVATE)
@in_its_words
async def read_file(
    workspace: Workspace,
    path: str,
    tail: Annotated[int, Field(ge=0)] = 0,
    head: Annotated[int, Field(ge=0)] = 0,
) -> str:
    """Read a text file. Deprecated name of read_text_file."""
    return await read_text_file(workspace, path, tail, head)


@compat.tool(effect=READ, yields=PRIVATE)
@in_its_words
async def read_media_file(workspace: Workspace, path: str) -> CallToolResult:
    """Read an image or audio file; any other file is an embedded resource, in base64."""
    try:
        return await read_media(workspace, path)
    except CallError as error:
        if error.code != "no_media":
            raise
    spot = workspace.spot(path)

    def work(_: threading.Event) -> CallToolResult:
        fd = workspace.open_file(spot)
        try:
            data = read_all(fd, MAX_EMBEDDED)
        finally:
            os.close(fd)
        blob = BlobResourceContents(
            uri=Path(_absolute(spot)).as_uri(),
            mime_type=mime_of(spot.rel, data[:64], text=False),
            blob=base64.b64encode(data).decode(),
        )
        return CallToolResult(content=[EmbeddedResource(type="resource", resource=blob)])

    return await workspace.read(work)


@compat.tool(effect=READ, yields=PRIVATE)
@in_its_words
async def read_multiple_files(
    workspace: Workspace, paths: Annotated[list[str], Field(min_length=1, max_length=MAX_FILES)]
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
                part = f"{path[:400]}: Error - {worded(error)}"
            room -= len(part) + 5
            if room < 0:
                parts.append(f"[CUT: {len(paths) - number} more files; ask for them again]")
                break
            parts.append(part)
        return "\n---\n".join(parts)

    return await workspace.read(work)


@compat.tool(effect=WRITE, yields=PRIVATE, idempotent=True)
@in_its_words
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
@in_its_words
async def edit_file(
    workspace: Workspace,
    path: str,
    edits: Annotated[list[CompatEdit], Field(min_length=1, max_length=200)],
    dryRun: bool = False,  # noqa: N803 - the reference's name
) -> str:
    """Replace text, each unique in the file, one edit after the other; answers with the diff. dryRun changes nothing."""
    spot = workspace.spot(path)
    versions: list[tuple[bytes, bytes]] = []

    def change(current: Current) -> bytes:
        found = detect(current.data[:65536], whole=len(current.data) <= 65536)
        if not found.is_text:
            raise CallError("is_binary", f"{spot} is not text.")
        made = current.data
        for number, edit in enumerate(edits, 1):
            # Each is looked for in what the one before it made, as there; whole lines also by their text alone.
            try:
                made = apply(made, [Edit(edit["oldText"], edit["newText"])], found, flexible=True).data
            except CallError as error:
                message = error.message.replace("edit 1:", f"edit {number}:", 1)
                raise CallError(error.code, message, error.hint) from None
        versions[:] = [(current.data, made)]
        return made

    def work() -> str:
        if dryRun:
            change(workspace.current(spot))
        else:
            workspace.replace(spot, change, "", tool="edit_file")
        before, after = versions[0]
        found = detect(after[:65536], whole=len(after) <= 65536)
        return fenced(unified(before, after, _absolute(spot), found, budget=workspace.budget - 500).text)

    return await workspace.change(work)


@compat.tool(effect=WRITE, yields=PRIVATE, additive=True, idempotent=True)
@in_its_words
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
@in_its_words
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
@in_its_words
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
@in_its_words
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
                prefix=f"{rel}/" if rel else "", refuses=spot.root.jail.refuses, exclude=anywhere(excludePatterns),
                anchored=True,
            )  # fmt: skip
        finally:
            os.close(fd)
        return tree_of(found)

    return await workspace.read(work)


@compat.tool(effect=WRITE, yields=PRIVATE)
@in_its_words
async def move_file(workspace: Workspace, source: str, destination: str) -> str:
    """Move or rename a file or folder in one step; fails if the destination exists."""
    old, new = workspace.spot(source), workspace.spot(destination)

    def work() -> str:
        move(workspace, old, new, overwrite=False, if_match="", dry_run=False)
        return f"Successfully moved {source} to {destination}"

    return await workspace.change(work)


@compat.tool(effect=READ, yields=PRIVATE)
@in_its_words
async def search_files(workspace: Workspace, path: str, pattern: str, excludePatterns: Excluded = []) -> str:  # noqa: N803, B006
    """Find files and folders whose path from there matches a glob, such as **/*.py; answers with full paths."""
    spot = workspace.spot(path)
    query = Query(
        (pattern,), tuple(excludePatterns), "any", order="path", use_ignore=False, hidden=True, limit=MAX_ENTRIES,
        room=workspace.budget, anchored=True, links=True,
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
@in_its_words
async def get_file_info(workspace: Workspace, path: str) -> str:
    """Size, times, type and permissions of a file or folder."""
    spot = workspace.spot(path)
    record = (await our_info(workspace, [path])).files[0]

    def work(_: threading.Event) -> str:
        found = workspace.guarded(spot, lambda: spot.root.jail.stat(spot.rel))
        # Linux tells Python no time of birth.
        born = getattr(found, "st_birthtime", None)
        lines = [
            f"size: {found.st_size}",
            *([f"created: {stamp(int(born * 1_000_000_000))}"] if born is not None else []),
            f"modified: {stamp(found.st_mtime_ns)}",
            f"accessed: {stamp(found.st_atime_ns)}",
            f"isDirectory: {str(stat.S_ISDIR(found.st_mode)).lower()}",
            f"isFile: {str(stat.S_ISREG(found.st_mode)).lower()}",
            f"permissions: {found.st_mode & 0o777:03o}",
        ]
        return "\n".join([*lines, f"etag: {record.etag}"] if record.etag else lines)

    return await workspace.read(work)


@compat.tool(effect=READ)
@in_its_words
async def list_allowed_directories(workspace: Workspace) -> str:
    """The folders that this server may use."""
    return "\n".join(("Allowed directories:", *(shown(root.jail.path) for root in workspace.roots)))
