"""Masked columns in changes: they may be set, and are never shown, copied, or asked about."""

from __future__ import annotations

from typing import LiteralString

from gatelodge_core.errors import CallError

from gatelodge_postgres.changing.judging import Judged
from gatelodge_postgres.changing.shape import Shape
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.reading.masks import Masks
from gatelodge_postgres.reading.rows import Rows
from gatelodge_postgres.verdict.kin import Kin
from gatelodge_postgres.verdict.parse import Node
from gatelodge_postgres.verdict.walking import nodes, words_of

_COLUMNS: LiteralString = """
SELECT attrelid::int8, attname::text FROM pg_attribute
WHERE attrelid = ANY ($1::oid[]) AND attnum > 0 AND NOT attisdropped
"""
_EVADING = {
    "RenameStmt": "renames it or a part of it",
    "AlterObjectSchemaStmt": "moves it",
    "ViewStmt": "makes a view of it",
    "CreateTrigStmt": "makes a trigger, which sees whole rows",
    "RuleStmt": "makes a rule, which sees whole rows",
}
_JOINING = ("AT_AddInherit", "AT_AttachPartition")
_LEAVING = ("AT_DropInherit", "AT_DetachPartition", "AT_DetachPartitionFinalize")


async def check_masked(session: Session, judged: Judged, masks: Masks) -> dict[int, frozenset[str]]:
    """Refuse a change that could tell masked values, or let a later query tell them; the masked columns by table.

    Raises:
        CallError: It could.
        psycopg.Error: The catalog can't be read.
    """
    if not masks:
        return {}
    shape = judged.shape
    if shape.statement.kind == "CreateFunctionStmt":
        raise _refused("what a function's body shows can't be judged")
    by_oid = {one.oid: one for one in judged.relations}
    found: dict[int, set[str]] = {}
    for oid, name in await session.rows(_COLUMNS, [sorted(by_oid)]):
        if masks.covers(by_oid[oid].schema, by_oid[oid].name, name, Kin(by_oid[oid].kin, by_oid[oid].made)):
            found.setdefault(oid, set()).add(name)
    if not found:
        return {}
    masks.check_views(judged.verdict.named, judged.verdict.read_by)
    names = set[str]().union(*found.values())
    if why := _EVADING.get(shape.statement.kind):
        raise _refused(f"the statement {why}")
    _walk(shape, names, Rows(shape.statement.node, [by_oid[oid] for oid in found]))
    return {oid: frozenset(columns) for oid, columns in found.items()}


def _walk(shape: Shape, names: set[str], rows: Rows) -> None:
    """Refuse any use of the columns but to set them, or to return them as they are."""
    root = shape.statement.node
    shown = [item.get("ResTarget", {}).get("val", {}) for item in root.get("returningClause", {}).get("exprs", [])]
    plain = {id(value["ColumnRef"]) for value in shown if "ColumnRef" in value}
    proposed = _proposed(root)
    for key, node in nodes("", root):
        words = words_of(node.get("fields", [])) if key == "ColumnRef" else []
        if id(node) in proposed:
            continue
        if rows.whole(words):
            raise _refused("it uses whole rows, as row.name does where the table has no column of that name")
        if id(node) in plain:
            continue
        if words and words[-1] == "*":
            raise _refused("it uses whole rows")
        used = words[-1:] + (words_of(node.get("indirection", [])) if key == "A_Indirection" else [])
        used += words_of(node.get("funcname", []))[-1:] if key == "FuncCall" else []
        used += words_of(node.get("usingClause", [])) if key == "JoinExpr" else []
        if names.intersection(used):
            raise _refused("it uses them other than to set them")
        if key == "alias" and node.get("colnames"):
            raise _refused("it renames columns")
        if "excluded" in (node.get("aliasname"), node.get("relname"), node.get("ctename")):
            raise _refused("it calls something else excluded")
        if key == "JoinExpr" and node.get("isNatural"):
            raise _refused("NATURAL JOIN compares them")
        if key == "AlterTableCmd" and node.get("subtype") in _JOINING:
            raise _refused("it could be read through another table")
        if key == "AlterTableCmd" and node.get("subtype") in _LEAVING:
            raise _refused("rows would leave the table whose columns are masked")
        if key == "AlterTableCmd" and node.get("subtype") == "AT_AlterColumnType" and node.get("name") in names:
            raise _refused("whether they fit another type tells of them")
        if key == "Constraint" and names.intersection(words_of(node.get("fk_attrs", []))):
            raise _refused("a foreign key compares them")


def _proposed(root: Node) -> set[int]:
    """The references in an ON CONFLICT to what the statement itself wants to insert."""
    return {
        id(node)
        for key, clause in nodes("", root) if key == "onConflictClause"
        for inner, node in nodes(key, clause) if inner == "ColumnRef"
        for words in [words_of(node.get("fields", []))] if len(words) == 2 and words[0] == "excluded" and words[1] != "*"
    }  # fmt: skip


def _refused(why: str) -> CallError:
    text = f"masked columns can't be kept masked here: {why}."
    return CallError("masked_columns", text, "Leave them out of conditions, expressions and copies.")
