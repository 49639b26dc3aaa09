"""The check of who may do what."""

from __future__ import annotations

from typing import LiteralString

from gatelodge_postgres.connect.privileges import audit
from gatelodge_postgres.dba.checks.finding import At, Finding, named, some, visible
from gatelodge_postgres.verdict.shut import shut

_CONNECTION: LiteralString = """
SELECT coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false), current_setting('password_encryption'),
 current_setting('ssl'),
 (SELECT json_agg(rolname ORDER BY rolname) FROM pg_roles WHERE rolsuper AND rolcanlogin),
 (SELECT json_agg(rolname ORDER BY rolname) FROM pg_roles WHERE rolbypassrls AND NOT rolsuper AND rolcanlogin),
 (SELECT json_agg(nspname ORDER BY nspname) FROM pg_namespace WHERE EXISTS (SELECT FROM aclexplode(nspacl) a
   WHERE a.grantee = 0 AND a.privilege_type = 'CREATE')),
 (SELECT json_agg(e.name || ' ' || e.installed_version || ' (' || e.default_version || ' is there)')
  FROM pg_available_extensions e WHERE e.installed_version <> e.default_version)
"""
_PUBLIC: LiteralString = visible("""
SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'f') AND c.relacl IS NOT NULL AND EXISTS (SELECT FROM aclexplode(c.relacl) a
 WHERE a.grantee = 0 AND a.privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')) AND c.oid >= 16384 AND VISIBLE ORDER BY 1, 2 LIMIT 100
""")
_POLICIES: LiteralString = visible("""
SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT c.relrowsecurity AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid) AND VISIBLE ORDER BY 1, 2 LIMIT 100
""")
_DEFINERS: LiteralString = """
SELECT n.nspname::text, p.proname::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prosecdef AND p.oid >= 16384 AND has_schema_privilege(n.oid, 'USAGE')
 AND NOT EXISTS (SELECT FROM unnest(p.proconfig) s WHERE s LIKE 'search\\_path=%')
 AND (p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) a WHERE a.grantee = 0))
 AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY 1, 2 LIMIT 100
"""
GRANT = "Use a role that only reads: gatelodge-postgres grant-sql prints one."


async def security(at: At) -> list[Finding]:
    """What this role could do beyond reading, and what others may."""
    seen = await audit(at.session, (await shut(at.session, at.source.reader.judge)).hides)
    grave = "critical" if seen.superuser else "warning"
    found = [Finding(grave, f"this server's role {seen.role}: {one}", GRANT) for one in seen.findings]
    if seen.notes:
        found.append(Finding("notice", f"this server's role {seen.role}: {named(seen.notes)}", GRANT))
    ((tls, encryption, ssl, superusers, bypassing, schemas, extensions),) = await at.session.rows(_CONNECTION)
    if not tls and not at.source.place.target.local:
        text = "this connection is not encrypted"
        found.append(Finding("warning", text, "Add sslmode=verify-full and sslrootcert to the URL."))
    if ssl != "on" and not at.source.place.target.local:
        found.append(Finding("warning", "the server has TLS switched off", "Set ssl = on with a certificate."))
    if encryption == "md5":
        text = "password_encryption is md5, which is broken"
        found.append(Finding("warning", text, "Set scram-sha-256, and let passwords be set anew."))
    if len(superusers or []) > 1:
        text = f"{len(superusers)} superusers can log in: {named(superusers)}"
        found.append(Finding("notice", text, "Keep one, and give the others what they need."))
    found += some("notice", bypassing or [], "roles that bypass row-level security", "ALTER ROLE ... NOBYPASSRLS.")
    fix = "REVOKE CREATE ON SCHEMA ... FROM PUBLIC: what is made there can be run by others unawares."
    found += some("warning", schemas or [], "schemas in which everybody can make objects", fix)
    open_tables = [".".join(row) for row in await at.readable(_PUBLIC)]
    found += some("warning", open_tables, "tables that everybody can change", "REVOKE that FROM PUBLIC.")
    idle = [".".join(row) for row in await at.readable(_POLICIES)]
    fix = "ALTER TABLE ... ENABLE ROW LEVEL SECURITY."
    found += some("warning", idle, "tables with policies that are not in force", fix)
    definers = [".".join(row) for row in await at.session.rows(_DEFINERS)]
    fix = "ALTER FUNCTION ... SET search_path, or REVOKE EXECUTE FROM PUBLIC."
    found += some("notice", definers, "SECURITY DEFINER functions for everybody, without a search_path", fix)
    found += some(
        "notice", extensions or [], "extensions behind their installed version", "ALTER EXTENSION ... UPDATE."
    )
    return found or [Finding("ok", f"this server's role {seen.role} can only read")]
