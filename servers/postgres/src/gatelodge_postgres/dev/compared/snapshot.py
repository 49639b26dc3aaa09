"""What is in one schema, in words that don't name the schema: so that it can be compared with another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import LiteralString

from gatelodge_core.errors import CallError

from gatelodge_postgres.connect.privileges import quoted
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.verdict.judge import Judge
from gatelodge_postgres.verdict.shut import shut

# Definitions then name what is in the schema without it. PostgreSQL's own names still come first. Nor is it worth while
# to compile what follows, which the planner takes for large queries.
_PATH: LiteralString = "SELECT set_config('search_path', $1, true), set_config('jit', 'off', true)"
_SCHEMA: LiteralString = "SELECT oid::int8, nspname::text FROM pg_catalog.pg_namespace WHERE nspname = $1 AND has_schema_privilege(oid, 'USAGE')"
_RELATIONS: LiteralString = """
SELECT c.oid::int8, c.relname::text, c.relkind::text,
 coalesce(CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END, ''),
 coalesce(CASE WHEN c.relispartition THEN (SELECT p.inhparent::regclass::text FROM pg_inherits p WHERE p.inhrelid = c.oid) END, ''),
 coalesce(pg_get_expr(c.relpartbound, c.oid), ''),
 coalesce(CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END, ''),
 has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT'),
 coalesce((SELECT json_agg(DISTINCT u.relname) FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass
   AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass JOIN pg_class u ON u.oid = d.refobjid
   WHERE r.ev_class = c.oid AND u.oid <> c.oid AND u.relnamespace = c.relnamespace), '[]')
FROM pg_class c WHERE c.relnamespace = $1::oid AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT EXISTS (SELECT FROM pg_depend e
 WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e') ORDER BY c.relname
"""
_COLUMNS: LiteralString = """
SELECT a.attrelid::int8, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
 coalesce(CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END, ''), a.attidentity::text,
 coalesce(CASE WHEN a.attgenerated <> '' THEN '(' || pg_get_expr(d.adbin, d.adrelid) || ')'
   || CASE a.attgenerated WHEN 's' THEN ' STORED' ELSE ' VIRTUAL' END END, ''),
 coalesce((SELECT a.attcollation::regcollation::text FROM pg_type t WHERE t.oid = a.atttypid
   AND a.attcollation NOT IN (0, t.typcollation)), '')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped AND NOT c.relispartition ORDER BY a.attrelid, a.attnum
"""
_CONSTRAINTS: LiteralString = """
SELECT k.conrelid::int8, k.conname::text, k.contype::text, pg_get_constraintdef(k.oid) FROM pg_constraint k
WHERE k.conrelid = ANY ($1::oid[]) AND k.contype IN ('p', 'u', 'f', 'c', 'x') AND k.conparentid = 0 AND k.coninhcount = 0
ORDER BY k.conname
"""
_INDEXES: LiteralString = """
SELECT x.indrelid::int8, i.relname::text, replace(pg_get_indexdef(i.oid, 0, true), ' ON ONLY ', ' ON ')
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = ANY ($1::oid[]) AND NOT i.relispartition
 AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.oid AND k.contype IN ('p', 'u', 'x')) ORDER BY i.relname
"""
_FUNCTIONS: LiteralString = """
SELECT quote_ident(p.proname) || '(' || pg_get_function_identity_arguments(p.oid) || ')',
 CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END,
 substr(pg_get_functiondef(p.oid), length('CREATE OR REPLACE ' || CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END
   || ' ' || quote_ident(n.nspname) || '.') + 1),
 to_jsonb(p) ->> 'prosqlbody' IS NOT NULL OR EXISTS (SELECT FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid
   WHERE t.oid = ANY (p.proargtypes::oid[] || p.prorettype) AND c.relkind <> 'c')
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.oid = $1::oid AND p.prokind <> 'a'
 AND has_function_privilege(p.oid, 'EXECUTE') AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass
 AND e.objid = p.oid AND e.deptype = 'e') ORDER BY 1
