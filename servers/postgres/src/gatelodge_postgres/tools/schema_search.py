"""The tool that finds things by words, and ways between tables."""

from __future__ import annotations

from typing import Annotated

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import READ
from gatelodge_core.errors import CallError
from pydantic import Field

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dev.joins import MAX_HOPS, keys, paths, shared_columns, sql_of
from gatelodge_postgres.dev.searching import Hit, search
from gatelodge_postgres.dev.tables import named
from gatelodge_postgres.sources import Source, Sources
from gatelodge_postgres.tools.arguments import Connection
from gatelodge_postgres.tools.objects import count
from gatelodge_postgres.tools.querying import DATA

searching = Declarations[Sources]()

MOST_PATHS = 5
_KINDS = {"r": "table", "p": "partitioned table", "v": "view", "m": "materialized view", "f": "foreign table"}


@searching.tool(effect=READ, yields=DATA)
async def search_schema(
    sources: Sources,
    text: Annotated[str, Field(max_length=200)] = "",
    start: Annotated[str, Field(description="A table; with goal: join paths between them.")] = "",
    goal: str = "",
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
    connection: Connection = "",
) -> str:
    """Search tables, columns, functions, enum values by words in names and comments; or find join paths as SQL."""
    source = sources.pick(connection)
    if bool(start) != bool(goal) or bool(text.strip()) == bool(start):
        raise CallError("invalid_arguments", "give either text, or both start and goal.", "start and goal name tables.")
    if start:
        return await _joins(source, start, goal, min(limit, 4 * MOST_PATHS))
    judge = source.reader.judge

    async def work(session: Session) -> tuple[list[Hit], dict[str, str]]:
        return await search(session, judge, text)

    hits, meant = await source.database.run(work)
    shown = hits[:limit]
    more = "; raise limit or add a word" if len(hits) > len(shown) else ""
    lines = [f"shown {len(shown)} of {len(hits)}{more}"]
    lines += [f"searched for {', '.join(f'{new} instead of {old}' for old, new in meant.items())}"] if meant else []
    lines += [_line(hit) for hit in shown]
    return "\n".join(lines)


def _line(hit: Hit) -> str:
    if hit.sort == "table":
        rows = f", ~{count(hit.rows)} rows" if hit.rows >= 0 and hit.more in "rpm" else ""
        line = f"{_KINDS[hit.more]} {hit.schema}.{hit.owner}{rows}"
    elif hit.sort == "column":
        line = f"column {hit.schema}.{hit.owner}.{hit.name} {hit.more}"
    elif hit.sort == "function":
        line = f"function {hit.schema}.{hit.owner}{hit.more}"
    else:
        line = f"enum value {hit.schema}.{hit.owner}: {hit.name}"
    return f"{line} -- {' '.join(hit.comment.split())[:200]}" if hit.comment else line


async def _joins(source: Source, start: str, goal: str, limit: int) -> str:
    judge = source.reader.judge

    async def work(session: Session) -> str:
        first, last = await named(session, judge, [start, goal])
        found = paths(await keys(session, judge), first.oid, last.oid)
        shown = found[: min(limit, MOST_PATHS) if limit == 20 else limit]
        if not found:
            shared = await shared_columns(session, first, last)
            beside = f" Columns of the same name and type: {', '.join(shared)}." if shared else ""
            return f"no path of at most {MAX_HOPS} foreign keys leads from {first.full} to {last.full}.{beside}"
        more = "; raise limit" if len(found) > len(shown) else ""
        lines = [f"shown {len(shown)} of {len(found)} paths from {first.full} to {last.full}, the best first{more}"]
        return "\n\n".join([*lines, *(sql_of(path, first) for path in shown)])

    return await source.database.run(work)
