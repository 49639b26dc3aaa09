"""Tools that read one file or folder."""

from __future__ import annotations

import datetime
import mimetypes
import os
import stat
import threading
from typing import Annotated, Literal

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import PRIVATE, READ
from gatelodge_core.errors import CallError, JailError
from gatelodge_core.sandbox.credentials import SUMMARY
from pydantic import BaseModel, Field

from gatelodge_filesystem.encoding import count_lines, detect, eol_name, etag, line_ends
from gatelodge_filesystem.ignore import Rules
from gatelodge_filesystem.listing import list_folder
from gatelodge_filesystem.names import fitting, shown
from gatelodge_filesystem.walk import Budget, rules_above
from gatelodge_filesystem.windows import SAMPLE_BYTES, Window, numbered, read_all, read_window
from gatelodge_filesystem.workspace import Spot, Workspace

reading = Declarations[Workspace]()

Path = str
"""As root/rest, or absolute; `list_roots` says so, rather than every tool."""
MAX_HASHED = 256 * 1024 * 1024
MAX_COUNTED = 64 * 1024 * 1024
MAX_PATHS = 50
MARGIN = 4000
"""Characters of a result that are kept for everything but its list."""


class RootRecord(BaseModel):
    """A root as it is told."""

    name: str
    path: str
    mode: Literal["rw", "ro"]


class RootsRecord(BaseModel):
    """All roots, and what guards them."""

    roots: list[RootRecord]
    confinement: str
    protected: str
    budget_characters: int


@reading.tool(effect=READ)
async def list_roots(workspace: Workspace) -> RootsRecord:
    """List the folders this server may use, with their mode. Paths in all tools begin with a root's name."""
    return RootsRecord(
        roots=[
            RootRecord(name=shown(root.name), path=shown(root.jail.path), mode="rw" if root.writable else "ro")
            for root in workspace.roots
        ],
        confinement=", ".join(sorted({f"path jail ({root.jail.level})" for root in workspace.roots})),
        protected=SUMMARY,
        budget_characters=workspace.budget,
    )


@reading.tool(effect=READ, yields=PRIVATE)
async def read_file(
    workspace: Workspace,
    path: Path,
    start_line: Annotated[int, Field(description="From 1; negative for the last lines.")] = 1,
    max_lines: Annotated[int, Field(ge=1, le=100_000)] = 2000,
    line_numbers: Annotated[bool, Field(description="Put numbers before the lines.")] = False,
    skip_characters: Annotated[int, Field(ge=0, description="Of the first line, when it is very long.")] = 0,
    if_none_match: Annotated[str, Field(description="An etag: answer only if the file differs.")] = "",
) -> str:
    """Read a text file or a range of its lines. The first line of the answer tells etag, lines, encoding and what to ask next."""
    spot = workspace.spot(path)
    if start_line == 0:
        raise CallError("invalid_arguments", "start_line counts from 1; negative numbers count from the end.")

    def work(stop: threading.Event) -> Window:
        fd = workspace.open_file(spot)
        try:
            return read_window(
                fd,
                start=start_line,
                max_lines=max_lines,
                budget=workspace.budget - 1000,
                skip=skip_characters,
                numbers=line_numbers,
                stop=stop,
            )
        finally:
            os.close(fd)

    window = await workspace.read(work)
    if if_none_match and if_none_match == window.etag:
        return not_modified(spot, window.etag)
    return f"{header(spot, window)}\n{numbered(window) if line_numbers else window.text}"


def not_modified(spot: Spot, tag: str) -> str:
    """The answer to a read with an etag that still holds."""
    return f"[{spot}] not modified, etag={tag}"


def span(window: Window) -> str:
    """Which lines a window has, and of how many; negative ones are counted from the end."""
    total = "?" if window.total is None else str(window.total)
    if not window.text:
        return f"none of {total}"
    if window.first > 0:
        return f"{window.first}-{window.last} of {total}"
    return (
        f"the last {-window.first} of {total}" if window.last == -1 else f"{window.first} to {window.last} of {total}"
    )


def header(spot: Spot, window: Window) -> str:
    """The line above the lines of a file: which they are, and how to go on."""
    parts = [f"[{spot}] lines {span(window)}"]
    if window.etag:
        parts.append(f"etag={window.etag}")
    parts.append(window.encoding.name)
    parts.append(f"eol={window.eol}")
    if window.cut_characters:
        parts.append(f"CUT: {window.cut_characters} more characters in line {window.last}; use skip_characters")
    if window.next_line:
        parts.append(f"MORE: continue with start_line={window.next_line}")
    return ", ".join(parts)


class EntryRecord(BaseModel):
    """One entry of a folder."""

    path: str
    type: Literal["file", "folder", "link", "other"]
    size: int
    modified: str


class CollapsedRecord(BaseModel):
    """A folder that a tree doesn't enter; list it by itself."""

    path: str
    entries: int
    reason: Literal["large", "ignored"]


class ListingRecord(BaseModel):
    """A page of a folder's entries."""

    folder: str
    entries: list[EntryRecord]
    shown: int
    total: int
    ignored: int
    unreadable: list[str]
    protected: list[str]
    collapsed: list[CollapsedRecord]
    next_cursor: str


