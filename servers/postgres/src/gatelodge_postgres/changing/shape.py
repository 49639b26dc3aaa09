"""What a statement that changes something is made of, by its parse tree: kind, targets, conditions, RETURNING."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from gatelodge_core.errors import CallError

from gatelodge_postgres.changing.kinds import DDL, DML, OBJECTS, REFUSED
from gatelodge_postgres.changing.trees import range_name, selective
from gatelodge_postgres.verdict.facts import Name, statement_words
from gatelodge_postgres.verdict.parse import Node, Statement, statement
from gatelodge_postgres.verdict.walking import nodes

_NAMED_IN = {
    "OBJECT_TABLE": 0, "OBJECT_VIEW": 0, "OBJECT_MATVIEW": 0, "OBJECT_SEQUENCE": 0, "OBJECT_FOREIGN_TABLE": 0,
    "OBJECT_COLUMN": 1, "OBJECT_TRIGGER": 1, "OBJECT_POLICY": 1, "OBJECT_RULE": 1, "OBJECT_TABCONSTRAINT": 1,
}  # fmt: skip
"""Objects whose name in DROP and COMMENT holds a relation's, and how many words stand after that."""


@dataclass(frozen=True)
class Target:
    """A table whose rows the statement changes.

    Args:
        schema: As the text gives it; empty if it doesn't.
        name: Its name.
        alias: What the statement calls it.
        events: INSERT, UPDATE, DELETE.
        columns: That an UPDATE, or the UPDATE of ON CONFLICT, sets.
    """

    schema: str
    name: str
    alias: str
    events: frozenset[str]
    columns: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Shape:
    """What was found.

    Args:
        statement: The statement, alone.
        profile: Whether it changes rows or definitions.
        word: What SQL calls it, such as ``UPDATE``.
        reasons: Why it isn't run; empty if its shape is all right.
        targets: Of DML: the statement's own, then those in its WITH.
        named: Relations that the tree names without saying that they are.
        emptied: Of TRUNCATE and DROP TABLE: the tables whose rows go.
        cascade: Whether it takes what depends on them along.
        unconditional: UPDATE and DELETE that no condition on a column limits, in words.
        body: The statement's text without RETURNING.
    """

    statement: Statement
    profile: Literal["dml", "ddl"]
    word: str
    reasons: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    named: frozenset[Name] = frozenset()
    emptied: tuple[Name, ...] = ()
    cascade: bool = False
    unconditional: tuple[str, ...] = ()
    body: str = ""

    @property
    def nested(self) -> bool:
        """Whether its WITH changes something too; PostgreSQL allows that only at the top."""
        return len(self.targets) > 1

    @property
    def returns(self) -> bool:
        """Whether the text has a RETURNING."""
        return self.body != self.statement.text

    @property
    def merges(self) -> bool:
        """Whether it is a MERGE."""
        return self.statement.kind == "MergeStmt"


@dataclass
class _Findings:
    reasons: dict[str, None] = field(default_factory=dict[str, None])
    targets: list[Target] = field(default_factory=list[Target])
    unconditional: list[str] = field(default_factory=list[str])


def shape(sql: str) -> Shape:
    """Look at a text of one statement.

    Raises:
        CallError: It is no text of exactly one statement.
    """
    whole = statement(sql)
    kind, node = whole.kind, whole.node
    found = _Findings()
    if kind in DML:
        for inner, part in reversed(list(nodes(kind, node))):
            if inner in DML:
                _dml(inner, part, found)
        found.targets.reverse()
        body = _without_returning(sql, whole)
        return Shape(
            whole, "dml", DML[kind], tuple(found.reasons), tuple(found.targets), _named(kind, node), (), False,
            tuple(found.unconditional), body,
        )  # fmt: skip
    if kind not in DDL:
        return Shape(whole, "ddl", statement_words(kind), (_refusal(kind, node),), body=whole.text)
    for reason in _ddl(kind, node):
        found.reasons[reason] = None
    emptied: tuple[Name, ...] = ()
    if kind == "TruncateStmt":
        emptied = tuple(range_name(item["RangeVar"]) for item in node.get("relations", []))
    elif kind == "DropStmt" and node.get("removeType") == "OBJECT_TABLE":
        emptied = tuple(_object_names(node))
    return Shape(
        whole, "ddl", DDL[kind], tuple(found.reasons), (), _named(kind, node), emptied,
        node.get("behavior") == "DROP_CASCADE", (), whole.text,
    )  # fmt: skip


def _refusal(kind: str, node: Node) -> str:
    if kind == "SelectStmt":
        if "intoClause" in node:
            return "SELECT INTO is not taken here; write CREATE TABLE ... AS"
        if any(inner in DML for inner, _ in nodes(kind, node)):
            return "a SELECT whose WITH changes something is not taken; make the change the statement itself"
        return "a SELECT changes nothing; use run_query"
    word, why = REFUSED.get(kind, (statement_words(kind), "is not among what preview_change takes"))
    return f"{word} {why}"


