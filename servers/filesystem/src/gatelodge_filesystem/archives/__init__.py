"""Archives (zip and tar): looked into, made and unpacked, within limits that no archive can talk its way out of."""

from gatelodge_filesystem.archives.reading import Entry, Limits, entries
from gatelodge_filesystem.archives.writing import Made, pack, unpack

__all__ = ["Entry", "Limits", "Made", "entries", "pack", "unpack"]
