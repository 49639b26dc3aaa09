"""The tool that shows plans."""

from __future__ import annotations

import json
from typing import Annotated, Any, cast

import psycopg
from gatelodge_core.apps.showing import show
from gatelodge_core.declare import Declarations, Progress
from gatelodge_core.effects import READ
from gatelodge_core.errors import CallError
from pydantic import Field

from gatelodge_postgres.connect.session import Session, decoded
from gatelodge_postgres.dba.hypothetical import hypothetical
from gatelodge_postgres.dba.plans import planned
from gatelodge_postgres.errors import told
from gatelodge_postgres.reading.plans import Plan, findings, tree
from gatelodge_postgres.reading.reader import Prepared
from gatelodge_postgres.sources import Sources
from gatelodge_postgres.tools import viewed
from gatelodge_postgres.tools.arguments import Connection, Params, Sql, TimeoutMs
from gatelodge_postgres.tools.querying import DATA, seconds
from gatelodge_postgres.tools.ticking import ticking

explaining = Declarations[Sources]()


@explaining.tool(effect=READ, yields=DATA)
async def explain_query(
    sources: Sources,
    sql: Sql,
    progress: Progress,
    params: Params = [],  # noqa: B006 - a plain default keeps the schema portable; it is never changed
    analyze: Annotated[bool, Field(description="Run it, for real times and rows.")] = False,
    hypothetical_indexes: Annotated[
        list[str], Field(max_length=10, description="CREATE INDEX statements to try (hypopg).")
    ] = [],  # noqa: B006
    generic: Annotated[bool, Field(description="Plan for any params.")] = False,
    timeout_ms: TimeoutMs = 0,
    connection: Connection = "",
) -> str:
    """Show the plan of a query with costs and findings; optionally measured, or with indexes that don't exist."""
    source = sources.pick(connection)
    if analyze and (hypothetical_indexes or generic):
        raise CallError("invalid_arguments", "analyze goes neither with hypothetical_indexes nor with generic.")

    async def work(session: Session) -> tuple[str, viewed.Table]:
        made = await source.reader.prepare(session, sql, params)
        if made.explained:
            raise CallError("invalid_arguments", "sql begins with EXPLAIN.", "Send the statement alone.")
        if made.verdict is not None:
            source.reader.judge.check_plan(made.verdict)
        unknown = len(made.description.parameters) if generic or not params else 0
        if analyze and unknown:
            raise CallError("invalid_arguments", f"the statement has {unknown} parameters.", "Give params to run it.")

        async def plan() -> Plan:
            if unknown:
                return {"Plan": await planned(session, made.sql, unknown)}
            return await _explained(session, made, sql, params, measured=analyze)

        before = await plan()
        if not hypothetical_indexes:
            return _shown(before), viewed.plan(before)
        await hypothetical(session, hypothetical_indexes, source.reader)
        after = await plan()
        was, now = before["Plan"]["Total Cost"], after["Plan"]["Total Cost"]
        change = f"cost {was:.2f} without and {now:.2f} with the hypothetical indexes"
        text = f"{change} ({(now - was) / max(was, 0.01):+.0%})\n\n{_shown(after)}"
        return text, viewed.plan(after, before=was)

    text, shown = await ticking(
        progress, "the plan is made", source.database.run(work, seconds=seconds(source, timeout_ms), sql=sql)
    )
    show(shown)
    return text


async def _explained(session: Session, made: Prepared, sql: str, params: list[Any], *, measured: bool) -> Plan:
    head = f"EXPLAIN ({'FORMAT JSON, ANALYZE, BUFFERS, TIMING' if measured else 'FORMAT JSON'}) "
    session.tainted = True
    try:
        result = await session.extended(head + made.sql, params)
    except psycopg.Error as error:
        raise told(error, sql=sql, prefix=len(head) - made.offset) from None
    return cast("Plan", json.loads(decoded(result.get_value(0, 0) or b"[]"))[0])


def _shown(plan: Plan) -> str:
    notes = findings(plan["Plan"])
    lines = tree(plan["Plan"])
    times = [f"{name}: {plan[key]:.2f} ms" for key, name in (("Planning Time", "planning"), ("Execution Time", "execution")) if key in plan]  # fmt: skip
    head = [f"findings: {'; '.join(notes)}"] if notes else []
    return "\n".join([*head, *times, *lines])
