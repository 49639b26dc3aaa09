"""Where a text occurs in a file, and which of its places is meant, within bounds of number and time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import AnyStr

from gatelodge_core.errors import CallError

from gatelodge_filesystem.newlines import Hay

MAX_MATCHES = 500_000
"""Places of one text that are looked at; more are refused, never passed over."""
_LOOKS = 64
"""After so many places the clock is looked at."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When looking for text ends, in seconds of the monotonic clock."""

    at: float

    def check(self, number: int) -> None:
        """Go on, unless it is later.

        Raises:
            CallError: `timeout`, naming the edit.
        """
        if time.monotonic() > self.at:
            raise CallError(
                "timeout",
                f"edit {number}: old is like too much of the file to be found in time.",
                "Nothing was changed. Give start_line, a shorter old, or fewer edits.",
            )


def too_many(what: str) -> CallError:
    """The error for more places than are looked at."""
    return CallError(
        "too_many_matches",
        f"{what} more than {MAX_MATCHES:,} times.",
        "Nothing was changed. Include more of the text around it, or give start_line.",
    )


def occurrences(hay: AnyStr, needle: AnyStr, number: int, deadline: Deadline) -> list[int]:
    """Where `needle` begins, overlapping occurrences included.

    Raises:
        CallError: `too_many_matches`, `timeout`.
    """
    found: list[int] = []
    at = hay.find(needle)
    while at >= 0:
        if len(found) >= MAX_MATCHES:
            raise too_many(f"edit {number}: old occurs")
        if len(found) % _LOOKS == 0:
            deadline.check(number)
        found.append(at)
        at = hay.find(needle, at + 1)
    return found


def apart(starts: list[int], length: int) -> list[int]:
    """Those occurrences that don't overlap an earlier one."""
    kept: list[int] = []
    for start in starts:
        if not kept or start >= kept[-1] + length:
            kept.append(start)
    return kept


def nearest(hay: Hay[AnyStr], starts: list[int], near_line: int) -> int | None:
    """The occurrence strictly nearest to a line, if there is one."""
    if not near_line:
        return None
    ranked = sorted((abs(line - near_line), start) for start, line in zip(starts, lines_in(hay, starts), strict=True))
    return ranked[0][1] if ranked[0][0] < ranked[1][0] else None


def lines_in(hay: Hay[AnyStr], offsets: Sequence[int]) -> list[int]:
    """The lines of offsets that ascend, from 1; the text is counted through once."""
    lines: list[int] = []
    line, done = 1, 0
    for offset in offsets:
        line += hay.plain.count(hay.newline, done, offset)
        done = offset
        lines.append(line)
    return lines


def ambiguous(hay: Hay[AnyStr], starts: list[int], number: int, why: str) -> CallError:
    """The error for a text that is in several places, with their lines."""
    lines = ", ".join(str(line) for line in lines_in(hay, starts[:20])) + (", ..." if len(starts) > 20 else "")
    return CallError(
        "ambiguous_edit",
        f"edit {number}: old occurs {len(starts)} times, at lines {lines}; {why}.",
        "Include more of the text around it, give near_line, or set replace_all. Nothing was changed.",
    )
