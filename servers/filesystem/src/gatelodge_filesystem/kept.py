"""What in a root belongs to this server itself: its records, its rules, its keys. Listed, never opened, moved or removed.

Whoever could change these would decide what is allowed, and what is known of it afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from gatelodge_core.errors import SettingsError
from gatelodge_core.sandbox.credentials import folded


class Kept:
    """The server's own files and folders in one root.

    Args:
        root: Path of the root.
        paths: Of all that is the server's own, wherever it is; it need not exist yet.

    Raises:
        SettingsError: The root itself is one of them, or in one.
    """

    def __init__(self, root: str, paths: Sequence[str]) -> None:
        base = os.path.realpath(root)
        self._own: set[str] = set()
        for path in map(os.path.realpath, paths):
            if _inside(base, path):
                raise SettingsError(
                    f"{root}: holds this server's own records and rules ({path}), so it can't be a root. Name other folders"
                )
            if _inside(path, base):
                self._own.add(folded(os.path.relpath(path, base).replace(os.sep, "/")))
        self._above = {own[:at] for own in self._own for at, char in enumerate(own) if char == "/"} | self._own

    def holds(self, rel: str) -> bool:
        """Whether a path of the root, all links resolved, is one of them or in one."""
        return bool(self._own) and any(_inside(folded(rel), own, "/") for own in self._own)

    def below(self, rel: str) -> bool:
        """Whether a path is one of them, or a folder that has one below it: moving it would move that too."""
        return bool(self._own) and folded(rel) in self._above


def _inside(path: str, folder: str, separator: str = os.sep) -> bool:
    return path == folder or path.startswith(folder.rstrip(separator) + separator)
