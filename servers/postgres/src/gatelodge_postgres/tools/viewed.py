"""What the views of this server show: rows with their columns, and plans node by node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from gatelodge_postgres.reading.describe import JSON_TYPES
from gatelodge_postgres.reading.plans import DETAILS, MAX_LINES, Plan, findings
from gatelodge_postgres.reading.reader import Answer, Reader
from gatelodge_postgres.reading.render import plain

MAX_CHARACTERS = 300_000
"""Of all values that a view gets; the rest is told of."""
MAX_VALUE = 20_000

_NUMBERS = frozenset((20, 21, 23, 26, 700, 701, 790, 1700))
_TIMES = frozenset((1082, 1114, 1184))
_BOOL = 16
Table = dict[str, Any]


def rows(reader: Reader, answer: Answer, *, skip: int, cursor: str) -> Table:
    """Rows for the table view.

    Args:
        reader: Knows the names of types.
        answer: What the query gave.
        skip: Rows that earlier answers had.
        cursor: For what comes next; empty if nothing does.
    """
    masked, cut = answer.prepared.masked, set(answer.cut)
    columns = [
        {
            "name": column.name,
            "type": reader.names.type(column.oid),
            "kind": "text" if number in masked else _kind(column.oid),
            "masked": number in masked,
            "cut": number in cut,
        }
        for number, column in enumerate(answer.columns)
    ]
    room, given = MAX_CHARACTERS, list[list[str | None]]()
    for row in answer.rows.rows:
        values = [
            None if value is None else plain(value, column.oid)[:MAX_VALUE]
            for value, column in zip(row, answer.columns, strict=True)
        ]
        room -= sum(len(value or "") for value in values) + len(values)
        if room < 0:
            break
        given.append(values)
    return {
        "kind": "rows",
        "columns": columns,
        "rows": given,
        "skip": skip,
        "shown": len(answer.rows.rows),
        "more": answer.rows.more,
        "stopped_by": answer.rows.stopped_by,
        "cursor": cursor,
        "ms": round(answer.seconds * 1000),
        "limit": reader.caps.value_chars,
        "notices": [str(notice)[:500] for notice in answer.notices[:20]],
    }


def _kind(oid: int) -> str:
    if oid in _NUMBERS:
        return "number"
    if oid in _TIMES:
        return "time"
    if oid in JSON_TYPES:
        return "json"
    return "boolean" if oid == _BOOL else "text"


def plan(found: Plan, *, before: float | None = None) -> Table:
    """A plan for the tree view.

    Args:
        found: As ``EXPLAIN (FORMAT JSON)`` gives it.
        before: The cost without the hypothetical indexes, if there are any.
    """
    nodes: list[Table] = []
    left: list[tuple[Plan, int]] = [(found["Plan"], 0)]
    while left and len(nodes) < MAX_LINES:
        node, depth = left.pop()
        nodes.append({"depth": depth, **_node(node)})
        left += [(child, depth + 1) for child in reversed(node.get("Plans", []))]
    times = {key: found[name] for name, key in (("Planning Time", "planning"), ("Execution Time", "execution")) if name in found}  # fmt: skip
    changed = {} if before is None else {"before": before, "after": found["Plan"]["Total Cost"]}
    return {"kind": "plan", "nodes": nodes, "left": len(left), "findings": findings(found["Plan"]), **times, **changed}


def _node(node: Mapping[str, Any]) -> Table:
    told: Table = {
        "type": node["Node Type"],
        "cost": node["Total Cost"],
        "own": max(0.0, node["Total Cost"] - sum(child["Total Cost"] for child in node.get("Plans", []))),
        "rows": node["Plan Rows"],
        "details": [[key, _text(node[key])[:2000]] for key in DETAILS if key in node],
    }
    for key, name in (("relation", "Relation Name"), ("index", "Index Name"), ("alias", "Alias")):
        if name in node:
            told[key] = str(node[name])
    if "Actual Rows" in node:
        loops = max(1.0, float(node["Actual Loops"]))
        spent = float(node["Actual Total Time"]) * loops
        below = sum(float(child.get("Actual Total Time", 0)) * float(child.get("Actual Loops", 1)) for child in node.get("Plans", []))  # fmt: skip
        told |= {"actual": node["Actual Rows"], "loops": node["Actual Loops"], "ms": spent, "own_ms": max(0.0, spent - below)}  # fmt: skip
    if node.get("Rows Removed by Filter"):
        told["removed"] = node["Rows Removed by Filter"]
    if node.get("Sort Space Type") == "Disk":
        told["disk"] = node["Sort Space Used"]
    return told


def _text(value: object) -> str:
    return ", ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)
