"""Tools that change a database: first previewed, then applied with the person's yes."""

from __future__ import annotations

from typing import Annotated

from gatelodge_core.declare import Declarations, Progress
from gatelodge_core.effects import DESTROY, WRITE
from pydantic import Field

from gatelodge_postgres.changing.changer import caller, changes_of
from gatelodge_postgres.changing.shown import applied_text, preview_text
from gatelodge_postgres.sources import Sources
from gatelodge_postgres.tools.arguments import Connection, Params
from gatelodge_postgres.tools.querying import DATA
from gatelodge_postgres.tools.ticking import ticking

write = Declarations[Sources]()


@write.tool(effect=WRITE, yields=DATA, additive=True)
async def preview_change(
    sources: Sources,
    sql: Annotated[
        str, Field(min_length=1, max_length=100_000, description="One INSERT, UPDATE, DELETE, MERGE or DDL.")
    ],
    progress: Progress,
    params: Params = [],  # noqa: B006 - a plain default keeps the schema portable; it is never changed
    allow_full_table: bool = False,
    connection: Connection = "",
) -> str:
    """Rehearse one SQL change and roll it back: affected rows, before/after sample, locks, triggers, change_token."""
    source = sources.pick(connection)
    changes = changes_of(sources)
    work = changes.of(source).preview(sql, params, full_table=allow_full_table)
    found = await ticking(progress, "the change is rehearsed", work)
    record, token = changes.remember(source, sql, params, found, full_table=allow_full_table)
    return preview_text(record, token)


@write.tool(effect=DESTROY, yields=DATA)
async def apply_change(
    sources: Sources,
    change_token: Annotated[str, Field(min_length=1, max_length=100)],
    progress: Progress,
    connection: Connection = "",
) -> str:
    """Make a previewed change for good after the person agrees; rolls back if it would now change other rows."""
    changes = changes_of(sources)
    record = changes.tokens.take(change_token, caller(), connection)
    work = changes.of(sources.pick(record.connection)).apply(record)
    return applied_text(record, await ticking(progress, "the change is made", work))
