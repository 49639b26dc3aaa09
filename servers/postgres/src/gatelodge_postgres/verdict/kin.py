"""Which tables share rows: partitions and children of a table, and those that it is a partition or child of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import LiteralString

from gatelodge_postgres.connect.session import Session

KIN: LiteralString = """coalesce((WITH RECURSIVE above(oid) AS (SELECT inhparent FROM pg_inherits WHERE inhrelid = c.oid UNION
      SELECT i.inhparent FROM pg_inherits i JOIN above a ON i.inhrelid = a.oid),
     below(oid) AS (SELECT inhrelid FROM pg_inherits WHERE inhparent = c.oid UNION
      SELECT i.inhrelid FROM pg_inherits i JOIN below b ON i.inhparent = b.oid)
     SELECT json_agg(kn.nspname || '.' || k.relname) FROM (TABLE above UNION TABLE below) o JOIN pg_class k ON k.oid = o.oid
     JOIN pg_namespace kn ON kn.oid = k.relnamespace), '[]')"""
"""``schema.name`` of those that the table ``c`` of a query on pg_class shares rows with, at any depth, as JSON."""
MADE: LiteralString = """coalesce((SELECT jsonb_agg(DISTINCT jsonb_build_array(g.attname, s.attname)) FROM pg_attribute g
     JOIN pg_attrdef e ON e.adrelid = g.attrelid AND e.adnum = g.attnum JOIN pg_depend p ON p.refclassid = 'pg_class'::regclass
      AND p.refobjid = g.attrelid AND p.refobjsubid > 0 AND p.refobjsubid <> g.attnum AND (p.classid = 'pg_attrdef'::regclass
       AND p.objid = e.oid OR p.classid = 'pg_class'::regclass AND p.objid = g.attrelid AND p.objsubid = g.attnum)
     JOIN pg_attribute s ON s.attrelid = g.attrelid AND s.attnum = p.refobjsubid
     WHERE g.attrelid = c.oid AND g.attgenerated <> ''), '[]')"""
"""Pairs of a generated column of the table ``c`` and one that it is made of, as JSON."""
_OF: LiteralString = "SELECT c.oid::int8, " + KIN + ", " + MADE + " FROM pg_class c WHERE c.oid = ANY ($1::oid[])"  # noqa: S608 - a text of ours


@dataclass(frozen=True, slots=True)
class Kin:
    """Where else the values of a table's columns are.

    Args:
        names: ``schema.name`` of the tables that it shares rows with.
        made: Generated columns, each with one that it is made of.
    """

    names: tuple[str, ...] = ()
    made: tuple[tuple[str, str], ...] = ()


NOBODY = Kin()


async def kin(session: Session, oids: Iterable[int]) -> dict[int, Kin]:
    """What `KIN` and `MADE` are of some tables.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    found = await session.rows(_OF, [sorted(oids)])
    return {oid: Kin(tuple(names), tuple((one, source) for one, source in made)) for oid, names, made in found}
