"""The names of files in a patch, as git and diff write them: with prefixes or without, and quoted where need be."""

from __future__ import annotations

import os
import re

NOTHING = "/dev/null"
"""In place of the name of a file that isn't there before, or after."""
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_LETTERS = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


def pair(old: str, new: str) -> tuple[str, str]:
    """Two names without git's ``a/`` and ``b/``, which are taken off both or neither: a folder may be called so."""
    if old.startswith(("a/", NOTHING)) and new.startswith(("b/", NOTHING)):
        return old.removeprefix("a/"), new.removeprefix("b/")
    return old, new


def plain(text: str) -> str:
    """A name as it stands behind ``---`` or ``+++``: without a time, and as it is where it was quoted."""
    name = text.split("\t", 1)[0].strip()
    if len(name) < 2 or not name.startswith('"') or not name.endswith('"'):
        return name
    return os.fsdecode(_ESCAPE.sub(_unescaped, os.fsencode(name[1:-1])))


def headed(text: str) -> tuple[str, str] | None:
    """Both names of a ``diff --git`` line, which are one but for the prefixes; None where they aren't of one length."""
    half = len(text) // 2
    if text[half : half + 1] != " ":
        return None
    return pair(plain(text[:half]), plain(text[half + 1 :]))


def _unescaped(found: re.Match[bytes]) -> bytes:
    code = found[1]
    return bytes([int(code, 8) & 0xFF]) if code.isdigit() and len(code) == 3 else _LETTERS.get(code, code)
