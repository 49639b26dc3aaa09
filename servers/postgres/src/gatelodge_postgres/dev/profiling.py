"""What a table's columns hold: from the planner's statistics where they are, else from a bounded part of the rows.

Values are compared and counted only in types that PostgreSQL, an extension, or an enum defines: with a type of a user's
own, to compare is to call the user's functions.
"""

# S608 below: SQL is put together of fixed words, numbers, and names that came from the catalog and are quoted.

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString, cast

from gatelodge_core.errors import CallError

from gatelodge_postgres.catalog.names import ROWS
from gatelodge_postgres.connect.privileges import quoted
from gatelodge_postgres.connect.session import Session, decoded
from gatelodge_postgres.dev.tables import Table
from gatelodge_postgres.reading.reader import Reader
from gatelodge_postgres.verdict.kin import NOBODY, kin
from gatelodge_postgres.verdict.shut import shut

SAMPLE_ROWS = 10_000
"""Rows that are looked at where there are no statistics."""
SAMPLE_PAGES = 400
"""Pages of 8 kB, spread over a large table, that they come from."""
MOST_COLUMNS = 40
MOST_COMMON = 8
VALUE_CHARS = 60

_TABLE: LiteralString = """
WITH RECURSIVE leaves AS (SELECT $1::oid AS oid
 UNION ALL SELECT i.inhrelid FROM pg_inherits i JOIN leaves l ON i.inhparent = l.oid)
SELECT coalesce(sum(CASE WHEN c.relkind IN ('r', 'm') AND {ROWS} >= 0 THEN c.reltuples END), -1)::float8,
 coalesce(sum(CASE WHEN c.relkind IN ('r', 'm') THEN pg_total_relation_size(c.oid) END), 0)::int8,
 coalesce(sum(CASE WHEN c.relkind IN ('r', 'm') THEN pg_relation_size(c.oid) END), 0)::int8,
 count(*)::int8 - 1, coalesce(to_char(max(greatest(s.last_analyze, s.last_autoanalyze)), 'YYYY-MM-DD HH24:MI'), '')
FROM leaves l JOIN pg_class c ON c.oid = l.oid LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
""".replace("{ROWS}", ROWS)
_COLUMNS: LiteralString = """
WITH RECURSIVE base AS (SELECT oid, oid AS at, typtype::text, typbasetype, typelem, typcategory::text FROM pg_type
 WHERE oid IN (SELECT atttypid FROM pg_attribute WHERE attrelid = $1::oid)
 UNION ALL SELECT b.oid, t.oid, t.typtype::text, t.typbasetype, t.typelem, t.typcategory::text FROM base b
 JOIN pg_type t ON t.oid = CASE WHEN b.typtype = 'd' THEN b.typbasetype WHEN b.typcategory = 'A' THEN b.typelem END)
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
 has_column_privilege(a.attrelid, a.attnum, 'SELECT'),
 (SELECT bool_and(b.at < 16384 OR b.typtype IN ('e', 'd') OR b.typcategory = 'A' OR EXISTS (SELECT FROM pg_depend d
   WHERE d.classid = 'pg_type'::regclass AND d.objid = b.at AND d.deptype = 'e')) FROM base b WHERE b.oid = a.atttypid),
 (SELECT format_type(b.at, NULL) FROM base b WHERE b.oid = a.atttypid AND b.typtype <> 'd' LIMIT 1),
 (SELECT b.typtype = 'e' OR b.at < 16384 AND b.typcategory IN ('N', 'S', 'D', 'T', 'I') FROM base b
   WHERE b.oid = a.atttypid AND b.typtype <> 'd' LIMIT 1)
FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_STATS: LiteralString = """
SELECT DISTINCT ON (attname) attname::text, null_frac::float8, n_distinct::float8,
 array_to_json(most_common_vals::text::text[]), array_to_json(most_common_freqs)
