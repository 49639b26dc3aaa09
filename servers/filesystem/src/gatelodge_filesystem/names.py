r"""Names of files as text that can be shown, sent and given back.

A name is bytes to the kernel. Inside the server it is the `str` that `os.fsdecode` makes (invalid UTF-8 as lone
surrogates); shown, every byte that isn't printable text becomes ``\xNN``: a newline in a name can't forge a line of a
listing, a right-to-left override can't disguise an extension, and a lone surrogate can't break the transport. A
backslash itself is shown as ``\x5c``, so the shown form leads back to exactly one name.
"""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Iterable

from gatelodge_core.errors import CallError

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_ESCAPE = re.compile(r"\\x([0-9a-fA-F]{2})")
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def shown(name: str) -> str:
    """A name or relative path in the form that is shown."""
    if name.isascii() and name.isprintable() and "\\" not in name:
        return name
    return "".join(char if _plain(char) else _escaped(char) for char in name)


def given(text: str) -> str:
    """The name that a shown form stands for; any other text stands for itself."""
    if "\\x" not in text:
        return text
    raw = bytearray()
    start = 0
    for found in _ESCAPE.finditer(text):
        raw += os.fsencode(text[start : found.start()])
        raw.append(int(found.group(1), 16))
        start = found.end()
    raw += os.fsencode(text[start:])
    return os.fsdecode(bytes(raw))


def check_native(path: str) -> None:
    r"""Refuse a relative path that only Windows understands, where the server doesn't run there.

    Taken as a name, it would become a file ``C:\Users\...`` in the first root, and the caller be told that all is well.

    Raises:
        CallError: `outside_roots`.
    """
    if sys.platform != "win32" and _DRIVE.match(path):
        raise CallError(
            "outside_roots", "this is a path of Windows; the server runs elsewhere.", "Call list_roots for the folders."
        )


def fitting(names: Iterable[str], room: int) -> list[str]:
    """The first names, in the form that is shown, that take no more than `room` characters as JSON."""
    kept: list[str] = []
    for name in names:
        text = shown(name)
        room -= cost(text)
        if room < 0:
            break
        kept.append(text)
    return kept


def cost(text: str) -> int:
    """Characters that a shown name takes as an element of a JSON list."""
    # Nothing but quotes and backslashes is escaped: the rest isn't in a shown name.
    return len(text) + text.count('"') + text.count("\\") + 3


def _plain(char: str) -> bool:
    return char != "\\" and unicodedata.category(char) not in _HIDDEN


def _escaped(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(char))
