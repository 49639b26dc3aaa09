"""Columns that are masked by policy, and whether a statement can use them in another way than to show them.

Where a masked column is shown as it is, at the top, the server masks it: its origin is certain. Anywhere else (in a
condition, an expression, a subquery, a whole row, an order) its value could be told by the answer, so that is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, cast

from gatelodge_core.errors import CallError

from gatelodge_postgres.reading.describe import Column, Names
from gatelodge_postgres.verdict.judge import Verdict
from gatelodge_postgres.verdict.known import Relation
from gatelodge_postgres.verdict.parse import Node


class Masks:
    """The policy.

    Args:
        globs: Over ``schema.table.column``.
        trusted: Globs over ``schema.view``: views that may read masked columns, since they were made for it.
    """

    def __init__(self, globs: Sequence[str], trusted: Sequence[str] = ()) -> None:
        self._globs = [glob.rpartition(".")[::2] for glob in globs]
        self._trusted = list(trusted)

    def __bool__(self) -> bool:
        return bool(self._globs)

    def covers(self, schema: str, table: str, column: str) -> bool:
        """Whether a column is masked."""
        return any(_matches(f"{schema}.{table}", whose) and fnmatchcase(column, which) for whose, which in self._globs)

    def masked(self, columns: Sequence[Column], names: Names) -> frozenset[int]:
        """Numbers of a result's columns that are to be masked."""
        if not self._globs:
            return frozenset()
        origins = [names.origin(column) for column in columns]
        return frozenset(number for number, origin in enumerate(origins) if origin and self.covers(*origin))

    def check(self, verdict: Verdict) -> None:
        """Refuse a statement that could tell of a masked column otherwise than by showing it.

        Raises:
            CallError: It could.
        """
        if not self._globs:
            return
        direct = {word for _, word in verdict.facts.relations}
        touched = [one for one in verdict.relations if self._columns(one)]
        hidden = [one for one in touched if one.name not in direct]
        views = [one for one in verdict.relations if one.definition and not self._trusts(one)]
        if hidden and views:
            raise _refused(f"{views[0].schema}.{views[0].name} reads masked columns")
        patterns = [pattern for one in touched if one.name in direct for pattern in self._columns(one)]
        if patterns:
            _Check(patterns, {one.name for one in touched}).statement(verdict.statement.node)

    def _trusts(self, one: Relation) -> bool:
        return any(fnmatchcase(f"{one.schema}.{one.name}", glob) for glob in self._trusted)

    def _columns(self, one: Relation) -> list[str]:
        return [which for whose, which in self._globs if _matches(f"{one.schema}.{one.name}", whose)]


class _Check:
    def __init__(self, patterns: list[str], tables: set[str]) -> None:
        self._patterns = patterns
        self._tables = tables

    def statement(self, select: Node) -> None:
        if select.get("op", "SETOP_NONE") != "SETOP_NONE":
            raise _refused("the statement joins several with UNION or the like")
        targets = [item["ResTarget"] for item in select.get("targetList", [])]
        self._tables = self._tables | {str(alias.get("aliasname", "")) for alias in _found(select, "alias")}
        shown: set[str] = set()
        every = False
        rest: list[Any] = [item for key, item in select.items() if key != "targetList"]
        for target in targets:
            words = _column(target.get("val", {}))
            if words is None:
                rest.append(target.get("val"))
            elif len(words) == 1 and words[0] in self._tables:
                raise _refused("it shows a whole row")
            elif words[-1] == "*":
                every = True
            elif self._protected(words[-1]):
                shown.add(str(target.get("name") or words[-1]))
        if (shown or every) and select.get("distinctClause"):
            raise _refused("DISTINCT tells equal values from others")
        self._order(select, shown)
        for node in rest:
            self._walk(node)

    def _order(self, select: Node, shown: set[str]) -> None:
        for key in ("sortClause", "groupClause"):
            for item in select.get(key, []):
                node = item.get("SortBy", {}).get("node", item)
                words = _column(node)
                if "A_Const" in node or (words is not None and words[-1] in shown):
                    raise _refused("its order or groups can depend on them")

    def _walk(self, value: Any) -> None:
        for key, node in _nodes(value):
            words = _strings(node.get("fields", [])) if key == "ColumnRef" else []
            if words and (words[-1] == "*" or (len(words) == 1 and words[0] in self._tables)):
                raise _refused("it uses whole rows")
            names = words[-1:]
            names += _strings(node.get("funcname", []))[-1:] if key == "FuncCall" else []
            names += _strings(node.get("indirection", [])) if key == "A_Indirection" else []
            names += _strings(node.get("usingClause", [])) if key == "JoinExpr" else []
            if any(name == "*" or self._protected(name) for name in names):
                raise _refused("it uses them other than to show them")
            if key == "JoinExpr" and node.get("isNatural"):
                raise _refused("NATURAL JOIN compares them")
            if key == "alias" and node.get("colnames"):
                raise _refused("it renames columns")

    def _protected(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self._patterns)


def _column(node: Node) -> list[str] | None:
    """The words of a plain column, ``*`` for a star; None for anything else."""
    return _strings(node["ColumnRef"].get("fields", [])) if "ColumnRef" in node else None


def _strings(items: list[Any]) -> list[str]:
    return ["*" if "A_Star" in item else str(item.get("String", {}).get("sval", "")) for item in items]


def _nodes(value: Any) -> Iterator[tuple[str, Node]]:
    left: list[tuple[str, Any]] = [("", value)]
    while left:
        key, item = left.pop()
        if isinstance(item, list):
            left += [(key, inner) for inner in cast("list[Any]", item)]
        elif isinstance(item, dict):
            node = cast("Node", item)
            yield key, node
            left += list(node.items())


def _found(value: Any, wanted: str) -> list[Node]:
    return [node for key, node in _nodes(value) if key == wanted]


def _matches(full: str, glob: str) -> bool:
    return fnmatchcase(full, glob) or fnmatchcase(full.partition(".")[2], glob)


def _refused(why: str) -> CallError:
    return CallError(
        "masked_columns",
        f"masked columns can't be kept masked here: {why}.",
        "Show them as plain columns of one SELECT, or leave them out.",
    )
