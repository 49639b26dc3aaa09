"""What the parse trees of changes tell."""

from __future__ import annotations

import json
from typing import Any, cast

from gatelodge_postgres.verdict.facts import Name
from gatelodge_postgres.verdict.parse import Node
from gatelodge_postgres.verdict.walking import nodes


def range_name(relation: Node) -> Name:
    """(schema, name) of a RangeVar."""
    return str(relation.get("schemaname", "")), str(relation.get("relname", ""))


def selective(condition: Node | None) -> bool:
    """Whether a condition can leave rows out, as far as its text tells: it asks something of a column."""
    if not condition:
        return False
    ((kind, node),) = condition.items()
    if kind == "BoolExpr":
        parts = [selective(item) for item in node.get("args", [])]
        return all(parts) if node.get("boolop") == "OR_EXPR" else any(parts)
    if kind == "A_Expr" and _bare(node.get("lexpr")) == _bare(node.get("rexpr")):
        return False
    return any(inner in ("ColumnRef", "CurrentOfExpr") for inner, _ in nodes(kind, node))


def _bare(value: Any) -> str:
    """A tree without the places where its parts stand."""
    return json.dumps(value, sort_keys=True, default=str) if not isinstance(value, dict) else json.dumps(
        {key: _bare(item) for key, item in cast("Node", value).items() if key != "location"}, sort_keys=True
    )  # fmt: skip
