"""Completions of databases, schemas, tables and columns: those that may be read, by their beginning."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from gatelodge_core.declare import Declarations

from gatelodge_postgres.catalog import prefixes
from gatelodge_postgres.catalog.names import split
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.sources import Source, Sources

completing = Declarations[Sources]()

T = TypeVar("T")
SECONDS = 3.0
"""Whoever types does not wait longer."""
MAX_BEGINNING = 200


async def _asked(
    sources: Sources, chosen: dict[str, str], ask: Callable[[Session, Source], Awaitable[list[T]]]
) -> list[T]:
    """What the catalog of the chosen database says.

    Raises:
        CallError: There is no such database, or it can't be asked; nothing is then offered.
    """
    source = sources.pick(chosen.get("connection", ""))

    async def work(session: Session) -> list[T]:
        return await ask(session, source)

    return await source.database.run(work, seconds=SECONDS)


@completing.completer("database", "connection")
@completing.completer("health", "connection")
@completing.completer("schema", "connection")
@completing.completer("table", "connection")
@completing.completer("sample", "connection")
@completing.completer("explore_database", "connection")
@completing.completer("answer_with_sql", "connection")
@completing.completer("optimize_query", "connection")
@completing.completer("review_schema", "connection")
@completing.completer("plan_migration", "connection")
@completing.completer("investigate_slowness", "connection")
@completing.completer("least_privilege_setup", "connection")
async def complete_connection(sources: Sources, value: str, chosen: dict[str, str]) -> list[str]:
    """Names of databases."""
    del chosen
    return [source.name for source in sources.all if source.name.startswith(value.lower())]


@completing.completer("schema", "schema")
@completing.completer("table", "schema")
@completing.completer("sample", "schema")
@completing.completer("review_schema", "schema")
@completing.completer("least_privilege_setup", "schema")
async def complete_schema(sources: Sources, value: str, chosen: dict[str, str]) -> list[str]:
    """Names of schemas."""

    async def ask(session: Session, source: Source) -> list[str]:
        return await prefixes.schemas(session, source.reader.judge, value[:MAX_BEGINNING])

    return await _asked(sources, chosen, ask)


@completing.completer("table", "table")
@completing.completer("sample", "table")
async def complete_table(sources: Sources, value: str, chosen: dict[str, str]) -> list[str]:
    """Names of tables and views of the chosen schema."""
    schema = chosen.get("schema", "")

    async def ask(session: Session, source: Source) -> list[str]:
        found = await prefixes.relations(session, source.reader.judge, schema, value[:MAX_BEGINNING])
        return list(dict.fromkeys(name for where, name in found if not source.reader.judge.closed(where, name)))

    return await _asked(sources, chosen, ask)


@completing.completer("plan_migration", "table")
@completing.completer("investigate_slowness", "table")
async def complete_full_table(sources: Sources, value: str, chosen: dict[str, str]) -> list[str]:
    """Tables and views with their schema, by the beginning of either."""

    async def ask(session: Session, source: Source) -> list[str]:
        found = await prefixes.relations(session, source.reader.judge, "", value[:MAX_BEGINNING])
        return [f"{where}.{name}" for where, name in found if not source.reader.judge.closed(where, name)]

    return await _asked(sources, chosen, ask)


@completing.completer("plan_migration", "column")
async def complete_column(sources: Sources, value: str, chosen: dict[str, str]) -> list[str]:
    """Columns of the chosen table, or of all."""
    schema, table = split(chosen.get("table", ""))

    async def ask(session: Session, source: Source) -> list[str]:
        return await prefixes.columns(session, source.reader.judge, schema, table, value[:MAX_BEGINNING])

    return await _asked(sources, chosen, ask)


@completing.completer("result", "id")
@completing.completer("result-part", "id")
async def complete_result(sources: Sources, value: str, chosen: dict[str, str]) -> list[str]:
    """The caller's exports, the newest first."""
    del chosen
    return [export.id for export in reversed(sources.exports.list()) if export.id.startswith(value)]
