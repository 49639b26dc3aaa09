"""JSON objects that came from outside, read in one way or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NoReturn, cast

JsonObject = dict[str, object]


class DocumentError(ValueError):
    """A text that isn't one JSON object in one reading."""


def read_object(text: bytes | str) -> JsonObject:
    """The object that a text is.

    Two readers must not see two things in it: a name that comes twice, a number that JSON doesn't have, or bytes that
    aren't UTF-8 are refused.

    Raises:
        DocumentError: It isn't one.
    """
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        value: object = json.loads(decoded, object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        # The parser's text would quote what came from outside.
        raise DocumentError("it is no JSON object that can be read in one way only") from None
    if not isinstance(value, dict):
        raise DocumentError("it is no JSON object")
    return cast("JsonObject", value)


def texts(value: object, *, most: int = 256) -> list[str] | None:
    """A text or a list of texts as a list; None if it is neither, or has more than `most`."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        return None
    items = cast("list[object]", value)
    found = [item for item in items if isinstance(item, str)]
    return found if len(found) == len(items) <= most else None


def _once(pairs: Iterable[tuple[str, object]]) -> JsonObject:
    found: JsonObject = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(name)
        found[name] = value
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
