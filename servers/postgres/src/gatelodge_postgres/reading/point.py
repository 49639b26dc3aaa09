"""Whether a statement looks up one row by a unique key: then other constants cost what these do."""

from __future__ import annotations

from typing import Any

from gatelodge_postgres.verdict.judge import Verdict
from gatelodge_postgres.verdict.parse import Node
from gatelodge_postgres.verdict.walking import nodes, words_of

_PLAIN = frozenset(("targetList", "fromClause", "whereClause", "limitOption", "limitCount", "op"))
_COMPUTED = frozenset(("FuncCall", "SubLink", "A_Indirection", "SQLValueFunction"))


def looks_up_one(verdict: Verdict) -> bool:
    """Whether a SELECT reads one table, in which its conditions leave one row at most, and computes nothing by functions.

    Anything else, such as a range, an unlikely value or ``generate_series(1, 9)``, can cost a thousand times as much with
    another constant in the same place.
    """
    select = verdict.statement.node
    if not set(select) <= _PLAIN or select.get("op") != "SETOP_NONE" or len(verdict.named) != 1:
        return False
    (table,) = verdict.named
    sources = select.get("fromClause", [])
    if len(sources) != 1 or "RangeVar" not in sources[0] or len(verdict.relations) != 1:
        return False
    # The unique index of a table with children says nothing of their rows.
    if table.kind == "r" and table.kin:
        return False
    if any(name in _COMPUTED for name, _ in nodes("SelectStmt", select)):
        return False
    fixed = _fixed(select.get("whereClause", {}))
    return any(key <= fixed for key in table.unique)


def _fixed(condition: Node) -> set[str]:
    """Columns that must equal a constant or a parameter."""
    found: set[str] = set()
    left: list[Any] = [condition]
    while left:
        node = left.pop()
        both = node.get("BoolExpr", {})
        if both.get("boolop") == "AND_EXPR":
            left += both.get("args", [])
        compared = node.get("A_Expr", {})
        if compared.get("kind") == "AEXPR_OP" and words_of(compared.get("name", [])) == ["="]:
            sides = (compared.get("lexpr", {}), compared.get("rexpr", {}))
            for column, value in (sides, sides[::-1]):
                if "ColumnRef" in column and _constant(value):
                    found.update(words_of(column["ColumnRef"].get("fields", []))[-1:])
    return found


def _constant(node: Node) -> bool:
    while "TypeCast" in node:
        node = node["TypeCast"].get("arg", {})
    return "A_Const" in node or "ParamRef" in node