FROM pg_stats WHERE schemaname = $1 AND tablename = $2 AND attname = ANY ($3::name[]) ORDER BY attname, inherited DESC
"""


@dataclass
class Profile:
    """One column.

    Args:
        name: Its name.
        type: As SQL writes it.
        required: Whether it is NOT NULL.
        granted: Whether the role may read it.
        plain: Whether comparing its values calls no user's function.
        base: Its type below domains.
        ordered: Whether its least and greatest value mean something.
        masked: Whether its values are masked.
        source: ``statistics``, ``sample``, or empty.
        nulls: Fraction of NULLs.
        distinct: About how many values; -1 if not known.
        low: The least value.
        high: The greatest.
        common: (value, fraction).
    """

    name: str
    type: str
    required: bool
    granted: bool
    plain: bool
    base: str
    ordered: bool
    masked: bool = False
    source: str = ""
    nulls: float = 0.0
    distinct: float = -1.0
    low: str | None = None
    high: str | None = None
    common: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])

    @property
    def shown(self) -> bool:
        """Whether anything of its values may be said."""
        return self.granted and not self.masked


@dataclass
class Facts:
    """A table.

    Args:
        table: Which.
        rows: About how many; -1 if nobody counted.
        size: Bytes with indexes.
        heap: Bytes without.
        parts: Partitions and children.
        analyzed: When statistics were last gathered; empty if not known.
        columns: Those asked for.
        all: How many columns it has.
    """

    table: Table
    rows: float
    size: int
    heap: int
    parts: int
    analyzed: str
    columns: list[Profile]
    all: int


async def facts(session: Session, reader: Reader, table: Table, wanted: Sequence[str]) -> Facts:
    """What the catalog and the planner's statistics say.

    Raises:
        CallError: There is no such column.
        psycopg.Error: The catalog can't be read.
    """
    ((rows, size, heap, parts, analyzed),) = await session.rows(_TABLE, [table.oid])
    columns = [Profile(*row) for row in await session.rows(_COLUMNS, [table.oid])]
    chosen = _chosen(columns, wanted, table)
    masks = reader.caps.masks
    related = (await kin(session, [table.oid])).get(table.oid, NOBODY)
    closing = await shut(session, reader.judge, texts=True)
    if closing.closed(table.schema, table.name):
        raise CallError("refused", f"{table.full} is not read here.", "Profile another table.")
    # What a materialized view holds is named by its query alone, which no statistics tell of.
    unsure = table.kind == "m" and bool(masks or reader.judge.rules.deny_relations)
    for column in chosen:
        column.type = closing.or_withheld(column.type)
        column.masked = unsure or masks.covers(table.schema, table.name, column.name, related)
    # Nothing is asked for that may not be shown.
    plain = {column.name: column for column in chosen if column.shown and column.plain}
    for name, nulls, distinct, values, shares in await session.rows(_STATS, [table.schema, table.name, list(plain)]):
        column = plain[str(name)]
        column.source, column.nulls = "statistics", nulls
        column.distinct = distinct if distinct >= 0 else -distinct * rows if rows >= 0 else -1
        column.common = [(_cut(value), share) for value, share in zip(values or [], shares or [], strict=False)][:MOST_COMMON]  # fmt: skip
    await _bounds(session, table, [column for column in plain.values() if column.source and column.ordered])
    return Facts(table, rows, size, heap, parts, analyzed, chosen, len(columns))


def _chosen(columns: list[Profile], wanted: Sequence[str], table: Table) -> list[Profile]:
    if not wanted:
        return columns[:MOST_COLUMNS]
    known = {column.name: column for column in columns}
    lower = {column.name.lower(): column for column in columns}
    found = [known.get(name) or lower.get(name.lower()) for name in dict.fromkeys(wanted)]
    if None in found:
        missing = next(name for name, column in zip(dict.fromkeys(wanted), found, strict=True) if column is None)
        names = ", ".join(list(known)[:30])
        raise CallError("no_column", f"{table.full} has no column {missing[:60]!r}.", f"It has: {names}.")
    return [column for column in found if column is not None]


async def _bounds(session: Session, table: Table, columns: Sequence[Profile]) -> None:
    """The least and greatest value that statistics hold, compared as what they are."""
    if not columns:
        return
    parts: list[str] = []
    # The types' names come from the catalog, which quotes them; names of columns are parameters.
    for number, column in enumerate(columns):
        kind = f"{column.base}[]"
        values = (
            f"(SELECT v FROM unnest(s.histogram_bounds::text::{kind} || s.most_common_vals::text::{kind}) u(v)"  # noqa: S608
            " WHERE v IS NOT NULL ORDER BY v {} LIMIT 1)::text"
        )
        low, high = values.format("ASC"), values.format("DESC")
        parts.append(f"(SELECT json_build_array({number}, {low}, {high}) FROM named s WHERE s.attname = ${number + 3})")  # noqa: S608
    sql = f"""WITH named AS MATERIALIZED (SELECT DISTINCT ON (attname) attname::text, histogram_bounds, most_common_vals
        FROM pg_stats WHERE schemaname = $1 AND tablename = $2 ORDER BY attname, inherited DESC)
        SELECT json_build_array({", ".join(parts)})"""  # noqa: S608
    given = [table.schema, table.name, *(column.name for column in columns)]
    ((found,),) = await session.rows(cast("LiteralString", sql), given)
    for entry in cast("list[list[Any] | None]", found):
        if entry is not None:
            column = columns[int(entry[0])]
            column.low, column.high = (None if value is None else _cut(value) for value in entry[1:])


async def sampled(session: Session, reader: Reader, known: Facts) -> str:
    """Fill in what statistics don't tell from a bounded part of the rows; in words, which.

    Raises:
        CallError: A view holds what may not be read.
        psycopg.Error: It can't be read.
    """
    columns = [column for column in known.columns if column.shown and column.plain and not column.source]
    if not columns:
        return ""
    pages = known.heap // 8192
    spread = known.table.kind in ("r", "p", "m") and pages > SAMPLE_PAGES
    clause = f" TABLESAMPLE SYSTEM ({100 * SAMPLE_PAGES / pages:.6f}) REPEATABLE (1)" if spread else ""
    names = ", ".join(f"{quoted(column.name)} AS c{number}" for number, column in enumerate(columns))
    rows = f"SELECT {names} FROM {known.table.sql}{clause} LIMIT {SAMPLE_ROWS}"  # noqa: S608
    # As with any query: a view's own functions are judged.
    await reader.prepare(session, rows, [], SAMPLE_ROWS)
    session.tainted = True
    parts = ", ".join(_measure(f"c{number}", ordered=column.ordered) for number, column in enumerate(columns))
    result = await session.extended(
        f"WITH s AS MATERIALIZED ({rows}) SELECT json_build_array((SELECT count(*) FROM s), {parts})"  # noqa: S608
    )
    total, *measured = json.loads(decoded(result.get_value(0, 0) or b"null"))
    for column, (present, distinct, low, high, common) in zip(columns, measured, strict=True):
        column.source = "sample"
        column.nulls = 1 - present / total if total else 0.0
        column.distinct = distinct
        column.low, column.high = low, high
        column.common = [(value, times / total) for value, times in cast("list[tuple[str, int]]", common or [])]
    whole = total < SAMPLE_ROWS and not spread
    return f"all {total} rows" if whole else f"{total} rows {'spread over the table' if spread else 'that came first'}"


def _measure(name: str, *, ordered: bool) -> str:
    """Facts of one column of the sample ``s``, as a JSON array."""
    text = f'pg_catalog."left"(s.{name}::pg_catalog.text, {VALUE_CHARS + 1})'
    low, high = (
        f"(SELECT {text} FROM s WHERE {name} IS NOT NULL ORDER BY s.{name} {way} LIMIT 1)" if ordered else "NULL::text"  # noqa: S608 - c0, c1 and numbers
        for way in ("ASC", "DESC")
    )
    # Long values are told apart by their beginnings: whole ones would be sorted on disk.
    short = f'pg_catalog."left"(s.{name}::pg_catalog.text, 200)'
    return (
        f"(SELECT json_build_array((SELECT count(s.{name}) FROM s), (SELECT count(DISTINCT {short}) FROM s), {low}, {high}, "  # noqa: S608
        f"(SELECT json_agg(json_build_array(v, n)) FROM (SELECT {text} AS v, count(*) AS n FROM s WHERE {name} IS NOT NULL "
        f"GROUP BY 1 HAVING count(*) > 1 ORDER BY 2 DESC, 1 LIMIT {MOST_COMMON}) q)))"
    )


def sample_sql(known: Facts) -> str:
    """A query for some rows as they are; masked columns stand alone, for the reader to mask."""
    pages = known.heap // 8192
    spread = known.table.kind in ("r", "p", "m") and pages > SAMPLE_PAGES
    clause = f" TABLESAMPLE SYSTEM ({max(100 * SAMPLE_PAGES / pages, 0.0001):.6f}) REPEATABLE (1)" if spread else ""
    parts = [
        quoted(column.name)
        if column.masked or not column.plain
        else f'pg_catalog."left"({quoted(column.name)}::pg_catalog.text, {VALUE_CHARS + 1}) AS {quoted(column.name)}'
        for column in known.columns
        if column.granted
    ]
    return f"SELECT {', '.join(parts)} FROM {known.table.sql}{clause}" if parts else ""  # noqa: S608


def _cut(value: str) -> str:
    return value if len(value) <= VALUE_CHARS else f"{value[:VALUE_CHARS]}…"
