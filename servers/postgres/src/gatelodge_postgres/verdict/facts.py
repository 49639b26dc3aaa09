"""What a statement's tree says: the relations, functions, operators and types it names, and what it must not hold.

Everything that can call a function is collected: calls anywhere, ``(value).name`` and ``row.name`` (which PostgreSQL
takes for calls where there is no such column), operators, casts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from gatelodge_postgres.verdict.parse import Node

Name = tuple[str, str]
"""(schema, name); the schema is empty where the text gives none."""

IMPLIED_OPERATORS = ("=", "<>", "<", "<=", ">", ">=")
"""What BETWEEN, IN, USING, DISTINCT, ORDER BY and the like call without naming it."""


@dataclass
class Facts:
    """What was found."""

    relations: set[Name] = field(default_factory=set[Name])
    functions: set[Name] = field(default_factory=set[Name])
    attributes: set[str] = field(default_factory=set[str])
    """Names that are columns, or calls of a function of that name."""
    operators: set[Name] = field(default_factory=set[Name])
    types: set[Name] = field(default_factory=set[Name])
    refused: list[str] = field(default_factory=list[str])
    """Constructs that a read can't have, in words."""


def gather(root: Node, kind: str = "SelectStmt") -> Facts:
    """Walk a tree.

    Args:
        root: The statement's node.
        kind: Its name.
    """
    facts = Facts()
    # Depth first with a stack of our own: trees are deeper than Python may recurse. With each node goes what CTEs it sees.
    left: list[tuple[str, Any, frozenset[str]]] = [(kind, root, frozenset())]
    while left:
        name, value, scope = left.pop()
        if isinstance(value, list):
            left += [(name, item, scope) for item in cast("list[Any]", value)]
        elif isinstance(value, dict):
            node = cast("Node", value)
            _note(name, node, scope, facts)
            if "withClause" in node:
                inner = _with(node["withClause"], scope, left)
                left += [(key, item, inner) for key, item in node.items() if key != "withClause"]
            else:
                left += [(key, item, scope) for key, item in node.items()]
    return facts


def _with(clause: Node, scope: frozenset[str], left: list[tuple[str, Any, frozenset[str]]]) -> frozenset[str]:
    """Put the queries of a WITH on the stack, each with the names it sees; the names that the body sees."""
    tables = [item.get("CommonTableExpr", {}) for item in clause.get("ctes", [])]
    names = [str(table.get("ctename", "")) for table in tables]
    seen = scope | frozenset(names) if clause.get("recursive") else scope
    for table, name in zip(tables, names, strict=True):
        left.append(("CommonTableExpr", table, seen))
        seen |= {name}
    return seen


def _note(name: str, node: Node, scope: frozenset[str], facts: Facts) -> None:
    if name.endswith("Stmt") and name[0].isupper() and name not in ("SelectStmt", "RawStmt"):
        facts.refused.append(statement_words(name))
    if node.get("intoClause"):
        facts.refused.append("SELECT INTO")
    if node.get("lockingClause"):
        facts.refused.append("row locks (FOR UPDATE, FOR SHARE)")
    for key in ("operName", "useOp"):
        if key in node:
            facts.operators.add(_name(node[key]))
    if "relname" in node:
        # A RangeVar; as the target of a statement it stands under another key.
        table = (str(node.get("schemaname", "")), str(node["relname"]))
        if table[0] or table[1] not in scope:
            facts.relations.add(table)
    match name:
        case "FuncCall":
            facts.functions.add(_name(node.get("funcname", [])))
            # `shop.dom('5')` is a cast, with the checks of a domain.
            facts.types.add(_name(node.get("funcname", [])))
        case "A_Expr":
            facts.operators.add(_name(node.get("name", [])))
        case "typeName" | "TypeName":
            facts.types.add(_name(node.get("names", [])))
        case "ColumnRef":
            facts.attributes |= set(_strings(node.get("fields", []))[1:])
        case "A_Indirection":
            facts.attributes |= set(_strings(node.get("indirection", [])))
        case _:
            pass


def _strings(items: list[Any]) -> list[str]:
    return [str(item["String"].get("sval", "")) for item in items if "String" in item]


def _name(items: list[Any]) -> Name:
    words = _strings(items)
    return ("", "") if not words else (words[-2] if len(words) > 1 else "", words[-1])


_WORDS = {
    "VariableSetStmt": "SET", "VariableShowStmt": "SHOW", "TransactionStmt": "BEGIN, COMMIT and the like",
    "CopyStmt": "COPY", "DoStmt": "DO", "CallStmt": "CALL", "PrepareStmt": "PREPARE", "ExecuteStmt": "EXECUTE",
    "DeclareCursorStmt": "DECLARE", "CreateTableAsStmt": "CREATE TABLE AS", "CreateStmt": "CREATE TABLE",
    "IndexStmt": "CREATE INDEX", "ViewStmt": "CREATE VIEW", "CreateFunctionStmt": "CREATE FUNCTION",
    "GrantStmt": "GRANT or REVOKE", "RuleStmt": "CREATE RULE", "TruncateStmt": "TRUNCATE", "ExplainStmt": "EXPLAIN",
    "AlterTableStmt": "ALTER", "DiscardStmt": "DISCARD", "LockStmt": "LOCK",
}  # fmt: skip


def statement_words(kind: str) -> str:
    """A statement node's name as SQL says it, such as ``INSERT``."""
    return _WORDS.get(kind) or kind.removesuffix("Stmt").upper()
