"""Plans as text: a tree of a line each, and what in them is worth a look."""

from __future__ import annotations

from typing import Any, cast

Plan = dict[str, Any]

MAX_LINES = 200
DETAILS = (
    "Index Cond", "Recheck Cond", "Hash Cond", "Merge Cond", "Join Filter", "Filter", "Sort Key", "Group Key",
    "One-Time Filter",
)  # fmt: skip
_MUCH = 10_000


def tree(plan: Plan) -> list[str]:
    """The plan, a line a node."""
    lines: list[str] = []
    left = [(plan, 0)]
    while left:
        node, depth = left.pop()
        if len(lines) >= MAX_LINES:
            return [*lines, "... cut"]
        lines.append("  " * depth + _line(node))
        for key in DETAILS:
            if key in node:
                value: object = node[key]
                text = ", ".join(cast("list[str]", value)) if isinstance(value, list) else str(value)
                lines.append("  " * depth + f"    {key}: {text[:500]}")
        left += [(child, depth + 1) for child in reversed(node.get("Plans", []))]
    return lines


def _line(node: Plan) -> str:
    words = [str(node["Node Type"])]
    words += [f"using {node['Index Name']}"] if "Index Name" in node else []
    words += [f"on {node['Relation Name']}"] if "Relation Name" in node else []
    alias = node.get("Alias")
    words += [str(alias)] if alias and alias != node.get("Relation Name") else []
    text = (
        f"{' '.join(words)} (cost {node['Startup Cost']:.2f}..{node['Total Cost']:.2f}, rows {node['Plan Rows']:.0f})"
    )
    if "Actual Rows" in node:
        text += f" (actual {node['Actual Total Time']:.3f} ms, rows {node['Actual Rows']:.0f}, loops {node['Actual Loops']})"
    if node.get("Rows Removed by Filter"):
        text += f" removed {node['Rows Removed by Filter']:.0f}"
    if node.get("Sort Space Type") == "Disk":
        text += f" sorted on disk, {node['Sort Space Used']} kB"
    return text


def findings(plan: Plan) -> list[str]:
    """What in a plan is worth a look, the first ten."""
    found: dict[str, None] = {}
    left = [plan]
    while left:
        node = left.pop()
        left += node.get("Plans", [])
        for text in _about(node):
            found[text] = None
    return list(found)[:10]


def _about(node: Plan) -> list[str]:
    kind, where = node["Node Type"], f" on {node['Relation Name']}" if "Relation Name" in node else ""
    notes: list[str] = []
    rows, measured = float(node["Plan Rows"]), node.get("Actual Rows")
    removed = float(node.get("Rows Removed by Filter", 0))
    if kind == "Seq Scan" and "Filter" in node and removed > _MUCH and removed > 10 * float(measured or 1):
        notes.append(f"sequential scan{where} reads {removed:.0f} rows to throw them away: an index may help")
    if kind == "Nested Loop" and "Join Filter" not in node and rows > 100 * _MUCH and _unjoined(node):
        notes.append("a join without a condition multiplies rows")
    if measured is not None and float(node.get("Actual Loops", 1)) > 0:
        ratio = max(float(measured), 1) / max(rows, 1)
        if ratio > 10 or (ratio < 0.1 and rows > 1000):
            notes.append(f"{kind}{where} gave {measured:.0f} rows where {rows:.0f} were expected: ANALYZE may help")
    if node.get("Sort Space Type") == "Disk":
        notes.append(f"a sort used the disk ({node['Sort Space Used']} kB): work_mem is small for it")
    if int(node.get("Hash Batches", 1)) > 1:
        notes.append("a hash did not fit into memory")
    return notes


def _unjoined(node: Plan) -> bool:
    """Whether the inner side of a nested loop doesn't depend on the outer one."""
    inner = node.get("Plans", [{}])[-1]
    while inner.get("Node Type") == "Materialize":
        inner = inner["Plans"][0]
    return "Index Cond" not in inner and "Filter" not in inner
