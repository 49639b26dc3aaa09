"""Finding files and folders by name, type, size and time."""

from __future__ import annotations

import bisect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gatelodge_core.globs import Globs
from gatelodge_core.sandbox.credentials import Check

from gatelodge_filesystem import cursors
from gatelodge_filesystem.ignore import Rules
from gatelodge_filesystem.names import fitting
from gatelodge_filesystem.walk import Budget, Folder, Walk

Wanted = Literal["file", "folder", "any"]
Order = Literal["mtime", "path", "size"]


@dataclass(frozen=True, slots=True)
class Query:
    """What to find.

    Args:
        globs: Patterns of which one must match; none match everything.
        exclude: Patterns of which none may match; a folder that one matches is not entered.
        kind: Files, folders or both.
        min_size: Fewest bytes, of a file.
        max_size: Most bytes; 0 for no limit.
        modified_after_ns: Only what changed later than this, which may be before 1970; None for no limit.
        order: Newest first, by path, or largest first.
        use_ignore: Whether ignore rules leave files out.
        hidden: Whether names that begin with a dot are seen.
        limit: The most paths on a page.
        room: The most characters of a page, as JSON.
        cursor: Where to go on.
        anchored: Whether a pattern without a slash matches only where the search began.
        links: Whether links are found too, as what they are: they are never entered.
    """

    globs: Sequence[str] = ()
    exclude: Sequence[str] = ()
    kind: Wanted = "file"
    min_size: int = 0
    max_size: int = 0
    modified_after_ns: int | None = None
    order: Order = "mtime"
    use_ignore: bool = True
    hidden: bool = False
    limit: int = 200
    room: int = 1_000_000
    cursor: str = ""
    anchored: bool = False
    links: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A page of what was found.

    Args:
        paths: Relative to where the search began; folders end in a slash.
        total: How many were found in all.
        scanned: How many entries were looked at.
        cursor: Where the next page begins; empty at the end.
        unreadable: Folders that could not be read.
    """

    paths: list[str]
    total: int
    scanned: int
    cursor: str
    unreadable: list[str]


def find(
    fd: int,
    query: Query,
    budget: Budget,
    *,
    prefix: str = "",
    above: Rules | None = None,
    refuses: Check | None = None,
) -> Found:
    """Find below a folder.

    Args:
        fd: Its descriptor, fresh.
        query: What to find.
        budget: What it may spend.
        prefix: The folder's path from the root, empty or ending in a slash.
        above: The ignore rules from above it.
        refuses: Folders that are found but not entered.

    Raises:
        CallError: `bad_glob`, `bad_cursor`, `timeout`, `too_many_entries`.
    """
    asked = cursors.question("find", prefix, query.globs, query.exclude, query.kind, query.min_size, query.max_size,
                             query.modified_after_ns, query.order, query.use_ignore, query.hidden)  # fmt: skip
    after = cursors.decode(asked, query.cursor)
    wanted = Globs(query.globs, empty_matches=True, anchored=query.anchored)
    unwanted = Globs(query.exclude, empty_matches=False, anchored=query.anchored)
    measured = bool(query.order != "path" or query.min_size or query.max_size or query.modified_after_ns is not None)
    found: list[tuple[int, str]] = []
    scanned = 0

    def visit(folder: Folder) -> None:
        nonlocal scanned
        scanned += len(folder.files) + len(folder.folders)
        rel = folder.rel
        if query.exclude:
            folder.folders[:] = [name for name in folder.folders if not unwanted.matches(rel + name)]
        names: list[tuple[str, str]] = []
        if query.kind != "folder":
            names += [(name, rel + name) for name in folder.files if wanted.matches(rel + name)]
        if query.kind != "file":
            names += [(name, f"{rel}{name}/") for name in folder.folders if wanted.matches(rel + name)]
        if query.links:
            names += [(name, rel + name) for name in folder.links if wanted.matches(rel + name)]
        for name, path in names:
            if query.exclude and unwanted.matches(path.rstrip("/")):
                continue
            key = _key(folder.fd, name, query) if measured else 0
            if key is not None:
                found.append((key, path))

    walk = Walk(visit, budget, use_ignore=query.use_ignore, hidden=query.hidden, refuses=refuses)
    walk.run(fd, prefix, above)
    found.sort()
    total = len(found)
    if after is not None:
        found = found[bisect.bisect_right(found, after) :]
    fit = len(fitting((path for _, path in found[: query.limit]), query.room))
    page = found[: max(fit, 1)]
    cursor = cursors.encode(asked, page[-1]) if len(found) > len(page) else ""
    return Found([path for _, path in page], total, scanned, cursor, walk.unreadable)


def _key(fd: int, name: str, query: Query) -> int | None:
    """What the entry sorts by; None if its size or time rule it out, or it is gone by now."""
    try:
        seen = os.stat(name, dir_fd=fd, follow_symlinks=False)
    except OSError:
        return None
    if seen.st_size < query.min_size or (query.max_size and seen.st_size > query.max_size):
        return None
    if query.modified_after_ns is not None and seen.st_mtime_ns <= query.modified_after_ns:
        return None
    return {"mtime": -seen.st_mtime_ns, "size": -seen.st_size, "path": 0}[query.order]
