"""Masked columns in changes: they may be set, and are never shown, copied, or asked about."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import LiteralString

from gatelodge_core.errors import CallError

from gatelodge_postgres.changing.shape import Shape
from gatelodge_postgres.changing.trees import nodes, words_of
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.reading.masks import Masks
from gatelodge_postgres.verdict.judge import Rules
from gatelodge_postgres.verdict.known import Relation

_COLUMNS: LiteralString = """
SELECT attrelid::int8, attname::text FROM pg_attribute
WHERE attrelid = ANY ($1::oid[]) AND attnum > 0 AND NOT attisdropped
"""
_EVADING = {
    "RenameStmt": "renames it or a part of it",
    "AlterObjectSchemaStmt": "moves it",
    "ViewStmt": "makes a view of it",
}
_JOINING = ("AT_AddInherit", "AT_AttachPartition")


async def check_masked(
    session: Session, shape: Shape, relations: Sequence[Relation], masks: Masks, rules: Rules
) -> dict[int, frozenset[str]]:
    """Refuse a change that could tell masked values, or let a later query tell them; the masked columns by table.

    Raises:
        CallError: It could.
        psycopg.Error: The catalog can't be read.
    """
    if not masks:
        return {}
    if shape.statement.kind == "CreateFunctionStmt":
        raise _refused("what a function's body shows can't be judged")
    by_oid = {one.oid: one for one in relations}
    found: dict[int, set[str]] = {}
    for oid, name in await session.rows(_COLUMNS, [sorted(by_oid)]):
        if masks.covers(by_oid[oid].schema, by_oid[oid].name, name):
            found.setdefault(oid, set()).add(name)
    if not found:
        return {}
    _check_views(shape, [by_oid[oid] for oid in found], relations, rules)
    names = set[str]().union(*found.values())
    tables = {by_oid[oid].name for oid in found}
    if why := _EVADING.get(shape.statement.kind):
        raise _refused(f"the statement {why}")
    _walk(shape, names, tables)
    return {oid: frozenset(columns) for oid, columns in found.items()}


def _check_views(shape: Shape, touched: Sequence[Relation], relations: Sequence[Relation], rules: Rules) -> None:
    direct = {target.name for target in shape.targets} | {name for _, name in shape.named}
    direct |= {str(node["relname"]) for _, node in nodes("", shape.statement.node) if "relname" in node}
    trusted = rules.allow_relations
    views = [
        one for one in relations
        if one.definition and not any(fnmatchcase(f"{one.schema}.{one.name}", glob) for glob in trusted)
    ]  # fmt: skip
    if views and any(one.name not in direct for one in touched):
        raise _refused(f"{views[0].schema}.{views[0].name} reads masked columns")


def _walk(shape: Shape, names: set[str], tables: set[str]) -> None:
    """Refuse any use of the columns but to set them, or to return them as they are."""
    root = shape.statement.node
    tables = tables | {target.alias for target in shape.targets}
    tables |= {
        str(node["alias"].get("aliasname", "")) for _, node in nodes("", root) if isinstance(node.get("alias"), dict)
    }
    shown = [item.get("ResTarget", {}).get("val", {}) for item in root.get("returningClause", {}).get("exprs", [])]
    plain = {id(value["ColumnRef"]) for value in shown if "ColumnRef" in value}
    for key, node in nodes("", root):
        words = words_of(node.get("fields", [])) if key == "ColumnRef" else []
        if len(words) == 2 and words[0] == "excluded" and words[1] != "*":
            continue
        whole = len(words) == 1 and words[0] in tables
        if id(node) in plain and not whole:
            continue
        if whole or (words and words[-1] == "*"):
            raise _refused("it uses whole rows")
        used = words[-1:] + (words_of(node.get("indirection", [])) if key == "A_Indirection" else [])
        used += words_of(node.get("usingClause", [])) if key == "JoinExpr" else []
        if names.intersection(used):
            raise _refused("it uses them other than to set them")
        if key == "alias" and node.get("colnames"):
            raise _refused("it renames columns")
        if key == "JoinExpr" and node.get("isNatural"):
            raise _refused("NATURAL JOIN compares them")
        if key == "AlterTableCmd" and node.get("subtype") in _JOINING:
            raise _refused("it could be read through another table")


def _refused(why: str) -> CallError:
    text = f"masked columns can't be kept masked here: {why}."
    return CallError("masked_columns", text, "Leave them out of conditions, expressions and copies.")
