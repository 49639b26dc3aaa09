"""A place inside a root, as tools speak of it."""

from __future__ import annotations

from dataclasses import dataclass

from gatelodge_filesystem.names import shown
from gatelodge_filesystem.roots import Root


@dataclass(frozen=True, slots=True)
class Spot:
    """A place inside a root, which may or may not exist.

    Args:
        root: The root.
        rel: The path relative to it, as `os.fsdecode` makes it; empty for the root itself.
    """

    root: Root
    rel: str

    def __str__(self) -> str:
        return shown(f"{self.root.name}/{self.rel}" if self.rel else self.root.name)

    def child(self, rel: str) -> Spot:
        """The place of `rel` below this one."""
        return Spot(self.root, f"{self.rel}/{rel}" if self.rel and rel else self.rel or rel)
