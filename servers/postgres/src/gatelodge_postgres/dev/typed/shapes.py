"""What tables look like to a programmer: columns, and the types that they need."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import LiteralString

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dev.tables import Table
from gatelodge_postgres.verdict.judge import Judge
from gatelodge_postgres.verdict.shut import shut

_COLUMNS: LiteralString = """
SELECT a.attrelid::int8, a.attnum::int8, a.attname::text, a.atttypid::int8, a.atttypmod::int8, a.attnotnull,
 coalesce(CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END, ''), a.attidentity::text,
 coalesce(CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END, ''), a.attgenerated::text = 's',
 coalesce(col_description(a.attrelid, a.attnum), ''),
 EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'p' AND a.attnum = ANY (k.conkey))
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid, a.attnum
"""
_TABLES: LiteralString = (
    "SELECT oid::int8, coalesce(obj_description(oid, 'pg_class'), '') FROM pg_class WHERE oid = ANY ($1::oid[])"
)
_KEYS: LiteralString = """
SELECT k.conrelid::int8, k.confrelid::int8, array_to_json(k.conkey), array_to_json(k.confkey) FROM pg_constraint k
WHERE k.contype = 'f' AND k.conrelid = ANY ($1::oid[]) AND k.confrelid = ANY ($1::oid[]) ORDER BY k.conname
"""
_TYPES: LiteralString = """
WITH RECURSIVE needed AS (
 SELECT t.oid, t.typtype, t.typcategory, t.typelem, t.typbasetype, t.typrelid FROM pg_type t WHERE t.oid = ANY ($1::oid[])
 UNION SELECT t.oid, t.typtype, t.typcategory, t.typelem, t.typbasetype, t.typrelid FROM needed n JOIN pg_type t
 ON t.oid = CASE WHEN n.typtype = 'd' THEN n.typbasetype WHEN n.typcategory = 'A' THEN n.typelem END
   OR n.typtype = 'c' AND t.oid IN (SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = n.typrelid AND a.attnum > 0
     AND NOT a.attisdropped))
