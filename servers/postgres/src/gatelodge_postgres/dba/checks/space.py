"""Checks of what takes space: dead rows, old transactions, storage."""

from __future__ import annotations

from typing import Any, LiteralString, cast

from gatelodge_postgres.dba.amounts import amount, size
from gatelodge_postgres.dba.checks.finding import MOST, At, Finding, named, some, visible

DEAD_ROWS, DEAD_PART, MOSTLY_DEAD = 10_000, 0.2, 0.5
BLOATED_PAGES, BLOATED_TIMES = 1280, 2.0
"""10 MB, and twice as much as its rows need."""
STALE_ROWS, STALE_PART = 10_000, 0.3
HALF_WAY, OLD_AGE = 1_000_000_000, 500_000_000
"""Of about 2,100 million transactions, after which PostgreSQL stops to keep from losing rows."""
LARGE_TABLE = 100 * 2**30

_ROWS: LiteralString = visible("""
SELECT n.nspname::text, c.relname::text, s.n_live_tup::int8, s.n_dead_tup::int8, s.n_mod_since_analyze::int8,
 coalesce(s.last_autovacuum, s.last_vacuum)::date::text, coalesce(s.last_autoanalyze, s.last_analyze)::date::text,
 c.relpages::int8, (SELECT ceil(c.reltuples * (28 + sum((1 - p.null_frac) * p.avg_width))
   / (8168 * coalesce((SELECT option_value::float8 / 100 FROM pg_options_to_table(c.reloptions)
      WHERE option_name = 'fillfactor'), 1)))
   FROM pg_stats p WHERE p.schemaname = n.nspname AND p.tablename = c.relname AND NOT p.inherited
   HAVING count(*) = c.relnatts AND c.reltuples > 0)::float8,
 'autovacuum_enabled=false' = ANY (c.reloptions)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE c.relkind IN ('r', 'm') AND (s.n_dead_tup > $1::int8 OR s.n_mod_since_analyze > $2::int8 OR c.relpages > $3::int8
  OR 'autovacuum_enabled=false' = ANY (c.reloptions)) AND VISIBLE ORDER BY s.n_dead_tup DESC, c.relpages DESC LIMIT 500
""")
_AGES: LiteralString = """
SELECT datname::text, age(datfrozenxid)::int8, mxid_age(datminmxid)::int8, datname = current_database(),
 current_setting('autovacuum_freeze_max_age')::int8 FROM pg_database ORDER BY 2 DESC
"""
_OLDEST: LiteralString = visible("""
SELECT n.nspname::text, c.relname::text, age(c.relfrozenxid)::int8
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm') AND VISIBLE ORDER BY 3 DESC LIMIT 3
""")
_HOLDERS: LiteralString = """
SELECT 'a transaction of pid ' || pid, age(backend_xmin)::int8 FROM pg_stat_activity WHERE backend_xmin IS NOT NULL
UNION ALL SELECT 'the replication slot ' || slot_name, greatest(age(xmin), age(catalog_xmin))::int8
 FROM pg_replication_slots WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL
UNION ALL SELECT 'the prepared transaction ' || gid, age(transaction)::int8 FROM pg_prepared_xacts
ORDER BY 2 DESC LIMIT 1
"""
_STORAGE: LiteralString = visible("""
SELECT pg_database_size(current_database())::int8, current_setting('data_checksums'),
 (SELECT coalesce(checksum_failures, 0) FROM pg_stat_database WHERE datname = current_database()),
 (SELECT json_agg(json_build_array(nspname, relname, pg_total_relation_size(oid), relpersistence)) FROM (
   SELECT n.nspname, c.relname, c.oid, c.relpersistence FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'm') AND VISIBLE ORDER BY c.relpages DESC LIMIT 5) t),
 (SELECT json_agg(json_build_array(n.nspname, c.relname)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind = 'r' AND c.relpersistence = 'u' AND VISIBLE)
""")


