"""Describing objects by name, as text for a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, LiteralString

from gatelodge_postgres.catalog.ddl import ddl
from gatelodge_postgres.catalog.names import split
from gatelodge_postgres.catalog.relations import Attribute, Described, relations
from gatelodge_postgres.catalog.withholding import withhold
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.reading.masks import Masks
from gatelodge_postgres.verdict.judge import Judge
from gatelodge_postgres.verdict.kin import NOBODY, Kin, kin
from gatelodge_postgres.verdict.shut import WITHHELD, Shut, shut

Part = Literal["columns", "constraints", "indexes", "triggers", "policies", "stats", "ddl", "privileges"]
INCLUDED: tuple[Part, ...] = ("columns", "constraints", "indexes")
MOST_OF_A_NAME = 5
"""Objects of one name that are described, where no schema is given."""
MOST_COLUMNS = 300
_KINDS = {"r": "table", "p": "partitioned table", "v": "view", "m": "materialized view", "f": "foreign table", "S": "sequence"}  # fmt: skip

_FIND: LiteralString = """
SELECT w.n, c.oid::int8, n.nspname::text, c.relname::text, pg_table_is_visible(c.oid)
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w(schema, name, n) JOIN pg_class c ON c.relname = w.name
JOIN pg_namespace n ON n.oid = c.relnamespace AND (w.schema = '' OR n.nspname = w.schema)
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND has_schema_privilege(n.oid, 'USAGE')
ORDER BY w.n, pg_table_is_visible(c.oid) DESC, n.nspname
"""
_OTHERS: LiteralString = """
SELECT w.n, 'function ' || n.nspname || '.' || p.proname || '(' || pg_get_function_arguments(p.oid) || ')'
 || coalesce(' returns ' || pg_get_function_result(p.oid), ' (procedure)') || ', language ' || l.lanname
 || CASE p.provolatile WHEN 'i' THEN ', immutable' WHEN 's' THEN ', stable' ELSE ', volatile' END
 || CASE WHEN p.prosecdef THEN ', security definer' ELSE '' END || coalesce(' -- ' || obj_description(p.oid, 'pg_proc'), '')
 || CASE WHEN $3::bool AND p.prokind IN ('f', 'p') THEN E'\\n' || pg_get_functiondef(p.oid) ELSE '' END
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w(schema, name, n) JOIN pg_proc p ON p.proname = w.name
JOIN pg_namespace n ON n.oid = p.pronamespace AND (w.schema = '' OR n.nspname = w.schema)
JOIN pg_language l ON l.oid = p.prolang WHERE has_schema_privilege(n.oid, 'USAGE')
UNION ALL
SELECT w.n, CASE t.typtype WHEN 'e' THEN 'enum ' ELSE 'domain ' END || n.nspname || '.' || t.typname
 || CASE t.typtype WHEN 'e' THEN ': ' || (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
   FROM pg_enum e WHERE e.enumtypid = t.oid) ELSE ' over ' || format_type(t.typbasetype, t.typtypmod)
   || coalesce((SELECT string_agg(' ' || pg_get_constraintdef(k.oid), '') FROM pg_constraint k WHERE k.contypid = t.oid), '')
   END || coalesce(' -- ' || obj_description(t.oid, 'pg_type'), '')
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w(schema, name, n) JOIN pg_type t ON t.typname = w.name
JOIN pg_namespace n ON n.oid = t.typnamespace AND (w.schema = '' OR n.nspname = w.schema)
WHERE t.typtype IN ('e', 'd') AND has_schema_privilege(n.oid, 'USAGE')
"""


async def described(
    session: Session, judge: Judge, masks: Masks, names: Sequence[str], parts: Sequence[Part]
) -> list[tuple[str, str]]:
    """Each name with what there is by it; an empty text where there is nothing that may be seen.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    wanted = [split(name) for name in names]
    given = [[schema for schema, _ in wanted], [name for _, name in wanted]]
    places: dict[int, list[int]] = {}
    closing = await shut(session, judge, texts=True)
    for number, oid, schema, name, visible in await session.rows(_FIND, given):
        own = places.setdefault(number, [])
        # Where a plain name means one in the search path, others of that name are not meant.
        if not closing.closed(schema, name) and len(own) < MOST_OF_A_NAME and (visible or not own):
            own.append(oid)
    chosen = frozenset(parts)
    found = await relations(session, [oid for own in places.values() for oid in own], chosen)
    shared = await kin(session, found) if masks and found else {}
    for one in found.values():
        withhold(one, closing)
    others: dict[int, list[str]] = {}
    if len(places) < len(wanted):
        for number, text in await session.rows(_OTHERS, [*given, "ddl" in chosen]):
            others.setdefault(number, []).append(_told(text, closing))
    result: list[tuple[str, str]] = []
    for number, name in enumerate(names, 1):
        texts = [
            _text(found[oid], _masked(found[oid], masks, shared.get(oid, NOBODY)), chosen)
            for oid in places.get(number, [])
            if oid in found
        ]
        result.append((name, "\n\n".join(texts or others.get(number, [])[:20])))
    return result


