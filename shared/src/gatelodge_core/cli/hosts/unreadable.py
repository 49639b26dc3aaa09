"""What is told of a configuration file that can't be understood."""

from __future__ import annotations

from gatelodge_core.errors import GatelodgeError


class Unreadable(GatelodgeError):
    """A file can't be understood. Its text never quotes the file, which may hold secrets.

    Args:
        reason: What is wrong.
        line: Where, from 1; 0 if it isn't known.
        column: Where in the line, from 1; 0 if it isn't known.
    """

    def __init__(self, reason: str, line: int = 0, column: int = 0) -> None:
        place = f"line {line}, column {column}: " if column else f"line {line}: "
        super().__init__(f"{place}{reason}" if line else reason)
        self.reason = reason
        self.line = line
        self.column = column


def at(text: str, offset: int, reason: str) -> Unreadable:
    """The error for an offset in a text."""
    line = text.count("\n", 0, offset) + 1
    return Unreadable(reason, line, offset - (text.rfind("\n", 0, offset) + 1) + 1)
