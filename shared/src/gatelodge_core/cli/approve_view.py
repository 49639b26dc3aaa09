"""What a person is shown of a call that waits: nothing in it can leave its margin, hide, or pose as our own words.

Every line that comes from a call stands behind ``| ``, or ``: `` where it goes on. What can't be seen is escaped, and
lines are broken here rather than by the terminal, so that no text of a call begins a line of the screen.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Literal, NamedTuple

from gatelodge_core.audit.texts import clean
from gatelodge_core.store.approvals import Approval

Colour = Literal["", "green", "red", "dim", "bold"]

MARGIN, ON, OURS = "  | ", "  : ", "  ~ "
"""Before a line of the call, where such a line goes on, and before what we say in between."""
MAX_BLANK = 3
"""Empty lines in a row that are shown; more are counted, so that they don't push others out of sight."""
MAX_NAME = 60
_MARKS = 2
"""Combining characters in a row that are left alone: more pile up over other lines."""
# Letters, symbols and marks by their category, that show nothing.
_BLANK = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, [*range(0xFE00, 0xFE0E), *range(0xE0100, 0xE01F0)]))
)
_AS_PICTURE, _AS_TEXT = "\ufe0f", "\ufe0e"
"""Marks that choose how a symbol looks; behind anything else they show nothing."""


class Line(NamedTuple):
    """A line of the screen.

    Args:
        text: The line with its margin.
        colour: How it may be coloured.
    """

    text: str
    colour: Colour = ""


def plain(text: str) -> str:
    """A text on one line, in which everything can be seen."""
    made: list[str] = []
    marks = 0
    before = ""
    for char in text.expandtabs(4):
        marks = marks + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        idle = char in (_AS_PICTURE, _AS_TEXT) and (not before or unicodedata.category(before) != "So")
        hidden = char in _BLANK or idle or marks > _MARKS
        before = char
        made.append(ascii(char)[1:-1] if hidden else clean(char))
    return "".join(made)


def short(text: str, most: int = MAX_NAME) -> str:
    """A name as it is shown between our own words."""
    shown = plain(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def called(approval: Approval) -> str:
    """What is called, and by whom, in one line."""
    return f"{short(approval.name)} of the {short(approval.server)} server, by {short(approval.principal)}"


def heading(text: str, width: int) -> list[Line]:
    """A line of ours that names what a caller chose: where it goes on, it does so behind a margin."""
    pieces = _broken(text, max(width - len(MARGIN), 20))
    return [Line(f"{ON if at else ''}{piece}", "bold") for at, piece in enumerate(pieces)]


def left(approval: Approval, now: float) -> str:
    """How much time is left."""
    seconds = max(int(approval.expires - now), 0)
    return f"{seconds // 60}:{seconds % 60:02} left"


def effect(text: str, width: int) -> list[Line]:
    """What a call would do, ready for the screen.

    Args:
        text: As the server says it.
        width: Columns of the screen; 0 leaves long lines as they are.
    """
    made: list[Line] = []
    blank = 0
    for line in [*text.split("\n"), None]:
        if line is not None and not line.strip():
            blank += 1
            continue
        # Those at the end show nothing at all.
        if blank and line is not None:
            made += (
                [Line(MARGIN.rstrip())] * blank if blank <= MAX_BLANK else [Line(f"{OURS}{blank} empty lines", "dim")]
            )
        blank = 0
        if line is not None:
            colour: Colour = "green" if line[:1] == "+" else "red" if line[:1] == "-" else ""
            pieces = _broken(plain(line), max(width - len(MARGIN), 20) if width else 0)
            made += [Line(f"{ON if at else MARGIN}{piece}", colour) for at, piece in enumerate(pieces)]
    return made


def first_line(text: str, width: int) -> str:
    """The beginning of what a call would do, for a list."""
    line = next((line for line in text.split("\n") if line.strip()), "")
    return next(_broken(plain(line), max(width - len(MARGIN), 20)), "")


def _broken(text: str, width: int) -> Iterator[str]:
    """A line in pieces of at most so many columns; at least one."""
    if not width:
        yield text
        return
    piece, used = "", 0
    for char in text:
        wide = columns(char)
        if used + wide > width:
            yield piece
            piece, used = "", 0
        piece += char
        used += wide
    yield piece


def columns(char: str) -> int:
    """How many columns a terminal gives a character, at the most: some draw these pictures in two, others in one."""
    if char == _AS_PICTURE:
        return 1
    if "\U0001f1e6" <= char <= "\U0001f1ff":
        return 2
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1
