"""Databases, schemas, tables and exports as resources."""

from __future__ import annotations

from gatelodge_core.declare import ANY_TYPE, Content, Declarations
from gatelodge_core.errors import CallError

from gatelodge_postgres import uris
from gatelodge_postgres.catalog.ddl import table_ddl
from gatelodge_postgres.catalog.find import relation_named
from gatelodge_postgres.catalog.outline import Outline, outline
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dba.health import examine
from gatelodge_postgres.dev.parts import part_of
from gatelodge_postgres.showing import overview_text, sample_text
from gatelodge_postgres.sources import Source, Sources
from gatelodge_postgres.tools.health import report
from gatelodge_postgres.tools.querying import DATA

resources = Declarations[Sources]()

MAX_DEFINITION = 56_000
"""Characters of one definition; a table with a thousand columns has about as many."""


def picked(sources: Sources, connection: str) -> Source:
    """The database of a URI.

    Raises:
        CallError: ``not_found``.
    """
    for source in sources.all:
        if source.name == connection:
            return source
    raise CallError("not_found", f"there is no database {connection[:60]!r}.")


# The order matters: a URI belongs to the first template that it fits.
@resources.resource(uris.RESULT, name="result", mime_type=ANY_TYPE, yields=DATA)
async def result(sources: Sources, id: str) -> Content:  # noqa: A002 - the template's word
    """Rows that export_query wrote, until they expire; a large export is read in parts."""
    return await part_of(sources.exports, id, 0)


@resources.resource(uris.RESULT_PART, name="result-part", mime_type=ANY_TYPE, yields=DATA)
async def result_part(sources: Sources, id: str, part: str) -> Content:  # noqa: A002
    """One part of a large export, from 1; the parts one after another are the whole."""
    if not part.isascii() or not part.isdigit() or len(part) > 6 or int(part) < 1:
        raise CallError("not_found", "parts are numbered from 1.")
    return await part_of(sources.exports, id, int(part))


@resources.resource(uris.OVERVIEW, name="database", yields=DATA)
async def database(sources: Sources, connection: str) -> str:
    """A database: version, role and what it could do, limits, settings, size, schemas, replication."""
    return await overview_text(picked(sources, connection))


@resources.resource(uris.HEALTH, name="health", yields=DATA)
async def database_health(sources: Sources, connection: str) -> str:
    """Findings of all health checks of a database, by severity, with evidence and fix."""
    source = picked(sources, connection)
    return "\n".join(report(source.name, await examine(source, [])))


@resources.resource(uris.SCHEMA, name="schema", yields=DATA)
async def schema_outline(sources: Sources, connection: str, schema: str) -> str:
    """A schema: tables and views with columns, types, keys and comments, as many as fit in 4,000 tokens."""
    source = picked(sources, connection)

    async def work(session: Session) -> Outline:
        return await outline(session, source.reader.judge, schema)

    found = await source.database.run(work)
    rest = ""
    if found.shown < found.total:
        rest = f'; list_objects(schema="{found.name}") pages through all, describe_objects tells of single ones'
    return f"-- shown {found.shown} of {found.total} relations{rest}\n{found.text}"


@resources.resource(uris.SAMPLE, name="sample", yields=DATA)
async def sample(sources: Sources, connection: str, schema: str, table: str) -> str:
    """Ten rows of a table or view, long values cut, masked columns masked."""
    return await sample_text(picked(sources, connection), schema, table)


@resources.resource(uris.TABLE, name="table", yields=DATA)
async def table_definition(sources: Sources, connection: str, schema: str, table: str) -> str:
    """The definition of a table or view as SQL: columns, constraints, indexes, triggers, policies, comments."""
    source = picked(sources, connection)

    async def work(session: Session) -> str:
        found = await relation_named(session, source.reader.judge, schema, table)
        return await table_ddl(session, source.reader.judge, found.oid)

    text = await source.database.run(work)
    if len(text) <= MAX_DEFINITION:
        return text
    return f"{text[:MAX_DEFINITION]}\n-- cut: {len(text)} characters; describe_objects shows it in parts"
