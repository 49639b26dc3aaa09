"""A few of the rows that a statement changes, before and after, from the one run that changes them.

The statement becomes a WITH query: PostgreSQL itself then takes nothing but a change of rows there, runs it whole, and gives
back a count and a few rows, whatever their number. What the row was before comes from RETURNING OLD (18), or from the table
as the statement's snapshot still sees it, by key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import pq

from gatelodge_postgres.changing.judging import Judged
from gatelodge_postgres.changing.shape import Target
from gatelodge_postgres.connect.privileges import quoted
from gatelodge_postgres.connect.session import Session, decoded
from gatelodge_postgres.reading.project import MASK
from gatelodge_postgres.verdict.known import Relation

ROWS = 10
COLUMNS = 24
VALUE = 80
"""Characters of a value that are shown."""
OPENING = "WITH q AS (\n"
_COLUMNS: LiteralString = """
SELECT a.attname::text, a.attnum = ANY (coalesce(k.columns, '{}')), a.atttypid < 16384 FROM pg_attribute a
LEFT JOIN LATERAL (SELECT (i.indkey::int2[])[0:i.indnkeyatts - 1] AS columns FROM pg_index i WHERE i.indrelid = a.attrelid
  AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
  AND NOT EXISTS (SELECT FROM pg_attribute x WHERE x.attrelid = i.indrelid AND NOT x.attnotnull
    AND x.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
  ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid LIMIT 1) k ON true
WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(a.attrelid, a.attnum, 'SELECT')
ORDER BY a.attnum
"""


@dataclass(frozen=True)
class Column:
    """A column of the target."""

    name: str
    key: bool
    masked: bool


@dataclass(frozen=True)
class Change:
    """One row; the values of its columns in their order, None for NULL.

    Args:
        before: What it was; None if it wasn't there, or that isn't known.
        after: What it becomes; None if it goes.
    """

    before: tuple[str | None, ...] | None
    after: tuple[str | None, ...] | None


@dataclass(frozen=True)
class Sampling:
    """How the rows of a statement are had.

    Args:
        sql: What is sent.
        offset: Characters before the statement in it.
        columns: What is shown of a row.
        olds: Whether what a row was before is known.
        news: Whether there is an after.
        note: What can't be shown, and why.
    """

    sql: str
    offset: int
    columns: tuple[Column, ...]
    olds: bool = False
    news: bool = False
    note: str = ""


async def sampling(session: Session, judged: Judged, masked: dict[int, frozenset[str]]) -> Sampling:
    """Find out how; where there is no way, the statement is sent as it is.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    shape = judged.shape
    mine = [one for target, one in judged.targets if target is shape.targets[0]]
    why = ""
    if shape.nested:
        why = "no sample: its WITH changes tables too"
    elif shape.merges and session.version < 170000:
        why = "no sample: MERGE tells its rows from PostgreSQL 17 on"
    elif not mine:
        why = "no sample: the table wasn't found"
    if why:
        return Sampling(shape.body, 0, (), note=why)
    target, relation = shape.targets[0], mine[0]
    found = await session.rows(_COLUMNS, [relation.oid])
    hidden = masked.get(relation.oid, frozenset())
    keys = [name for name, key, plain in found if key and plain]
    keyed = bool(keys) and all(plain for _, key, plain in found if key) and not target.columns.intersection(keys)
    ordered = sorted(found, key=lambda row: (not row[1], row[0] not in target.columns))
    columns = tuple(Column(name, key, name in hidden) for name, key, _ in ordered[:COLUMNS])
    if not columns:
        return Sampling(shape.body, 0, (), note="no sample: the role may read none of its columns")
    more = f"{len(found) - COLUMNS} more columns are not shown" if len(found) > COLUMNS else ""
    if session.version >= 180000:
        return _by_old(shape.body, target, columns, more)
    return _by_key(shape.body, target, relation, columns, keys if keyed else [], more)


def _by_old(body: str, target: Target, columns: Sequence[Column], note: str) -> Sampling:
    olds, news = bool(target.events - {"INSERT"}), bool(target.events - {"DELETE"})
    names = [quoted(column.name) for column in columns]
    old, new = _unused("gl_old", body), _unused("gl_new", body)
    given = [f"{new}.{name} AS n{n}" for n, name in enumerate(names)] if news else []
    given += [f"{old}.{name} AS o{n}" for n, name in enumerate(names)] if olds else []
    shown = [_value(f"s.n{n}", column) for n, column in enumerate(columns)] if news else []
    shown += [_value(f"s.o{n}", column) for n, column in enumerate(columns)] if olds else []
    returning = f"RETURNING WITH (OLD AS {old}, NEW AS {new}) {', '.join(given)}"
    sql = f"{OPENING}{body}\n{returning})\nSELECT (SELECT pg_catalog.count(*) FROM q), {', '.join(shown)} FROM (SELECT * FROM q LIMIT {ROWS}) s"  # noqa: S608 - quoted names of the catalog, and one judged statement that PostgreSQL takes only as a change of rows
    return Sampling(sql, len(OPENING), tuple(columns), olds, news, note)


def _unused(name: str, body: str) -> str:
    """A name that the statement doesn't use."""
    while name in body.lower():
        name += "_"
    return name


def _by_key(
    body: str, target: Target, relation: Relation, columns: Sequence[Column], keys: Sequence[str], note: str
) -> Sampling:
    alias, names = quoted(target.alias), [quoted(column.name) for column in columns]
    given = [f"{alias}.{name} AS n{n}" for n, name in enumerate(names)]
    shown = [_value(f"s.n{n}", column) for n, column in enumerate(columns)]
    deletes = not target.events - {"DELETE"}
    joins = bool(keys) and bool(target.events - {"INSERT"}) and not deletes
    joined = ""
    if joins:
        shown += [_value(f"o.{name}", column) for name, column in zip(names, columns, strict=True)]
        places = {column.name: n for n, column in enumerate(columns)}
        pairs = " AND ".join(f"o.{quoted(key)} OPERATOR(pg_catalog.=) s.n{places[key]}" for key in keys)
        joined = f" LEFT JOIN {quoted(relation.schema)}.{quoted(relation.name)} o ON {pairs}"
    elif "UPDATE" in target.events:
        lacks = "it sets its key" if target.columns.intersection(keys) else "it has no key to find them by, or sets it"
        note = f"what the rows were is not shown: {lacks}" + (f"; {note}" if note else "")
    sql = f"{OPENING}{body}\nRETURNING {', '.join(given)})\nSELECT (SELECT pg_catalog.count(*) FROM q), {', '.join(shown)} FROM (SELECT * FROM q LIMIT {ROWS}) s{joined} LIMIT {ROWS}"  # noqa: S608 - as above
    return Sampling(sql, len(OPENING), tuple(columns), joins or deletes, not deletes, note)


def _value(name: str, column: Column) -> str:
    return f"'{MASK}'" if column.masked else f'pg_catalog."left"({name}::pg_catalog.text, {VALUE + 1})'


def read(result: pq.abc.PGresult, found: Sampling) -> tuple[int, tuple[Change, ...]]:
    """The number of rows that a statement sent as `found` says changed, and some of them."""
    if not found.columns:
        return result.command_tuples or 0, ()
    if not result.ntuples:
        return 0, ()
    width = len(found.columns)
    changes: list[Change] = []
    for row in range(result.ntuples):
        values = [_shown(result.get_value(row, n)) for n in range(1, result.nfields)]
        parts = [tuple(values[at : at + width]) for at in range(0, len(values), width)]
        after = parts.pop(0) if found.news else None
        before = parts.pop(0) if found.olds else None
        changes.append(Change(_there(before, found), _there(after, found)))
    return int(result.get_value(0, 0) or 0), tuple(changes)


def _there(values: tuple[str | None, ...] | None, found: Sampling) -> tuple[str | None, ...] | None:
    """The values, or None where all that could be one is NULL: no row was joined."""
    if values is None:
        return None
    return values if any(value is not None for value, column in zip(values, found.columns, strict=True) if not column.masked) else None  # fmt: skip


def _shown(raw: bytes | None) -> str | None:
    if raw is None:
        return None
    text = decoded(raw)
    return f"{text[:VALUE]}…" if len(text) > VALUE else text
