"""What is shown of an excerpt of a log: the lines nearest to what was looked for, as far as there is room."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from gatelodge_github.log_lines import Line
from gatelodge_github.logs import LogExcerpt
from gatelodge_github.view import fitting, shown_size

_FOLLOWING = 4
_LONGEST = 8_000
"""Bytes of a line that are shown: any in whose 2,000 characters nothing hides, and its note."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown.

    Args:
        text: Lines with their numbers; a match has ``>`` before it, and ``...`` stands where lines are missing.
        lines: How many.
        left_out: Lines of the excerpt that found no room.
        matches: Of the lines shown, those that match.
        cut: The numbers of those of which only the beginning is shown.
    """

    text: str
    lines: int
    left_out: int
    matches: int
    cut: tuple[int, ...] = ()


def shown(excerpt: LogExcerpt, most: int, room: int) -> Shown:
    """Choose lines: matches first, then what is near them, the nearer the better; without matches, the end.

    Args:
        excerpt: What was kept.
        most: The most lines.
        room: The most bytes.
    """
    chosen: list[Line] = []
    used = 0
    distances = _distances(excerpt.lines)
    for line in sorted(excerpt.lines, key=lambda line: (distances[line.number], line.number)):
        # The number, and what may stand before a line.
        piece, cut = fitting(line.text, _LONGEST)
        used += shown_size(piece) + shown_size(line.group) + 70
        if chosen and (len(chosen) == most or used > room):
            break
        if cut:
            line = replace(line, text=f"{piece} ⟦cut: more is hidden here than there is room for⟧", cut=True)  # noqa: PLW2901 - as it is shown
        chosen.append(line)
    chosen.sort(key=lambda line: line.number)
    matches = sum(line.match for line in chosen)
    longer = tuple(line.number for line in chosen if line.cut)
    return Shown(_text(chosen), len(chosen), len(excerpt.lines) - len(chosen), matches, longer)


def _distances(lines: tuple[Line, ...]) -> dict[int, int]:
    """How far each line is from a match; without matches, from the end. Lines are in order."""
    matches = [line.number for line in lines if line.match]
    if not matches:
        return {line.number: lines[-1].number - line.number for line in lines}
    found: dict[int, int] = {}
    at = 0
    for line in lines:
        while at < len(matches) and matches[at] < line.number:
            at += 1
        ways = [matches[at] - line.number] if at < len(matches) else []
        if at:
            # What leads to a match tells more than what follows it.
            ways.append(_FOLLOWING * (line.number - matches[at - 1]))
        found[line.number] = min(ways)
    return found


def _text(lines: list[Line]) -> str:
    parts: list[str] = []
    width = len(str(lines[-1].number)) if lines else 1
    for before, line in pairwise([None, *lines]):
        assert line is not None
        if before is not None and line.number != before.number + 1:
            parts.append("...")
        if line.match and line.group and (before is None or before.group != line.group):
            parts.append(f"[in the group: {line.group}]")
        mark = f"{line.kind}: " if line.kind in ("error", "warning", "group") else ""
        parts.append(f"{'>' if line.match else ' '}{line.number:>{width}} {mark}{line.text}")
    return "\n".join(parts)
