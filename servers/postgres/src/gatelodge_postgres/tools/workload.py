"""Tools that look at what statements cost, and what would make them cheaper."""

from __future__ import annotations

from typing import Annotated

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import READ
from pydantic import Field

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dba.amounts import amount, milliseconds, size
from gatelodge_postgres.dba.texts import shown
from gatelodge_postgres.dba.workload import Line, Order, Top, looks, top
from gatelodge_postgres.sources import Sources
from gatelodge_postgres.tools.arguments import Connection
from gatelodge_postgres.tools.querying import DATA

workload = Declarations[Sources]()
BLOCK = 8192


@workload.tool(effect=READ, yields=DATA)
async def list_top_queries(
    sources: Sources,
    by: Order = "total",
    limit: Annotated[int, Field(ge=1, le=50)] = 10,
    since: Annotated[str, Field(description="Token of an earlier answer: count from there.")] = "",
    connection: Connection = "",
) -> str:
    """Slowest or costliest SQL statements (pg_stat_statements) by time, I/O, WAL, temp files or calls."""
    source = sources.pick(connection)

    async def work(session: Session) -> Top:
        return await top(session, by, limit, looks(source), since)

    found = await source.database.run(work)
    return "\n".join([*_head(found, by), "", *_lines(found, numbers=bool(source.masks))])


def _head(found: Top, by: Order) -> list[str]:
    period = (
        f"in the {found.seconds:.0f} s since that look"
        if found.seconds
        else f"since {found.usage.reset or 'the counters began'}"
    )
    head = [
        f"by {by}: shown {len(found.lines)} of {found.total} statements, {milliseconds(found.ms)} together, {period}"
    ]
    head.append(f"since={found.token} counts from now on")
    if found.usage.hidden:
        text = f"{found.usage.hidden} statements of other roles ({milliseconds(found.usage.hidden_ms)}) can't be seen"
        head.append(f"{text}; GRANT pg_read_all_stats to the role shows them")
    if found.usage.evicted:
        head.append(f"counters were dropped {found.usage.evicted} times; raise pg_stat_statements.max")
    return head


def _lines(found: Top, *, numbers: bool) -> list[str]:
    lines: list[str] = []
    for number, line in enumerate(found.lines, 1):
        lines += [f"{number}. {_counts(line, found.seconds)}; by {line.text.role}", f"   {shown(line.text.sql, numbers=numbers)}"]  # fmt: skip
    return lines or ["none"]


def _counts(line: Line, seconds: float) -> str:
    counts = line.counts
    calls = counts["calls"]
    rate = f" ({calls / seconds:.3g}/s)" if seconds else ""
    parts = [
        f"{milliseconds(counts['ms'])} ({line.share:.1%})",
        f"{amount(calls)} calls{rate}",
        f"mean {milliseconds(counts['ms'] / calls)}" if calls else "",
        f"{amount(counts['rows'])} rows",
        _blocks(counts),
        f"temp {size(counts['temp'] * BLOCK)}" if counts["temp"] else "",
        f"WAL {size(counts['wal'])}" if counts["wal"] else "",
        f"waited for disks {milliseconds(counts['io_ms'])}" if counts["io_ms"] else "",
    ]
    return ", ".join(part for part in parts if part)


def _blocks(counts: dict[str, float]) -> str:
    touched = counts["hit"] + counts["read"]
    if not touched:
        return ""
    written = f", wrote {size(counts['written'] * BLOCK)}" if counts["written"] else ""
    return f"read {size(counts['read'] * BLOCK)} from outside the cache (hit {counts['hit'] / touched:.1%}){written}"