def _told(text: str, closing: Shut) -> str:
    """Of a function or type only what names nothing closed: all, the first line, or that it is there."""
    head, _, rest = text.partition("\n")
    if closing.tells(head):
        return f"{' '.join(head.partition('(')[0].split())[:200]}: {WITHHELD}"
    return f"{head}\ndefinition {WITHHELD}" if closing.tells(rest) else text


def _masked(one: Described, masks: Masks, kin_: Kin) -> frozenset[str]:
    """Names of its columns that are masked."""
    return frozenset(column.name for column in one.columns if masks.covers(one.schema, one.name, column.name, kin_))


def _text(one: Described, masked: frozenset[str], parts: frozenset[str]) -> str:
    lines = [_headline(one)]
    if "ddl" in parts:
        return "\n".join([*lines, ddl(one)])
    if "columns" in parts or "stats" in parts:
        lines += [_column(one, column, masked, stats="stats" in parts) for column in one.columns[:MOST_COLUMNS]]
        more = len(one.columns) - MOST_COLUMNS
        lines += [f'  ... {more} more columns; include=["ddl"] shows all'] if more > 0 else []
    if "constraints" in parts:
        lines += [f"  {text} [{name}]" for name, _, text in one.constraints]
        lines += [f"  referenced by {text}" for text in one.referenced_by[:50]]
    if "indexes" in parts:
        lines += [f"  {_index(index.definition, index.name)}{'' if index.valid else ' INVALID'}" for index in one.indexes if not index.constraint]  # fmt: skip
    lines += [f"  trigger {text}" for text in one.triggers]
    if "policies" in parts and (one.row_security or one.policies):
        lines.append(f"  row-level security {'on' if one.row_security else 'off'}")
        lines += [f"  {text}" for text in one.policies]
    lines += [f"  grants to {text}" for text in one.privileges]
    if "stats" in parts:
        lines += [f"  {one.statistics}"] if one.statistics else []
        lines += [f"  index {index.name}: {index.size} bytes, {index.scans} scans" for index in one.indexes]
    if one.query and "columns" in parts:
        lines.append(f"  definition: {' '.join(one.query.split())[:2000]}")
    return "\n".join(lines)


def _headline(one: Described) -> str:
    words = [f"{_KINDS.get(one.kind, 'relation')} {one.full}"]
    words += [f"~{one.rows:.0f} rows"] if one.kind in "rpm" and one.rows >= 0 else []
    words += [f"partition by {one.partition_by}"] if one.partition_by else []
    words += [f"partition of {one.partition_of}"] if one.partition_of else []
    if one.child_count:
        shown = ", ".join(one.children)
        words.append(
            f"{one.child_count} partitions or children: {shown}{' ...' if one.child_count > len(one.children) else ''}"
        )
    words += [] if one.readable else ["not readable as a whole by this role"]
    text = ", ".join(words)
    return f"{text} -- {' '.join(one.comment.split())}" if one.comment else text


def _column(one: Described, column: Attribute, masked: frozenset[str], *, stats: bool) -> str:
    words = [column.name, column.type]
    words += ["not null"] if column.required else []
    words += [f"identity {column.identity.lower()}"] if column.identity else []
    words += [f"generated {column.generated}"] if column.generated else []
    words += [f"default {column.default}"] if column.default else []
    words += ["(masked)"] if column.name in masked else []
    if stats and column.name not in masked and column.null_fraction is not None and column.distinct is not None:
        distinct = column.distinct if column.distinct >= 0 else -column.distinct * max(one.rows, 0)
        words.append(f"[{column.null_fraction:.1%} null, ~{distinct:.0f} distinct]")
    text = "  " + " ".join(words)
    return f"{text} -- {' '.join(column.comment.split())}" if column.comment else text


def _index(definition: str, name: str) -> str:
    """An index without what is known from around it: ``unique index NAME using btree (a, b)``."""
    unique = "unique " if definition.startswith("CREATE UNIQUE") else ""
    return f"{unique}index {name} using {definition.partition(' USING ')[2]}"
