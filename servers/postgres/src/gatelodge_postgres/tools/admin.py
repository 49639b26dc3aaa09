"""The tool that ends other sessions; offered only with ``allow_admin``."""

from __future__ import annotations

from typing import Annotated

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import DESTROY
from pydantic import Field

from gatelodge_postgres.dba.signals import end
from gatelodge_postgres.sources import Sources
from gatelodge_postgres.tools.arguments import Connection
from gatelodge_postgres.tools.querying import DATA

admin = Declarations[Sources]()


@admin.tool(effect=DESTROY, yields=DATA)
async def cancel_backend(
    sources: Sources,
    pid: Annotated[int, Field(ge=1, le=2**31 - 1)],
    terminate: bool = False,
    connection: Connection = "",
) -> str:
    """Cancel another session's running statement by pid (kill a query), or end its session with terminate."""
    source = sources.pick(connection)
    return await end(source.writer or source.database, pid, session_too=terminate)
