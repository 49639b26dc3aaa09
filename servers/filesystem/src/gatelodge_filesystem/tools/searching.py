"""Tools that look through a tree."""

from __future__ import annotations

import datetime
import os
import threading
from typing import Annotated, Literal

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import PRIVATE, READ
from gatelodge_core.errors import CallError
from pydantic import BaseModel, Field

from gatelodge_filesystem import cursors
from gatelodge_filesystem.find import Found, Query, find
from gatelodge_filesystem.names import fitting, shown
from gatelodge_filesystem.search import Hits, Request, page, search, search_file, summary
from gatelodge_filesystem.tools.reading import MARGIN, Path, rules_for
from gatelodge_filesystem.walk import Budget
from gatelodge_filesystem.workspace import Spot, Workspace

searching = Declarations[Workspace]()

Globs = Annotated[list[str], Field(max_length=20, description='For example ["**/*.py"].')]


class FoundRecord(BaseModel):
    """A page of paths that were found; each is relative to `folder`."""

    folder: str
    paths: list[str]
    shown: int
    total: int
    scanned: int
    unreadable: list[str]
    next_cursor: str


@searching.tool(effect=READ, yields=PRIVATE)
async def find_files(
    workspace: Workspace,
    globs: Globs = [],  # noqa: B006 - a plain default keeps the schema portable; it is never changed
    path: Path = "",
    exclude: Globs = [],  # noqa: B006
    type: Literal["file", "folder", "any"] = "file",  # noqa: A002 - the word callers know
    min_size: Annotated[int, Field(ge=0, description="Bytes.")] = 0,
    max_size: Annotated[int, Field(ge=0, description="Bytes; 0 for any.")] = 0,
    modified_after: Annotated[str, Field(description="ISO 8601 date or time.")] = "",
    sort: Literal["mtime", "path", "size"] = "mtime",
    gitignore: Annotated[bool, Field(description="Leave out ignored files and .git.")] = True,
    hidden: Annotated[bool, Field(description="Include dot names.")] = False,
    limit: Annotated[int, Field(ge=1, le=2000)] = 200,
    cursor: str = "",
) -> FoundRecord:
    """Find files or folders by name (glob), size and time, newest first. To search inside files use search_text."""
    spot = workspace.spot(path)
    query = Query(
        tuple(globs), tuple(exclude), type, min_size, max_size, _nanoseconds(modified_after), sort, gitignore, hidden,
        limit, workspace.budget - MARGIN, cursor,
    )  # fmt: skip

    def work(stop: threading.Event) -> Found:
        rel, above = rules_for(workspace, spot, use=gitignore)
        fd = workspace.open_directory(spot)
        try:
            return find(
                fd, query, Budget(stop), prefix=f"{rel}/" if rel else "", above=above, refuses=spot.root.jail.refuses
            )
        finally:
            os.close(fd)

    found = await workspace.read(work)
    paths = [shown(name) for name in found.paths]
    return FoundRecord(
        folder=str(spot),
        paths=paths,
        shown=len(paths),
        total=found.total,
        scanned=found.scanned,
        unreadable=fitting(found.unreadable[:20], 1000),
        next_cursor=found.cursor,
    )


def _nanoseconds(text: str) -> int | None:
    if not text:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise CallError("invalid_arguments", "modified_after is no ISO 8601 time.", "For example 2026-01-31.") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return int(moment.timestamp() * 1_000_000_000)


@searching.tool(effect=READ, yields=PRIVATE)
async def search_text(
    workspace: Workspace,
    pattern: Annotated[str, Field(description="Text, or an expression if regex.")],
    regex: bool = False,
    path: Path = "",
    globs: Globs = [],  # noqa: B006
    exclude: Globs = [],  # noqa: B006
    case: Literal["smart", "sensitive", "insensitive"] = "smart",
    word: Annotated[bool, Field(description="Whole words only.")] = False,
    context: Annotated[int, Field(ge=0, le=10, description="Lines around each match.")] = 0,
    mode: Literal["content", "files", "count"] = "content",
    limit: Annotated[int, Field(ge=1, le=2000, description="Lines (or files) shown.")] = 100,
    per_file: Annotated[int, Field(ge=1, le=500)] = 20,
    gitignore: bool = True,
    hidden: bool = False,
    cursor: str = "",
) -> str:
    """Search inside files (grep): matching lines with numbers, or just files or counts. Give path, globs to narrow it."""
    spot = workspace.spot(path)
    asked = cursors.question(
        "search", str(spot), pattern, regex, globs, exclude, case, word, context, mode, gitignore, hidden
    )
    after = cursors.decode(asked, cursor)
    request = Request(
        pattern, regex, tuple(globs), tuple(exclude), case, word, context if mode == "content" else 0, limit,
        per_file if mode == "content" else 1, after, gitignore, hidden,
    )  # fmt: skip

    place, hits = await workspace.read(lambda stop: _searched(workspace, spot, request, Budget(stop)))
    found = page(lambda rel: str(place.child(rel)), hits, mode, workspace.budget - 1500)
    head = summary(str(spot), hits, found, mode)
    if found.after is not None:
        head += f", MORE: repeat with cursor={cursors.encode(asked, found.after)}"
    return f"{head}\n{found.text}"


def _searched(workspace: Workspace, spot: Spot, request: Request, budget: Budget) -> tuple[Spot, Hits]:
    """What is found below a folder, or in a file, and the folder that its paths begin at."""
    refuses = spot.root.jail.refuses
    try:
        fd = workspace.open_directory(spot)
    except CallError as error:
        if error.code not in ("not_a_directory", "not_found"):
            raise
        os.close(workspace.open_file(spot))  # for its refusals, the same as when it is read
        # By its own name, should it have been typed in another normal form.
        stored = workspace.guarded(spot, lambda: workspace.stored(spot))
        rel = workspace.guarded(spot, lambda: spot.root.jail.canonical(stored.rel))
        folder, _, name = rel.rpartition("/")
        place = Spot(spot.root, folder)
        fd = workspace.open_directory(place)
        try:
            return place, search_file(fd, name, request, budget, prefix=f"{folder}/" if folder else "", refuses=refuses)
        finally:
            os.close(fd)
    try:
        rel, above = rules_for(workspace, spot, use=request.use_ignore)
        return spot, search(fd, request, budget, prefix=f"{rel}/" if rel else "", above=above, refuses=refuses)
    finally:
        os.close(fd)
