"""What the catalog says of the names in a statement; one round trip for the names not asked for lately."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, LiteralString, cast

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.verdict.facts import IMPLIED_OPERATORS, Facts
from gatelodge_postgres.verdict.kin import KIN, MADE
from gatelodge_postgres.verdict.naming import NAMING

SECONDS = 30.0
"""How long an answer is believed. A function that turns volatile meanwhile still runs in a read-only transaction."""
MAX_NAMES = 20_000
FIRST_OWN = 16384
"""The first OID that is not of the system's own making."""


@dataclass(frozen=True, slots=True)
class Routine:
    """A function, or the one behind an operator.

    Args:
        schema: Where it is.
        volatile: Whether it, or for an aggregate any of its parts, says that it may change something.
        unary: Whether one argument is enough, so that ``value.name`` can call it.
        extension: That it belongs to; empty for PostgreSQL's own and the users'.
        own: Whether a user made it.
        types: Types outside of PostgreSQL's own: of an operator's operands, or what a function returns.
        definer: Whether it runs with its owner's rights.
        naming: Whether its types are such that it may tell of relations.
    """

    schema: str
    volatile: bool
    unary: bool
    extension: str
    own: bool
    types: frozenset[int]
    definer: bool
    naming: bool


@dataclass(frozen=True, slots=True)
class Type:
    """A type outside of PostgreSQL's own.

    Args:
        schema: Where it is.
        volatile: Whether reading it from text, or a cast from or to it, calls a volatile function.
        checks: What a domain's checks say, as SQL.
        oid: In ``pg_type``.
    """

    schema: str
    volatile: bool
    checks: tuple[str, ...]
    oid: int


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view or the like.

    Args:
        schema: Where it is.
        name: Its name.
        kind: ``pg_class.relkind``.
        visible: Whether it is meant where no schema is given.
        definition: Of a view or materialized view that a user made, as SQL.
        oid: In ``pg_class``.
        types: Of its columns, those outside of PostgreSQL's own; of an array, also that of its elements.
        foreign: Whether reading it, or one of its partitions or children, reaches another server or a file.
        columns: Names of its columns.
        kin: ``schema.name`` of each it is a partition or child of, and of its own, at any depth: they share rows.
        made: Generated columns, each with one that it is made of.
        unique: Columns of each unique index that holds for all of its rows.
    """

    schema: str
    name: str
    kind: str
    visible: bool
    definition: str
    oid: int
    types: frozenset[int]
    foreign: bool
    columns: frozenset[str]
    kin: tuple[str, ...]
    made: tuple[tuple[str, str], ...]
    unique: tuple[frozenset[str], ...]


_LOOKUP: LiteralString = (
    """
