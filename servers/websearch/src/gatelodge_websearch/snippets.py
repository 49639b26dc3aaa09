"""The part of a text that shows best why a search found it.

SQLite's own `snippet()` takes the square of how often a text has the words: minutes for one that repeats a word.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import islice

_SIZE = 240
_LEAD = 60
_PLACES = 500
"""Places of words that are looked at."""
_FOLDED = 200_000
"""Characters that are looked through without regard to accents, as the index does."""


def snippet(text: str, query: str) -> str:
    """Some words on one line: around the place with most words of a query, or else from the beginning."""
    words = [re.escape(word) for part in query.split() for word in re.findall(r"\w+", part)]
    start = _best(text, words)
    if start is None and not text.isascii():
        start = _best(_folded(text[:_FOLDED]), [re.escape(word) for word in re.findall(r"\w+", _folded(query))])
    start = max(0, (start or 0) - _LEAD)
    end = start + _SIZE
    # Whole words, where there are some.
    if start:
        start = text.find(" ", start, start + _LEAD) + 1 or start
    if end < len(text):
        end = max(text.rfind(" ", start + _SIZE // 2, end), 0) or end
    line = " ".join(text[start:end].split())
    return f"{'… ' if start else ''}{line}{' …' if end < len(text) else ''}"


def _best(text: str, words: list[str]) -> int | None:
    """The first place from which most different words are near; None if there is no word at all."""
    if not words:
        return None
    pattern = re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)
    places = [(found.start(), found[0].lower()) for found in islice(pattern.finditer(text), _PLACES)]
    best, count = None, 0
    for number, (start, _) in enumerate(places):
        near = {word for place, word in places[number : number + 40] if place < start + _SIZE - _LEAD}
        if len(near) > count:
            best, count = start, len(near)
    return best


def _folded(text: str) -> str:
    """A text of the same length without accents."""
    return "".join(unicodedata.normalize("NFD", char)[0] for char in text)
