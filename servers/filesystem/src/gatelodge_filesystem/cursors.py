"""Cursors: where a list goes on. Opaque to the caller, and able to do nothing but that.

A cursor holds the sort key of the last item shown, and a digest of the question, so that it isn't taken for another
one's. Items added or removed meanwhile can be missed or seen, but nothing is shown twice.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import cast

from gatelodge_core.errors import CallError

Key = tuple[int, str]
"""(number that sorts first, path)"""


def question(*parts: object) -> str:
    """A digest of everything that makes a list what it is."""
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def encode(asked: str, key: Key) -> str:
    """The cursor that goes on after `key`."""
    path = base64.b64encode(os.fsencode(key[1])).decode()
    return base64.urlsafe_b64encode(json.dumps([asked, key[0], path]).encode()).decode().rstrip("=")


def decode(asked: str, cursor: str) -> Key | None:
    """The key to go on after; None to begin.

    Raises:
        CallError: `bad_cursor`: it is no cursor of ours, or of another question.
    """
    if not cursor:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        table = cast("list[object]", json.loads(raw))
        owner, number, path = table
        if owner == asked and isinstance(number, int) and isinstance(path, str):
            return number, os.fsdecode(base64.b64decode(path, validate=True))
    except (ValueError, TypeError):
        pass
    raise CallError(
        "bad_cursor", "this cursor doesn't belong to this question.", "Repeat the same arguments, or leave cursor out."
    )
