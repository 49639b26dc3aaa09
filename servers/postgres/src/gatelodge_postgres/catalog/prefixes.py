"""Names that begin as given, for completions: of schemas, relations and columns that may be read."""

from __future__ import annotations

from typing import LiteralString

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.verdict.judge import Judge
from gatelodge_postgres.verdict.shut import visible

MOST = 101
"""One more than an answer may have, which tells that there are more."""

# System schemas are offered to those alone who begin to write their names.
_SCHEMAS: LiteralString = """
SELECT n.nspname::text FROM pg_namespace n
WHERE starts_with(lower(n.nspname), lower($1::text)) AND has_schema_privilege(n.oid, 'USAGE') AND n.nspname !~ '^pg_(toast|temp)'
AND ($1::text ~* '^(pg|inf)' OR n.nspname NOT IN ('pg_catalog', 'information_schema'))
AND ($3::text[] = '{^}' OR EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND NOT (c.oid = ANY ($2::oid[])) AND n.nspname || '.' || c.relname ~ ANY ($3::text[])))
ORDER BY starts_with(n.nspname, $1::text) DESC, 1 LIMIT $4::int
"""
_RELATIONS: LiteralString = """
SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND ($1::text = '' OR n.nspname = $1::text)
AND ($1::text <> '' OR n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')
AND (starts_with(lower(c.relname), lower($2::text))
  OR $1::text = '' AND starts_with(lower(n.nspname || '.' || c.relname), lower($2::text)))
AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')
AND NOT (c.oid = ANY ($3::oid[])) AND n.nspname || '.' || c.relname ~ ANY ($4::text[])
ORDER BY c.relispartition, starts_with(c.relname, $2::text) DESC, pg_table_is_visible(c.oid) DESC, n.nspname, c.relname
LIMIT $5::int
"""
_COLUMNS: LiteralString = """
SELECT DISTINCT a.attname::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
AND starts_with(lower(a.attname), lower($3::text))
AND CASE WHEN $2::text <> '' THEN c.relname = $2::text AND ($1::text = '' OR n.nspname = $1::text)
  ELSE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' END
AND has_schema_privilege(n.oid, 'USAGE') AND has_column_privilege(c.oid, a.attnum, 'SELECT')
AND NOT (c.oid = ANY ($4::oid[])) AND n.nspname || '.' || c.relname ~ ANY ($5::text[])
ORDER BY 1 LIMIT $6::int
"""


async def schemas(session: Session, judge: Judge, beginning: str) -> list[str]:
    """Names of schemas.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    return [name for (name,) in await session.rows(_SCHEMAS, [beginning, *await visible(session, judge), MOST])]


async def relations(session: Session, judge: Judge, schema: str, beginning: str) -> list[tuple[str, str]]:
    """(schema, name) of relations; without a schema in all but the system's, and the beginning may be the schema's.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    found = await session.rows(_RELATIONS, [schema, beginning, *await visible(session, judge), MOST])
    return [(where, name) for where, name in found]


async def columns(session: Session, judge: Judge, schema: str, table: str, beginning: str) -> list[str]:
    """Names of columns of one relation, or of all.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    return [
        name
        for (name,) in await session.rows(_COLUMNS, [schema, table, beginning, *await visible(session, judge), MOST])
    ]
