"""How a plan uses each table: which columns and expressions are compared, joined and ordered by.

Read from the conditions in the plan rather than from the query: views, aliases and subqueries are resolved there, and
PostgreSQL has said which casts it added. Each condition is parsed by PostgreSQL's own grammar.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

from gatelodge_core.errors import CallError

from gatelodge_postgres.connect.privileges import quoted
from gatelodge_postgres.dba.plans import Plan, nodes
from gatelodge_postgres.dba.trees import expression_text, expression_tree, inside, only, strings
from gatelodge_postgres.verdict.parse import Node, statement

Table = tuple[str, str]
"""(schema, name)."""

_CONDITIONS = ("Filter", "Index Cond", "Recheck Cond", "Hash Cond", "Merge Cond", "Join Filter", "TID Cond")
_ORDERS = ("Sort Key", "Group Key")
_RANGES = ("<", "<=", ">", ">=", "~<~", "~<=~", "~>~", "~>=~")
_CONTAINING = ("@>", "<@", "?", "?|", "?&", "@@", "&&", "@?")
_LIKE, _ILIKE = "~~", "~~*"
_SUBPLANS = re.compile(r"\((?:hashed )?(?:InitPlan|SubPlan) \d+\)(?:\.\w+)?|\b(?:hashed )?(?:InitPlan|SubPlan) \d+\b")
_NUMBERED = re.compile(r"_\d+$")
MAX_CONDITIONS = 200


@dataclass(frozen=True, slots=True)
class Key:
    """Something that an index can be on.

    Args:
        text: As CREATE INDEX writes it.
        column: Its name if it is a plain column; empty for an expression.
        suffix: An operator class or a direction.
    """

    text: str
    column: str = ""
    suffix: str = ""

    @property
    def whole(self) -> str:
        """With its suffix."""
        return f"{self.text} {self.suffix}".rstrip()


@dataclass
class Use:
    """How one plan uses one table.

    Args:
        equal: Compared for equality with something known; by their texts.
        joined: Compared for equality with another table's.
        ranged: Compared by order, or by the beginning of a text.
        several: Compared with each of a list.
        constant: Conditions without parameters that a partial index could have, with the key they are on.
        together: Keys of an OR, of which each needs an index before any of them helps.
        orders: Orders of rows that start with this table's keys.
        other: Keys that only another kind of index than btree helps, with that kind.
        sequential: Whether it is read from one end to the other.
    """

    equal: dict[str, Key] = field(default_factory=dict[str, Key])
    joined: dict[str, Key] = field(default_factory=dict[str, Key])
    ranged: dict[str, Key] = field(default_factory=dict[str, Key])
    several: dict[str, Key] = field(default_factory=dict[str, Key])
    constant: dict[str, Key] = field(default_factory=dict[str, Key])
    together: list[tuple[Key, ...]] = field(default_factory=list[tuple[Key, ...]])
    orders: list[tuple[Key, ...]] = field(default_factory=list[tuple[Key, ...]])
    other: dict[str, str] = field(default_factory=dict[str, str])
    sequential: bool = False
    members: dict[Table, None] = field(default_factory=dict[Table, None])
    """The table itself, or those of its partitions that the plan reads."""


@dataclass(frozen=True)
class Known:
    """What is known of a table.

    Args:
        root: The partitioned table that it is a part of; itself if it is none.
        partitioned: Whether it has partitions.
        rows: About how many rows it has; -1 if it was never analysed.
        types: Of its columns, by name.
        few: Columns that have few values, which a condition on one of them divides.
        leading: First keys of its complete btree indexes.
        writes: Rows inserted, updated and deleted since counting began.
    """

    root: Table
    partitioned: bool
    rows: float
    types: Mapping[str, str]
    few: frozenset[str]
    leading: frozenset[str]
    writes: int


class Uses:
    """Reads one plan.

    Args:
        plan: With names in full.
        known: The tables that may get indexes.
    """

    def __init__(self, plan: Plan, known: Mapping[Table, Known]) -> None:
        self._known = known
        self._aliases: dict[str, Table] = {}
        self.found: dict[Table, Use] = {}
        for alias, scanned, kind in scans(plan):
            if scanned not in known:
                continue
            table = known[scanned].root
            self._aliases[alias] = table
            if table != scanned:
                # Above its partitions, the table itself is named; the partitions' aliases are its own with a number.
                self._aliases.setdefault(_NUMBERED.sub("", alias), table)
            use = self.found.setdefault(table, Use())
            use.members.setdefault(scanned)
            use.sequential |= kind == "Seq Scan"
        for text in conditions(plan):
            self._condition(text)
        for keys in orders(plan):
            self._order(keys)

    def _condition(self, text: str) -> None:
        try:
            tree = expression_tree(_SUBPLANS.sub("$9", text))
        except CallError:
            return  # a condition that only EXPLAIN writes so
        for part in _conjuncts(tree):
            self._part(part)

    def _part(self, node: Node) -> None:
        name, content = only(node)
        if name == "BoolExpr" and content.get("boolop") == "NOT_EXPR":
            self._constant(content["args"][0], node)
        elif name == "BoolExpr":
            self._either(content.get("args", []))
        elif name == "NullTest":
            key = self._key(content["arg"])
            if key is not None:
                if content.get("nulltesttype") == "IS_NULL":
                    key[1].equal.setdefault(key[2].text, key[2])
                self._constant(content["arg"], node)
        elif name == "ColumnRef":
            self._constant(node, node)
        elif name == "A_Expr":
            self._comparison(content, node)

    def _either(self, arms: list[Node]) -> None:
        """Note the arms of an OR: each is looked up by itself, and the first key of each goes together."""
        before = {table: self._looked(use) for table, use in self.found.items()}
        firsts: dict[Table, list[Key]] = {}
        for arm in arms:
            for part in _conjuncts(arm):
                self._part(part)
            for table, use in self.found.items():
                new = [key for text, key in self._looked(use).items() if text not in before[table]]
                before[table] = self._looked(use)
                if new:
                    firsts.setdefault(table, []).append(new[0])
        for table, keys in firsts.items():
            if len(keys) == len(arms):
                self.found[table].together.append(tuple(keys))

    @staticmethod
    def _looked(use: Use) -> dict[str, Key]:
        return {**use.ranged, **use.several, **use.equal}

    def _comparison(self, content: Node, node: Node) -> None:
        operator = strings(content.get("name", []))[-1]
        left, right = content.get("lexpr"), content.get("rexpr")
        if not left or not right:
            return
        if content.get("kind") == "AEXPR_OP_ANY":
            found = self._key(left)
            if found is not None and operator == "=" and not self._tables(right):
                found[1].several.setdefault(found[2].text, found[2])
            return
        for side, other in ((left, right), (right, left)):
            found = self._key(side)
            if found is None or found[0] in self._tables(other):
                continue
            self._compared(found[1], found[2], operator, other, node if side is left else None)

    def _compared(self, use: Use, key: Key, operator: str, other: Node, node: Node | None) -> None:
        """Note how a key of one table is compared with what isn't of that table."""
        known = not self._tables(other)
        if operator == "=":
            (use.equal if known else use.joined).setdefault(key.text, key)
            if _is_constant(other) and node is not None and key.column in self._few(use):
                use.constant.setdefault(self._alone(node), key)
        elif operator in _RANGES:
            use.ranged.setdefault(key.text, key)
        elif operator == _LIKE and (prefix := _literal(other)) and prefix[0] not in "%_":
            use.ranged.setdefault(f"{key.text} like", Key(key.text, key.column, "text_pattern_ops"))
        elif operator in (_LIKE, _ILIKE) and known and node is not None:
            use.other.setdefault(key.text, "gin_trgm_ops")
        elif operator in _CONTAINING and known:
            use.other.setdefault(key.text, "gin")

    def _few(self, use: Use) -> frozenset[str]:
        return frozenset[str]().union(*(self._known[member].few for member in use.members))

    def _constant(self, about: Node, node: Node) -> None:
        found = self._key(about)
        if found is not None:
            found[1].constant.setdefault(self._alone(node), found[2])

    def _order(self, texts: list[str]) -> None:
        keys: list[Key] = []
        table: Table | None = None
        for text in texts[:4]:
            try:
                item = statement(f"SELECT 1 ORDER BY {_SUBPLANS.sub('$9', text)}").node["sortClause"][0]["SortBy"]
            except CallError:
                break
            found = self._key(item["node"])
            if found is None or table not in (None, found[0]):
                break
            table = found[0]
            keys.append(Key(found[2].text, found[2].column, _direction(item)))
        if table is not None and tuple(keys) not in self.found[table].orders:
            self.found[table].orders.append(tuple(keys))

    def _tables(self, node: Node) -> set[Table]:
        """Tables whose columns stand in an expression."""
        names = [strings(content.get("fields", [])) for kind, content in inside(node) if kind == "ColumnRef"]
        return {self._aliases.get(words[0], ("", words[0])) if len(words) > 1 else ("", "") for words in names}

    def _key(self, node: Node) -> tuple[Table, Use, Key] | None:
        """What an expression is to one table that it is about; None if an index can't be on it."""
        tables = self._tables(node)
        if len(tables) != 1 or (table := next(iter(tables))) not in self.found:
            return None
        name, content = only(self._uncast(node, table))
        if name == "ColumnRef":
            column = strings(content["fields"])[-1]
            return None if column == "*" else (table, self.found[table], Key(quoted(column), column))
        if name not in ("FuncCall", "A_Expr", "TypeCast", "CoalesceExpr", "A_Indirection"):
            return None
        if any(kind in ("ParamRef", "SubLink") for kind, _ in inside(node)):
            return None
        return table, self.found[table], Key(f"({self._alone(node)})")

    def _uncast(self, node: Node, table: Table) -> Node:
        """A varchar column without the cast to text that PostgreSQL adds, and that costs nothing."""
        name, content = only(node)
        if name != "TypeCast" or "ColumnRef" not in content["arg"]:
            return node
        column = strings(content["arg"]["ColumnRef"]["fields"])[-1]
        free = self._known[table].types.get(column, "").startswith("character varying")
        return cast("Node", content["arg"]) if free and strings(content["typeName"]["names"])[-1] == "text" else node

    def _alone(self, node: Node) -> str:
        """SQL of an expression about one table, without the table's alias."""
        return expression_text(_unqualified(node))


