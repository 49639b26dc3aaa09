"""What a statement did inside its transaction, as the server counts it: rows by table, locks, rewrites."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import LiteralString

from gatelodge_core.errors import CallError

from gatelodge_postgres.connect.privileges import quoted
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.verdict.known import Relation

MAX_COUNTED = 1_000_000
"""Rows of a table that is emptied which are counted; more are told as more."""
OWN_SETTINGS: LiteralString = """
SET LOCAL standard_conforming_strings=on;
SELECT set_config('lock_timeout', '2s', true) FROM pg_settings
WHERE name = 'lock_timeout' AND setting::int NOT BETWEEN 1 AND 2000
"""
"""Strings mean what the parser takes them for; and a change waits for nobody for long."""
_IDENTITY: LiteralString = """
SELECT current_user::text, current_database()::text, current_setting('transaction_read_only') = 'on',
 pg_is_in_recovery(), current_setting('track_counts') = 'on',
 (SELECT coalesce(bool_or(rolsuper), true) FROM pg_roles WHERE rolname IN (current_user, session_user))
"""
# As pg_stat_xact_user_tables, which also counts the scans of each index and takes ten times as long.
_COUNTS: LiteralString = """
SELECT c.oid::int8, n.nspname || '.' || c.relname, x.inserted, x.updated, x.deleted
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL (SELECT
 pg_stat_get_xact_tuples_inserted(c.oid) AS inserted, pg_stat_get_xact_tuples_updated(c.oid) AS updated,
 pg_stat_get_xact_tuples_deleted(c.oid) AS deleted OFFSET 0) x
WHERE c.relkind IN ('r', 'm') AND c.oid >= 16384 AND n.nspname <> 'pg_toast' AND x.inserted + x.updated + x.deleted > 0
"""
_FILES: LiteralString = """
SELECT c.oid::int8, c.relfilenode::int8, n.nspname || '.' || c.relname,
 CASE WHEN c.relkind = 'r' THEN c.reltuples ELSE -1 END FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'i', 'I', 'm', 'v', 'S', 'f')
AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""
_LOCKS: LiteralString = """
SELECT l.relation::int8, coalesce(n.nspname || '.' || c.relname, ''), coalesce(c.relkind::text, ''),
 coalesce(c.relfilenode::int8, 0), json_agg(DISTINCT l.mode),
 CASE WHEN c.relkind IN ('r', 'm', 'i') THEN pg_relation_size(c.oid) ELSE 0 END
FROM pg_locks l LEFT JOIN pg_class c ON c.oid = l.relation LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted AND l.relation >= 16384
 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND n.nspname IS DISTINCT FROM 'pg_toast'
GROUP BY l.relation, n.nspname, c.relname, c.relkind, c.relfilenode, c.oid
"""
_REFERRING: LiteralString = """
WITH RECURSIVE r(oid) AS (SELECT unnest($1::oid[]) UNION
 SELECT k.conrelid FROM r JOIN pg_constraint k ON k.confrelid = r.oid AND k.contype = 'f' WHERE $2::bool)
SELECT n.nspname::text, c.relname::text FROM r JOIN pg_class c ON c.oid = r.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') ORDER BY 1, 2
"""
_STRENGTH = (
    "AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock",
    "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
)  # fmt: skip
_READING, _USUAL = _STRENGTH[:2], _STRENGTH[:3]
_TABLES = ("r", "p", "m", "v", "f", "S")
Counts = dict[int, tuple[str, int, int, int]]


@dataclass(frozen=True)
class Identity:
    """Who changes what."""

    role: str
    database: str
    counts: bool
    """Whether the server counts rows by table."""
    superuser: bool
    """Whether the role is one, or that of the login, which a statement could go back to."""


@dataclass(frozen=True)
class Before:
    """What was counted before the statement."""

    counts: Counts
    files: dict[int, tuple[int, str, float]]
    """Where each relation lies, what it is called, and about how many rows it has."""


