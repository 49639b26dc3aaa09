"""Listing a folder, one level or several, by pages."""

from __future__ import annotations

import bisect
import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gatelodge_core.globs import Globs
from gatelodge_core.sandbox.credentials import Check

from gatelodge_filesystem import cursors
from gatelodge_filesystem.ignore import Rules
from gatelodge_filesystem.names import cost, shown
from gatelodge_filesystem.walk import OPEN_FOLDER, Budget, Folder, Walk, below

LARGE = 200
"""Entries of a folder in a tree, from which on it is only counted."""
_ENTRY_COST = len('{"path":,"type":"folder","size":99999999,"modified":"2026-01-01T00:00:00Z"},')
_COLLAPSED_COST = len('{"path":"","entries":100000,"reason":"ignored"},')

Kind = Literal["file", "folder", "link", "other"]
Order = Literal["name", "size", "mtime"]


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a listing.

    Args:
        rel: Its path from the folder that was listed.
        kind: What it is; links are not followed.
        size: Bytes, of a file.
        mtime_ns: Last change, in nanoseconds since 1970.
    """

    rel: str
    kind: Kind
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Collapsed:
    """A folder of a tree that isn't entered.

    Args:
        rel: Its path from the folder that was listed.
        entries: How many entries it has itself.
        reason: Why.
    """

    rel: str
    entries: int
    reason: Literal["large", "ignored"]


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a listing.

    Args:
        items: The entries.
        total: How many there are in all.
        cursor: Where the next page begins; empty at the end.
        ignored: How many entries ignore rules left out.
        unreadable: Folders that could not be read.
        refused: What of this page may not be opened, by path.
        collapsed: Folders of this page that aren't entered.
    """

    items: list[Item]
    total: int
    cursor: str
    ignored: int
    unreadable: list[str]
    refused: list[str]
    collapsed: list[Collapsed]


def list_folder(
    fd: int,
    *,
    depth: int,
    order: Order,
    hidden: bool,
    use_ignore: bool,
    limit: int,
    room: int,
    cursor: str,
    budget: Budget,
    above: Rules | None = None,
    prefix: str = "",
    refuses: Check | None = None,
    exclude: Sequence[str] = (),
    anchored: bool = False,
) -> Listing:
    """List a folder.

    Args:
        fd: Its descriptor, fresh.
        depth: How many levels, from 1.
        order: By path, by size (largest first), or by time (newest first).
        hidden: Whether names that begin with a dot are shown.
        use_ignore: Whether ignore rules leave entries out.
        limit: The most entries on a page.
        room: The most characters of a page, as JSON.
        cursor: Where to go on.
        budget: What it may spend.
        above: The ignore rules from above the folder.
        prefix: The folder's path from the root, empty or ending in a slash.
        exclude: Globs of paths, from the folder that is listed, that are left out.
        anchored: Whether one without a slash leaves out only what is in that folder itself.
        refuses: What may not be opened: it is listed, a folder of these isn't entered.
    """
    asked = cursors.question("list", prefix, depth, order, hidden, use_ignore, *exclude)
    after = cursors.decode(asked, cursor)
    found: list[tuple[int, str, Kind, int, int]] = []
    ignored: Counter[str] = Counter()
    by_name = order == "name"
    unwanted = Globs(exclude, empty_matches=False, anchored=anchored)
    collapsed: dict[str, Collapsed] = {}

    def visit(folder: Folder) -> None:
        if exclude:
            for names in (folder.files, folder.folders, folder.links, folder.others):
                names[:] = [name for name in names if not unwanted.matches(folder.rel + name)]
        ignored[folder.rel] += folder.ignored
        count = len(folder.files) + len(folder.folders) + len(folder.links) + len(folder.others)
        if folder.rel and count > LARGE:
            rel = folder.rel[:-1]
            collapsed[rel] = Collapsed(rel, count, "large")
            folder.folders.clear()
            return
        for name in folder.shut if depth > 1 else ():
            collapsed[folder.rel + name] = Collapsed(folder.rel + name, _count(folder.fd, name), "ignored")
        kinds: tuple[tuple[Kind, list[str]], ...] = (
            ("file", folder.files),
            ("folder", folder.folders),
            ("link", folder.links),
            ("other", folder.others),
        )
        for kind, names in kinds:
            for name in names:
                if by_name:
                    found.append((0, folder.rel + name, kind, -1, 0))
                    continue
                size, mtime = _measure(folder.fd, name)
                found.append((-size if order == "size" else -mtime, folder.rel + name, kind, size, mtime))

    walk = Walk(visit, budget, use_ignore=use_ignore, hidden=hidden, depth=depth, refuses=refuses, collapse=depth > 1)
    walk.run(fd, prefix, above)
    found.sort()  # no two have the same path
    start = 0
    if after is not None:
        start = bisect.bisect_right(found, after, key=lambda item: item[:2])
    page: list[Item] = []
    for _, rel, kind, size, mtime in found[start : start + limit]:
        room -= cost(shown(rel)) + _ENTRY_COST + (_COLLAPSED_COST + len(rel) if rel in collapsed else 0)
        if page and room < 0:
            break
        page.append(Item(rel, kind, size, mtime))
    if by_name:
        # Only what is shown is measured.
        page = [Item(item.rel, item.kind, *_measure_below(fd, item.rel)) for item in page]
    last = found[start + len(page) - 1] if start + len(page) < len(found) else None
    return Listing(
        page,
        len(found),
        cursors.encode(asked, last[:2]) if last else "",
        sum(ignored.values()),
        walk.unreadable,
        [item.rel for item in page if refuses is not None and refuses(prefix + item.rel)],
        [collapsed[item.rel] for item in page if item.rel in collapsed],
    )


def _count(fd: int, name: str) -> int:
    """Entries of a folder; 0 if it can't be read."""
    try:
        opened = os.open(name, OPEN_FOLDER, dir_fd=fd)
    except OSError:
        return 0
    try:
        return len(os.listdir(opened))
    finally:
        os.close(opened)


def _measure(fd: int, name: str) -> tuple[int, int]:
    """(size, mtime in ns); zeros for what is gone by now."""
    try:
        found = os.stat(name, dir_fd=fd, follow_symlinks=False)
    except OSError:
        return 0, 0
    return (found.st_size if stat.S_ISREG(found.st_mode) else 0), found.st_mtime_ns


def _measure_below(fd: int, rel: str) -> tuple[int, int]:
    try:
        with below(fd, rel) as (folder, name):
            return _measure(folder, name)
    except OSError:
        return 0, 0
