"""Fetching through a cursor, in batches that stay small whatever the rows are, until a cap is reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import LiteralString, cast

from gatelodge_postgres.connect.session import Session, decoded
from gatelodge_postgres.reading.describe import Description, description_of

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


DECLARE = "DECLARE q NO SCROLL CURSOR FOR "
"""No WITH HOLD and no SCROLL: it ends with the transaction, and nothing is kept for going back."""


class Changed(Exception):
    """The statement gives other columns by now than it was prepared for."""


async def fetch(
    session: Session,
    sql: str,
    parameters: Sequence[object],
    *,
    check: tuple[str, Description] | None = None,
    rows: int,
    size: int,
    skip: int = 0,
    seconds: float,
    wide: int,
) -> Rows:
    """Open a cursor, which PostgreSQL does for nothing but one query that changes nothing, and fetch from it.

    Args:
        session: A transaction.
        sql: The query.
        parameters: Its parameters.
        check: A statement, and what it must still give.
        rows: The most rows.
        size: The most bytes; the row that passes it is left out.
        skip: Rows to pass over.
        seconds: The statement timeout, set anew before each batch: what ran could have changed it.
        wide: Characters that a row's wide columns can have together.

    Raises:
        Changed: `check` doesn't hold any more; the cursor is open.
        psycopg.Error: The query, or a batch, failed.
    """
    found = Rows()
    session.tainted = True
    count = max(1, min(FIRST_ROWS, 4 * BATCH_BYTES // max(1, wide), rows + 1))
    opening: list[tuple[str, Sequence[object]]] = [(f"{DECLARE}{sql}", parameters)]
    opening += [(f"MOVE FORWARD {skip} IN q", ())] if skip else []
    opening.append((f"FETCH FORWARD {count} FROM q", ()))
    described, *_, batch = await session.pipeline(opening, describing=check[0] if check else "")
    if check and description_of(described) != check[1]:
        raise Changed
    while True:
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
        (batch,) = await session.constant(_text(f"FETCH FORWARD {count} FROM q"))


def _text(sql: str) -> LiteralString:
    """A text made of our words and numbers alone."""
    return cast("LiteralString", sql)