async def bloat(at: At) -> list[Finding]:
    """Dead rows, tables much larger than their rows, and statistics that are out of date."""
    rows = await at.readable(_ROWS, [DEAD_ROWS, STALE_ROWS, BLOATED_PAGES])
    found: list[Finding] = []
    dead: list[str] = []
    worst = 0.0
    for schema, table, live, gone, _, vacuumed, *_ in rows:
        part = gone / (live + gone or 1)
        if gone > DEAD_ROWS and part > DEAD_PART:
            worst = max(worst, part)
            dead.append(f"{schema}.{table} ({amount(gone)} dead rows, {part:.0%}, vacuumed {vacuumed or 'never'})")
    fix = "VACUUM (ANALYZE) them; lower autovacuum_vacuum_scale_factor, or find what keeps vacuum (vacuum_wraparound)."
    found += some("critical" if worst > MOSTLY_DEAD and len(dead) > 5 else "warning", dead, "dead rows", fix)
    loose = [
        f"{schema}.{table} ({size(pages * 8192)}, about {size(needed * 8192)} needed)"
        for schema, table, *_, pages, needed, _ in rows
        if needed and pages > BLOATED_PAGES and pages > BLOATED_TIMES * needed
    ]
    fix = "VACUUM FULL or CLUSTER in a quiet hour (they lock the table), or pg_repack."
    found += some("warning", loose, "tables much larger than their rows, by estimate", fix)
    stale = [
        f"{schema}.{table} ({amount(changed)} changes since {analysed or 'ever'})"
        for schema, table, live, _, changed, _, analysed, *_ in rows
        if changed > STALE_ROWS and changed > STALE_PART * live
    ]
    found += some("notice", stale, "statistics are out of date", "ANALYZE them.")
    return found or [Finding("ok", "no table has many dead rows")]


async def vacuum_wraparound(at: At) -> list[Finding]:
    """How far the oldest rows are from the end of transaction numbers, and what keeps vacuum from freezing them."""
    found: list[Finding] = []
    for name, age, multixacts, _, freeze in await at.session.rows(_AGES):
        oldest = max(age, multixacts)
        if oldest > min(OLD_AGE, 2.5 * freeze):
            text = f"database {name} has rows {amount(oldest)} transactions old; at about 2,100 million it stops"
            fix = "VACUUM (FREEZE) its oldest tables, and let autovacuum work."
            found.append(Finding("critical" if oldest > HALF_WAY else "warning", text, fix))
    if found:
        tables = await at.readable(_OLDEST)
        found += some(
            "notice", [f"{schema}.{table} ({amount(age)})" for schema, table, age in tables], "oldest tables here"
        )
        for who, age in await at.session.rows(_HOLDERS):
            if age and age > 1_000_000:
                found.append(Finding("warning", f"{who} keeps the last {amount(age)} transactions from being cleaned up", "End or drop it."))  # fmt: skip
    ((on,),) = await at.session.rows("SELECT current_setting('autovacuum')")
    if on != "on":
        found.append(Finding("critical", "autovacuum is off: dead rows stay, and transaction numbers run out", "Set autovacuum = on."))  # fmt: skip
    rows = await at.readable(_ROWS, [2**62, 2**62, 2**62])
    off = [f"{row[0]}.{row[1]}" for row in rows if row[-1]]
    found += some(
        "warning", off, "autovacuum is switched off for tables", "ALTER TABLE ... RESET (autovacuum_enabled)."
    )
    return found or [Finding("ok", "transaction numbers are far from their end")]


async def storage(at: At) -> list[Finding]:
    """Sizes, checksums, and tables that a crash would empty."""
    ((whole, checksums, failures, largest, unlogged),) = await at.session.rows(_STORAGE)
    tables = await at.told([tuple(row) for row in cast("list[list[Any]]", largest or [])])
    names = ", ".join(f"{schema}.{table} {size(bytes_)}" for schema, table, bytes_, _ in tables[:MOST])
    found = [Finding("ok", f"the database has {size(whole)}{f'; largest: {names}' if names else ''}")]
    if failures:
        text = f"{amount(failures)} blocks failed their checksum"
        found.append(Finding("critical", text, "Check the disks, and restore from a backup what is damaged."))
    if checksums != "on":
        found.append(Finding("notice", "data checksums are off: a failing disk goes unnoticed", "pg_checksums --enable, with the server stopped."))  # fmt: skip
    light = [
        f"{row[0]}.{row[1]}" for row in await at.told([tuple(row) for row in cast("list[list[Any]]", unlogged or [])])
    ]
    if light:
        text = f"unlogged tables, which a crash empties and replicas don't have: {named(light)}"
        found.append(Finding("notice", text, "ALTER TABLE ... SET LOGGED, unless that is meant."))
    huge = [f"{schema}.{table} ({size(bytes_)})" for schema, table, bytes_, _ in tables if bytes_ > LARGE_TABLE]
    found += some("notice", huge, "very large tables", "Think of partitions, or of moving old rows away.")
    return found
