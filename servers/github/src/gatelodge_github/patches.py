"""Differences in a budget: all files with their counts first, then patches, each with a fair share of the room."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gatelodge_core.globs import Globs

from gatelodge_github.data import text
from gatelodge_github.view import fitting, one_line, shown_size

LEAST = 500
"""Bytes of a patch that are worth showing."""
_NAME = 1000
"""Characters of a path that are shown."""
_TICKS = re.compile(r"`{3,}")


@dataclass(frozen=True, slots=True)
class Changed:
    """A changed file.

    Args:
        path: Where it is.
        was: Where it was, if it was renamed or copied.
        status: GitHub's word: added, removed, modified, renamed, copied, changed, unchanged.
        added: Lines.
        removed: Lines.
        patch: Its hunks; empty if GitHub gives none.
    """

    path: str
    was: str
    status: str
    added: int
    removed: int
    patch: str

    @classmethod
    def of(cls, item: dict[str, Any]) -> Changed:
        """From GitHub's object."""
        return cls(
            text(item.get("filename")),
            text(item.get("previous_filename")),
            text(item.get("status")) or "changed",
            _count(item.get("additions")),
            _count(item.get("deletions")),
            text(item.get("patch")),
        )

    @property
    def name(self) -> str:
        """Its path, as it can be shown."""
        return one_line(self.path, _NAME)

    @property
    def line(self) -> str:
        """The file on one line."""
        name = f"{one_line(self.was, _NAME)} -> {self.name}" if self.was else self.name
        return f"{self.status}\t+{self.added} -{self.removed}\t{name}"

    @property
    def full_line(self) -> str:
        """The same, and why there is no patch, if there is none."""
        if self.patch:
            return self.line
        why = "too large for GitHub to show" if self.added or self.removed else "binary, empty or only moved"
        return f"{self.line}\t(no patch: {why})"


class Chosen:
    """Picks files by their paths.

    Args:
        paths: Paths, directories or globs; none at all pick everything.

    Raises:
        CallError: `bad_glob`.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._plain = tuple(path.strip("/") for path in paths)
        self._globs = Globs([path for path in paths if path.strip("/")], empty_matches=not paths)

    def __call__(self, file: Changed) -> bool:
        """Whether a file is meant, by its present or its former path."""
        return any(self._named(path) for path in (file.path, file.was) if path)

    def _named(self, path: str) -> bool:
        return self._globs.matches(path) or any(path == one or path.startswith(f"{one}/") for one in self._plain if one)


def shown(files: Sequence[Changed], room: int) -> tuple[str, list[str], list[tuple[Changed, int]]]:
    """The files and their patches in `room` bytes.

    Returns:
        The text; what is to be said of what was left out; and the patches that were cut, each with the character that
        the rest of it begins at.
    """
    notes: list[str] = []
    listed, cut = fitting("\n".join(file.full_line for file in files), room * 2 // 5)
    if cut:
        notes.append(f"{len(files) - listed.count(chr(10)) - 1} more files are not listed: name paths.")
    with_patch = [file for file in files if file.patch]
    parts, left = [listed], room - shown_size(listed)
    picked = _picked(with_patch, left)
    share = _share([_weight(file) for file in picked], left - sum(map(_frame, picked)))
    short: list[tuple[Changed, int]] = []
    for file in picked:
        part, taken = _part(file, max(0, share), len(short) + 1)
        parts.append(part)
        if taken < len(file.patch):
            short.append((file, taken))
    if short:
        notes.append(f"{len(short)} patches were cut: name fewer paths, or go on by cursor.")
    if len(picked) < len(with_patch):
        notes.append(f"{len(with_patch) - len(picked)} patches are not shown: name paths, a few at a time.")
    return "\n\n".join(parts), notes, short


def _picked(files: Sequence[Changed], room: int) -> list[Changed]:
    """The files, in their order, of which something worth showing has room; the first in any case."""
    found: list[Changed] = []
    for file in files:
        least = min(_weight(file), LEAST) + _frame(file)
        if not found or least <= room:
            found.append(file)
            room -= least
    return found


def _part(file: Changed, room: int, number: int) -> tuple[str, int]:
    """A patch under its name, and how many characters of it were taken; `number` is its own if it is cut."""
    patch, cut = fitting(file.patch, room)
    if (cut or _weight(file) > room) and (longer := len(_fence(patch)) - 3):
        patch, cut = fitting(file.patch, room - 2 * longer)
    fence = _fence(patch)
    end = f"\n(cut patch {number}: {_size(patch):,} of {_size(file.patch):,} bytes)" if cut else ""
    # Where a line ends, its end is shown by the block's.
    taken = len(patch) + (cut and bool(patch) and file.patch.startswith("\n", len(patch)))
    return f"{file.name}\n{fence}diff\n{patch}\n{fence}{end}", taken


def fenced(rest: str, room: int) -> tuple[str, int]:
    """The beginning of the rest of a patch as a block of at most `room` bytes, and how many characters of it were taken.

    Args:
        rest: From a character of the patch on, not empty; something of it is taken in any case.
        room: Bytes.
    """
    piece, _ = fitting(rest, room - 20)
    while len(piece) > 1 and shown_size(piece) + 2 * len(_fence(piece)) > room:
        piece = piece[: len(piece) // 2]
    piece = piece or rest[:1]
    # Where a line ends, its end is shown by the block's.
    ended = rest.startswith("\n", len(piece)) and piece != "\n"
    return f"{_fence(piece)}diff\n{piece}\n{_fence(piece)}", len(piece) + ended


def _fence(patch: str) -> str:
    """One that nothing in the patch can close."""
    return "`" * max(3, 1 + max((len(run) for run in _TICKS.findall(patch)), default=0))


def _frame(file: Changed) -> int:
    """Bytes around a patch, at most, if no long fence is needed."""
    return shown_size(file.name) + 70


def _weight(file: Changed) -> int:
    """Bytes of a patch as it is shown, with what a long fence takes more."""
    return shown_size(file.patch) + 2 * (len(_fence(file.patch)) - 3)


def _share(sizes: Sequence[int], room: int) -> int:
    """The most that one of several may take so that all of them fit: small ones leave what they don't need."""
    left = room
    for at, size in enumerate(ordered := sorted(sizes)):
        fair = left // (len(ordered) - at)
        if size > fair:
            return fair
        left -= size
    return room


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
