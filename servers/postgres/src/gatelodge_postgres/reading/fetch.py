"""Fetching through a cursor, in batches that stay small whatever the rows are, until a cap is reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import LiteralString, cast

from gatelodge_postgres.connect.session import Session, decoded

BATCH_ROWS = 500
FIRST_ROWS = 50
BATCH_BYTES = 512 * 1024
"""What a batch aims at; the first one, before anything is known of the rows, may have some times as much."""

Row = list[str | None]


@dataclass
class Rows:
    """What was fetched.

    Args:
        rows: Values as text; None is NULL.
        bytes: Of all values.
        more: Whether the statement has more rows.
        stopped_by: ``rows`` or ``bytes``, whichever cap came first; empty without more.
    """

    rows: list[Row] = field(default_factory=list[Row])
    bytes: int = 0
    more: bool = False
    stopped_by: str = ""


async def declare(session: Session, sql: str, parameters: Sequence[object]) -> None:
    """Open the cursor. PostgreSQL takes nothing but one query that changes nothing.

    Raises:
        psycopg.Error: It takes it not.
    """
    session.tainted = True
    # No WITH HOLD and no SCROLL, so it ends with the transaction, and nothing is kept for going back.
    await session.extended(f"DECLARE q NO SCROLL CURSOR FOR {sql}", parameters)


DECLARED = len("DECLARE q NO SCROLL CURSOR FOR ")
"""Characters before a statement in what `declare` sends."""


async def fetch(session: Session, *, rows: int, size: int, skip: int = 0, seconds: float, wide: int) -> Rows:
    """Fetch from the open cursor.

    Args:
        session: Whose cursor it is.
        rows: The most rows.
        size: The most bytes; the row that passes it is left out.
        skip: Rows to pass over.
        seconds: The statement timeout, set anew before each batch: what ran could have changed it.
        wide: Characters that a row's wide columns can have together.

    Raises:
        psycopg.Error: A batch failed.
    """
    found = Rows()
    if skip:
        await session.constant(_text(f"MOVE FORWARD {skip} IN q"))
        await session.constant(_text(f"SET LOCAL statement_timeout={round(seconds * 1000)}"))
    count = max(1, min(FIRST_ROWS, 4 * BATCH_BYTES // max(1, wide), rows + 1))
    while True:
        (batch,) = await session.constant(_text(f"FETCH FORWARD {count} FROM q"))
        for number in range(batch.ntuples):
            values = [batch.get_value(number, column) for column in range(batch.nfields)]
            length = sum(len(value) for value in values if value is not None)
            if len(found.rows) >= rows or (found.rows and found.bytes + length > size):
                found.more = True
                found.stopped_by = "rows" if len(found.rows) >= rows else "bytes"
                return found
            found.rows.append([None if value is None else decoded(value) for value in values])
            found.bytes += length
        if batch.ntuples < count:
            return found
        each = max(1, found.bytes // len(found.rows))
        count = max(1, min(BATCH_ROWS, BATCH_BYTES // each, rows + 1 - len(found.rows)))
        await session.constant(_text(f"SET LOCAL statement_timeout={round(seconds * 1000)}"))


def _text(sql: str) -> LiteralString:
    """A text made of our words and numbers alone."""
    return cast("LiteralString", sql)
