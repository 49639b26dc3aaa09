"""What a move or a copy carries along: what may not be opened where it is may not be opened where it comes to either.

Much is protected by its name and so stays protected. But ``.git/config`` is no longer that in a copy of ``.git`` by another
name, and a folder can be moved to where an exception of ``--allow-credentials`` holds.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.place import translated

from gatelodge_filesystem.names import shown
from gatelodge_filesystem.trees import OPEN_FOLDER, Totals

MAX_ENTRIES = 1_000_000
"""More can't be moved by name: what is in it isn't known."""

Refuses = Callable[[str], bool]


def check_carried(dir_fd: int, name: str, source: tuple[Refuses, str], target: tuple[Refuses, str]) -> Totals:
    """Look through everything under a name, however deep, before it gets another one.

    Args:
        dir_fd: The folder that the name is in.
        name: The name.
        source: What may not be opened in its root, and its path there, all links resolved.
        target: The same of where it goes.

    Returns:
        How much it is.

    Raises:
        CallError: `protected`, `too_many_entries`.
        JailError: A folder can't be read.
    """
    totals = Totals()

    def judge(rel: str, found: os.stat_result) -> None:
        if totals.files + totals.folders >= MAX_ENTRIES:
            raise CallError("too_many_entries", f"there are more than {MAX_ENTRIES:,} entries.", "Take a part of it.")
        totals.add(found)
        if source[0](source[1] + rel) and not target[0](target[1] + rel):
            raise CallError(
                "protected",
                f"{shown(source[1] + rel)[:400]} holds credentials, or is this server's own, and could be read at the new place.",
                "Take the rest without it.",
            )

    with translated():
        top = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    judge("", top)
    # No recursion, and few descriptors: a folder is opened step by step from the top each time.
    left: list[tuple[str, ...]] = [()] if stat.S_ISDIR(top.st_mode) else []
    while left:
        parts = left.pop()
        rel = "".join(f"/{part}" for part in parts)
        for entry, found in _listed(dir_fd, (name, *parts)):
            judge(f"{rel}/{entry}", found)
            if stat.S_ISDIR(found.st_mode):
                left.append((*parts, entry))
    return totals


def _listed(dir_fd: int, parts: tuple[str, ...]) -> list[tuple[str, os.stat_result]]:
    """What is in a folder; no link on the way is followed, and one descriptor is held."""
    with translated():
        fd = os.open(parts[0], OPEN_FOLDER, dir_fd=dir_fd)
        try:
            for part in parts[1:]:
                inner = os.open(part, OPEN_FOLDER, dir_fd=fd)
                os.close(fd)
                fd = inner
            with os.scandir(fd) as found:
                return [(entry.name, entry.stat(follow_symlinks=False)) for entry in found]
        finally:
            os.close(fd)
