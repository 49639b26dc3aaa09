"""What a move or a copy carries along: what may not be opened where it is may not be opened where it comes to either.

Much is protected by its name and so stays protected. But ``.git/config`` is no longer that in a copy of ``.git`` by another
name, and a folder can be moved to where an exception of ``--allow-credentials`` holds.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.jail import translated

from gatelodge_filesystem.names import shown
from gatelodge_filesystem.trees import check_depth, folder

MAX_ENTRIES = 1_000_000
"""More can't be moved by name: what is in it isn't known."""

Refuses = Callable[[str], bool]


def check_carried(dir_fd: int, name: str, source: tuple[Refuses, str], target: tuple[Refuses, str]) -> None:
    """Look through everything under a name, before it gets another one.

    Args:
        dir_fd: The folder that the name is in.
        name: The name.
        source: What may not be opened in its root, and its path there, all links resolved.
        target: The same of where it goes.

    Raises:
        CallError: `protected`, `too_many_entries`, `too_deep`.
        JailError: A folder can't be read.
    """
    count = 0

    def see(fd: int, name: str, rel: str, depth: int, *, is_folder: bool) -> None:
        nonlocal count
        count += 1
        if count > MAX_ENTRIES:
            raise CallError("too_many_entries", f"there are more than {MAX_ENTRIES:,} entries.", "Take a part of it.")
        if source[0](source[1] + rel) and not target[0](target[1] + rel):
            raise CallError(
                "protected",
                f"{shown(source[1] + rel)[:400]} holds credentials, or is this server's own, and could be read at the new place.",
                "Take the rest without it.",
            )
        if is_folder:
            check_depth(depth)
            with folder(fd, name) as below:
                with translated(), os.scandir(below) as found:
                    entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
                for entry, is_folder_too in entries:
                    see(below, entry, f"{rel}/{entry}", depth + 1, is_folder=is_folder_too)

    with translated():
        top = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    see(dir_fd, name, "", 0, is_folder=stat.S_ISDIR(top.st_mode))
