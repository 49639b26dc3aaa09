"""Noticing that a database's catalog has changed: asked for in a short transaction of its own, while somebody listens.

Nothing is kept open for it, as a connection that LISTENs would be, which poolers in transaction mode don't give either.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import LiteralString

from gatelodge_core.errors import CallError
from gatelodge_core.lists import Stop

from gatelodge_postgres.connect.database import Database
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.verdict.judge import Judge
from gatelodge_postgres.verdict.shut import shut, visible

logger = logging.getLogger(__name__)

PAUSE = 0.5
"""Seconds between two looks, however many hints there are."""
MOST_TIMES = 20
"""How many times as long is waited, in the end, for a database that can't be asked."""
SECONDS = 5.0
"""The longest that one look may take."""

# Over what may be read, not over all: what may not, isn't told of either. TRUNCATE, VACUUM and ANALYZE change nothing here.
_ALL: LiteralString = """
SELECT count(*) || ':' || coalesce(sum(hashtextextended(concat_ws('|', s.oid, s.nspname, s.relname, s.relkind, s.columns), 0)
  ::numeric)::text, '')
FROM (SELECT c.oid, n.nspname, c.relname, c.relkind, (SELECT sum(hashtextextended(
    concat_ws('|', a.attnum, a.attname, a.atttypid, a.atttypmod), 0)::numeric)
   FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
 AND NOT (c.oid = ANY ($1::oid[])) AND n.nspname || '.' || c.relname ~ ANY ($2::text[])
 AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')) s
"""
# Transaction ids of catalog rows are compared for being equal alone, and freezing leaves them as they are.
_TABLES: LiteralString = """
SELECT w.schema, w.name, md5(concat_ws('|', c.oid, c.relkind, c.relrowsecurity, c.reloptions,
 (SELECT string_agg(a.attnum || ':' || a.attname || ':' || a.xmin, ',' ORDER BY a.attnum) FROM pg_attribute a
  WHERE a.attrelid = c.oid AND a.attnum > 0), '|',
 (SELECT string_agg(d.oid || ':' || d.xmin, ',' ORDER BY d.oid) FROM pg_attrdef d WHERE d.adrelid = c.oid), '|',
 (SELECT string_agg(k.oid || ':' || k.xmin, ',' ORDER BY k.oid) FROM pg_constraint k WHERE k.conrelid = c.oid), '|',
 (SELECT string_agg(i.oid || ':' || i.relname || ':' || x.indisvalid, ',' ORDER BY i.oid)
  FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid), '|',
 (SELECT string_agg(t.oid || ':' || t.xmin, ',' ORDER BY t.oid) FROM pg_trigger t
  WHERE t.tgrelid = c.oid AND NOT t.tgisinternal), '|',
 (SELECT string_agg(p.oid || ':' || p.xmin, ',' ORDER BY p.oid) FROM pg_policy p WHERE p.polrelid = c.oid), '|',
 (SELECT string_agg(r.oid || ':' || r.xmin, ',' ORDER BY r.oid) FROM pg_rewrite r WHERE r.ev_class = c.oid), '|',
 (SELECT string_agg(i.inhrelid || ':' || i.inhparent, ',' ORDER BY i.inhrelid) FROM pg_inherits i
  WHERE c.oid IN (i.inhparent, i.inhrelid)), '|',
 (SELECT string_agg(o.objsubid || ':' || o.description, ',' ORDER BY o.objsubid) FROM pg_description o
  WHERE o.objoid = c.oid AND o.classoid = 'pg_class'::regclass)))
FROM unnest($1::text[], $2::text[]) AS w(schema, name)
JOIN pg_namespace n ON n.nspname = w.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')
"""

Table = tuple[str, str]
Seen = dict[Table | None, str]
"""Fingerprints: of tables by schema and name, of everything by None. A table that isn't there has none."""


@dataclass
class _Watcher:
    """Who is told.

    Args:
        table: Of what; None for everything.
        state: As it was last seen; None before the database was ever reached.
        changed: Called in the event loop.
    """

    table: Table | None
    state: str | None
    changed: Callable[[], None]


class Changes:
    """Changes of one database's catalog.

    Args:
        database: Which.
        judge: Says what is closed.
        seconds: How often it is looked at; 0 means only on a hint.
    """

    def __init__(self, database: Database, judge: Judge, seconds: float) -> None:
        self._database = database
        self._judge = judge
        self._seconds = seconds
        self._watchers: list[_Watcher] = []
        self._hint = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.looks = 0
        """How often it was looked at."""

    def hint(self) -> None:
        """Look soon, if anybody listens: something may have changed."""
        self._hint.set()

    async def watch(self, changed: Callable[[], None], table: Table | None = None) -> Stop:
        """Call `changed` after the catalog, or one table's definition, has become another than it is now.

        Raises:
            CallError: ``not_found`` for a table that isn't there or may not be read; that can't be told now.
        """
        watcher = _Watcher(table, None, changed)
        try:
            watcher.state = (await self._look([watcher]))[table]
        except KeyError:
            raise CallError("not_found", "there is no such table, or it may not be read.") from None
        except CallError as error:
            if table is not None:
                raise
            logger.info("the catalog of database %s can't be looked at yet: %s", self._database.name, error)
        self._watchers.append(watcher)
        if self._task is None:
            self._hint.clear()
            self._task = asyncio.get_running_loop().create_task(self._watching())

        def stop() -> None:
            with contextlib.suppress(ValueError):
                self._watchers.remove(watcher)
            if not self._watchers and self._task is not None:
                self._task.cancel()
                self._task = None

        return stop

    async def _watching(self) -> None:
        failures = 0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds * min(2**failures, MOST_TIMES) or None):
                    await self._hint.wait()
            self._hint.clear()
            watchers = list(self._watchers)
            failures = min(failures + 1, MOST_TIMES)
            try:
                seen = await self._look(watchers)
            except CallError as error:
                logger.info("the catalog of database %s was not looked at: %s", self._database.name, error)
            except Exception:
                logger.exception("looking at the catalog of database %s failed", self._database.name)
            else:
                failures = 0
                self._compare(watchers, seen)
            await asyncio.sleep(PAUSE)

    def _compare(self, watchers: Sequence[_Watcher], seen: Seen) -> None:
        for watcher in watchers:
            state = seen.get(watcher.table, "")
            if state != watcher.state:
                watcher.state = state
                watcher.changed()

    async def _look(self, watchers: Sequence[_Watcher]) -> Seen:
        """The fingerprints of what is watched.

        Raises:
            CallError: They can't be had.
        """
        tables = list({watcher.table for watcher in watchers if watcher.table is not None})
        everything = any(watcher.table is None for watcher in watchers)

        async def work(session: Session) -> Seen:
            seen: Seen = {}
            if everything:
                ((seen[None],),) = await session.rows(_ALL, await visible(session, self._judge))
            closing = await shut(session, self._judge) if tables else None
            open_tables = [one for one in tables if closing is not None and not closing.closed(*one)]
            if open_tables:
                given = [[schema for schema, _ in open_tables], [name for _, name in open_tables]]
                seen |= {(schema, name): state for schema, name, state in await session.rows(_TABLES, given)}
            return seen

        self.looks += 1
        try:
            async with asyncio.timeout(SECONDS):
                return await self._database.run(work, seconds=min(SECONDS, self._database.timeouts.statement))
        except TimeoutError:
            raise CallError("timeout", f"database {self._database.name} did not answer in {SECONDS:.0f} s.") from None
