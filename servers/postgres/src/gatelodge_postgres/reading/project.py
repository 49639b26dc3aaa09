"""A statement wrapped so that the server cuts wide values and masks columns: what is too long never travels.

One value of 500 MB would otherwise take three times that in this process, whatever the cursor.
"""

from __future__ import annotations

from collections.abc import Sequence

from gatelodge_postgres.reading.describe import BYTEA, Column

MASK = "[masked]"


def wrapped(sql: str, columns: Sequence[Column], cut: int, masked: frozenset[int] = frozenset()) -> tuple[str, int]:
    """The statement that gives the same rows with values of `cut` + 1 characters at most.

    Args:
        sql: One SELECT without a semicolon at its end.
        columns: What it gives, by its description.
        cut: Characters of a value; one more tells that there is more.
        masked: Numbers of columns whose values are to be masked.

    Returns:
        The text, and how many characters stand before `sql` in it.
    """
    if not columns:
        return sql, 0
    names = [f"c{number}" for number in range(len(columns))]
    parts = [_part(column, f"q.{name}", cut, masked=number in masked) for number, (column, name) in enumerate(zip(columns, names, strict=True))]  # fmt: skip
    # The parts are our own, of numbers and fixed words; the caller's text is judged, and sent as one statement.
    head = f"SELECT {', '.join(parts)} FROM (\n"  # noqa: S608
    # On a line of its own, since the text can end with a comment.
    return f"{head}{sql}\n) q({', '.join(names)})", len(head)


def _part(column: Column, name: str, cut: int, *, masked: bool) -> str:
    if masked:
        return f"'{MASK}'"
    if not column.wide:
        return name
    if column.oid == BYTEA:
        return f"'\\x' OPERATOR(pg_catalog.||) pg_catalog.encode(pg_catalog.substring({name}, 1, {cut // 2}), 'hex')"
    return f'pg_catalog."left"({name}::pg_catalog.text, {cut + 1})'
