"""Indexes that could help, from how plans use tables; which of them do, the planner says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, LiteralString, cast

from gatelodge_postgres.catalog.names import ROWS
from gatelodge_postgres.connect.privileges import quoted
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dba.hypothetical import Wanted
from gatelodge_postgres.dba.plans import Plan
from gatelodge_postgres.dba.predicates import Key, Known, Table, Use, scans
from gatelodge_postgres.reading.reader import Reader
from gatelodge_postgres.verdict.shut import shut

PER_USE = 18
MAX_CANDIDATES = 60
MAX_KEYS = 5
MAX_MEMBERS = 20
"""Partitions that an index of a partitioned table is tried on."""
FEW_ROWS = 1000
"""A table so small is read as fast as any index."""

_KNOWN: LiteralString = """
SELECT json_agg(json_build_array(n.nspname, c.relname, {ROWS},
  (SELECT json_build_array(rn.nspname, r.relname) FROM pg_class r JOIN pg_namespace rn ON rn.oid = r.relnamespace
   WHERE r.oid = coalesce(pg_partition_root(c.oid), c.oid)),
  (SELECT json_object_agg(a.attname, format_type(a.atttypid, a.atttypmod)) FROM pg_attribute a
   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT json_agg(p.attname) FROM pg_stats p WHERE p.schemaname = n.nspname AND p.tablename = c.relname
   AND p.n_distinct BETWEEN 1 AND 20),
  (SELECT json_agg(pg_get_indexdef(i.indexrelid, 1, true)) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
   JOIN pg_am m ON m.oid = x.relam WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree'),
  coalesce(s.n_tup_ins + s.n_tup_upd + s.n_tup_del, 0), c.relkind))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE (n.nspname, c.relname) IN (SELECT * FROM unnest($1::name[], $2::name[])) AND c.relkind IN ('r', 'm')
 AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND has_schema_privilege(n.oid, 'USAGE')
 AND has_any_column_privilege(c.oid, 'SELECT')
""".replace("{ROWS}", ROWS)


@dataclass(frozen=True)
class Candidate:
    """An index that could help.

    Args:
        table: Its table.
        ddl: The statement that makes it.
        parts: What to make up for it: itself, or one for each partition.
        group: The indexes that it stands for, where one alone doesn't help.
    """

    table: Table
    ddl: str
    parts: tuple[Wanted, ...]
    group: tuple[Candidate, ...] = ()


async def known_tables(session: Session, reader: Reader, plans: Iterable[Plan]) -> dict[Table, Known]:
    """The tables in plans that the role may read, and that may get indexes.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    names = sorted({table for plan in plans for _, table, _ in scans(plan)})
    ((rows,),) = await session.rows(_KNOWN, [[schema for schema, _ in names], [name for _, name in names]])
    given = cast("list[list[Any]]", rows or [])
    closing = await shut(session, reader.judge)
    return {
        (schema, name): Known(
            (root[0], root[1]), kind == "p", tuples, types, frozenset(few or []), frozenset(leading or []), writes
        )
        for schema, name, tuples, root, types, few, leading, writes, kind in given
        if not closing.closed(schema, name)
    }


def candidates(use: Use, table: Table) -> list[Candidate]:
    """Indexes that could help one use of one table, the simplest first."""
    made: dict[str, Candidate] = {}
    for keys, condition in _shapes(use):
        one = candidate(table, keys, condition, use)
        made.setdefault(one.ddl, one)
    # An OR is looked up by as many indexes as it has arms.
    groups: list[Candidate] = []
    for keys in use.together[:2]:
        group = tuple(candidate(table, (key,), "", use) for key in keys[:MAX_KEYS])
        parts = tuple(part for one in group for part in one.parts)
        groups.append(Candidate(table, "; ".join(one.ddl for one in group), parts, group))
    return [*list(made.values())[:PER_USE], *groups]


def _shapes(use: Use) -> Iterable[tuple[tuple[Key, ...], str]]:
    """(keys, condition): what is compared for equality stands first, then what is ordered or ranged over."""
    equal, joined, ranged = list(use.equal.values())[:3], list(use.joined.values())[:3], list(use.ranged.values())[:3]
    several = list(use.several.values())[:2]
    base = tuple(equal)
    for key in (*equal, *joined, *several, *ranged):
        yield (key,), ""
    if len(base) > 1:
        yield base, ""
    for key in (*ranged, *several):
        yield (*base, key), ""
    for keys in use.orders[:2]:
        yield keys, ""
        yield (*base, *keys), ""
    for key in joined:
        yield (key, *base), ""
        yield (*base, key), ""
        for last in ranged[:1]:
            yield (key, *base, last), ""
    for condition, about in list(use.constant.items())[:3]:
        rest = tuple(key for key in (*base, *ranged[:1]) if key.text != about.text)
        for keys in (rest, *use.orders[:1], *((key,) for key in joined[:1])):
            if keys:
                yield keys, condition
        yield (about,), condition


def candidate(table: Table, keys: Iterable[Key], condition: str, use: Use, method: str = "btree") -> Candidate:
    """An index of given keys."""
    distinct: dict[str, Key] = {}
    for key in keys:
        distinct.setdefault(key.text, key)
    what = f"USING {method} ({', '.join(key.whole for key in list(distinct.values())[:MAX_KEYS])})"
    what += f" WHERE {condition}" if condition else ""
    members = list(use.members)[:MAX_MEMBERS]
    parts = tuple(Wanted(f"CREATE INDEX ON {full(member)} {what}", *member) for member in members)
    whole = Wanted(f"CREATE INDEX ON {full(table)} {what}", *table, partitioned=members != [table])
    return Candidate(table, whole.ddl, parts)


def guess(use: Use, table: Table, known: Mapping[Table, Known]) -> Candidate | None:
    """The index that would help most as far as rules of thumb go; None if there is no need for one."""
    members = [known[member] for member in use.members if member in known]
    rows = sum(one.rows for one in members)
    if not use.sequential or 0 <= rows < FEW_ROWS:
        return None
    base = tuple(use.equal.values())[:3]
    last = (*use.ranged.values(), *use.several.values(), *use.joined.values())[:1]
    keys = (*base, *last) or (use.orders[0] if use.orders else ())
    if not keys or any(keys[0].text.strip('"') in {name.strip('"') for name in one.leading} for one in members):
        return None
    return candidate(table, keys, "", use)


def others(use: Use, table: Table, known: Mapping[Table, Known], *, trigrams: bool) -> list[Candidate]:
    """Indexes of other kinds than btree, which nothing can prove without making them."""
    types: dict[str, str] = {}
    for member in use.members:
        types |= known[member].types
    found: list[Candidate] = []
    for text, kind in use.other.items():
        column = next((name for name in types if quoted(name) == text), "")
        ranges = types.get(column, "").endswith("range") or types.get(column, "") in (
            "box",
            "point",
            "polygon",
            "circle",
        )
        if kind == "gin_trgm_ops" and not trigrams:
            continue
        suffix = "gin_trgm_ops" if kind == "gin_trgm_ops" else ""
        found.append(candidate(table, [Key(text, column, suffix)], "", use, "gist" if ranges else "gin"))
    return found


def full(table: Table) -> str:
    """A table's name as SQL writes it."""
    return f"{quoted(table[0])}.{quoted(table[1])}"