SELECT
 (SELECT json_agg(json_build_array(p.proname, n.nspname,
    p.provolatile = 'v' OR EXISTS (SELECT FROM pg_aggregate a JOIN pg_proc part ON part.oid IN (a.aggtransfn::oid,
      a.aggfinalfn::oid, a.aggcombinefn::oid, a.aggserialfn::oid, a.aggdeserialfn::oid, a.aggmtransfn::oid,
      a.aggminvtransfn::oid, a.aggmfinalfn::oid) WHERE a.aggfnoid = p.oid AND part.provolatile = 'v'),
    p.pronargs >= 1 AND p.pronargs - p.pronargdefaults <= 1, coalesce(e.extname, ''),
    e.oid IS NULL AND p.oid >= 16384, json_build_array(p.prorettype::int8), p.prosecdef, """  # noqa: S608 - a text of ours
    + NAMING
    + """))
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  LEFT JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  LEFT JOIN pg_extension e ON e.oid = d.refobjid WHERE p.proname = ANY ($1::name[])),
 (SELECT json_agg(json_build_array(o.oprname, n.nspname, p.provolatile = 'v', false, coalesce(e.extname, ''),
    e.oid IS NULL, json_build_array(o.oprleft::int8, o.oprright::int8), p.prosecdef, false))
  FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace JOIN pg_proc p ON p.oid = o.oprcode
  LEFT JOIN pg_depend d ON d.classid = 'pg_operator'::regclass AND d.objid = o.oid AND d.deptype = 'e'
  LEFT JOIN pg_extension e ON e.oid = d.refobjid WHERE o.oid >= 16384 AND o.oprname = ANY ($2::name[])),
 (SELECT json_agg(json_build_array(t.typname, n.nspname,
    EXISTS (SELECT FROM pg_proc p WHERE p.oid = t.typinput AND p.provolatile = 'v')
    OR EXISTS (SELECT FROM pg_cast c JOIN pg_proc p ON p.oid = c.castfunc
      WHERE (t.oid = c.casttarget OR t.oid = c.castsource AND t.oid >= 16384) AND c.oid >= 16384
      AND p.provolatile = 'v'),
    coalesce((SELECT json_agg(pg_get_expr(k.conbin, 0)) FROM pg_constraint k
      WHERE k.contypid = t.oid AND k.contype = 'c'), '[]'), t.oid::int8))
  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  WHERE t.typname = ANY ($3::name[]) AND (t.oid >= 16384
    OR EXISTS (SELECT FROM pg_cast c WHERE t.oid IN (c.casttarget, c.castsource) AND c.oid >= 16384))),
 (SELECT json_agg(json_build_array(c.relname, n.nspname, c.relkind, pg_table_is_visible(c.oid),
    CASE WHEN c.relkind IN ('v', 'm') AND c.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend d
      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    THEN pg_get_viewdef(c.oid) ELSE '' END, c.oid::int8, coalesce((SELECT json_agg(DISTINCT t.o::int8) FROM pg_attribute a
      JOIN pg_type y ON y.oid = a.atttypid, unnest(ARRAY[y.oid, y.typelem, y.typbasetype]) AS t(o)
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND t.o >= 16384), '[]'),
    c.relkind = 'f' OR c.relhassubclass AND EXISTS (WITH RECURSIVE below(oid) AS (SELECT c.oid UNION
      SELECT i.inhrelid FROM pg_inherits i JOIN below b ON i.inhparent = b.oid)
      SELECT FROM below b JOIN pg_class k ON k.oid = b.oid WHERE k.relkind = 'f'),
    coalesce((SELECT json_agg(a.attname) FROM pg_attribute a
      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]'),
    """
    + KIN
    + ", "
    + MADE
    + """, coalesce((SELECT json_agg((SELECT json_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid
      AND a.attnum = ANY ((string_to_array(x.indkey::text, ' ')::int2[])[1:x.indnkeyatts]))) FROM pg_index x
      WHERE x.indrelid = c.oid AND x.indisunique AND x.indisvalid AND x.indpred IS NULL AND x.indexprs IS NULL), '[]')))
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 't') AND c.relname = ANY ($4::name[]))
"""
)


@dataclass
class Known:
    """What is known of names now; a name that nothing has stands with an empty list."""

    routines: dict[str, list[Routine]] = field(default_factory=dict[str, list[Routine]])
    operators: dict[str, list[Routine]] = field(default_factory=dict[str, list[Routine]])
    types: dict[str, list[Type]] = field(default_factory=dict[str, list[Type]])
    relations: dict[str, list[Relation]] = field(default_factory=dict[str, list[Relation]])
    since: float = 0.0

    def forget(self) -> None:
        """Ask anew for everything."""
        for table in (self.routines, self.operators, self.types, self.relations):
            table.clear()

    async def learn(self, session: Session, facts: Facts) -> None:
        """Ask the catalog for the names in `facts` that aren't known.

        Raises:
            psycopg.Error: The catalog can't be read.
        """
        now = time.monotonic()
        if now - self.since > SECONDS or sum(map(len, (self.routines, self.relations))) > MAX_NAMES:
            self.forget()
            self.since = now
        # Again, since another call may have forgotten meanwhile what this one found known.
        while any(wanted := self._unknown(facts)):
            await self._ask(session, wanted)

    def _unknown(self, facts: Facts) -> list[list[str]]:
        return [
            _missing({name for _, name in facts.functions} | facts.attributes, self.routines),
            _missing({name for _, name in facts.operators} | set(IMPLIED_OPERATORS), self.operators),
            _missing({name for _, name in facts.types}, self.types),
            _missing({name for _, name in facts.relations}, self.relations),
        ]

    async def _ask(self, session: Session, wanted: list[list[str]]) -> None:
        (found,) = await session.rows(_LOOKUP, wanted)
        routines, operators, types, relations = (cast("list[list[Any]]", rows or []) for rows in found)
        self.routines |= {name: [] for name in wanted[0]}
        self.operators |= {name: [] for name in wanted[1]}
        self.types |= {name: [] for name in wanted[2]}
        self.relations |= {name: [] for name in wanted[3]}
        for rows, table in ((routines, self.routines), (operators, self.operators)):
            for name, schema, volatile, unary, extension, own, oids, definer, naming in rows:
                table[name].append(Routine(schema, volatile, unary, extension, own, _own(oids), definer, naming))
        for name, schema, volatile, checks, oid in types:
            self.types[name].append(Type(schema, volatile, tuple(checks), oid))
        for name, schema, kind, visible, definition, oid, oids, foreign, columns, kin, made, unique in relations:
            one = Relation(
                schema,
                name,
                kind,
                visible,
                definition,
                oid,
                _own(oids),
                foreign,
                frozenset(columns),
                tuple(kin),
                tuple((column, source) for column, source in made),
                tuple(map(frozenset, unique)),
            )
            self.relations[name].append(one)


def _own(oids: list[int]) -> frozenset[int]:
    return frozenset(oid for oid in oids if oid >= FIRST_OWN)


def _missing(names: set[str], table: dict[str, Any]) -> list[str]:
    return sorted(name for name in names if name not in table)
