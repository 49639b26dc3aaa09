"""Answers within the promised size, whatever a page or an engine puts in them.

What counts is what arrives: the lodge shows hidden characters and masks secrets, which makes a hostile text larger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from gatelodge_core.guard.cleansing import Cleanser
from pydantic import BaseModel

from gatelodge_websearch.showing import tokens

MAX_TOKENS = 20_000
"""The most that a tool answers."""
_ROOM = MAX_TOKENS - 300
"""Without the envelope, and the frame of a record."""
_SURE = _ROOM // 5
"""Below this nothing that cleansing adds can be too much: a hidden character of three bytes is shown by twelve."""
_TRIES = 10
Record = TypeVar("Record", bound=BaseModel)


def within(records: Sequence[Record], cleanser: Cleanser) -> list[Record]:
    """The first records, as many as an answer has room for."""
    taken: list[Record] = []
    room = _ROOM
    for record in records:
        text = record.model_dump_json()
        room -= tokens(cleanser.text(text)) + 1
        if room < 0:
            break
        taken.append(record)
    return taken


def lines_within(lines: Sequence[str], cleanser: Cleanser, head: str) -> list[str]:
    """The first lines, as many as an answer has room for after what stands at its head."""
    taken: list[str] = []
    room = _ROOM - tokens(head)
    for line in lines:
        room -= tokens(cleanser.text(line)) + 1
        if room < 0:
            break
        taken.append(line)
    return taken


def bounded(made: Callable[[int], str], budget: int, cleanser: Cleanser) -> str:
    """A text made for a budget, or for as much less of one as it takes for the whole to have room.

    Args:
        made: Makes the text; the budget is for the part of it that can be shortened.
        budget: In tokens.
        cleanser: Shows what will arrive.
    """
    for _ in range(_TRIES):
        text = made(budget)
        if tokens(text) <= _SURE or (size := tokens(cleanser.text(text))) <= _ROOM:
            return text
        budget = budget * _ROOM // size * 9 // 10
    return made(0)
