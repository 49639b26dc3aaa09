"""Walking parse trees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from gatelodge_postgres.verdict.parse import Node


def nodes(kind: str, root: Any) -> Iterator[tuple[str, Node]]:
    """Every node of a tree with the name it stands under, from the top, in the order of the text.

    Args:
        kind: The root's name.
        root: A node, or a list of them.
    """
    left: list[tuple[str, Any]] = [(kind, root)]
    while left:
        name, value = left.pop()
        if isinstance(value, list):
            left += [(name, item) for item in reversed(cast("list[Any]", value))]
        elif isinstance(value, dict):
            node = cast("Node", value)
            yield name, node
            left += reversed(list(node.items()))


def words_of(items: list[Any]) -> list[str]:
    """The words of a name; ``*`` for a star."""
    return ["*" if "A_Star" in item else str(item.get("String", {}).get("sval", "")) for item in items]
