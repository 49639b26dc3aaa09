"""Asking for plans, also of statements whose parameters are not known; a failure leaves the transaction usable."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import AsyncGenerator, Iterator
from typing import Any, LiteralString, cast

import psycopg
from gatelodge_core.errors import CallError
from psycopg.errors import QueryCanceled

from gatelodge_postgres.connect.session import Session, decoded
from gatelodge_postgres.errors import is_lost

Plan = dict[str, Any]


@contextlib.asynccontextmanager
async def attempt(session: Session) -> AsyncGenerator[None]:
    """A part of a transaction that may fail without spoiling the rest."""
    await session.constant("SAVEPOINT attempt")
    try:
        yield
    except (CallError, psycopg.Error) as error:
        if not (isinstance(error, QueryCanceled) or is_lost(error)):
            await session.constant("ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt")
        raise
    await session.constant("RELEASE SAVEPOINT attempt")


async def planned(session: Session, sql: str, parameters: int = 0) -> Plan:
    """The plan of one judged statement, with names in full; nothing is run.

    Args:
        session: The transaction.
        sql: The statement.
        parameters: How many it has; with any, the plan is the one for values that are not known.

    Raises:
        psycopg.Error: It can't be planned.
    """
    session.tainted = True
    if not parameters:
        return await _explained(session, f"EXPLAIN (FORMAT JSON, VERBOSE) {sql}")
    # Not EXPLAIN (GENERIC_PLAN): the extended protocol wants values for it, which are then planned for.
    # A name of its own, since a transaction pooler can have left an older one on this backend.
    name = f"gl_{secrets.token_hex(6)}"
    await session.constant("SET LOCAL plan_cache_mode = force_generic_plan")
    await session.extended(f"PREPARE {name} AS {sql}")
    nulls = ", ".join(["NULL"] * parameters)
    try:
        return await _explained(session, f"EXPLAIN (FORMAT JSON, VERBOSE) EXECUTE {name}({nulls})")
    finally:
        with contextlib.suppress(psycopg.Error):
            await session.constant(cast("LiteralString", f"DEALLOCATE {name}"))


async def _explained(session: Session, sql: str) -> Plan:
    result = await session.extended(sql)
    return cast("Plan", json.loads(decoded(result.get_value(0, 0) or b"[]"))[0]["Plan"])


def cost_of(plan: Plan) -> float:
    """The planner's cost of all rows."""
    return float(plan["Total Cost"])


def nodes(plan: Plan) -> Iterator[Plan]:
    """Every node of a plan."""
    left = [plan]
    while left:
        node = left.pop()
        yield node
        left += node.get("Plans", [])
