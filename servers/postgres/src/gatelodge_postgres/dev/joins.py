"""Paths between two tables over foreign keys, as joins to be used in SQL."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from gatelodge_postgres.catalog.ddl import ident
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dev.tables import Table
from gatelodge_postgres.verdict.judge import Judge
from gatelodge_postgres.verdict.shut import shut

MAX_HOPS = 4
MAX_PATHS = 200
"""Found before they are ranked; in a tight web there are thousands."""

_KEYS: LiteralString = """
SELECT k.conrelid::int8, k.confrelid::int8, n.nspname::text, c.relname::text, fn.nspname::text, fc.relname::text,
 (SELECT json_agg(a.attname ORDER BY w.n) FROM unnest(k.conkey) WITH ORDINALITY w(num, n)
   JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = w.num),
 (SELECT json_agg(a.attname ORDER BY w.n) FROM unnest(k.confkey) WITH ORDINALITY w(num, n)
   JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = w.num),
 EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND NOT a.attnotnull),
 EXISTS (SELECT FROM pg_index x WHERE x.indrelid = k.conrelid AND x.indisunique AND x.indpred IS NULL
   AND x.indnkeyatts <= cardinality(k.conkey) AND k.conkey @> (string_to_array(x.indkey::text, ' ')::int2[])[1:x.indnkeyatts])
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class fc ON fc.oid = k.confrelid JOIN pg_namespace fn ON fn.oid = fc.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT c.relispartition
  AND has_schema_privilege(n.oid, 'USAGE') AND has_schema_privilege(fn.oid, 'USAGE')
  AND (has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT'))
  AND (has_table_privilege(fc.oid, 'SELECT') OR has_any_column_privilege(fc.oid, 'SELECT'))
ORDER BY k.conrelid, k.conname
"""
_SHARED: LiteralString = """
SELECT a.attname::text, format_type(a.atttypid, NULL) FROM pg_attribute a JOIN pg_attribute b ON b.attname = a.attname
WHERE a.attrelid = $1::oid AND b.attrelid = $2::oid AND a.atttypid = b.atttypid AND a.attnum > 0 AND b.attnum > 0
  AND NOT a.attisdropped AND NOT b.attisdropped ORDER BY a.attnum LIMIT 10
"""


@dataclass(frozen=True, slots=True)
class Key:
    """A foreign key.

    Args:
        source: OID of the table that refers.
        target: OID of the one that is referred to.
        source_name: (schema, name).
        target_name: (schema, name).
        columns: Of the source.
        references: Of the target, in the same order.
        optional: Whether it can be NULL.
        unique: Whether no two rows refer to the same.
    """

    source: int
    target: int
    source_name: tuple[str, str]
    target_name: tuple[str, str]
    columns: tuple[str, ...]
    references: tuple[str, ...]
    optional: bool
    unique: bool


@dataclass(frozen=True, slots=True)
class Hop:
    """A key, followed from the table that refers, or backwards."""

    key: Key
    forward: bool

    @property
    def to(self) -> int:
        """OID of the table that it leads to."""
        return self.key.target if self.forward else self.key.source

    @property
    def many(self) -> bool:
        """Whether one row may meet several."""
        return not self.forward and not self.key.unique


Path = tuple[Hop, ...]


async def keys(session: Session, judge: Judge) -> list[Key]:
    """All foreign keys between tables that may be read.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    known = await shut(session, judge)
    return [
        Key(source, target, (schema, name), (other_schema, other), tuple(columns), tuple(references), optional, unique)
        for source, target, schema, name, other_schema, other, columns, references, optional, unique
        in await session.rows(_KEYS)
        if not known.closed(schema, name) and not known.closed(other_schema, other)
    ]  # fmt: skip


def paths(found: Sequence[Key], start: int, goal: int) -> list[Path]:
    """Ways from one table to another: the shortest ones and those with one hop more, the best first.

    From a table to itself: its keys to itself, and the ways over one other table.
    """
    hops: dict[int, list[Hop]] = {}
    for key in found:
        hops.setdefault(key.source, []).append(Hop(key, True))
        hops.setdefault(key.target, []).append(Hop(key, False))
    away = _distances(hops, goal)
    if start == goal:
        direct: list[Path] = [(hop,) for hop in hops.get(start, []) if hop.to == start and hop.forward]
        return sorted(direct or _loops(hops, start), key=_rank)
    if start not in away:
        return []
    longest = min(MAX_HOPS, away[start] + 1)
    made: list[Path] = []
    left: deque[tuple[int, Path, frozenset[int]]] = deque([(start, (), frozenset((start,)))])
    while left and len(made) < MAX_PATHS:
        at, path, passed = left.popleft()
        for hop in hops.get(at, []):
            if hop.to in passed or len(path) + 1 + away.get(hop.to, MAX_HOPS + 1) > longest:
                continue
            if hop.to == goal:
                made.append((*path, hop))
            elif len(left) < 20_000:
                left.append((hop.to, (*path, hop), passed | {hop.to}))
    return sorted(made, key=_rank)


def _distances(hops: dict[int, list[Hop]], goal: int) -> dict[int, int]:
    away = {goal: 0}
    left = deque([goal])
    while left:
        at = left.popleft()
        if away[at] < MAX_HOPS:
            for hop in hops.get(at, []):
                if hop.to not in away:
                    away[hop.to] = away[at] + 1
                    left.append(hop.to)
    return away


def _loops(hops: dict[int, list[Hop]], start: int) -> list[Path]:
    made: list[Path] = []
    for first in hops.get(start, []):
        # Back by another key, or to other rows by the same one: who shares what.
        made += [(first, second) for second in hops.get(first.to, []) if second.to == start and first.to != start]
    return made[:MAX_PATHS]


def _rank(path: Path) -> tuple[int, int, int]:
    """Short first; then without a table that multiplies rows on the way; then without keys that can be missing."""
    return len(path), sum(hop.many for hop in path), sum(hop.key.optional for hop in path)


def sql_of(path: Path, start: Table) -> str:
    """A path as the FROM of a query, with what each join does to the number of rows beside it."""
    lines = [f"FROM {ident(start.schema)}.{ident(start.name)} t1"]
    for number, hop in enumerate(path, 2):
        key = hop.key
        schema, name = key.target_name if hop.forward else key.source_name
        own, other = (key.columns, key.references) if hop.forward else (key.references, key.columns)
        on = " AND ".join(
            f"t{number}.{ident(theirs)} = t{number - 1}.{ident(mine)}" for mine, theirs in zip(own, other, strict=True)
        )
        if hop.forward:
            note = "one, or none" if key.optional else "one"
        else:
            note = "many, or none" if hop.many else "one, or none"
        lines.append(f"JOIN {ident(schema)}.{ident(name)} t{number} ON {on}  -- {note}")
    return "\n".join(lines)


async def shared_columns(session: Session, start: Table, goal: Table) -> list[str]:
    """Columns of the same name and type in both tables, where no key leads from one to the other.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    return [f"{name} {kind}" for name, kind in await session.rows(_SHARED, [start.oid, goal.oid])]
