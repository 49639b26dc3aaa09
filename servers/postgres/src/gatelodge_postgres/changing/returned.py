"""What a change's own RETURNING gives, a few rows of it, masked where it isn't certain that it may be shown."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import pq

from gatelodge_postgres.changing.sample import OPENING, VALUE
from gatelodge_postgres.changing.shape import Shape
from gatelodge_postgres.connect.session import Session, decoded
from gatelodge_postgres.reading.describe import Names, describe
from gatelodge_postgres.reading.masks import Masks
from gatelodge_postgres.reading.project import MASK

ROWS = 50


@dataclass(frozen=True)
class Returning:
    """How they are had; `sql` counts the rows in its first column."""

    sql: str
    names: tuple[str, ...]


async def returning(session: Session, shape: Shape, masks: Masks, *, touched: bool) -> Returning | None:
    """Find out how; None if the statement returns nothing, or can't be wrapped.

    Args:
        session: With the role that changes things.
        shape: The statement.
        masks: Columns that are masked.
        touched: Whether it names a table with masked columns.

    Raises:
        psycopg.Error: It can't be described.
    """
    if not shape.returns or shape.nested:
        return None
    described = await describe(session, shape.statement.text)
    names = Names()
    await names.learn(session, described, anew=bool(masks))
    parts: list[str] = []
    for number, column in enumerate(described.columns):
        # What is computed can be computed from a masked column.
        hidden = masks.hides(column, names) or (touched and names.origin(column) is None)
        parts.append(f"'{MASK}'" if hidden else f'pg_catalog."left"(s.c{number}::pg_catalog.text, {VALUE + 1})')
    columns = ", ".join(f"c{number}" for number in range(len(parts)))
    opening = OPENING.replace(" q ", f" q({columns}) ")
    sql = f"{opening}{shape.statement.text}\n)\nSELECT (SELECT pg_catalog.count(*) FROM q), {', '.join(parts)} FROM (SELECT * FROM q LIMIT {ROWS}) s"  # noqa: S608 - our words around one judged statement, which PostgreSQL takes only as a change of rows here
    return Returning(sql, tuple(column.name for column in described.columns))


def rows_of(result: pq.abc.PGresult) -> tuple[int, list[list[str | None]]]:
    """(how many rows there are, the first of them)."""
    if not result.ntuples:
        return 0, []
    found = [[_text(result.get_value(row, n)) for n in range(1, result.nfields)] for row in range(result.ntuples)]
    return int(result.get_value(0, 0) or 0), found


def _text(raw: bytes | None) -> str | None:
    if raw is None:
        return None
    text = decoded(raw)
    return f"{text[:VALUE]}…" if len(text) > VALUE else text
