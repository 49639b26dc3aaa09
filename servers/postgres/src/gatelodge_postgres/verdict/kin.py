"""Which tables share rows: partitions and children of a table, and those that it is a partition or child of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import LiteralString

from gatelodge_postgres.connect.session import Session

_KIN: LiteralString = """
WITH RECURSIVE above(of, oid) AS (SELECT inhrelid, inhparent FROM pg_inherits WHERE inhrelid = ANY ($1::oid[])
 UNION SELECT a.of, i.inhparent FROM pg_inherits i JOIN above a ON i.inhrelid = a.oid),
below(of, oid) AS (SELECT inhparent, inhrelid FROM pg_inherits WHERE inhparent = ANY ($1::oid[])
 UNION SELECT b.of, i.inhrelid FROM pg_inherits i JOIN below b ON i.inhparent = b.oid)
SELECT o.of::int8, n.nspname || '.' || c.relname FROM (TABLE above UNION TABLE below) o
JOIN pg_class c ON c.oid = o.oid JOIN pg_namespace n ON n.oid = c.relnamespace
"""


async def kin(session: Session, oids: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """``schema.name`` of those that each of some tables shares rows with, at any depth; those that share none are left out.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    found: dict[int, tuple[str, ...]] = {}
    for oid, name in await session.rows(_KIN, [sorted(oids)]):
        found[oid] = (*found.get(oid, ()), name)
    return found
