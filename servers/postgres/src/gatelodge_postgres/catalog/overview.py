"""What a database is: version, role and what it could do, limits in force, sizes, schemas, replication."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.verdict.judge import Judge
from gatelodge_postgres.verdict.shut import visible

MOST_SCHEMAS = 50
MOST_EXTENSIONS = 50

_SERVER: LiteralString = """
SELECT current_setting('server_version'), current_database()::text, current_setting('server_encoding'),
 CASE WHEN has_database_privilege(current_database(), 'CONNECT') THEN pg_database_size(current_database()) END,
 pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN
   extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END,
 extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8,
 coalesce(shobj_description((SELECT oid FROM pg_database WHERE datname = current_database()), 'pg_database'), '')
"""
_SETTINGS: LiteralString = """
SELECT name, CASE WHEN unit IS NULL THEN setting ELSE current_setting(name) END FROM pg_settings
WHERE name IN ('search_path', 'TimeZone', 'statement_timeout', 'lock_timeout', 'transaction_read_only', 'work_mem',
 'max_connections', 'default_transaction_isolation', 'row_security', 'lc_messages', 'server_version_num') ORDER BY 1
"""
_SCHEMAS: LiteralString = """
SELECT n.nspname::text, count(c.oid) FILTER (WHERE has_any_column_privilege(c.oid, 'SELECT')),
 coalesce(obj_description(n.oid, 'pg_namespace'), '')
FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
 AND NOT c.relispartition AND NOT (c.oid = ANY ($1::oid[]))
 AND n.nspname || '.' || c.relname ~ ANY ($2::text[])
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
AND has_schema_privilege(n.oid, 'USAGE')
GROUP BY n.oid, n.nspname HAVING $2::text[] = '{^}' OR count(c.oid) > 0 ORDER BY 1 LIMIT $3::int
"""
_EXTENSIONS: LiteralString = "SELECT extname::text, extversion FROM pg_extension ORDER BY 1 LIMIT $1::int"


@dataclass(frozen=True, slots=True)
class Server:
    """A database and its server.

    Args:
        version: Of the server.
        database: Its name there.
        encoding: Of its text.
        size: Bytes; None if that may not be asked.
        replica: Whether it is a standby.
        lag: Seconds since the newest transaction that it replayed; None on a primary.
        up: Seconds since the server was started.
        comment: Its comment.
    """

    version: str
    database: str
    encoding: str
    size: int | None
    replica: bool
    lag: float | None
    up: float
    comment: str


@dataclass(frozen=True, slots=True)
class Overview:
    """All of it.

    Args:
        server: What and where.
        settings: PostgreSQL's, as they hold in our transactions.
        schemas: (name, relations, comment).
        extensions: (name, version).
    """

    server: Server
    settings: Sequence[tuple[str, str]]
    schemas: Sequence[tuple[str, int, str]]
    extensions: Sequence[tuple[str, str]]


async def overview(session: Session, judge: Judge) -> Overview:
    """Ask for it.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    (server,) = await session.rows(_SERVER)
    settings = await session.rows(_SETTINGS)
    schemas = await session.rows(_SCHEMAS, [*await visible(session, judge), MOST_SCHEMAS + 1])
    extensions = await session.rows(_EXTENSIONS, [MOST_EXTENSIONS])
    return Overview(
        Server(*server),
        [(name, value) for name, value in settings],
        [(name, count, comment) for name, count, comment in schemas],
        [(name, version) for name, version in extensions],
    )