@reading.tool(effect=READ, yields=PRIVATE)
async def list_directory(
    workspace: Workspace,
    path: Path = "",
    depth: Annotated[int, Field(ge=1, le=20, description="Levels to show.")] = 1,
    sort: Literal["name", "size", "mtime"] = "name",
    hidden: Annotated[bool, Field(description="Show dot names.")] = True,
    gitignore: Annotated[bool, Field(description="Leave out ignored files.")] = False,
    limit: Annotated[int, Field(ge=1, le=2000)] = 200,
    cursor: str = "",
) -> ListingRecord:
    """List a folder with types, sizes and times; with depth a tree, where large and ignored folders are only counted."""
    spot = workspace.spot(path)

    def work(stop: threading.Event) -> ListingRecord:
        rel, above = rules_for(workspace, spot, use=gitignore)
        fd = workspace.open_directory(spot)
        try:
            found = list_folder(
                fd, depth=depth, order=sort, hidden=hidden, use_ignore=gitignore, limit=limit,
                room=workspace.budget - MARGIN, cursor=cursor,
                budget=Budget(stop), above=above, prefix=f"{rel}/" if rel else "", refuses=spot.root.jail.refuses,
            )  # fmt: skip
        finally:
            os.close(fd)
        return ListingRecord(
            folder=str(spot),
            entries=[
                EntryRecord(path=shown(item.rel), type=item.kind, size=item.size, modified=stamp(item.mtime_ns))
                for item in found.items
            ],
            shown=len(found.items),
            total=found.total,
            ignored=found.ignored,
            unreadable=fitting(found.unreadable[:20], 1000),
            protected=fitting(found.refused[:20], 1000),
            collapsed=[
                CollapsedRecord(path=shown(item.rel), entries=item.entries, reason=item.reason)
                for item in found.collapsed
            ],
            next_cursor=found.cursor,
        )

    return await workspace.read(work)


class InfoRecord(BaseModel):
    """What is known of one path; `error` is empty unless it could not be looked at."""

    path: str
    error: str = ""
    type: str = ""
    size: int = 0
    modified: str = ""
    mode: str = ""
    owner: str = ""
    links: int = 0
    link_target: str = ""
    mime: str = ""
    encoding: str = ""
    eol: str = ""
    lines: int = 0
    etag: str = ""


class InfosRecord(BaseModel):
    """What is known of several paths."""

    files: list[InfoRecord]


@reading.tool(effect=READ, yields=PRIVATE)
async def get_file_info(
    workspace: Workspace, paths: Annotated[list[str], Field(min_length=1, max_length=MAX_PATHS)]
) -> InfosRecord:
    """Type, size, times, mode, owner, MIME type, encoding, line ends, line count and etag of files or folders."""

    def work(stop: threading.Event) -> InfosRecord:
        files: list[InfoRecord] = []
        for path in paths:
            if stop.is_set():
                break
            try:
                files.append(_info(workspace, workspace.spot(path)))
            except CallError as error:
                files.append(InfoRecord(path=path[:400], error=str(error)))
        return InfosRecord(files=files)

    return await workspace.read(work)


def _info(workspace: Workspace, spot: Spot) -> InfoRecord:
    found = workspace.guarded(spot, lambda: spot.root.jail.stat(spot.rel, follow=False))
    record = InfoRecord(
        path=str(spot),
        type=_type(found.st_mode),
        size=found.st_size,
        modified=stamp(found.st_mtime_ns),
        mode=stat.filemode(found.st_mode),
        owner=f"{found.st_uid}:{found.st_gid}",
        links=found.st_nlink,
        mime=mimetypes.guess_type(spot.rel)[0] or "",
    )
    if stat.S_ISLNK(found.st_mode):
        try:
            # Shown only if it stays inside: where a link out leads is nobody's business.
            record.link_target = shown(spot.root.jail.canonical(spot.rel))
        except JailError:
            record.link_target = "(not reachable)"
    if stat.S_ISREG(found.st_mode):
        try:
            fd = workspace.open_file(spot)
        except CallError as error:
            record.error = str(error)
            return record
        try:
            sample = os.pread(fd, SAMPLE_BYTES, 0)
            encoding = detect(sample, whole=found.st_size <= len(sample))
            record.encoding = encoding.name
            if found.st_size <= MAX_HASHED:
                data = read_all(fd, MAX_HASHED)
                record.etag = etag(data)
                if encoding.is_text and len(data) <= MAX_COUNTED:
                    record.lines = count_lines(data[len(encoding.bom) :], encoding)
                    record.eol = eol_name(line_ends(data[len(encoding.bom) :], encoding))
        finally:
            os.close(fd)
    return record


def _type(mode: int) -> str:
    for check, name in ((stat.S_ISREG, "file"), (stat.S_ISDIR, "folder"), (stat.S_ISLNK, "link")):
        if check(mode):
            return name
    return "other"


def stamp(nanoseconds: int) -> str:
    """A time as ISO 8601 in UTC, to the second."""
    moment = datetime.datetime.fromtimestamp(nanoseconds // 1_000_000_000, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def rules_for(workspace: Workspace, spot: Spot, *, use: bool) -> tuple[str, Rules | None]:
    """A folder's canonical path in its root, and the ignore rules that hold in it from above."""
    rel = workspace.guarded(spot, lambda: spot.root.jail.canonical(spot.rel))
    return rel, workspace.guarded(spot, lambda: rules_above(spot.root.jail.open_directory, rel)) if use else None
