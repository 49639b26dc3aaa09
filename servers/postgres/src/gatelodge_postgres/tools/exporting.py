"""The tool that writes a query's rows into a file."""

from __future__ import annotations

import time
from typing import Annotated

from gatelodge_core.declare import Declarations, Progress
from gatelodge_core.effects import WRITE
from mcp_types import CallToolResult, ResourceLink, TextContent
from pydantic import Field

from gatelodge_postgres.dev.exporting import Exported, Exporter
from gatelodge_postgres.dev.exports import Form
from gatelodge_postgres.sources import Sources
from gatelodge_postgres.tools.arguments import Connection, Params, Sql
from gatelodge_postgres.tools.objects import size
from gatelodge_postgres.tools.querying import DATA

exporting = Declarations[Sources]()

PATIENCE = 4
"""How many times as long as a query an export may take."""
SPARED = 5.0
"""Seconds before the call's own end by which an export stops, to be told of as incomplete."""


@exporting.tool(effect=WRITE, additive=True, yields=DATA)
async def export_query(
    sources: Sources,
    sql: Sql,
    progress: Progress,
    params: Params = [],  # noqa: B006 - a plain default keeps the schema portable; it is never changed
    format: Form = "csv",  # noqa: A002 - the word callers know
    max_bytes: Annotated[int, Field(ge=0, description="0: the setting.")] = 0,
    connection: Connection = "",
) -> CallToolResult:
    """Export all rows of a read-only SQL query to a CSV or JSONL file; a resource link, row count and sha256."""
    source = sources.pick(connection)
    settings = source.settings
    exports = sources.exports
    most = min(max_bytes or exports.limit, exports.limit)
    patience = min(PATIENCE * settings.query_seconds, max(settings.call_seconds - SPARED, settings.call_seconds / 2))
    exporter = Exporter(source.reader, exports, min(settings.query_seconds, patience), patience)
    made = await exporter.export(sql, params, format, most, progress)
    export = made.export
    link = ResourceLink(
        type="resource_link", uri=export.uri, name=f"export.{export.form}", mime_type=export.mime_type, size=export.size,
        description=f"{export.rows} rows",
    )  # fmt: skip
    return CallToolResult(content=[TextContent(type="text", text=_text(made, most)), link])


def _text(made: Exported, most: int) -> str:
    export = made.export
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(export.expires))
    lines = [f"{export.uri}: {export.rows} rows, {export.size} bytes ({size(export.size)}) of {export.form}"]
    if made.stopped_by == "bytes":
        lines.append(f"INCOMPLETE: there are more rows; stopped by max_bytes={most}")
    elif made.stopped_by:
        lines.append("INCOMPLETE: there are more rows; stopped by the time allowed")
    lines += [f"CUT: {count} values of {name} end with … after {made.chars} characters" for name, count in made.cut.items()]  # fmt: skip
    lines += [f"sha256: {export.sha256}", f"expires: {until}", f"columns: {', '.join(export.columns)}"]
    return "\n".join(lines)