def _dml(kind: str, node: Node, found: _Findings) -> None:
    relation = node.get("relation", {})
    schema, name = range_name(relation)
    events: set[str] = set()
    sets: list[Node] = []
    condition: Node | None = node.get("whereClause")
    shown = f"{schema}.{name}" if schema else name
    if kind == "MergeStmt":
        clauses = [item["MergeWhenClause"] for item in node.get("mergeWhenClauses", [])]
        events = {str(item.get("commandType", "")).removeprefix("CMD_") for item in clauses} - {"NOTHING"}
        sets = [target for item in clauses if item.get("commandType") == "CMD_UPDATE" for target in item["targetList"]]
        limited = selective(node.get("joinCondition")) or not events & {"UPDATE", "DELETE"}
    elif kind == "InsertStmt":
        conflict = node.get("onConflictClause", {})
        sets = conflict.get("targetList", [])
        events, limited = {"INSERT", *(["UPDATE"] if sets else [])}, True
    else:
        events, sets, limited = {DML[kind]}, node.get("targetList", []), selective(condition)
    if not limited:
        found.unconditional.append(f"{DML[kind]} of {shown}")
    columns = frozenset(str(item.get("ResTarget", {}).get("name", "")) for item in sets)
    alias = str(relation.get("alias", {}).get("aliasname", name))
    found.targets.append(Target(schema, name, alias, frozenset(events), columns))


def _ddl(kind: str, node: Node) -> Iterator[str]:
    for inner, part in nodes(kind, node):
        if part.get("concurrent") is True and kind != "RefreshMatViewStmt":
            yield "CONCURRENTLY can't run inside a transaction, so it can't be previewed or undone"
        if part.get("relpersistence") == "t":
            yield "a temporary table would end with the call"
        if inner in ("AlterTableCmd", "DefElem") and (reason := _option(inner, part)):
            yield reason
        if inner == "AlterTableStmt" and part.get("objtype") == "OBJECT_FOREIGN_TABLE":
            yield "a foreign table reaches other servers"
    about = str(node.get("removeType") or node.get("renameType") or node.get("objectType") or "")
    about = about or (str(node.get("objtype")) if kind == "CommentStmt" else "")
    if about and about not in OBJECTS:
        yield f"{DDL[kind]} of {about.removeprefix('OBJECT_').replace('_', ' ').lower()} is not taken here"
    if kind == "CreateSchemaStmt" and (node.get("schemaElts") or node.get("authrole")):
        yield "CREATE SCHEMA is taken alone, without owner and contents"


def _option(kind: str, part: Node) -> str:
    if kind == "AlterTableCmd" and part.get("subtype") == "AT_ChangeOwner":
        return "OWNER TO changes rights or roles, which are the person's to give"
    if part.get("defname") == "security" and part.get("arg", {}).get("Boolean", {}).get("boolval"):
        return "SECURITY DEFINER lends the rights of the role that changes things to everybody"
    return ""


def _named(kind: str, node: Node) -> frozenset[Name]:
    """Relations in places that are always one; the tree says ``RangeVar`` only where there is a choice."""
    found = {
        range_name(part) for inner, part in nodes(kind, node) if inner != "RangeVar" and "relname" in part
    }  # fmt: skip
    if kind in ("DropStmt", "CommentStmt"):
        found |= set(_object_names(node))
    return frozenset(found)


def named_relations(whole: Statement) -> frozenset[Name]:
    """Relations that a statement names apart from those in its FROM and the like."""
    return _named(whole.kind, whole.node)


def _object_names(node: Node) -> list[Name]:
    after = _NAMED_IN.get(str(node.get("removeType") or node.get("objtype")))
    if after is None:
        return []
    objects = node.get("objects") or [node.get("object", {})]
    found: list[Name] = []
    for item in objects:
        words = [str(word["String"].get("sval", "")) for word in item.get("List", {}).get("items", [])]
        words = words[: len(words) - after]
        if words:
            found.append((words[-2] if len(words) > 1 else "", words[-1]))
    return found


def _without_returning(sql: str, whole: Statement) -> str:
    """The statement's text up to its RETURNING."""
    clause = whole.node.get("returningClause", {})
    exprs: list[Node] = clause.get("exprs") or whole.node.get("returningList") or []
    if not exprs:
        return whole.text
    from postgast import pg_query_pb2, scan  # noqa: PLC0415 - 0.1 s that the start doesn't pay

    raw = whole.text.encode()
    at = int(exprs[0]["ResTarget"].get("location", 0)) - len(sql[: whole.start].encode())
    starts = [token.start for token in scan(whole.text).tokens if token.token == pg_query_pb2.RETURNING]
    before = [start for start in starts if start < at]
    if not before:
        raise CallError("not_supported", "its RETURNING can't be found in the text.", "Leave RETURNING out.")
    return raw[: before[-1]].decode().rstrip()
