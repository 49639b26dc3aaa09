"""Walking the parse trees of changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

from gatelodge_postgres.verdict.facts import Name
from gatelodge_postgres.verdict.parse import Node


def nodes(kind: str, root: Node) -> Iterator[tuple[str, Node]]:
    """Every node of a tree with its name, from the top, in the order of the text."""
    left: list[tuple[str, Any]] = [(kind, root)]
    while left:
        name, value = left.pop()
        if isinstance(value, list):
            left += [(name, item) for item in reversed(cast("list[Any]", value))]
        elif isinstance(value, dict):
            node = cast("Node", value)
            yield name, node
            left += reversed(list(node.items()))


def range_name(relation: Node) -> Name:
    """(schema, name) of a RangeVar."""
    return str(relation.get("schemaname", "")), str(relation.get("relname", ""))


def words_of(items: list[Any]) -> list[str]:
    """The words of a name; ``*`` for a star."""
    return ["*" if "A_Star" in item else str(item.get("String", {}).get("sval", "")) for item in items]


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
