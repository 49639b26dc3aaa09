"""Rows as text for a model: CSV as PostgreSQL writes it, one JSON object a line, or a Markdown table."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Literal

from gatelodge_postgres.reading.describe import JSON_TYPES
from gatelodge_postgres.reading.fetch import Row

Format = Literal["csv", "jsonl", "markdown"]

_BOOL, _INTS, _FLOATS, _NUMERIC = 16, (20, 21, 23, 26), (700, 701), 1700
_SPECIAL = frozenset(',"\r\n')


def text_of(names: Sequence[str], types: Sequence[int], rows: Sequence[Row], form: Format) -> str:
    """All rows.

    Args:
        names: Of the columns.
        types: Their OIDs.
        rows: Values as PostgreSQL writes them.
        form: How.
    """
    if not names:
        return "\n".join("()" for _ in rows)
    if form == "csv":
        return "\n".join(csv_lines(names, types, rows))
    if form == "jsonl":
        return "\n".join(json_lines(names, types, rows))
    head = [_row([_cell(name) for name in names]), _row(["---"] * len(names))]
    return "\n".join(head + [_row([_cell(plain(value, kind)) for value, kind in zip(row, types, strict=True)]) for row in rows])  # fmt: skip


def csv_lines(names: Sequence[str], types: Sequence[int], rows: Sequence[Row], *, head: bool = True) -> list[str]:
    """CSV as by COPY: NULL is nothing at all, the empty string is ``""``."""
    lines = [",".join(_csv(name) for name in names)] if head else []
    lines += [
        ",".join("" if value is None else _csv(plain(value, kind)) for value, kind in zip(row, types, strict=True))
        for row in rows
    ]
    return lines


def json_lines(names: Sequence[str], types: Sequence[int], rows: Sequence[Row]) -> list[str]:
    """One JSON object a line. Numbers that a double can't hold, NaN and infinity are strings; equal names get ``_2``."""
    keys = [json.dumps(name, ensure_ascii=False) for name in distinct(names)]
    return [
        "{" + ",".join(f"{key}:{_json(value, kind)}" for key, value, kind in zip(keys, row, types, strict=True)) + "}"
        for row in rows
    ]


def distinct(names: Sequence[str]) -> list[str]:
    """The names, those that were there before with a number behind them."""
    seen: set[str] = set()
    found: list[str] = []
    for name in names:
        candidate, number = name, 2
        while candidate in seen:
            candidate, number = f"{name}_{number}", number + 1
        seen.add(candidate)
        found.append(candidate)
    return found


def plain(value: str | None, kind: int) -> str:
    """A value as a person writes it: NULL, true and false in words."""
    if value is None:
        return "NULL"
    return {"t": "true", "f": "false"}.get(value, value) if kind == _BOOL else value


def _csv(value: str) -> str:
    if value and not _SPECIAL.intersection(value) and value == value.strip():
        return value
    doubled = value.replace('"', '""')
    return f'"{doubled}"'


def _json(value: str | None, kind: int) -> str:
    if value is None:
        return "null"
    if kind == _BOOL:
        return "true" if value == "t" else "false"
    if kind in _INTS:
        return value
    if kind in _FLOATS or kind == _NUMERIC:
        return value if _is_exact(value, kind) else json.dumps(value)
    if kind in JSON_TYPES:
        try:
            # A value that was cut is no JSON any more. As it is, since numbers would lose digits on the way.
            json.loads(value)
            return value.replace("\n", " ").replace("\r", " ")
        except (ValueError, RecursionError):
            return json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)


def _is_exact(value: str, kind: int) -> bool:
    """Whether a reader that takes numbers for doubles loses nothing."""
    number = float(value)
    if not math.isfinite(number):
        return False
    digits = value.lstrip("-").replace(".", "").lstrip("0")
    return kind in _FLOATS or len(digits) <= 15


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\r", "").replace("\n", "<br>")
