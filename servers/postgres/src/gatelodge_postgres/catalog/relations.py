"""Everything the catalog says of some relations, by a fixed number of queries however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import LiteralString

from gatelodge_postgres.catalog.names import ROWS
from gatelodge_postgres.connect.session import Session


@dataclass(frozen=True, slots=True)
class Attribute:
    """A column."""

    name: str
    type: str
    required: bool
    default: str
    identity: str
    generated: str
    collation: str
    comment: str
    null_fraction: float | None
    distinct: float | None


@dataclass(frozen=True, slots=True)
class Index:
    """An index."""

    name: str
    definition: str
    size: int
    scans: int
    valid: bool
    constraint: bool


@dataclass
class Described:
    """A relation.

    Args:
        oid: In ``pg_class``.
        schema: Where it is.
        name: Its name.
        kind: ``pg_class.relkind``.
        rows: Estimated; -1 if never analysed.
        comment: Its comment.
        query: Of a view.
        partition_by: How it is partitioned.
        partition_of: ``PARENT bound`` of a partition.
        children: Names of partitions, the first 20.
        child_count: How many there are.
        readable: Whether the role may read all of it.
        row_security: Whether policies hold.
        row_security_forced: Whether they hold for the owner too.
        options: Storage parameters.
        statistics: What the server counted, in words.
    """

    oid: int
    schema: str
    name: str
    kind: str
    rows: float
    comment: str
    query: str
    partition_by: str
    partition_of: str
    children: list[str]
    child_count: int
    readable: bool
    row_security: bool
    row_security_forced: bool
    options: list[str]
    statistics: str
    columns: list[Attribute] = field(default_factory=list[Attribute])
    constraints: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    """(name, type letter, definition)."""
    referenced_by: list[str] = field(default_factory=list[str])
    indexes: list[Index] = field(default_factory=list[Index])
    triggers: list[str] = field(default_factory=list[str])
    policies: list[str] = field(default_factory=list[str])
    privileges: list[str] = field(default_factory=list[str])

    @property
    def full(self) -> str:
        """``schema.name``."""
        return f"{self.schema}.{self.name}"


_RELATIONS: LiteralString = """
SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text, {ROWS},
 coalesce(obj_description(c.oid, 'pg_class'), ''),
 CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid, true) ELSE '' END,
 CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) ELSE '' END,
 CASE WHEN c.relispartition THEN (SELECT i.inhparent::regclass::text FROM pg_inherits i WHERE i.inhrelid = c.oid LIMIT 1)
   || ' ' || pg_get_expr(c.relpartbound, c.oid) ELSE '' END,
 coalesce((SELECT json_agg(t.child) FROM (SELECT i.inhrelid::regclass::text AS child FROM pg_inherits i
   WHERE i.inhparent = c.oid ORDER BY 1 LIMIT 20) t), '[]'),
 (SELECT count(*)::int8 FROM pg_inherits i WHERE i.inhparent = c.oid),
 has_table_privilege(c.oid, 'SELECT'), c.relrowsecurity, c.relforcerowsecurity, coalesce(array_to_json(c.reloptions), '[]'),
 coalesce((SELECT format('%s live and %s dead rows, %s sequential and %s index scans, vacuumed %s, analysed %s',
   s.n_live_tup, s.n_dead_tup, s.seq_scan, s.idx_scan, coalesce(greatest(s.last_vacuum, s.last_autovacuum)::text, 'never'),
   coalesce(greatest(s.last_analyze, s.last_autoanalyze)::text, 'never'))
   FROM pg_stat_all_tables s WHERE s.relid = c.oid), '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = ANY ($1::oid[])
""".replace("{ROWS}", ROWS)
_COLUMNS: LiteralString = """
SELECT a.attrelid::int8, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull,
 CASE WHEN a.attgenerated = '' THEN coalesce(pg_get_expr(d.adbin, d.adrelid), '') ELSE '' END,
 CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' ELSE '' END,
 CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) || CASE a.attgenerated WHEN 's' THEN ' STORED'
   ELSE ' VIRTUAL' END ELSE '' END,
 CASE WHEN a.attcollation NOT IN (0, t.typcollation) THEN (SELECT l.collname::text FROM pg_collation l
   WHERE l.oid = a.attcollation) ELSE '' END,
 coalesce(col_description(a.attrelid, a.attnum), ''), s.null_frac, s.n_distinct
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_stats s ON $2::bool AND s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
  AND s.inherited = (c.relkind = 'p')
WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum
"""
_CONSTRAINTS: LiteralString = """
SELECT k.conrelid::int8, k.conname::text, k.contype::text, pg_get_constraintdef(k.oid, true)
FROM pg_constraint k WHERE k.conrelid = ANY ($1::oid[]) AND k.contype IN ('p', 'u', 'f', 'c', 'x')
ORDER BY k.conrelid, position(k.contype IN 'pufcx'), k.conname
"""
_REFERENCES: LiteralString = """
SELECT k.confrelid::int8, n.nspname || '.' || c.relname || ' ' || pg_get_constraintdef(k.oid, true)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.confrelid = ANY ($1::oid[]) AND k.contype = 'f' AND k.conparentid = 0 ORDER BY 1, 2
"""
_INDEXES: LiteralString = """
SELECT x.indrelid::int8, i.relname::text, pg_get_indexdef(i.oid), pg_relation_size(i.oid), coalesce(s.idx_scan, 0),
 x.indisvalid, EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.oid AND k.contype IN ('p', 'u', 'x'))
FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid LEFT JOIN pg_stat_all_indexes s ON s.indexrelid = i.oid
WHERE x.indrelid = ANY ($1::oid[]) ORDER BY 1, 2
"""
_TRIGGERS: LiteralString = """
SELECT t.tgrelid::int8, pg_get_triggerdef(t.oid, true) || CASE t.tgenabled WHEN 'D' THEN ' (disabled)' ELSE '' END
FROM pg_trigger t WHERE t.tgrelid = ANY ($1::oid[]) AND NOT t.tgisinternal ORDER BY 1, t.tgname
"""
_POLICIES: LiteralString = """
SELECT p.polrelid::int8, format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', p.polname, p.polrelid::regclass,
 CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
 CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
 coalesce((SELECT string_agg(CASE r.o WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r.o)) END, ', ')
   FROM unnest(p.polroles) AS r(o)), 'PUBLIC'),
 coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', ''),
 coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', ''))
FROM pg_policy p WHERE p.polrelid = ANY ($1::oid[]) ORDER BY 1, p.polname
"""
_PRIVILEGES: LiteralString = """
SELECT c.oid::int8, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END || ': '
 || string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type)
FROM pg_class c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
WHERE c.oid = ANY ($1::oid[]) GROUP BY c.oid, a.grantee ORDER BY 1, 2
"""


async def relations(session: Session, oids: Sequence[int], parts: frozenset[str]) -> dict[int, Described]:
    """Describe relations.

    Args:
        session: A transaction.
        oids: Which.
        parts: What is wanted besides the relations themselves: ``columns``, ``constraints``, ``indexes``, ``triggers``,
            ``policies``, ``privileges``, ``stats``; ``ddl`` means all that belongs to their definition.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    definition = "ddl" in parts
    given = [list(oids)]
    found = {row[0]: Described(*row) for row in await session.rows(_RELATIONS, given)}
    if definition or parts & {"columns", "stats"}:
        for oid, *rest in await session.rows(_COLUMNS, [*given, "stats" in parts]):
            found[oid].columns.append(Attribute(*rest))
    if definition or "constraints" in parts:
        for oid, name, kind, text in await session.rows(_CONSTRAINTS, given):
            found[oid].constraints.append((name, kind, text))
    if "constraints" in parts:
        for oid, text in await session.rows(_REFERENCES, given):
            found[oid].referenced_by.append(text)
    if definition or "indexes" in parts:
        for oid, *rest in await session.rows(_INDEXES, given):
            found[oid].indexes.append(Index(*rest))
    wanted: list[tuple[bool, LiteralString, str]] = [
        (definition or "triggers" in parts, _TRIGGERS, "triggers"),
        (definition or "policies" in parts, _POLICIES, "policies"),
        ("privileges" in parts, _PRIVILEGES, "privileges"),
    ]
    for asked, sql, name in wanted:
        if asked:
            for oid, text in await session.rows(sql, given):
                getattr(found[oid], name).append(text)
    return found