def scans(plan: Plan) -> Iterator[tuple[str, Table, str]]:
    """(alias, table, kind of scan) of each scan of a table."""
    for node in nodes(plan):
        if "Relation Name" in node and "Schema" in node:
            yield (
                str(node.get("Alias", node["Relation Name"])),
                (node["Schema"], node["Relation Name"]),
                node["Node Type"],
            )


def conditions(plan: Plan) -> list[str]:
    """The texts of all conditions."""
    return list(dict.fromkeys(node[key] for node in nodes(plan) for key in _CONDITIONS if isinstance(node.get(key), str)))[:MAX_CONDITIONS]  # fmt: skip


def orders(plan: Plan) -> list[list[str]]:
    """The keys of all sorts and groupings."""
    return [node[key] for node in nodes(plan) for key in _ORDERS if isinstance(node.get(key), list)][:MAX_CONDITIONS]


def _conjuncts(node: Node) -> Iterator[Node]:
    name, content = only(node)
    if name == "BoolExpr" and content.get("boolop") == "AND_EXPR":
        for part in content.get("args", []):
            yield from _conjuncts(part)
    else:
        yield node


def _unqualified(value: Node) -> Node:
    """A copy with every column's name alone."""
    if "ColumnRef" in value:
        return {"ColumnRef": {"fields": value["ColumnRef"]["fields"][-1:]}}
    return {key: _copy(item) for key, item in value.items()}


def _copy(item: object) -> object:
    if isinstance(item, dict):
        return _unqualified(cast("Node", item))
    return [_copy(one) for one in cast("list[object]", item)] if isinstance(item, list) else item


def _literal(node: Node) -> str:
    """The text of a constant, with or without a cast; empty if it is none."""
    name, content = only(node)
    if name == "TypeCast":
        return _literal(content["arg"])
    return str(content.get("sval", {}).get("sval", "")) if name == "A_Const" else ""


def _is_constant(node: Node) -> bool:
    name, content = only(node)
    return _is_constant(content["arg"]) if name == "TypeCast" else name == "A_Const"


def _direction(item: Node) -> str:
    words = ["DESC"] if item.get("sortby_dir") == "SORTBY_DESC" else []
    nulls = {"SORTBY_NULLS_FIRST": "NULLS FIRST", "SORTBY_NULLS_LAST": "NULLS LAST"}.get(str(item.get("sortby_nulls")))
    return " ".join([*words, *([nulls] if nulls else [])])
