"""A schema in few words: its relations with columns, keys and comments, within a budget."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gatelodge_postgres.catalog.ddl import ident
from gatelodge_postgres.catalog.find import schema_named
from gatelodge_postgres.catalog.objects import RELATIONS, listed
from gatelodge_postgres.catalog.relations import Attribute, Described, relations
from gatelodge_postgres.catalog.withholding import withhold
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.verdict.judge import Judge
from gatelodge_postgres.verdict.shut import shut

BUDGET = 14_000
"""Characters: about 4,000 tokens."""
MOST = 200
"""Relations that are looked at; more never fit."""
MOST_COLUMNS = 60
"""Columns of one relation that are shown."""
MOST_TYPES = 30
_COMMENT = 100
_KEY = re.compile(r"FOREIGN KEY \((?P<own>[^()]+)\) REFERENCES (?P<target>[^()]+)\((?P<their>[^()]+)\)")
_KINDS = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table"}


@dataclass(frozen=True, slots=True)
class Outline:
    """A schema.

    Args:
        name: Its name.
        text: What is in it.
        shown: Relations in the text.
        total: Relations in the schema.
    """

    name: str
    text: str
    shown: int
    total: int


async def outline(session: Session, judge: Judge, schema: str) -> Outline:
    """A schema's relations, in the order of their names, as many as fit.

    Raises:
        CallError: ``not_found``.
        psycopg.Error: The catalog can't be read.
    """
    name, comment = await schema_named(session, judge, schema)
    page = await listed(session, judge, kinds=RELATIONS, schema=name, limit=MOST)
    closing = await shut(session, judge, texts=True)
    items = [item for item in page.items if item.readable and not closing.closed(item.schema, item.name)]
    total = page.total - (len(page.items) - len(items))
    found = await relations(session, [item.oid for item in items], frozenset(("columns", "constraints")))
    for one in found.values():
        withhold(one, closing)
    types = await listed(session, judge, kinds=["type"], schema=name, limit=MOST_TYPES)
    lines = [f"schema {ident(name)}" + (f" -- {_flat(comment)}" if comment else "")]
    lines += [f"{ident(item.name)}: {item.more}" for item in types.items]
    if types.cursor:
        lines.append(f"... {types.total - len(types.items)} more types")
    used = sum(map(len, lines))
    shown = 0
    for item in items:
        text = _relation(found[item.oid]) if item.oid in found else ""
        if not text:
            continue
        if shown and used + len(text) > BUDGET:
            break
        lines.append(text)
        used += len(text)
        shown += 1
    return Outline(name, "\n".join(lines), shown, total)


def _relation(one: Described) -> str:
    primary = [word for _, kind, text in one.constraints if kind == "p" for word in _words(text)]
    unique: set[str] = set()
    references: dict[str, str] = {}
    rest: list[str] = [f"PRIMARY KEY ({', '.join(primary)})"] if len(primary) > 1 else []
    for _, kind, text in one.constraints:
        key = _KEY.match(text) if kind == "f" else None
        own = _words(text)
        if key and len(own) == 1:
            references[own[0]] = f"{key['target'].strip()}.{key['their']}"
        elif kind == "u" and len(own) == 1:
            unique.add(own[0])
        elif kind in "fu":
            rest.append(text)
    columns = [_column(column, primary, unique, references) for column in one.columns[:MOST_COLUMNS]]
    left = len(one.columns) - MOST_COLUMNS
    columns += [f"... {left} more columns"] if left > 0 else []
    words = f"{_KINDS.get(one.kind, 'relation')} {ident(one.name)} ({', '.join([*columns, *rest])})"
    notes = [f"~{one.rows:.0f} rows"] if one.kind in "rpm" and one.rows > 0 else []
    notes += [f"{one.child_count} partitions"] if one.child_count else []
    notes += [_flat(one.comment)] if one.comment else []
    return f"{words} -- {'; '.join(notes)}" if notes else words


def _column(column: Attribute, primary: list[str], unique: set[str], references: dict[str, str]) -> str:
    name = ident(column.name)
    words = [name, column.type]
    if [name] == primary:
        words.append("PK")
    elif column.required:
        words.append("NOT NULL")
    words += ["UNIQUE"] if name in unique else []
    words += [f"-> {references[name]}"] if name in references else []
    return " ".join(words) + (f" /* {_flat(column.comment)} */" if column.comment else "")


def _words(text: str) -> list[str]:
    inside = re.search(r"\(([^()]*)\)", text)
    return [word.strip() for word in inside[1].split(",")] if inside else []


def _flat(text: str) -> str:
    line = " ".join(text.replace("*/", "* /").split())
    return line if len(line) <= _COMMENT else f"{line[:_COMMENT]}…"
