"""Taking GitHub's JSON apart without trusting its shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

_NOTHING: Mapping[str, Any] = {}


def table(value: object) -> Mapping[str, Any]:
    """GitHub's object, or an empty one where it gave none."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else _NOTHING


def rows(value: object) -> list[dict[str, Any]]:
    """GitHub's list of objects, or an empty one where it gave none."""
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]


def text(value: object) -> str:
    """GitHub's text; empty where it gave none."""
    return value if isinstance(value, str) else ""


def whole(value: object, otherwise: int = 0) -> int:
    """GitHub's whole number, or another one where it gave none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def day(time: object) -> str:
    """A time of GitHub's, to the minute: ``2026-01-31T12:00Z``; empty for none."""
    said = text(time)
    return f"{said[:16]}Z" if len(said) >= 17 and said[10:11] == "T" else said[:40]
