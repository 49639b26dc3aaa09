"""One opaque cursor over REST pages and GraphQL: where a list goes on, and of which question."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any, cast

from gatelodge_core.errors import CallError

Place = dict[str, Any]
"""Where to go on: ``p`` page, ``n`` items a page, ``o`` items to skip, ``a`` GraphQL's own cursor; and inside of an item:
``l`` line of a text, ``t`` text of several, ``c`` character or byte."""
_FAR = 1 << 40
"""No text is as long."""


def make(place: Place, question: object) -> str:
    """The cursor for a place in the answers to a question, which is any JSON value."""
    data = json.dumps([place, _digest(question)], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def read(cursor: str, question: object) -> Place:
    """The place; an empty one for an empty cursor.

    Raises:
        CallError: `bad_cursor`: it is none, or of another question.
    """
    if not cursor:
        return {}
    try:
        if len(cursor) > 1000:
            raise ValueError
        found: object = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        found = None
    parts = cast("list[Any]", found) if isinstance(found, list) else []
    if len(parts) != 2 or not isinstance(parts[0], dict) or parts[1] != _digest(question):
        raise CallError(
            "bad_cursor",
            "That is no cursor for these arguments.",
            "Repeat the call with the same arguments and the cursor of its answer, or leave the cursor out.",
        )
    place = cast("Place", parts[0])
    for key, most in (("p", 1_000_000), ("n", 1_000_000), ("o", 1_000_000), ("l", _FAR), ("t", _FAR), ("c", _FAR)):
        value = place.get(key, 0)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise CallError("bad_cursor", "That is no cursor.", "Leave it out to begin anew.")
    if not isinstance(place.get("a", ""), str):
        raise CallError("bad_cursor", "That is no cursor.", "Leave it out to begin anew.")
    return place


def changed(what: str) -> CallError:
    """What a cursor goes on inside of is another thing by now."""
    return CallError("changed", f"{what} is another one by now.", "Leave the cursor out to begin anew.")


def _digest(question: object) -> str:
    return hashlib.sha256(json.dumps(question, sort_keys=True, default=str).encode()).hexdigest()[:12]
