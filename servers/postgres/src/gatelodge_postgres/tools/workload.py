"""Tools that look at what statements cost, and what would make them cheaper."""

from __future__ import annotations

from typing import Annotated

from gatelodge_core.declare import Declarations, Progress
from gatelodge_core.effects import READ
from gatelodge_core.errors import CallError
from pydantic import Field

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dba.advice import Advice, advise
from gatelodge_postgres.dba.amounts import amount, milliseconds, size
from gatelodge_postgres.dba.drops import MAX_DROPS, Drop, drops
from gatelodge_postgres.dba.search import Chosen, Query
from gatelodge_postgres.dba.texts import shown
from gatelodge_postgres.dba.trees import tidy
from gatelodge_postgres.dba.workload import Line, Order, Top, looks, selects, top
from gatelodge_postgres.sources import Source, Sources
from gatelodge_postgres.tools.arguments import Connection, Sql
from gatelodge_postgres.tools.querying import DATA
from gatelodge_postgres.tools.ticking import ticking
from gatelodge_postgres.verdict.shut import WITHHELD, Shut, shut

workload = Declarations[Sources]()
BLOCK = 8192
MAX_WORKLOAD = 15
"""Queries of the workload that indexes are sought for."""
SHOWN_DROPS = 20
TRYING = 0.6
"""Part of the time of a call in which candidates are tried."""


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

    async def work(session: Session) -> tuple[Top, Shut]:
        found = await top(session, by, limit, looks(source), since)
        return found, await shut(session, source.reader.judge, texts=True)

    found, closing = await source.database.run(work)
    return "\n".join([*_head(found, by), "", *_lines(found, closing, numbers=bool(source.masks))])


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
    if not found.readable:
        head.append(
            "no text can be read: some statement in the cluster can't be turned into this database's encoding;"
            " SELECT pg_stat_statements_reset() by a superuser forgets it"
        )
    if found.usage.evicted:
        head.append(f"counters were dropped {found.usage.evicted} times; raise pg_stat_statements.max")
    return head


def _lines(found: Top, closing: Shut, *, numbers: bool) -> list[str]:
    lines: list[str] = []
    for number, line in enumerate(found.lines, 1):
        text = WITHHELD if closing.reads(line.text.sql) else shown(line.text.sql, numbers=numbers)
        lines += [f"{number}. {_counts(line, found.seconds)}; by {line.text.role}", f"   {text}"]
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
        f"waited for disks {milliseconds(counts['io_ms'])}" if counts["io_ms"] >= 1 else "",
    ]
    return ", ".join(part for part in parts if part)


def _blocks(counts: dict[str, float]) -> str:
    touched = counts["hit"] + counts["read"]
    if not touched:
        return ""
    written = f", wrote {size(counts['written'] * BLOCK)}" if counts["written"] else ""
    return f"read {size(touched * BLOCK)} ({counts['hit'] / touched:.1%} from the cache){written}"


@workload.tool(effect=READ, yields=DATA)
async def recommend_indexes(
    sources: Sources,
    progress: Progress,
    queries: Annotated[list[Sql], Field(max_length=10, description="SELECTs; none: the recorded workload.")] = [],  # noqa: B006 - a plain default keeps the schema portable; it is never changed
    budget_mb: Annotated[int, Field(ge=1, le=1_000_000)] = 1000,
    connection: Connection = "",
) -> str:
    """Which indexes to create (gain proven by the planner with hypopg) and to drop (unused, duplicate). Runs no DDL."""
    source = sources.pick(connection)

    async def work(session: Session) -> tuple[Advice, list[Drop], str]:
        going = await drops(session, source.reader)
        given, why = [Query(sql) for sql in queries], ""
        if not given:
            try:
                closing = await shut(session, source.reader.judge, texts=True)
                recorded = await selects(session, MAX_WORKLOAD)
                given = [Query(sql, calls) for sql, calls in recorded if not closing.reads(sql)]
                why = "" if given else "no SELECT was recorded"
            except CallError as error:
                # The transaction may have failed with it; what goes has been found before.
                return Advice(), going, f"the workload can't be had: {error.message} {error.hint}"
        seconds = source.settings.query_seconds * TRYING
        return await advise(session, source.reader, given, budget_mb * 2**20, seconds), going, why

    advice, going, why = await ticking(progress, "indexes are tried", source.database.run(work))
    return "\n".join([*_added(advice, budget_mb, why), *_queries(advice, source), *_dropped(going)])


def _added(advice: Advice, budget_mb: int, why: str) -> list[str]:
    tried, there = advice.tried
    how = f"proven by the planner with indexes that don't exist (hypopg), {tried} of {there} candidates tried"
    if not advice.proven:
        how = "not proven: the extension hypopg is not there, so by rules of thumb"
    spent = size(sum(chosen.size for chosen in advice.add))
    lines = [
        f"create {len(advice.add)} indexes, {spent} of {budget_mb:,} MB; {how}"
        if advice.queries
        else f"create: {why or 'none of the queries could be planned'}"
    ]
    if advice.over_budget:
        lines.append("others would help, and don't fit into budget_mb")
    for number, chosen in enumerate(advice.add, 1):
        lines += [f"{number}. {tidy(chosen.candidate.ddl)};", f"   {_gain(chosen)}"]
    return lines


def _gain(chosen: Chosen) -> str:
    which = ", ".join(map(str, chosen.helps))
    parts = [
        f"about {size(chosen.size)}" if chosen.proven else "not proven",
        f"for {'queries' if len(chosen.helps) > 1 else 'query'} {which}",
        f"its table had {amount(chosen.writes)} changes of rows, each of which costs more with it"
        if chosen.writes
        else "",
    ]
    return "; ".join(part for part in parts if part)


def _queries(advice: Advice, source: Source) -> list[str]:
    then = " and with these indexes" if advice.proven else ""
    lines = ["", f"queries, with the planner's cost now{then}:"] if advice.queries else []
    for number, query in enumerate(advice.queries, 1):
        calls = f", {amount(query.weight)} calls" if query.weight > 1 else ""
        then = (
            f" -> {query.now:,.0f} ({(query.before - query.now) / (query.before or 1):.0%} less)"
            if advice.proven
            else ""
        )
        lines.append(f"{number}. {query.before:,.0f}{then}{calls}: {shown(query.sql, 150, numbers=bool(source.masks))}")
    lines += [
        f"left out: {shown(sql, 80, numbers=bool(source.masks))}: {reason[:200]}" for sql, reason in advice.skipped
    ]
    return lines


def _dropped(going: list[Drop]) -> list[str]:
    if not going:
        return ["", "drop: nothing"]
    total = size(sum(one.size for one in going))
    lines = [
        "",
        f"drop, after a look at why they were made: shown {min(SHOWN_DROPS, len(going))} of {len(going)}{' or more' if len(going) >= MAX_DROPS else ''}, {total} together",
    ]
    return [*lines, *(f"- {tidy(one.ddl)}; -- {size(one.size)}, {one.why}" for one in going[:SHOWN_DROPS])]
