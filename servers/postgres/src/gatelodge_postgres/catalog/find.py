"""Schemas and relations by name, as far as they may be read; what may not is as if it weren't there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from gatelodge_core.errors import CallError

from gatelodge_postgres.catalog.objects import RELATIONS, listed
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.verdict.judge import Judge
from gatelodge_postgres.verdict.shut import shut

_SCHEMA: LiteralString = """
SELECT n.nspname::text, coalesce(obj_description(n.oid, 'pg_namespace'), '') FROM pg_namespace n
WHERE n.nspname = $1::text AND has_schema_privilege(n.oid, 'USAGE')
"""
_RELATION: LiteralString = """
SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1::text AND c.relname = $2::text AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')
"""
_COLUMNS: LiteralString = """
SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = $1::int8::oid AND a.attnum > 0 AND NOT a.attisdropped
AND has_column_privilege(a.attrelid, a.attnum, 'SELECT') ORDER BY a.attnum
"""


@dataclass(frozen=True, slots=True)
class Found:
    """A relation that may be read, at least in part."""

    oid: int
    schema: str
    name: str
    kind: str


async def schema_named(session: Session, judge: Judge, name: str) -> tuple[str, str]:
    """(name, comment) of a schema.

    Raises:
        CallError: ``not_found``.
        psycopg.Error: The catalog can't be read.
    """
    rows = await session.rows(_SCHEMA, [name])
    if rows and judge.rules.allow_relations:
        # Where only some relations are read, a schema without any of them is none of the caller's business.
        rows = rows if (await listed(session, judge, kinds=RELATIONS, schema=name, limit=1)).items else []
    if not rows:
        raise CallError("not_found", f"there is no schema {name[:80]!r}, or the role may not use it.", "list_objects with kinds=[\"schema\"] lists them.")  # fmt: skip
    found, comment = rows[0]
    return found, comment


async def relation_named(session: Session, judge: Judge, schema: str, name: str) -> Found:
    """A table, view or the like that the role may read and the rules let it.

    Raises:
        CallError: ``not_found``.
        psycopg.Error: The catalog can't be read.
    """
    rows = await session.rows(_RELATION, [schema, name])
    if not rows or (await shut(session, judge)).closed(schema, name):
        shown = f"{schema[:80]}.{name[:80]}"
        raise CallError("not_found", f"there is no {shown}, or it may not be read.", "list_objects finds names.")
    return Found(*rows[0])


async def readable_columns(session: Session, oid: int) -> list[str]:
    """Columns of a relation that the role may read, in their order.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    return [name for (name,) in await session.rows(_COLUMNS, [oid])]
