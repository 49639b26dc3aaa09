"""Files and folders as resources, and completions of their paths."""

from __future__ import annotations

import json
import os
import stat
import threading
from urllib.parse import quote

from gatelodge_core.declare import ANY_TYPE, Content, Declarations
from gatelodge_core.effects import PRIVATE

from gatelodge_filesystem.encoding import detect
from gatelodge_filesystem.mime import mime_of
from gatelodge_filesystem.names import shown
from gatelodge_filesystem.subscribed import BY_NAME, BY_PATH, INDEX
from gatelodge_filesystem.windows import SAMPLE_BYTES, read_all
from gatelodge_filesystem.workspace import Spot, Workspace

resources = Declarations[Workspace]()

MAX_RESOURCE = 1024 * 1024
MAX_LISTED = 1000
MAX_SCANNED = 20_000


@resources.resource(INDEX, name="roots", mime_type="application/json")
async def roots_index(workspace: Workspace) -> str:
    """The folders this server may use, each with the URI of its entries."""
    found = [
        {
            "name": shown(root.name),
            "uri": f"fs://{quote(os.fsencode(root.name))}/",
            "mode": "rw" if root.writable else "ro",
        }
        for root in workspace.roots
    ]
    return json.dumps({"roots": found}, ensure_ascii=False)


@resources.resource(BY_NAME, name="file", mime_type=ANY_TYPE, yields=PRIVATE)
async def file_in_root(workspace: Workspace, root: str, path: str) -> Content:
    """A file, or a folder as JSON, by root name and path."""
    return await _content(workspace, f"{root}/{path}")


@resources.resource(BY_PATH, name="file-by-path", mime_type=ANY_TYPE, yields=PRIVATE)
async def file_by_path(workspace: Workspace, path: str) -> Content:
    """A file, or a folder as JSON, by absolute path."""
    return await _content(workspace, f"/{path}")


async def _content(workspace: Workspace, path: str) -> Content:
    spot = workspace.spot(path)

    def work(_: threading.Event) -> Content:
        found = workspace.guarded(spot, lambda: spot.root.jail.stat(spot.rel))
        if stat.S_ISDIR(found.st_mode):
            return Content(_folder(workspace, spot), "application/json")
        fd = workspace.open_file(spot)
        try:
            data = read_all(fd, MAX_RESOURCE)
        finally:
            os.close(fd)
        encoding = detect(data[:SAMPLE_BYTES], whole=len(data) <= SAMPLE_BYTES)
        kind = mime_of(spot.rel, data[:64], text=encoding.is_text)
        if not encoding.is_text:
            return Content(data, kind)
        # The text is sent as JSON, so the file's own encoding is no longer its charset.
        return Content(encoding.decode(data[len(encoding.bom) :]), kind)

    return await workspace.read(work)


def _folder(workspace: Workspace, spot: Spot) -> str:
    names = _entries(workspace, spot, "", hidden=True)
    return json.dumps({"folder": str(spot), "entries": names[:MAX_LISTED], "total": len(names)}, ensure_ascii=False)


def _entries(workspace: Workspace, spot: Spot, beginning: str, *, hidden: bool) -> list[str]:
    """Names in a folder, folders first and with a slash."""
    fd = workspace.open_directory(spot)
    try:
        with os.scandir(fd) as found:
            entries = [
                (entry.name, entry.is_dir(follow_symlinks=False))
                for entry, _ in zip(found, range(MAX_SCANNED), strict=False)
            ]
    finally:
        os.close(fd)
    named = sorted((not folder, shown(name) + ("/" if folder else "")) for name, folder in entries)
    return [
        name for _, name in named if name.startswith(beginning) and (hidden or beginning or not name.startswith("."))
    ]


@resources.completer("file", "root")
async def complete_root(workspace: Workspace, value: str, chosen: dict[str, str]) -> list[str]:
    """Names of roots."""
    del chosen
    return [shown(root.name) for root in workspace.roots if shown(root.name).startswith(value)]


@resources.completer("file", "path")
async def complete_path(workspace: Workspace, value: str, chosen: dict[str, str]) -> list[str]:
    """Paths inside the root that was chosen."""
    root = chosen.get("root") or workspace.roots[0].name
    return await _complete(workspace, root, value)


@resources.completer("file-by-path", "path")
async def complete_absolute(workspace: Workspace, value: str, chosen: dict[str, str]) -> list[str]:
    """Absolute paths, without their first slash, as the template has it."""
    del chosen
    found: list[str] = []
    for root in workspace.roots:
        base = shown(root.jail.path).lstrip("/")
        if base.startswith(value):
            found.append(f"{base}/")
        elif value.startswith(f"{base}/"):
            found += [f"{base}/{name}" for name in await _complete(workspace, root.name, value[len(base) + 1 :])]
    return found


@resources.completer("explain_folder", "path")
@resources.completer("review_changes", "path")
@resources.completer("tidy_folder", "path")
async def complete_folder(workspace: Workspace, value: str, chosen: dict[str, str]) -> list[str]:
    """Folders, by root name and path."""
    del chosen
    root, slash, rest = value.partition("/")
    if not slash:
        return [f"{shown(item.name)}/" for item in workspace.roots if shown(item.name).startswith(root)]
    return [f"{root}/{name}" for name in await _complete(workspace, root, rest) if name.endswith("/")]


async def _complete(workspace: Workspace, root: str, value: str) -> list[str]:
    folder, slash, beginning = value.rpartition("/")
    spot = workspace.spot(f"{root}/{folder}")
    names = await workspace.read(lambda _: _entries(workspace, spot, beginning, hidden=False))
    return [f"{folder}{slash}{name}" for name in names]