SELECT t.oid::int8, s.nspname::text, t.typname::text, t.typtype::text,
 CASE WHEN t.typtype = 'd' THEN t.typbasetype WHEN t.typcategory = 'A' AND t.typtype = 'b' THEN t.typelem ELSE 0 END::int8,
 t.typtypmod::int8, t.typnotnull,
 coalesce((SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid), '[]'),
 coalesce((SELECT json_agg(json_build_array(a.attname, a.atttypid::int8, a.atttypmod) ORDER BY a.attnum) FROM pg_attribute a
   WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '[]')
FROM needed n JOIN pg_type t ON t.oid = n.oid JOIN pg_namespace s ON s.oid = t.typnamespace
"""
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Column:
    """A column.

    Args:
        number: In its table.
        name: Its name.
        type: OID of its type.
        modifier: Such as the length of a varchar; -1 without.
        required: Whether it is NOT NULL.
        default: As SQL.
        identity: ``a`` for always, ``d`` by default.
        generated: The expression that it is made of, as SQL.
        stored: Whether a generated column is stored.
        comment: What somebody wrote of it.
        key: Whether it is part of the primary key.
    """

    number: int
    name: str
    type: int
    modifier: int
    required: bool
    default: str
    identity: str
    generated: str
    stored: bool
    comment: str
    key: bool

    @property
    def given(self) -> bool:
        """Whether an INSERT may give it a value."""
        return not self.generated and self.identity != "a"

    @property
    def optional(self) -> bool:
        """Whether an INSERT may leave it out."""
        return bool(self.default or self.identity) or not self.required


@dataclass(frozen=True)
class Type:
    """A type.

    Args:
        oid: In ``pg_type``.
        schema: Where it is.
        name: Its name.
        kind: ``pg_type.typtype``.
        inner: OID of what a domain is over, or an array is of; 0 for others.
        modifier: Of a domain's base.
        required: Whether a domain is NOT NULL.
        labels: Of an enum.
        fields: Of a composite type: (name, OID, modifier).
    """

    oid: int
    schema: str
    name: str
    kind: str
    inner: int
    modifier: int
    required: bool
    labels: tuple[str, ...]
    fields: tuple[tuple[str, int, int], ...]


@dataclass
class Shape:
    """A table with its columns; `name` is what it is called in code."""

    table: Table
    comment: str
    name: str = ""
    columns: list[Column] = field(default_factory=list[Column])
    keys: list[tuple[int, list[int], list[int]]] = field(default_factory=list[tuple[int, list[int], list[int]]])
    """Foreign keys to tables that are shown too: (OID, own columns, theirs)."""

    @property
    def writable(self) -> bool:
        """Whether rows can be put in it, as far as its kind tells."""
        return self.table.kind in ("r", "p")


@dataclass
class Shapes:
    """Tables, and the types that their columns need."""

    shapes: list[Shape]
    types: dict[int, Type]
    names: dict[int, str] = field(default_factory=dict[int, str])
    """What enums and composite types are called in code."""

    def base(self, oid: int, modifier: int) -> tuple[Type, int, bool]:
        """What a type is below domains, with the modifier that holds, and whether a domain forbids NULL."""
        found, required = self.types[oid], False
        while found.kind == "d":
            required = required or found.required
            modifier = found.modifier if found.modifier >= 0 else modifier
            found = self.types[found.inner]
        return found, modifier, required

    def needed(self, shapes: Sequence[Shape]) -> list[Type]:
        """Enums and composite types that some tables need, each after those it needs itself."""
        made: dict[int, Type] = {}
        visiting: set[int] = set()

        def visit(oid: int) -> None:
            one = self.types[oid]
            if oid in visiting:
                return
            visiting.add(oid)
            for inner in [one.inner] if one.inner else [kind for _, kind, _ in one.fields]:
                visit(inner)
            if one.kind in ("e", "c"):
                made[oid] = one

        for shape in shapes:
            for column in shape.columns:
                visit(column.type)
        return list(made.values())


async def shapes(session: Session, judge: Judge, tables: Sequence[Table]) -> Shapes:
    """Look tables up.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    # The planner takes the types of types for a huge query, and would compile it for a third of a second.
    await session.constant("SET LOCAL jit=off")
    oids = [table.oid for table in tables]
    closing = await shut(session, judge, texts=True)
    comments = dict(await session.rows(_TABLES, [oids]))
    by_oid = {table.oid: Shape(table, str(comments.get(table.oid, ""))) for table in tables}
    for oid, *rest in await session.rows(_COLUMNS, [oids]):
        column = Column(*rest)
        if closing.tells(column.default) or closing.tells(column.generated):
            told = {"default": closing.or_withheld(column.default), "generated": closing.or_withheld(column.generated)}
            column = replace(column, **told)
        by_oid[oid].columns.append(column)
    for oid, other, own, theirs in await session.rows(_KEYS, [oids]):
        by_oid[oid].keys.append((other, own, theirs))
    wanted = sorted({column.type for shape in by_oid.values() for column in shape.columns})
    types = {
        oid: Type(oid, schema, name, kind, inner, modifier, required, tuple(labels), tuple(map(tuple, fields)))
        for oid, schema, name, kind, inner, modifier, required, labels, fields in await session.rows(_TYPES, [wanted])
    }
    for oid, one in types.items():
        # The row of a closed table is a type, and its columns are its fields.
        if one.kind == "c" and closing.closed(one.schema, one.name):
            types[oid] = replace(one, schema="", name="withheld", fields=())
    found = Shapes(list(by_oid.values()), types)
    _name(found)
    return found


def _name(found: Shapes) -> None:
    """Give everything a name that nothing else has."""
    taken: set[str] = set()

    def free(schema: str, name: str) -> str:
        for candidate in (pascal(name), pascal(f"{schema}_{name}")):
            if not taken & {candidate, f"{candidate}Insert"}:
                break
        else:
            number = 2
            while taken & {f"{candidate}{number}", f"{candidate}{number}Insert"}:
                number += 1
            candidate = f"{candidate}{number}"
        taken.update((candidate, f"{candidate}Insert"))
        return candidate

    for shape in found.shapes:
        shape.name = free(shape.table.schema, shape.table.name)
    for one in found.types.values():
        if one.kind in ("e", "c"):
            found.names[one.oid] = free(one.schema, one.name)


def pascal(name: str) -> str:
    """A name as types are written: ``order_lines`` becomes ``OrderLines``."""
    words = "".join(word[:1].upper() + word[1:] for word in _WORD.findall(name))
    return words if words and words[0].isalpha() and words.isidentifier() else f"T{words}"


def line(comment: str, most: int = 160) -> str:
    """A comment fit for one line of any language's."""
    text = " ".join(comment.split()).replace("*/", "* /").replace("\\", "/")
    return text if len(text) <= most else f"{text[: most - 1]}…"
