"""Texts from records, made fit to be looked at."""

from __future__ import annotations


def clean(text: str) -> str:
    """A text that can't act on a terminal or pose as another line: what isn't printable is escaped.

    That takes in control characters, ANSI sequences, direction overrides, zero-width characters and lone surrogates.
    """
    return text if text.isprintable() else "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
