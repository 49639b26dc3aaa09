"""The privilege audit: what the role of a connection could do beyond reading, asked once when it is first used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import LiteralString, cast

from gatelodge_postgres.connect.session import Session

_AUDIT: LiteralString = """
SELECT r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolname::text,
 (SELECT json_agg(m.rolname) FROM pg_roles m WHERE m.rolname IN ('pg_read_server_files', 'pg_write_server_files',
   'pg_execute_server_program', 'pg_signal_backend', 'pg_write_all_data', 'pg_checkpoint', 'pg_maintain',
   'pg_create_subscription', 'pg_use_reserved_connections') AND pg_has_role(r.oid, m.oid, 'USAGE')),
 (SELECT count(*)::int8 FROM pg_class c WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.oid >= 16384
   AND pg_has_role(r.oid, c.relowner, 'USAGE')),
 (SELECT json_agg(name) FROM (SELECT n.nspname || '.' || c.relname AS name FROM pg_class c
   JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'f') AND c.oid >= 16384
   AND n.nspname !~ '^pg_' AND has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') LIMIT 5) w),
 (SELECT json_agg(nspname) FROM (SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_(temp|toast)'
   AND has_schema_privilege(r.oid, oid, 'CREATE') LIMIT 5) s),
 has_database_privilege(r.oid, current_database(), 'TEMP'),
 has_database_privilege(r.oid, current_database(), 'CREATE'),
 (SELECT json_agg(DISTINCT p.proname) FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace
   AND p.proname IN ('lo_create', 'lo_creat', 'lo_from_bytea', 'pg_advisory_lock', 'pg_notify',
   'pg_logical_emit_message') AND has_function_privilege(r.oid, p.oid, 'EXECUTE')),
 pg_is_in_recovery()
FROM pg_roles r WHERE r.rolname = current_user
"""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found.

    Args:
        role: The role.
        superuser: Whether it is one.
        findings: What it could do beyond reading, the gravest first, a sentence each.
        notes: What is usual, and still worth taking away.
        replica: Whether the server is a standby.
    """

    role: str
    superuser: bool
    findings: tuple[str, ...]
    notes: tuple[str, ...]
    replica: bool


async def audit(session: Session, hidden: Callable[[str], bool]) -> Audit:
    """Ask what the current role could do.

    Args:
        session: A transaction.
        hidden: Whether a relation, ``schema.name``, may not be named.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    rows = await session.rows(_AUDIT)
    if not rows:
        return Audit("unknown", False, ("its role can't be seen in the catalog",), (), False)
    (
        superuser, bypass, create_role, create_database, replication, role, member, owned, writable, schemas,
        temporary, create, functions, replica,
    ) = rows[0]  # fmt: skip
    roles = cast("list[str]", member or [])
    findings: list[str] = []
    if superuser:
        findings.append("it is a superuser: nothing in the database holds it back")
    else:
        findings += ["it bypasses row-level security"] if bypass else []
        findings += ["it can create roles"] if create_role else []
        findings += ["it can create databases"] if create_database else []
        findings += ["it can replicate, which reads everything"] if replication else []
        findings += [f"it has the rights of {name}" for name in roles]
        findings += [f"it owns {owned} relations, and can change or drop them"] if owned else []
        changeable = cast("list[str]", writable or [])
        told = [name for name in changeable if not hidden(name)]
        told += ["relations that are not read here"] if len(told) < len(changeable) else []
        findings += [f"it can change rows of {', '.join(told)}"] if told else []
        findings += [f"it can create objects in {', '.join(schemas)}"] if schemas else []
        findings += ["it can create schemas"] if create else []
    notes: list[str] = []
    if not superuser:
        notes += ["it can create temporary tables"] if temporary else []
        notes += [f"it can call {', '.join(functions)}"] if functions else []
    return Audit(role, superuser, tuple(findings), tuple(notes), replica)


def grant_sql(database: str, schemas: list[str], role: str = "gatelodge_ro") -> str:
    """The role recipe as SQL, for the person to review and run as the database's owner or a superuser.

    Args:
        database: Its name.
        schemas: Schemas to be read.
        role: The role to make.
    """
    name, where = quoted(role), quoted(database)
    lines = [
        "-- A role that reads and can do nothing else. Review it, set the password, and run it as a superuser.",
        f"CREATE ROLE {name} LOGIN PASSWORD 'change me' NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS",
        "  CONNECTION LIMIT 10;",
        "-- Takes TEMP, and CONNECT for roles that were not granted it, from everybody.",
        f"REVOKE ALL ON DATABASE {where} FROM PUBLIC;",
        f"GRANT CONNECT ON DATABASE {where} TO {name};",
    ]
    for schema in schemas:
        lines += [
            f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {name};",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {quoted(schema)} TO {name};",
            "-- Repeat with FOR ROLE OWNER for each role that makes tables there.",
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA {quoted(schema)} GRANT SELECT ON TABLES TO {name};",
        ]
    lines += [
        "-- Functions that everybody may call by default, though they leave something behind or wait. Other roles that",
        "-- need them must be granted them again. By name, since their arguments differ from version to version.",
        "DO $$",
        "DECLARE found regprocedure;",
        "BEGIN",
        "  IF to_regnamespace('public') IS NOT NULL THEN",
        "    -- Up to PostgreSQL 14 everybody may make tables in it.",
        "    REVOKE CREATE ON SCHEMA public FROM PUBLIC;",
        "  END IF;",
        "  FOR found IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND (proname IN",
        "    ('pg_sleep', 'pg_sleep_for', 'pg_sleep_until', 'lo_from_bytea', 'lo_create', 'lo_creat', 'pg_notify',",
        "    'pg_logical_emit_message') OR proname ~ '^pg_(try_)?advisory_(xact_)?lock')",
        "  LOOP",
        "    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', found);",
        "  END LOOP;",
        "END $$;",
        f"ALTER ROLE {name} SET default_transaction_read_only = on;",
        f"ALTER ROLE {name} SET statement_timeout = '15s';",
        f"ALTER ROLE {name} SET idle_in_transaction_session_timeout = '30s';",
        f"ALTER ROLE {name} SET search_path = {', '.join(quoted(schema) for schema in schemas)};",
        "-- Only for the tools that look at the server's work (list_top_queries, show_activity):",
        f"-- GRANT pg_read_all_stats TO {name};",
    ]
    return "\n".join(lines) + "\n"


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
