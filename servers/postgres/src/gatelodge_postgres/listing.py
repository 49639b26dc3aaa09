"""The list of resources: each database's overview and health, and its tables up to a bound; and who hears of changes.

What is beyond the bound is read by the same templates; list_objects finds it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
from collections.abc import Callable
from typing import Any, LiteralString

from gatelodge_core.errors import CallError
from gatelodge_core.lists import Listed, ListPage, Stop

from gatelodge_postgres import uris
from gatelodge_postgres.changes import Changes
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.sources import Source, Sources
from gatelodge_postgres.verdict.shut import visible

logger = logging.getLogger(__name__)

MOST = 100
"""Tables that are listed of each database."""
PAGE = 100
SECONDS = 5.0
"""The longest that a database may take; without an answer its tables are missing until the next time."""

_TABLES: LiteralString = """
SELECT n.nspname::text, c.relname::text, CASE c.relkind WHEN 'v' THEN 'View' WHEN 'm' THEN 'Materialized view'
 WHEN 'f' THEN 'Foreign table' ELSE 'Table' END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
AND NOT (c.oid = ANY ($1::oid[])) AND n.nspname || '.' || c.relname ~ ANY ($2::text[])
AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')
ORDER BY n.nspname, c.relname LIMIT $3::int
"""

Key = tuple[str, str, str]
"""(connection, schema, table) of an entry; overview and health have ``""`` and ``health`` for a schema, and no table."""


class Listing:
    """The list of resources, as `gatelodge_core.lists.Lists` wants it, and the watch of single tables.

    Args:
        sources: The databases.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    @property
    def changes(self) -> dict[str, Changes]:
        """What watches each database for the caller, by its name."""
        return {source.name: source.changes for source in self._sources.all}

    async def page(self, cursor: str) -> ListPage:
        """A page; see `Lists.page`.

        Raises:
            CallError: The cursor is none.
        """
        names = [source.name for source in self._sources.all]
        after = _parsed(cursor, names) if cursor else None
        first = names.index(after[0]) if after else 0
        parts = await asyncio.gather(*(self._entries(source) for source in self._sources.all[first:]))
        entries = [entry for part in parts for entry in part]
        if after:
            # By place rather than by name: an entry that is gone doesn't end the list.
            entries = [(key, item) for key, item in entries if key[0] != after[0] or key > after]
        shown = entries[:PAGE]
        return ListPage([item for _, item in shown], _written(shown[-1][0]) if len(entries) > PAGE else "")

    async def _entries(self, source: Source) -> list[tuple[Key, Listed]]:
        name = source.name
        about = f" ({source.database.description})" if source.database.description else ""
        found = [
            (
                (name, "", ""),
                Listed(uris.overview(name), name, f"Database {name}", f"Version, role, limits, sizes, schemas{about}"),
            ),
            (
                (name, "", "health"),
                Listed(uris.health(name), f"{name} health", f"Health of {name}", "Findings of the health checks"),
            ),
        ]
        prefix = f"{name}: " if len(self._sources.all) > 1 else ""
        for schema, table, kind in await self._tables(source):
            full = f"{schema}.{table}"
            listed = Listed(uris.table(name, schema, table), full, f"{prefix}{full}", f"{kind}: definition")
            found.append(((name, schema, table), listed))
        return found

    async def _tables(self, source: Source) -> list[tuple[str, str, str]]:
        async def work(session: Session) -> list[tuple[Any, ...]]:
            return await session.rows(_TABLES, [*await visible(session, source.reader.judge), MOST])

        try:
            async with asyncio.timeout(SECONDS):
                rows = await source.database.run(work, seconds=SECONDS)
        except (CallError, TimeoutError) as error:
            logger.info("tables of database %s are not listed: %s", source.name, error)
            return []
        return sorted((schema, table, kind) for schema, table, kind in rows)

    async def watch(self, changed: Callable[[], None]) -> Stop:
        """Be told when the list of any database changes; see `Lists.watch`."""
        begun = await asyncio.gather(
            *(changes.watch(changed) for changes in self.changes.values()), return_exceptions=True
        )
        stops = [one for one in begun if not isinstance(one, BaseException)]

        def stop() -> None:
            for one in stops:
                one()

        for one in begun:
            if isinstance(one, BaseException):
                stop()
                raise one
        return stop

    async def watch_table(self, uri: str, changed: Callable[[], None]) -> Stop:
        """Be told when a table's definition changes; see `subscriptions.Watch`.

        Raises:
            CallError: The URI is of no table that may be read.
        """
        found = uris.parsed(uri)
        if found is None:
            raise CallError("not_supported", "only definitions of tables and views can be watched.")
        connection, schema, table = found
        changes = self.changes.get(connection)
        if changes is None:
            raise CallError("not_found", "there is no such table, or it may not be read.")
        return await changes.watch(changed, (schema, table))


def _written(key: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps(key, ensure_ascii=False).encode()).decode().rstrip("=")


def _parsed(cursor: str, names: list[str]) -> Key:
    try:
        key: Any = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        connection, schema, table = (str(part) for part in key)
    except (ValueError, TypeError, binascii.Error):
        raise CallError("bad_cursor", "that is no cursor of this list.") from None
    if connection not in names:
        raise CallError("bad_cursor", "that is no cursor of this list.")
    return connection, schema, table
