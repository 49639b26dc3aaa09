"""Pages of a shape that trafilatura takes the square of their size for: many elements far down, or endless rows."""

from __future__ import annotations

from gatelodge_websearch.html.dom import Node, elements

_DEPTHS = 400_000
"""Sum of the depths of all elements; a large page of documentation has half of it."""
_CELLS = 1000


def is_twisted(root: Node) -> bool:
    """Whether a page is better written without asking what of it is content."""
    total = 0
    level, depth = [root], 0
    while level:
        below: list[Node] = []
        for node in level:
            inner = elements(node)
            if node.tag == "tr" and len(inner) > _CELLS:
                return True
            below += inner
        depth += 1
        total += depth * len(below)
        if total > _DEPTHS:
            return True
        level = below
    return False
