"""Which tables share rows: partitions and children of a table, and those that it is a partition or child of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import LiteralString

from gatelodge_postgres.connect.session import Session

KIN: LiteralString = """coalesce((WITH RECURSIVE above(oid) AS (SELECT inhparent FROM pg_inherits WHERE inhrelid = c.oid UNION
      SELECT i.inhparent FROM pg_inherits i JOIN above a ON i.inhrelid = a.oid),
     below(oid) AS (SELECT inhrelid FROM pg_inherits WHERE inhparent = c.oid UNION
      SELECT i.inhrelid FROM pg_inherits i JOIN below b ON i.inhparent = b.oid)
     SELECT json_agg(kn.nspname || '.' || k.relname) FROM (TABLE above UNION TABLE below) o JOIN pg_class k ON k.oid = o.oid
     JOIN pg_namespace kn ON kn.oid = k.relnamespace), '[]')"""
"""``schema.name`` of those that the table ``c`` of a query on pg_class shares rows with, at any depth, as JSON."""
_OF: LiteralString = "SELECT c.oid::int8, " + KIN + " FROM pg_class c WHERE c.oid = ANY ($1::oid[])"  # noqa: S608 - a text of ours


async def kin(session: Session, oids: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """What `KIN` is of some tables.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    found = await session.rows(_OF, [sorted(oids)])
    return {oid: tuple(names) for oid, names in found}
