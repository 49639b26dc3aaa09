"""Columns that are masked by policy, and whether a statement can use them in another way than to show them.

Where a masked column is shown as it is, at the top, the server masks it: its origin is certain. Anywhere else (in a
condition, an expression, a subquery, a whole row, an order) its value could be told by the answer, so that is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, cast

from gatelodge_core.errors import CallError

from gatelodge_postgres.reading.describe import Column, Names
from gatelodge_postgres.reading.rows import Rows
from gatelodge_postgres.verdict.judge import Verdict
from gatelodge_postgres.verdict.kin import Kin
from gatelodge_postgres.verdict.known import Relation
from gatelodge_postgres.verdict.parse import Node
from gatelodge_postgres.verdict.walking import nodes, words_of

_WHOLE = "it uses whole rows, as row.name does where the table has no column of that name"
_NESTED = {"GroupingSet": "content", "RowExpr": "args", "List": "items"}


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

    def covers(self, schema: str, table: str, column: str, kin: Kin) -> bool:
        """Whether a column is masked, or made of one that is.

        Args:
            schema: Where its table is.
            table: The table's name.
            column: Its own.
            kin: Of that table.
        """
        full = (f"{schema}.{table}", *kin.names)
        names = (column, *(source for made, source in kin.made if made == column))
        return any(fnmatchcase(name, which) for whose, which in self._globs if _matches(full, whose) for name in names)

    def hides(self, column: Column, names: Names) -> bool:
        """Whether a result's column is to be masked; one that comes from an unknown column of a table is."""
        if not self._globs or not column.table:
            return False
        origin = names.origin(column)
        return origin is None or self.covers(*origin, names.kin(column))

    def masked(self, columns: Sequence[Column], names: Names) -> frozenset[int]:
        """Numbers of a result's columns that are to be masked."""
        return frozenset(number for number, column in enumerate(columns) if self.hides(column, names))

    def check(self, verdict: Verdict) -> None:
        """Refuse a statement that could tell of a masked column otherwise than by showing it.

        Raises:
            CallError: It could.
        """
        if not self._globs:
            return
        self.check_views(verdict.named, verdict.read_by)
        touched = [one for one in verdict.named if self.patterns(one)]
        if touched:
            patterns = [pattern for one in touched for pattern in self.patterns(one)]
            _Check(patterns, Rows(verdict.statement.node, touched)).statement(verdict.statement.node)

    def check_views(self, named: Sequence[Relation], read_by: Callable[[Relation], Sequence[Relation]]) -> None:
        """Refuse views that read masked columns at any depth, but for those made for it.

        Args:
            named: The relations that a statement names.
            read_by: Those that a view's query names.

        Raises:
            CallError: There is one.
        """
        seen: set[int] = set()
        left = [(one, one) for one in named if one.definition]
        while left:
            outer, view = left.pop()
            if view.oid in seen or self._trusts(view):
                continue
            seen.add(view.oid)
            inner = read_by(view)
            if any(self.patterns(one) for one in inner):
                raise _refused(f"{outer.schema}.{outer.name} reads masked columns")
            left += [(outer, one) for one in inner if one.definition]

    def _trusts(self, one: Relation) -> bool:
        return any(fnmatchcase(f"{one.schema}.{one.name}", glob) for glob in self._trusted)

    def patterns(self, one: Relation) -> list[str]:
        """Globs over names of columns that are masked in a relation; those over many tables count where there is such."""
        full = (f"{one.schema}.{one.name}", *one.kin)
        found = [
            which
            for whose, which in self._globs
            if _matches(full, whose) and ("*" not in whose or any(fnmatchcase(name, which) for name in one.columns))
        ]
        made = {column for column, source in one.made if any(fnmatchcase(source, which) for which in found)}
        return [*found, *(_literal(column) for column in sorted(made))]


class _Check:
    def __init__(self, patterns: list[str], rows: Rows) -> None:
        self._patterns = patterns
        self._rows = rows

    def statement(self, select: Node) -> None:
        if select.get("op", "SETOP_NONE") != "SETOP_NONE":
            # Of UNION and the like no column has an origin.
            self._walk(select)
            return
        shown: set[str] = set()
        every = False
        rest: list[Any] = [item for key, item in select.items() if key != "targetList"]
        for target in (item["ResTarget"] for item in select.get("targetList", [])):
            words = _column(target.get("val", {}))
            if words is None:
                rest.append(target.get("val"))
            elif self._rows.whole(words):
                raise _refused(_WHOLE)
            elif words[-1] == "*":
                every = True
            elif self._protected(words[-1]):
                shown.add(str(target.get("name") or words[-1]))
        if shown or every:
            if select.get("distinctClause"):
                raise _refused("DISTINCT tells equal values from others")
            self._order(select, shown)
        for node in rest:
            self._walk(node)

    def _order(self, select: Node, shown: set[str]) -> None:
        """Refuse orders and groups by what is shown, which they can name by its number or by its new name."""
        items = [item.get("SortBy", {}).get("node", {}) for item in select.get("sortClause", [])]
        for node in (*items, *_grouped(select.get("groupClause", []))):
            words = _column(node)
            if "A_Const" in node or (words is not None and words[-1] in shown):
                raise _refused("its order or groups can depend on them")

    def _walk(self, value: Any) -> None:
        for key, node in nodes("", value):
            words = words_of(node.get("fields", [])) if key == "ColumnRef" else []
            if words and (words[-1] == "*" or self._rows.whole(words)):
                raise _refused(_WHOLE)
            names = words[-1:]
            names += words_of(node.get("funcname", []))[-1:] if key == "FuncCall" else []
            names += words_of(node.get("indirection", [])) if key == "A_Indirection" else []
            names += words_of(node.get("usingClause", [])) if key == "JoinExpr" else []
            if any(name == "*" or self._protected(name) for name in names):
                raise _refused("it uses them other than to show them")
            if key == "JoinExpr" and node.get("isNatural"):
                raise _refused("NATURAL JOIN compares them")
            # Those of a subquery or a function have no masked columns to rename.
            if (key == "JoinExpr" or "relname" in node) and node.get("alias", {}).get("colnames"):
                raise _refused("it renames columns")

    def _protected(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self._patterns)


def _literal(name: str) -> str:
    """The glob that a name alone fits."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def _column(node: Node) -> list[str] | None:
    """The words of a plain column, ``*`` for a star; None for anything else."""
    return words_of(node["ColumnRef"].get("fields", [])) if "ColumnRef" in node else None


def _grouped(items: list[Any]) -> Iterator[Node]:
    """What rows are grouped by, each on its own, out of GROUPING SETS, ROLLUP, CUBE and brackets."""
    left = list(items)
    while left:
        node = cast("Node", left.pop())
        sets = [node[kind].get(key, []) for kind, key in _NESTED.items() if kind in node]
        left += [inner for found in sets for inner in found]
        if not sets:
            yield node


def _matches(full: Sequence[str], glob: str) -> bool:
    return any(fnmatchcase(one, glob) or fnmatchcase(one.partition(".")[2], glob) for one in full)


def _refused(why: str) -> CallError:
    return CallError(
        "masked_columns",
        f"masked columns can't be kept masked here: {why}.",
        "Show them as plain columns of one SELECT, or leave them out.",
    )
