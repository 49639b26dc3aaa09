"""Checks of what is defined: indexes, sequences, constraints."""

from __future__ import annotations

from typing import LiteralString

from gatelodge_postgres.dba.amounts import amount, size
from gatelodge_postgres.dba.checks.finding import At, Finding, some, unseen, visible
from gatelodge_postgres.dba.drops import drops

SEQUENCE_NEAR, SEQUENCE_END = 0.75, 0.9
LARGE_INDEX = 10 * 2**20
MANY_ROWS = 10_000

_INVALID: LiteralString = visible("""
SELECT n.nspname::text, c.relname::text, i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_class x ON x.oid = i.indexrelid
WHERE NOT i.indisvalid AND x.relkind = 'i'
 AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.relation = i.indrelid AND l.granted
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.mode = 'ShareUpdateExclusiveLock') AND VISIBLE ORDER BY 3 LIMIT 100
""")
_SEQUENCES: LiteralString = """
SELECT s.schemaname::text, s.sequencename::text, has_sequence_privilege(c.oid, 'SELECT, USAGE'),
 s.last_value::float8, s.increment_by > 0, s.cycle,
 least(s.max_value::float8, CASE a.atttypid WHEN 21 THEN 32767 WHEN 23 THEN 2147483647 ELSE s.max_value END::float8),
 greatest(s.min_value::float8, CASE a.atttypid WHEN 21 THEN -32768 WHEN 23 THEN -2147483648 ELSE s.min_value END::float8),
 coalesce(t.relname || '.' || a.attname, '')
FROM pg_sequences s JOIN pg_namespace n ON n.nspname = s.schemaname
JOIN pg_class c ON c.relname = s.sequencename AND c.relnamespace = n.oid
LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
 AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
LEFT JOIN pg_class t ON t.oid = d.refobjid LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
WHERE has_schema_privilege(n.oid, 'USAGE') AND n.nspname !~ '^pg_temp'
"""
_CONSTRAINTS: LiteralString = visible("""
SELECT n.nspname::text, c.relname::text, k.conname::text FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT k.convalidated AND k.conparentid = 0 AND VISIBLE ORDER BY 1, 2, 3 LIMIT 100
""")
_DISABLED: LiteralString = visible("""
SELECT n.nspname::text, c.relname::text, t.tgname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE t.tgenabled = 'D' AND t.tgparentid = 0 AND VISIBLE ORDER BY 1, 2, 3 LIMIT 100
""")
_UNINDEXED: LiteralString = visible("""
SELECT n.nspname::text, c.relname::text, k.conname::text, c.reltuples::float8 FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND c.reltuples > $1::float8 AND NOT EXISTS (SELECT FROM pg_index i
  WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indpred IS NULL
   AND (string_to_array(i.indkey::text, ' ')::int2[])[1:cardinality(k.conkey)] @> k.conkey) AND VISIBLE ORDER BY 4 DESC LIMIT 100
""")
_KEYLESS: LiteralString = visible("""
SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p' AND NOT EXISTS (SELECT FROM pg_index i
  WHERE i.indrelid = c.oid AND (i.indisprimary OR i.indisreplident)) AND c.oid >= 16384 AND VISIBLE ORDER BY 1, 2 LIMIT 100
""")


async def indexes(at: At) -> list[Finding]:
    """Indexes that are broken, doubled, or of no use."""
    broken = [str(name) for *_, name in await at.readable(_INVALID)]
    fix = "DROP INDEX CONCURRENTLY and make them anew, or REINDEX INDEX CONCURRENTLY."
    found = some("warning", broken, "invalid indexes, which cost writes and help no query", fix)
    going = await drops(at.session, at.source.reader)
    for kind, words in (("duplicate", "duplicate indexes"), ("prefix", "indexes whose keys begin another one")):
        some_of = [f"{one.name} ({size(one.size)}, {one.why})" for one in going if one.kind == kind]
        found += some(
            "warning" if kind == "duplicate" else "notice", some_of, words, "recommend_indexes gives the DDL."
        )
    unused = [
        f"{one.name} ({size(one.size)}, {one.why})" for one in going if one.kind == "unused" and one.size >= LARGE_INDEX
    ]
    found += some("notice", unused, "unused indexes", "Drop them if no replica and no yearly job needs them.")
    return found or [Finding("ok", "no broken, doubled or large unused index")]


async def sequences(at: At) -> list[Finding]:
    """How near sequences are to their last number, or to that of the column they fill."""
    found: list[Finding] = []
    hidden = 0
    for schema, name, may, last, up, cycles, highest, lowest, column in await at.readable(_SEQUENCES):
        if not may:
            hidden += 1
        elif last is not None and not cycles:
            part = last / highest if up else last / lowest
            if (highest if up else lowest) and part >= SEQUENCE_NEAR:
                text = f"{schema}.{name}{f' (for {column})' if column else ''} is at {amount(last)}, {part:.1%} of what there is"
                fix = "ALTER the column to bigint and the sequence AS bigint before it ends."
                found.append(Finding("critical" if part >= SEQUENCE_END else "warning", text, fix))
    if hidden:
        fix = "GRANT SELECT ON ALL SEQUENCES IN SCHEMA ... to the role."
        found.append(unseen(f"how far {hidden} sequences are", fix))
    return found or [Finding("ok", "no sequence is near its end")]


async def constraints(at: At) -> list[Finding]:
    """Constraints that aren't checked, foreign keys without an index, tables without a key."""
    unchecked = [".".join(row) for row in await at.readable(_CONSTRAINTS)]
    fix = "ALTER TABLE ... VALIDATE CONSTRAINT, once the rows that break them are mended."
    found = some("warning", unchecked, "constraints that old rows may break (NOT VALID)", fix)
    disabled = [".".join(row) for row in await at.readable(_DISABLED)]
    fix = "ALTER TABLE ... ENABLE TRIGGER, if that was left from an import."
    found += some("warning", disabled, "triggers that are switched off (those of foreign keys too)", fix)
    rows = await at.readable(_UNINDEXED, [MANY_ROWS])
    slow = [f"{schema}.{table}.{name} ({amount(count)} rows)" for schema, table, name, count in rows]
    fix = "Index their columns: deleting or changing a referenced row reads the whole table."
    found += some("notice", slow, "foreign keys without an index", fix)
    keyless = [".".join(row) for row in await at.readable(_KEYLESS)]
    found += some("notice", keyless, "tables without a primary key", "Add one; logical replication needs it.")
    return found or [Finding("ok", "all constraints are checked")]
