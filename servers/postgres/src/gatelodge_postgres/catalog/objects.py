"""Listing what is in a database, a page at a time, by the catalog alone."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, LiteralString

from gatelodge_core.errors import CallError

from gatelodge_postgres.catalog.names import ROWS
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.verdict.judge import Judge
from gatelodge_postgres.verdict.patterns import regex
from gatelodge_postgres.verdict.shut import shut, visible

Kind = Literal[
    "table", "view", "materialized_view", "foreign_table", "partition", "sequence", "function", "type", "schema",
    "extension",
]  # fmt: skip
RELATIONS: tuple[Kind, ...] = ("table", "view", "materialized_view", "foreign_table")

# Sizes and comments are asked for the page alone: each costs a look at files.
_LIST: LiteralString = r"""
WITH named AS (
 SELECT n.nspname::text AS schema, c.relname::text AS name, c.oid, {ROWS} AS rows,
   CASE WHEN c.relispartition THEN 'partition' WHEN c.relkind IN ('r', 'p') THEN 'table' WHEN c.relkind = 'v' THEN 'view'
     WHEN c.relkind = 'm' THEN 'materialized_view' WHEN c.relkind = 'f' THEN 'foreign_table' ELSE 'sequence' END AS kind,
   'pg_class' AS catalog, ''::text AS more
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT (c.oid = ANY ($4::oid[]))
   AND n.nspname || '.' || c.relname ~ ANY ($5::text[])
 UNION ALL
 SELECT n.nspname, p.proname, p.oid, 0, 'function', 'pg_proc',
   left('(' || pg_get_function_identity_arguments(p.oid) || ') -> ' || coalesce(pg_get_function_result(p.oid), 'procedure')
     || CASE p.provolatile WHEN 'i' THEN ' immutable' WHEN 's' THEN ' stable' ELSE ' volatile' END, 200)
 FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE 'function' = ANY ($1::text[]) AND NOT EXISTS
   (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
 UNION ALL
 SELECT n.nspname, t.typname, t.oid, 0, 'type', 'pg_type',
   CASE t.typtype WHEN 'e' THEN 'enum ' || left((SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
       FROM pg_enum e WHERE e.enumtypid = t.oid), 200)
     WHEN 'd' THEN 'domain over ' || format_type(t.typbasetype, t.typtypmod) WHEN 'c' THEN 'composite' ELSE 'range' END
 FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE 'type' = ANY ($1::text[]) AND (t.typtype IN ('e', 'd', 'r')
   OR t.typtype = 'c' AND EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c')) AND NOT EXISTS
   (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
 UNION ALL
 SELECT n.nspname, '', n.oid, 0, 'schema', 'pg_namespace', '' FROM pg_namespace n WHERE 'schema' = ANY ($1::text[])
 UNION ALL
 SELECT n.nspname, e.extname, e.oid, 0, 'extension', 'pg_extension', e.extversion
 FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE 'extension' = ANY ($1::text[])
), fitting AS (
 SELECT * FROM named WHERE kind = ANY ($1::text[])
   AND CASE WHEN $2 = '' THEN kind = 'extension' OR schema NOT IN ('pg_catalog', 'information_schema') AND schema !~ '^pg_(toast|temp)'
     ELSE schema = $2 END
   AND has_schema_privilege(schema, 'USAGE')
   AND ($3 = '' OR name ~* $3 OR schema || '.' || name ~* $3)
), page AS (
 SELECT * FROM fitting WHERE (schema, name, oid::int8) > ($6, $7, $8::int8) ORDER BY schema, name, oid::int8 LIMIT $9::int
)
SELECT (SELECT count(*)::int8 FROM fitting), schema, name, oid::int8, kind, more, rows,
 CASE WHEN $10::bool AND catalog = 'pg_class' AND kind NOT IN ('view', 'foreign_table', 'sequence')
   THEN nullif(pg_total_relation_size(oid), 0) END,
 CASE WHEN $10::bool THEN left(obj_description(oid, catalog::name), 120) END,
 catalog <> 'pg_class' OR kind = 'sequence' OR has_any_column_privilege(oid, 'SELECT')
FROM page ORDER BY schema, name, oid::int8
""".replace("{ROWS}", ROWS)


@dataclass(frozen=True, slots=True)
class Item:
    """One object.

    Args:
        schema: Where it is.
        name: Its name; empty for a schema.
        oid: Of its row in its catalog.
        kind: What it is.
        more: What one wants to know of its kind: a function's signature, an enum's values.
        rows: Estimated; -1 if never analysed.
        size: Bytes, with indexes and TOAST; None where it has none, or wasn't asked for.
        comment: Its comment.
        readable: Whether the role may read it.
    """

    schema: str
    name: str
    oid: int
    kind: str
    more: str
    rows: float
    size: int | None
    comment: str | None
    readable: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the objects.

    Args:
        items: These.
        total: How many there are in all.
        cursor: Where the rest begins; empty if this is the end.
    """

    items: list[Item]
    total: int
    cursor: str


async def listed(
    session: Session,
    judge: Judge,
    *,
    kinds: Sequence[str] = RELATIONS,
    schema: str = "",
    pattern: str = "",
    limit: int = 100,
    cursor: str = "",
    summary: bool = False,
) -> Page:
    """A page of objects, in the order of schema and name.

    Args:
        session: A transaction.
        judge: Knows which relations may be read.
        kinds: Of which kinds.
        schema: Only in it; without, all but the system's.
        pattern: A glob, or a part of the name; in any case.
        limit: The most.
        cursor: Of the page before.
        summary: Whether sizes and comments are wanted.

    Raises:
        CallError: The cursor is none.
        psycopg.Error: The catalog can't be read.
    """
    wanted = regex(pattern) if any(char in pattern for char in "*?[") else regex(f"*{pattern}*") if pattern else ""
    after = _parsed(cursor) if cursor else ("", "", 0)
    rows = await session.rows(
        _LIST, [list(kinds), schema, wanted, *await visible(session, judge), *after, limit + 1, summary]
    )
    total = rows[0][0] if rows else 0
    items = [Item(*row[1:]) for row in rows[:limit]]
    if set(kinds) & {"function", "type"}:
        closing = await shut(session, judge, texts=True)
        items = [replace(item, more=closing.or_withheld(item.more)) for item in items]
    last = items[-1] if items else None
    more = len(rows) > limit and last is not None
    return Page(items, total, _written((last.schema, last.name, last.oid)) if more and last else "")


def _written(place: tuple[str, str, int]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place, ensure_ascii=False).encode()).decode().rstrip("=")


def _parsed(cursor: str) -> tuple[str, str, int]:
    try:
        place: Any = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        schema, name, oid = place
        return str(schema), str(name), int(oid)
    except (ValueError, TypeError, binascii.Error):
        raise CallError("bad_cursor", "that is no cursor of this list.", "Take it from the line MORE.") from None
