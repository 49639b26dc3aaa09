"""What differs between two schemas, a line each: ``+`` is only on the right, ``-`` only on the left, ``~`` changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatelodge_postgres.dev.compared.snapshot import Column, Relation, Snapshot

MOST = 120
_KINDS = {"r": "table", "p": "partitioned table", "v": "view", "m": "materialized view"}


def differences(left: Snapshot, right: Snapshot) -> list[str]:
    """All of them, tables first."""
    lines: list[str] = []
    for name in _names(left.relations, right.relations):
        one, other = left.relations.get(name), right.relations.get(name)
        if one is None or other is None or one.kind != other.kind:
            lines += [f"- {_KINDS[one.kind]} {name}"] if one is not None else []
            lines += [f"+ {_KINDS[other.kind]} {name}"] if other is not None else []
        elif one.is_view:
            lines += [f"~ {_KINDS[one.kind]} {name}: another query"] if one.query != other.query else []
        else:
            lines += _table(name, one, other)
    both = {name for name, one in left.relations.items() if name in right.relations and not one.is_view}
    own = {key: value for key, value in left.constraints.items() if key[0] in both}
    theirs = {key: value for key, value in right.constraints.items() if key[0] in both}
    for key in _names(own, theirs):
        lines += _pair(f"constraint {key[1]} on {key[0]}", own.get(key, ("", ""))[1], theirs.get(key, ("", ""))[1])
    both = {name for name in left.relations if name in right.relations}
    indexes = {name: text for name, (table, text) in left.indexes.items() if table in both}
    others = {name: text for name, (table, text) in right.indexes.items() if table in both}
    for name in _names(indexes, others):
        lines += _pair("index", indexes.get(name, ""), others.get(name, ""))
    for name in _names(left.functions, right.functions):
        one, other = left.functions.get(name), right.functions.get(name)
        if one is None or other is None or one[:2] != other[:2]:
            mark = "+" if one is None else "-" if other is None else "~"
            lines.append(
                f"{mark} {(one or other or ('',))[0].lower()} {name}{': another definition' if mark == '~' else ''}"
            )
    for name in _names(left.enums, right.enums):
        lines += _pair(f"enum {name}", _labels(left.enums.get(name)), _labels(right.enums.get(name)))
    for name in _names(left.sequences, right.sequences):
        lines += _pair(f"sequence {name}", _sequence(left, name), _sequence(right, name))
    return lines


def _table(name: str, one: Relation, other: Relation) -> list[str]:
    lines: list[str] = []
    lines += _pair(f"partition key of {name}", one.partition_by, other.partition_by)
    lines += _pair(f"partition {name} of", f"{one.parent} {one.bound}".strip(), f"{other.parent} {other.bound}".strip())
    for column in _names(one.columns, other.columns):
        own, theirs = one.columns.get(column), other.columns.get(column)
        if own is None or theirs is None:
            found = own or theirs
            assert found is not None
            lines.append(f"{'+' if own is None else '-'} column {name}.{column} {words(found)}")
            continue
        for what, before, after in (
            ("type", own.type, theirs.type),
            ("null", "not null" if own.required else "null", "not null" if theirs.required else "null"),
            ("default", own.default or "none", theirs.default or "none"),
            ("identity", own.identity or "none", theirs.identity or "none"),
            ("generated", own.generated or "no", theirs.generated or "no"),
            ("collation", own.collation or "default", theirs.collation or "default"),
        ):
            lines += (
                [f"~ column {name}.{column}: {what} {_short(before)} -> {_short(after)}"] if before != after else []
            )
    return lines


def words(column: Column) -> str:
    """A column's definition, short."""
    parts = [column.type]
    parts += ["not null"] if column.required else []
    parts += [f"default {_short(column.default)}"] if column.default else []
    parts += ["identity"] if column.identity else []
    parts += [f"generated {_short(column.generated)}"] if column.generated else []
    return " ".join(parts)


def _pair(what: str, one: str, other: str) -> list[str]:
    if one == other:
        return []
    if not one or not other:
        return [f"{'-' if one else '+'} {what}: {_short(one or other)}"]
    return [f"~ {what}: {_short(one)} -> {_short(other)}"]


def _sequence(whole: Snapshot, name: str) -> str:
    text, owner = whole.sequences.get(name, ("", ""))
    return f"{text} OWNED BY {owner}" if owner else text


def _labels(labels: tuple[str, ...] | None) -> str:
    return "" if labels is None else f"({', '.join(labels)})"


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= MOST else f"{flat[:MOST]}…"


def _names(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> list[Any]:
    return sorted(one.keys() | other.keys())
