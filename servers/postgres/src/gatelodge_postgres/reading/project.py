"""A statement wrapped so that the server cuts wide values and masks columns: what is too long never travels.

One value of 500 MB would otherwise take three times that in this process, whatever the cursor.
"""

from __future__ import annotations

from collections.abc import Sequence

from gatelodge_postgres.reading.describe import BYTEA, Column

MASK = "[masked]"


def wrapping(columns: Sequence[Column], cut: int, masked: frozenset[int] = frozenset()) -> tuple[str, str]:
    """What to put before and behind a SELECT, so that it gives the same rows with values of `cut` + 1 characters at most.

    Args:
        columns: What it gives, by its description.
        cut: Characters of a value; one more tells that there is more.
        masked: Numbers of columns whose values are to be masked.
    """
    if not columns:
        return "", ""
    names = [f"c{number}" for number in range(len(columns))]
    parts = [
        _part(column, f"q.{name}", cut, masked=number in masked)
        for number, (column, name) in enumerate(zip(columns, names, strict=True))
    ]
    # The parts are our own, of numbers and fixed words; the caller's text is judged, and sent as one statement.
    head = f"SELECT {', '.join(parts)} FROM (\n"  # noqa: S608
    # On a line of its own, since the text can end with a comment.
    return head, f"\n) q({', '.join(names)})"


def wrapped(sql: str, columns: Sequence[Column], cut: int, masked: frozenset[int] = frozenset()) -> tuple[str, int]:
    """A SELECT without a semicolon at its end in its `wrapping`, and how many characters stand before it."""
    head, tail = wrapping(columns, cut, masked)
    return f"{head}{sql}{tail}", len(head)


def _part(column: Column, name: str, cut: int, *, masked: bool) -> str:
    if masked:
        return f"'{MASK}'"
    if not column.wide:
        return name
    if column.oid == BYTEA:
        return (
            f"'\\x' OPERATOR(pg_catalog.||) pg_catalog.encode(pg_catalog.substring({name}, 1, {cut // 2 + 1}), 'hex')"
        )
    return f'pg_catalog."left"({name}::pg_catalog.text, {cut + 1})'
