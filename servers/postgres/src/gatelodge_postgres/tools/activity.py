"""The tool that shows what sessions do."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import READ
from pydantic import Field

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dba.activity import Backend, State, backends, tree
from gatelodge_postgres.sources import Sources
from gatelodge_postgres.tools.arguments import Connection
from gatelodge_postgres.tools.querying import DATA

activity = Declarations[Sources]()
SHOWN = 40


@activity.tool(effect=READ, yields=DATA)
async def show_activity(
    sources: Sources,
    states: Annotated[list[State], Field(max_length=4)] = [],  # noqa: B006 - a plain default keeps the schema portable; it is never changed
    min_seconds: Annotated[float, Field(ge=0)] = 0,
    blocking_tree: bool = False,
    connection: Connection = "",
) -> str:
    """Running queries and sessions (pg_stat_activity), all but idle unless states says so; locks: who blocks whom."""
    source = sources.pick(connection)

    async def work(session: Session) -> list[Backend]:
        return await backends(session, source.reader)

    found = await source.database.run(work)
    numbers = bool(source.masks)
    if blocking_tree:
        lines = tree(found, numbers=numbers)
        head = f"{sum(1 for one in found if one.blockers)} of {len(found)} sessions wait for locks"
        return "\n".join([head, *_hidden(found), *(["", *lines[:SHOWN]] if lines else []), *_more(lines)])
    chosen = [one for one in found if one.fits(states, min_seconds)]
    lines = [one.line(numbers=numbers) + _blocked(one) for one in chosen]
    counts = Counter(one.state or ("hidden" if one.hidden else one.kind) for one in found)
    head = f"{len(found)} sessions: {', '.join(f'{count} {state}' for state, count in counts.most_common())}"
    body = ["", *lines[:SHOWN]] if lines else []
    return "\n".join([f"{head}; shown {min(SHOWN, len(lines))} of {len(lines)} that fit", *_hidden(found), *body])


def _blocked(one: Backend) -> str:
    return f" | blocked by {', '.join(map(str, one.blockers))}" if one.blockers else ""


def _hidden(found: list[Backend]) -> list[str]:
    count = sum(1 for one in found if one.hidden)
    text = f"what {count} sessions of other roles do can't be seen; GRANT pg_read_all_stats to the role shows it"
    return [text] if count else []


def _more(lines: list[str]) -> list[str]:
    return [f"... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