"""
_ENUMS: LiteralString = """
SELECT t.typname::text, (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid)
FROM pg_type t WHERE t.typnamespace = $1::oid AND t.typtype = 'e' AND NOT EXISTS (SELECT FROM pg_depend e
 WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e') ORDER BY 1
"""
_SEQUENCES: LiteralString = """
SELECT c.relname::text, format('AS %s START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s %s', format_type(s.seqtypid, NULL),
 s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END),
 coalesce((SELECT d.refobjid::regclass || '.' || quote_ident(a.attname) FROM pg_depend d JOIN pg_attribute a
   ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
   AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a'), '')
FROM pg_class c JOIN pg_sequence s ON s.seqrelid = c.oid WHERE c.relnamespace = $1::oid AND NOT EXISTS (SELECT FROM pg_depend d
 WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('i', 'e')) ORDER BY 1
"""


@dataclass(frozen=True)
class Column:
    """A column's definition; `generated` ends with STORED or VIRTUAL."""

    type: str
    required: bool
    default: str
    identity: str
    generated: str
    collation: str


@dataclass
class Relation:
    """A table or view.

    Args:
        kind: ``pg_class.relkind``.
        partition_by: Of a partitioned table.
        parent: Of a partition, as SQL writes it.
        bound: Of a partition, as ``FOR VALUES ...``.
        query: Of a view.
        uses: Relations of the schema that a view reads.
    """

    kind: str
    partition_by: str
    parent: str
    bound: str
    query: str
    uses: frozenset[str]
    columns: dict[str, Column] = field(default_factory=dict[str, Column])

    @property
    def is_view(self) -> bool:
        """Whether it is a view, materialized or not."""
        return self.kind in ("v", "m")


@dataclass
class Snapshot:
    """One schema."""

    schema: str
    version: int
    hidden: int = 0
    """Relations that the role may not read."""
    relations: dict[str, Relation] = field(default_factory=dict[str, Relation])
    constraints: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict[tuple[str, str], tuple[str, str]])
    """(table, name) -> (type letter, definition)."""
    indexes: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """Name -> (table, definition)."""
    functions: dict[str, tuple[str, str, bool]] = field(default_factory=dict[str, tuple[str, str, bool]])
    """Signature -> (word, definition without its first words, whether it needs tables to be there)."""
    enums: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    sequences: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """Name -> (definition, the column that owns it)."""


async def snapshot(session: Session, judge: Judge, schema: str) -> Snapshot:
    """Look at a schema. Changes the transaction's search path.

    Raises:
        CallError: There is no such schema.
        psycopg.Error: The catalog can't be read.
    """
    rows = await session.rows(_SCHEMA, [schema])
    if not rows:
        text = f"there is no schema {schema[:60]!r} that the role may use."
        raise CallError("no_schema", text, 'list_objects with kinds=["schema"] lists them.')
    oid, name = rows[0]
    closing = await shut(session, judge, texts=True)
    await session.rows(_PATH, [f"pg_catalog, {quoted(name)}"])
    made = Snapshot(name, session.version)
    tables: dict[int, str] = {}
    for table, relation, kind, partition_by, parent, bound, query, readable, uses in await session.rows(
        _RELATIONS, [oid]
    ):
        if not readable or closing.closed(name, relation):
            made.hidden += 1
            continue
        tables[table] = relation
        made.relations[relation] = Relation(
            kind, partition_by, closing.or_withheld(parent), bound, closing.or_withheld(query), frozenset(uses)
        )
    oids = [list(tables)]
    for table, column, *rest in await session.rows(_COLUMNS, oids):
        kind, required, default, *others = rest
        made.relations[tables[table]].columns[column] = Column(
            closing.or_withheld(kind), required, closing.or_withheld(default), *others
        )
    for table, constraint, kind, text in await session.rows(_CONSTRAINTS, oids):
        if not closing.tells(text):
            made.constraints[tables[table], constraint] = (kind, text)
    for table, index, text in await session.rows(_INDEXES, oids):
        made.indexes[index] = (tables[table], text)
    for signature, word, text, late in await session.rows(_FUNCTIONS, [oid]):
        if not closing.tells(f"{signature} {text}"):
            made.functions[signature] = (word, text, late)
    for enum, labels in await session.rows(_ENUMS, [oid]):
        made.enums[enum] = tuple(labels or [])
    for sequence, text, owner in await session.rows(_SEQUENCES, [oid]):
        if not closing.closed(name, sequence) and not closing.tells(owner):
            made.sequences[sequence] = (text, owner)
    return made
