"""Where a statement takes a whole row: by the name of what it comes from, or by ``row.name`` where no such column is.

PostgreSQL takes ``u.row_to_json`` for ``row_to_json(u)`` where ``u`` has no column of that name, and so for each function,
and each domain over the row's type.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gatelodge_postgres.verdict.known import Relation
from gatelodge_postgres.verdict.parse import Node
from gatelodge_postgres.verdict.walking import nodes

_SYSTEM = frozenset(("ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"))
_OF_TARGETS = ("excluded", "old", "new")
"""What rows of a changed table are called besides."""


class Rows:
    """The names in a statement that can mean rows with masked columns.

    Args:
        root: The statement.
        touched: The tables with masked columns.
    """

    def __init__(self, root: Node, touched: Sequence[Relation]) -> None:
        self._columns: dict[str, list[frozenset[str]]] = {}
        for key, node in nodes("", root):
            alias = str(node["alias"].get("aliasname", "")) if isinstance(node.get("alias"), dict) else ""
            if "relname" in node:
                name, schema = str(node["relname"]), node.get("schemaname")
                meant = [one for one in touched if one.name == name and schema in (None, "", one.schema)]
                self._note([alias or name, *(_OF_TARGETS if key == "relation" else ())], meant)
            elif key == "JoinExpr" and alias:
                # It has all columns of what it joins; those of each of the tables certainly are columns.
                self._note([alias], touched)
            elif key == "ReturningOption":
                self._note([str(node.get("value", ""))], touched)

    def _note(self, names: Iterable[str], meant: Sequence[Relation]) -> None:
        for name in names:
            for one in meant:
                self._columns.setdefault(name, []).append(one.columns | _SYSTEM)

    def whole(self, words: Sequence[str]) -> bool:
        """Whether a reference, by its words, takes a whole row; a star is not asked about here."""
        if not words or words[-1] == "*":
            return False
        if len(words) == 1:
            return words[0] in self._columns
        return any(words[-1] not in columns for columns in self._columns.get(words[-2], ()))
