"""Whole numbers in texts from outside.

`str.isdigit()` is no guard for `int()`: a superscript two is a digit to it, and `int()` raises; it raises on thousands
of plain digits too.
"""

from __future__ import annotations


def whole(text: str, digits: int = 9) -> int | None:
    """The number that a text of ASCII digits is; None for any other text, and for more digits than that."""
    return int(text) if 0 < len(text) <= digits and text.isascii() and text.isdigit() else None