@dataclass(frozen=True)
class Measured:
    """What the statement did.

    Args:
        tables: Rows that were inserted, updated and deleted, by table.
        locks: The strongest lock on each relation.
        rewritten: Tables and indexes written anew, with their size.
        made: Relations that are new.
        gone: Relations that are no more.
        lost: About how many rows they had, where that is known.
    """

    tables: dict[str, tuple[int, int, int]] = field(default_factory=dict[str, tuple[int, int, int]])
    locks: dict[str, str] = field(default_factory=dict[str, str])
    rewritten: dict[str, int] = field(default_factory=dict[str, int])
    made: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    lost: dict[str, int] = field(default_factory=dict[str, int])


async def identify(session: Session, *, allow_superuser: bool) -> Identity:
    """Set the transaction up, and ask who we are in it.

    Raises:
        CallError: It can't change anything, or everything.
        psycopg.Error: It can't be asked.
    """
    await session.constant(OWN_SETTINGS)
    ((role, database, reading, standby, counts, superuser),) = await session.rows(_IDENTITY)
    if standby:
        raise CallError("not_writable", "this server is a standby.", "The person must set write_url to the primary.")
    if reading:
        text = f"role {role} only reads: its transactions are read-only by default."
        raise CallError("not_writable", text, "The person must set write_url to a role that may change things.")
    if superuser and not allow_superuser:
        text = f"changes would be made as {role}, a superuser, whom nothing in the database holds back."
        raise CallError("superuser_refused", text, "The person sets write_url to a role with the rights it needs.")
    return Identity(role, database, counts, superuser)


async def look(session: Session, *, files: bool) -> Before:
    """Count before the statement; with `files`, also what lies where."""
    counts = {oid: (name, *numbers) for oid, name, *numbers in await session.rows(_COUNTS)}
    found = {oid: (file, name, rows) for oid, file, name, rows in await session.rows(_FILES)} if files else {}
    return Before(counts, found)


async def measure(session: Session, before: Before) -> Measured:
    """Count after the statement, and take away what was before."""
    tables: dict[str, tuple[int, int, int]] = {}
    for oid, name, *numbers in await session.rows(_COUNTS):
        earlier = before.counts.get(oid, ("", 0, 0, 0))[1:]
        inserted, updated, deleted = (now - then for now, then in zip(numbers, earlier, strict=True))
        if inserted or updated or deleted:
            tables[name] = (inserted, updated, deleted)
    locks: dict[str, str] = {}
    rewritten: dict[str, int] = {}
    made: list[str] = []
    gone: list[str] = []
    lost: dict[str, int] = {}
    for oid, name, kind, file, modes, size in await session.rows(_LOCKS):
        strongest = max(modes, key=_rank)
        earlier = before.files.get(oid)
        if not name:
            if earlier:
                gone.append(earlier[1])
                lost |= {earlier[1]: round(earlier[2])} if earlier[2] > 0 else {}
            continue
        if kind in _TABLES or strongest not in _USUAL:
            locks[name] = strongest
        if before.files and earlier is None and kind:
            made.append(name)
        elif earlier is not None and earlier[0] != file:
            rewritten[name] = size
    usual = {name: mode for name, mode in locks.items() if mode not in _READING} or locks
    return Measured(
        dict(sorted(tables.items())), dict(sorted(usual.items())), dict(sorted(rewritten.items())),
        tuple(sorted(made)), tuple(sorted(gone)), lost,
    )  # fmt: skip


async def count_emptied(session: Session, relations: list[Relation], *, cascade: bool) -> int:
    """Rows of the tables that are to be emptied, held still from here on; `MAX_COUNTED` + 1 a table means more."""
    total = 0
    for schema, name in await session.rows(_REFERRING, [[one.oid for one in relations], cascade]):
        table = f"{quoted(schema)}.{quoted(name)}"
        await session.extended(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        # A name from the catalog, quoted; there is no parameter for it.
        result = await session.extended(f"SELECT count(*) FROM (SELECT FROM {table} LIMIT {MAX_COUNTED + 1}) t")  # noqa: S608
        total += int(result.get_value(0, 0) or 0)
    return total


def _rank(mode: str) -> int:
    return _STRENGTH.index(mode) if mode in _STRENGTH else 0
