"""The extension pg_stat_statements: whether it can be read, in which schema it is, and which columns it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString, cast

from gatelodge_core.errors import CallError
from psycopg.errors import CharacterNotInRepertoire, ObjectNotInPrerequisiteState, UntranslatableCharacter

from gatelodge_postgres.connect.privileges import quoted
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dba.plans import attempt

FIELDS = ("calls", "ms", "rows", "hit", "read", "written", "temp", "wal", "io_ms")
"""What is counted: calls, milliseconds, rows, blocks, bytes of WAL, milliseconds of input and output."""
Counts = tuple[float, ...]
"""One number for each of `FIELDS`."""
MAX_STATEMENTS = 20_000
MAX_TEXT = 20_000
UNREADABLE = "text unknown"
"""In place of all texts, where PostgreSQL can't turn one of them into this database's encoding."""

_FIND: LiteralString = """
SELECT n.nspname::text, e.extversion, has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
 (SELECT json_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
 (SELECT count(*)::int8 FROM pg_class i WHERE i.relnamespace = n.oid AND i.relname = 'pg_stat_statements_info'),
 pg_has_role('pg_read_all_stats', 'USAGE')
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'pg_stat_statements' WHERE e.extname = 'pg_stat_statements'
"""
MISSING = (
    "The person can set shared_preload_libraries = 'pg_stat_statements', restart PostgreSQL, and run CREATE EXTENSION "
    "pg_stat_statements in this database; most hosts have it as an option."
)


@dataclass(frozen=True)
class Usage:
    """What was counted since the counters began.

    Args:
        counts: By statement; the key is its own, and of no meaning.
        hidden: How many statements of other roles can't be told apart.
        hidden_ms: Their time.
        reset: When counting began; empty if that isn't known.
        evicted: How often statements were dropped since, because there were too many.
    """

    counts: dict[str, Counts]
    hidden: int
    hidden_ms: float
    reset: str
    evicted: int


@dataclass(frozen=True, slots=True)
class Text:
    """A statement's text, with $1 and so on in place of values, and whose it is."""

    sql: str
    role: str


class Statements:
    """The extension in one database; `found` makes it.

    Args:
        schema: Where it is.
        columns: That its view has here.
        informed: Whether there is the view that tells when counting began.
        every: Whether the role may see the statements of other roles.
    """

    def __init__(self, schema: str, columns: Sequence[str], informed: bool, every: bool) -> None:
        self._name = quoted(schema)
        self._columns = set(columns)
        self._informed = informed
        self.every = every

    @classmethod
    async def found(cls, session: Session) -> Statements:
        """Look for it.

        Raises:
            CallError: It isn't there, or may not be read.
        """
        rows = await session.rows(_FIND)
        if not rows:
            raise CallError("no_statistics", "the extension pg_stat_statements is not in this database.", MISSING)
        schema, _, readable, columns, informed, every = rows[0]
        if not readable:
            text = f"the role may not read {schema}.pg_stat_statements."
            raise CallError("no_statistics", text, f"The person can grant USAGE on schema {schema} and SELECT on it.")
        return cls(schema, columns, bool(informed), every)

    async def usage(self, session: Session) -> Usage:
        """The counters of this database's statements.

        Raises:
            CallError: The extension's library was not loaded when the server started.
        """
        key, numbers = self._key(), ", ".join(self._numbers())
        # Names of columns that the catalog gave, one quoted schema, and our own words.
        sql = f"""
            SELECT (SELECT json_object_agg(key, counts) FROM (SELECT {key} AS key, json_build_array({numbers}) AS counts
               FROM s WHERE queryid IS NOT NULL ORDER BY {self._time()} DESC LIMIT {MAX_STATEMENTS}) t),
             (SELECT count(*) FROM s WHERE queryid IS NULL),
             (SELECT coalesce(sum({self._time()}), 0)::float8 FROM s WHERE queryid IS NULL),
             {"(SELECT stats_reset::text FROM " + self._name + ".pg_stat_statements_info)" if self._informed else "''"},
             {"(SELECT dealloc FROM " + self._name + ".pg_stat_statements_info)" if self._informed else "0::int8"}"""  # noqa: S608
        ((counts, hidden, hidden_ms, reset, evicted),) = await self._rows(session, sql, [], texts=False)
        given = cast("dict[str, list[float]]", counts or {})
        made = {name: tuple(map(float, values)) for name, values in given.items()}
        return Usage(made, hidden, hidden_ms, reset or "", evicted or 0)

    async def texts(self, session: Session, keys: Sequence[str]) -> dict[str, Text]:
        """The texts of statements; `UNREADABLE` with its id for each, if the texts can't be had.

        Raises:
            CallError: As `usage`.
        """
        sql = f"""SELECT {self._key()}, left(query, {MAX_TEXT + 1}), coalesce(r.rolname, userid::text), queryid::text
            FROM s LEFT JOIN pg_roles r ON r.oid = userid WHERE {self._key()} = ANY ($1::text[])"""  # noqa: S608
        try:
            async with attempt(session):
                rows = await self._rows(session, sql, [list(keys)])
        except (CharacterNotInRepertoire, UntranslatableCharacter):
            # It reads those of the whole cluster, and another database's encoding may be one that says nothing.
            rows = await self._rows(session, sql, [list(keys)], texts=False)
            return {key: Text(f"{UNREADABLE}, queryid {number}", role) for key, _, role, number in rows}
        return {key: Text(text or "", role) for key, text, role, _ in rows}

    async def _rows(self, session: Session, sql: str, values: list[object], *, texts: bool = True) -> list[Any]:
        head = f"""WITH s AS MATERIALIZED (SELECT * FROM {self._name}.pg_stat_statements({texts})
            WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())) """  # noqa: S608
        try:
            return await session.rows(cast("LiteralString", head + sql), values)
        except ObjectNotInPrerequisiteState:
            text = "pg_stat_statements is there, but its library was not loaded when PostgreSQL started."
            raise CallError("no_statistics", text, MISSING) from None

    def _key(self) -> str:
        return "concat_ws('/', userid, queryid" + (", toplevel)" if "toplevel" in self._columns else ")")

    def _time(self) -> str:
        return self._first("total_exec_time", "total_time")

    def _numbers(self) -> list[str]:
        """What gives `FIELDS` in this version."""
        read = self._first("shared_blk_read_time", "blk_read_time")
        write = self._first("shared_blk_write_time", "blk_write_time")
        return [
            "calls",
            self._time(),
            "rows",
            "shared_blks_hit + local_blks_hit",
            "shared_blks_read + local_blks_read",
            "shared_blks_written + local_blks_written",
            "temp_blks_read + temp_blks_written",
            self._first("wal_bytes"),
            f"{read} + {write}",
        ]

    def _first(self, *names: str) -> str:
        """The first of the columns that this version has; 0 if it has none."""
        return next((name for name in names if name in self._columns), "0")
