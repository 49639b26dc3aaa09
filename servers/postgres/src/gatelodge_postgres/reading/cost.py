"""The cost gate: what the planner expects a statement to cost, before it runs. A courtesy, not a boundary."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from gatelodge_core.errors import CallError
from psycopg import pq

from gatelodge_postgres.connect.session import Session, decoded
from gatelodge_postgres.reading.describe import Description, description_of

EXPLAIN = "EXPLAIN (FORMAT JSON) "
_DEEPEST = 4


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the planner expects.

    Args:
        startup: Cost before the first row.
        total: Cost of all rows.
        rows: How many.
        width: Bytes of one.
        plan: The plan, as PostgreSQL gives it.
    """

    startup: float
    total: float
    rows: float
    width: int
    plan: dict[str, Any]

    def of(self, rows: int) -> float:
        """About the cost of the first `rows` rows; 0 means all."""
        part = min(1.0, rows / self.rows) if rows and self.rows > 0 else 1.0
        return self.startup + (self.total - self.startup) * part


async def estimate(session: Session, sql: str, parameters: Sequence[object] = ()) -> Estimate:
    """Ask the planner. It calls IMMUTABLE functions of constants, so ask after the verdict only.

    Raises:
        psycopg.Error: The statement can't be planned.
    """
    session.tainted = True
    return estimate_of(await session.extended(EXPLAIN + sql, parameters))


async def described_and_estimated(
    session: Session, sql: str, parameters: Sequence[object]
) -> tuple[Description, Estimate]:
    """Both `describe` and `estimate`, in one round trip.

    Raises:
        psycopg.Error: The statement can't be parsed, or not be planned.
    """
    session.tainted = True
    described, explained = await session.prepare_and_run(sql, EXPLAIN + sql, parameters)
    return description_of(described), estimate_of(explained)


def estimate_of(result: pq.abc.PGresult) -> Estimate:
    """What an EXPLAIN said."""
    plan = cast("dict[str, Any]", json.loads(decoded(result.get_value(0, 0) or b"[]"))[0]["Plan"])
    return Estimate(plan["Startup Cost"], plan["Total Cost"], plan["Plan Rows"], plan["Plan Width"], plan)


def check(found: Estimate, limit: float, rows: int = 0, *, told: bool = True) -> None:
    """Refuse what costs too much.

    Args:
        found: What the planner expects.
        limit: The most cost; 0 means no limit.
        rows: How many rows will be fetched; 0 means all.
        told: Whether the plan may be told of.

    Raises:
        CallError: It costs more.
    """
    cost = found.of(rows)
    if limit and cost > limit:
        text = f"the planner expects a cost of {cost:.3g}, and {limit:.3g} is allowed (about {found.rows:.3g} rows)"
        raise CallError(
            "too_expensive",
            f"{text}: {summary(found.plan)}." if told else f"{text}.",
            "Add a condition or a join condition, use an index, or aggregate less; explain_query shows the plan.",
        )


def above(plan: dict[str, Any], depth: int = _DEEPEST) -> dict[str, Any]:
    """As much of a plan as `summary` tells, to be kept."""
    if not depth:
        return {}
    kept = {key: plan[key] for key in ("Node Type", "Relation Name", "Total Cost") if key in plan}
    dearest = max(plan.get("Plans", []), key=lambda inner: float(inner["Total Cost"]), default=None)
    return kept if dearest is None or depth == 1 else {**kept, "Plans": [above(dearest, depth - 1)]}


def summary(plan: dict[str, Any]) -> str:
    """The upper part of a plan in one line, such as ``Aggregate > Nested Loop > Seq Scan on orders``."""
    words: list[str] = []
    node: dict[str, Any] | None = plan
    while node is not None and len(words) < _DEEPEST:
        on = f" on {node['Relation Name']}" if "Relation Name" in node else ""
        words.append(f"{node['Node Type']}{on}")
        node = max(node.get("Plans", []), key=lambda inner: float(inner["Total Cost"]), default=None)
    return " > ".join(words)
