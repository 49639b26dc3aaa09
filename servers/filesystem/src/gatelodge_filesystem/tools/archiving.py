"""Tools for archives, offered with ``--tools archive``."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Annotated

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import PRIVATE, READ, WRITE
from gatelodge_core.sandbox.place import Place
from pydantic import Field

from gatelodge_filesystem.archives import Limits, entries, pack, unpack
from gatelodge_filesystem.archives.writing import Made
from gatelodge_filesystem.changes.records import Where
from gatelodge_filesystem.moving import appear
from gatelodge_filesystem.names import shown
from gatelodge_filesystem.tools.reading import Path, rules_for
from gatelodge_filesystem.walk import Budget
from gatelodge_filesystem.workspace import Workspace

archiving = Declarations[Workspace]()

LIMITS = Limits()
Archive = Annotated[str, Field(description="A .zip, .tar, .tar.gz or .tgz, as root/rest.")]


@archiving.tool(effect=READ, yields=PRIVATE)
async def list_archive(workspace: Workspace, path: Archive) -> str:
    """What a zip or tar holds: names and sizes. Refused if it has links, names that lead out, or is a bomb."""
    spot = workspace.spot(path)

    def work(stop: threading.Event) -> str:
        budget = Budget(stop)
        lines: list[str] = []
        count = total = 0
        room = workspace.budget - 500
        with os.fdopen(workspace.open_file(spot), "rb") as file:
            for entry in entries(file, os.fstat(file.fileno()).st_size, LIMITS, lambda: budget.spend(0)):
                count += 1
                total += entry.size
                line = f"{entry.size:>12} {shown(entry.name)}{'/' if entry.folder else ''}"
                room -= len(line) + 1
                if room >= 0:
                    lines.append(line)
        cut = f", CUT: {count - len(lines)} more entries; extract_archive unpacks all" if len(lines) < count else ""
        return "\n".join([f"[{spot}] {count} entries, {total} bytes unpacked{cut}", *lines])

    return await workspace.read(work)


@archiving.tool(effect=WRITE, yields=PRIVATE, additive=True)
async def extract_archive(
    workspace: Workspace, path: Archive, folder: Annotated[str, Field(description="A new folder, as root/rest.")]
) -> str:
    """Unpack a zip or tar into a folder that isn't there yet: all of it, or nothing if any entry is refused."""
    source, target = workspace.spot(path), workspace.spot(folder)

    def work() -> str:
        budget = Budget()
        with os.fdopen(workspace.open_file(source), "rb") as file:
            size = os.fstat(file.fileno()).st_size

            def build(place: Place, end: Where, note: Callable[[int], None]) -> Made:
                return unpack(
                    file, size, place, end.rel, limits=LIMITS, refuses=target.root.jail.refuses,
                    spend=lambda: budget.spend(0), note=note,
                )  # fmt: skip

            change, made = workspace.guarded(target, lambda: appear(workspace, "extract_archive", target, build))
            return f"[{target}] unpacked {made.files} files, {made.size} bytes, change={change.id}"

    return await workspace.change(work)


@archiving.tool(effect=WRITE, yields=PRIVATE, additive=True)
async def create_archive(
    workspace: Workspace,
    folder: Path,
    path: Archive,
    gitignore: Annotated[bool, Field(description="Leave out ignored files and .git.")] = True,
) -> str:
    """Pack a folder's files into a new zip or tar. Links, special files and credentials are left out and counted."""
    source, target = workspace.spot(folder), workspace.spot(path)

    def work() -> str:
        rel, above = rules_for(workspace, source, use=gitignore)
        fd = workspace.open_directory(source)

        def build(place: Place, end: Where, note: Callable[[int], None]) -> Made:
            return pack(
                fd, place, end.rel.rpartition("/")[2], note=note, prefix=f"{rel}/" if rel else "", above=above,
                limits=LIMITS, refuses=source.root.jail.refuses, use_ignore=gitignore, budget=Budget(),
            )  # fmt: skip

        try:
            change, made = workspace.guarded(target, lambda: appear(workspace, "create_archive", target, build))
            left = f", {made.skipped} links, special files or credentials left out" if made.skipped else ""
            return f"[{target}] packed {made.files} files, {made.size} bytes{left}, change={change.id}"
        finally:
            os.close(fd)

    return await workspace.change(work)
