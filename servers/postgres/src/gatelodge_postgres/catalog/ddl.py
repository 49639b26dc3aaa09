"""Definitions of relations as SQL, with comments: to read, and to make the like elsewhere."""

from __future__ import annotations

from gatelodge_postgres.catalog.relations import Attribute, Described, relations
from gatelodge_postgres.catalog.withholding import withhold
from gatelodge_postgres.connect.privileges import quoted
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.verdict.judge import Judge
from gatelodge_postgres.verdict.shut import WITHHELD, shut


async def table_ddl(session: Session, judge: Judge, oid: int) -> str:
    """The definition of one relation; empty if it isn't there.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    found = await relations(session, [oid], frozenset(("ddl",)))
    if oid not in found:
        return ""
    withhold(found[oid], await shut(session, judge, texts=True))
    return ddl(found[oid])


def ddl(one: Described) -> str:
    """The statements that would make a relation."""
    name = f"{ident(one.schema)}.{ident(one.name)}"
    if one.kind in ("v", "m"):
        word = "MATERIALIZED VIEW" if one.kind == "m" else "VIEW"
        query = one.query.rstrip().rstrip(";")
        lines = [f"CREATE {word} {name} AS\n-- {query}" if query == WITHHELD else f"CREATE {word} {name} AS\n{query};"]
    elif one.kind == "S":
        lines = [f"CREATE SEQUENCE {name};"]
    else:
        lines = [_table(one, name)]
    backing = {constraint for constraint, kind, _ in one.constraints if kind in "pux"}
    lines += [f"{index.definition};" for index in one.indexes if index.name not in backing]
    lines += [f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;"] if one.row_security else []
    lines += [f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY;"] if one.row_security_forced else []
    lines += [f"{text};" for text in (*one.policies, *one.triggers)]
    word = {"v": "VIEW", "m": "MATERIALIZED VIEW", "f": "FOREIGN TABLE", "S": "SEQUENCE"}.get(one.kind, "TABLE")
    lines += [f"COMMENT ON {word} {name} IS {literal(one.comment)};"] if one.comment else []
    lines += [
        f"COMMENT ON COLUMN {name}.{ident(column.name)} IS {literal(column.comment)};"
        for column in one.columns
        if column.comment
    ]
    return "\n".join(lines)


def _table(one: Described, name: str) -> str:
    inside = [f"  {column_ddl(column)}" for column in one.columns]
    inside += [f"  CONSTRAINT {ident(constraint)} {text}" for constraint, _, text in one.constraints]
    head = "CREATE FOREIGN TABLE" if one.kind == "f" else "CREATE TABLE"
    tail = f" PARTITION BY {one.partition_by}" if one.partition_by else ""
    tail += f" WITH ({', '.join(one.options)})" if one.options else ""
    note = f" -- PARTITION OF {one.partition_of}" if one.partition_of else ""
    return f"{head} {name} (\n" + ",\n".join(inside) + f"\n){tail};{note}"


def column_ddl(column: Attribute) -> str:
    """A column as it stands in CREATE TABLE."""
    words = [ident(column.name), column.type]
    words += [f"COLLATE {ident(column.collation)}"] if column.collation else []
    words += [f"GENERATED {column.identity} AS IDENTITY"] if column.identity else []
    if column.generated:
        expression, _, kind = column.generated.rpartition(" ")
        words.append(f"GENERATED ALWAYS AS ({expression}) {kind}")
    words += [f"DEFAULT {column.default}"] if column.default else []
    words += ["NOT NULL"] if column.required else []
    return " ".join(words)


def ident(name: str) -> str:
    """A name, quoted only where it must be; reserved words are left to PostgreSQL's quoting elsewhere."""
    plain = name and (name[0].isalpha() or name[0] == "_") and name.isascii() and name == name.lower()
    if plain and name.replace("_", "a").isalnum() and name not in _RESERVED:
        return name
    return quoted(name)


def literal(text: str) -> str:
    """A text as SQL writes it."""
    doubled = text.replace("'", "''")
    return f"E'{doubled}'".replace("\\", "\\\\") if "\\" in text else f"'{doubled}'"


_WORDS = (
    "all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation "
    "column concurrently constraint create cross current_catalog current_date current_role current_schema current_time "
    "current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze "
    "from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like "
    "limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary "
    "references returning right select session_user similar some symmetric system_user table tablesample then to "
    "trailing true union unique user using variadic verbose when where window with"
)
_RESERVED = frozenset(_WORDS.split())
