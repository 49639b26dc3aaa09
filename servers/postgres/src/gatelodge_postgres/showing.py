"""What the resources show, as text: a database's overview, and rows of a table."""

from __future__ import annotations

from collections.abc import Sequence

from gatelodge_core.errors import CallError

from gatelodge_postgres import uris
from gatelodge_postgres.catalog.find import readable_columns, relation_named
from gatelodge_postgres.catalog.overview import MOST_SCHEMAS, Overview, overview
from gatelodge_postgres.connect.privileges import Audit, quoted
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.reading.fetch import Row
from gatelodge_postgres.reading.render import text_of
from gatelodge_postgres.settings import PostgresSettings
from gatelodge_postgres.sources import Source
from gatelodge_postgres.tools.objects import size

SAMPLE_ROWS = 10
SAMPLE_CHARS = 200
"""Characters of one value that are shown."""
SAMPLE_BYTES = 2_000_000
"""What the rows may take before they are cut."""


async def overview_text(source: Source) -> str:
    """A database's overview.

    Raises:
        CallError: It can't be asked.
    """

    async def work(session: Session) -> Overview:
        return await overview(session, source.reader.judge)

    found = await source.database.run(work)
    server, settings = found.server, source.settings
    about = " -- ".join(text for text in (source.database.description, " ".join(server.comment.split())) if text)
    standing = "standby" if server.replica else "primary"
    if server.lag is not None:
        standing += f", last replayed transaction {server.lag:.1f} s ago"
    lines = [
        f"connection: {source.name}" + (f" -- {about}" if about else ""),
        f"server: PostgreSQL {server.version}, {standing}, up {_duration(server.up)}",
        f"database: {server.database}, {server.encoding}"
        + (f", {size(server.size)}" if server.size is not None else ""),
        *_privileges(source.audit),
        f"changes: {'previewed and confirmed' if source.writer is not None else 'off, everything is read-only'}",
        f"limits: {_limits(settings)}",
    ]
    lines += [f"masked columns: {', '.join(settings.mask_columns)}"] if settings.mask_columns else []
    lines += [f"settings: {', '.join(f'{name}={value}' for name, value in found.settings)}"]
    lines += [f"extensions: {', '.join(f'{name} {version}' for name, version in found.extensions)}"]
    lines.append(f"schemas ({len(found.schemas[:MOST_SCHEMAS])}{'+' if len(found.schemas) > MOST_SCHEMAS else ''}):")
    for name, count, comment in found.schemas[:MOST_SCHEMAS]:
        text = f"  {name}: {count} relations, {uris.schema(source.name, name)}"
        lines.append(f"{text} -- {' '.join(comment.split())}" if comment else text)
    return "\n".join(lines)


def _limits(settings: PostgresSettings) -> str:
    return (
        f"query {settings.query_seconds:g} s, lock {settings.lock_seconds:g} s, {settings.max_rows} rows, "
        f"{settings.value_chars} characters a value, planner cost {settings.max_cost:g}, "
        f"export {settings.export_mb} MB kept {settings.export_minutes} min"
    )


def _privileges(found: Audit | None) -> list[str]:
    if found is None:
        return []
    lines = [f"role: {found.role}" + (", superuser" if found.superuser else "")]
    lines.append(f"could do more than read: {'; '.join(found.findings) or 'nothing found'}")
    return lines + ([f"usual, and worth taking away: {'; '.join(found.notes)}"] if found.notes else [])


def _duration(seconds: float) -> str:
    for limit, mark in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * limit:
            return f"{seconds / limit:.0f} {mark}"
    return f"{seconds:.0f} s"


async def sample_text(source: Source, schema: str, table: str) -> str:
    """Some rows of a table, by the same way as a caller's query: masked, capped, judged.

    Raises:
        CallError: ``not_found``, or the query is refused.
    """

    async def work(session: Session) -> tuple[str, str, list[str]]:
        found = await relation_named(session, source.reader.judge, schema, table)
        return found.schema, found.name, await readable_columns(session, found.oid)

    where, name, columns = await source.database.run(work)
    if not columns:
        raise CallError("not_found", f"{where}.{name} has no columns that may be read.")
    # Names of columns, not *, since some of them may not be granted; all of them are the catalog's own words, quoted.
    sql = f"SELECT {', '.join(map(quoted, columns))} FROM {quoted(where)}.{quoted(name)} LIMIT {SAMPLE_ROWS}"  # noqa: S608
    answer = await source.reader.query(sql, [], rows=SAMPLE_ROWS, size=SAMPLE_BYTES)
    rows, cut = _cut(answer.rows.rows)
    notes = [
        f"{len(rows)} rows of {where}.{name}, in no order" + ("; there may be more" if len(rows) == SAMPLE_ROWS else "")
    ]
    if answer.rows.more:
        notes[0] = f"{len(rows)} rows of {where}.{name}; more would be too large"
    notes += [f"values longer than {SAMPLE_CHARS} characters end with …"] if cut else []
    masked = [answer.columns[number].name for number in sorted(answer.prepared.masked)]
    notes += [f"masked: {', '.join(masked)}"] if masked else []
    body = text_of([column.name for column in answer.columns], [column.oid for column in answer.columns], rows, "csv")
    return "\n".join([*notes, "", body])


def _cut(rows: Sequence[Row]) -> tuple[list[Row], bool]:
    cut = [[_short(value) for value in row] for row in rows]
    return cut, any(len(value or "") > SAMPLE_CHARS for row in rows for value in row)


def _short(value: str | None) -> str | None:
    return value if value is None or len(value) <= SAMPLE_CHARS else f"{value[:SAMPLE_CHARS]}…"
