"""Parse trees back to SQL, and the small pieces of them that indexes are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from gatelodge_core.errors import CallError

from gatelodge_postgres.verdict.parse import Node, statement


def deparsed(kind: str, node: Node) -> str:
    """SQL of a statement's tree.

    Args:
        kind: Its node's name, such as ``IndexStmt``.
        node: The tree.

    Raises:
        CallError: The tree can't be written.
    """
    import postgast  # noqa: PLC0415 - 0.1 s that the start doesn't pay
    from google.protobuf import json_format  # noqa: PLC0415 - the same
    from postgast import pg_query_pb2  # noqa: PLC0415 - the same

    whole = {"version": 180004, "stmts": [{"stmt": {kind: node}}]}
    try:
        return postgast.deparse(json_format.ParseDict(whole, pg_query_pb2.ParseResult()))
    except (postgast.PgQueryError, json_format.ParseError, RecursionError):
        raise CallError("not_supported", "a part of the statement can't be written as SQL.", "Simplify it.") from None


def tidy(sql: str) -> str:
    """A statement of ours with quotes around only those names that need them."""
    try:
        found = statement(sql)
        return deparsed(found.kind, found.node)
    except CallError:
        return sql


def expression_text(node: Node) -> str:
    """SQL of an expression's tree.

    Raises:
        CallError: It can't be written.
    """
    select = {"targetList": [{"ResTarget": {"val": node}}], "limitOption": "LIMIT_OPTION_DEFAULT", "op": "SETOP_NONE"}
    return deparsed("SelectStmt", select).removeprefix("SELECT ")


def expression_tree(text: str) -> Node:
    """The tree of one expression.

    Raises:
        CallError: It is none.
    """
    targets = statement(f"SELECT {text}").node.get("targetList", [])
    if len(targets) != 1:
        raise CallError("invalid_sql", "that is not one expression.", "")
    return cast("Node", targets[0]["ResTarget"]["val"])


def only(node: Node) -> tuple[str, Node]:
    """The (name, content) of a node with one key, as all expressions are."""
    ((name, content),) = node.items()
    return name, cast("Node", content)


def strings(items: list[Any]) -> list[str]:
    """The words of a qualified name; a star is ``*``."""
    return ["*" if "A_Star" in item else str(item.get("String", {}).get("sval", "")) for item in items]


def inside(value: Any) -> Iterator[tuple[str, Node]]:
    """Every (name, content) in a tree, its own first."""
    left: list[Any] = [value]
    while left:
        item = left.pop()
        if isinstance(item, list):
            left += cast("list[Any]", item)
        elif isinstance(item, dict):
            for key, content in cast("Node", item).items():
                if isinstance(content, dict):
                    yield key, cast("Node", content)
                left.append(content)
