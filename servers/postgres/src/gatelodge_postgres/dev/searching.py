"""Finding objects by words: in names and comments of tables, columns, functions and enum values."""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import LiteralString

from gatelodge_postgres.catalog.names import ROWS
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.verdict.judge import Judge
from gatelodge_postgres.verdict.shut import WITHHELD, shut, visible

MAX_WORDS = 8
MOST = 2000
"""Candidates of a kind that are ranked."""
_SIMILAR = 0.75
_SHORTEST = 4
"""Letters of a word that may be mistyped; shorter ones are near to everything."""
_PART = re.compile(r"[^\W_]+", re.UNICODE)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

# $1: patterns for LIKE over lower-case text. Privileges are asked of what was found alone.
_SEARCH: LiteralString = """
WITH seen AS MATERIALIZED (
 SELECT n.oid, n.nspname::text AS schema FROM pg_namespace n
 WHERE n.nspname !~ '^(pg_|information_schema$)' AND has_schema_privilege(n.oid, 'USAGE')),
rel AS MATERIALIZED (
 SELECT c.oid, s.schema, c.relname::text AS name, c.relkind::text AS kind, {ROWS} AS rows
 FROM pg_class c JOIN seen s ON s.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition),
hits AS (
 (SELECT 'table' AS sort, r.schema, r.name AS owner, ''::text AS name, r.kind AS more, coalesce(d.description, '') AS comment, r.rows
  FROM rel r LEFT JOIN pg_description d ON d.objoid = r.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0
  WHERE (lower(r.name) LIKE ANY ($1::text[]) OR lower(d.description) LIKE ANY ($1::text[]))
    AND (has_table_privilege(r.oid, 'SELECT') OR has_any_column_privilege(r.oid, 'SELECT'))
  ORDER BY length(r.name) LIMIT $2::int)
 UNION ALL
 (SELECT 'column', r.schema, r.name, a.attname::text, format_type(a.atttypid, a.atttypmod), coalesce(d.description, ''), r.rows
  FROM pg_attribute a JOIN rel r ON r.oid = a.attrelid
  LEFT JOIN pg_description d ON d.objoid = r.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = a.attnum
  WHERE a.attnum > 0 AND NOT a.attisdropped
    AND (lower(a.attname) LIKE ANY ($1::text[]) OR lower(d.description) LIKE ANY ($1::text[]))
    AND has_column_privilege(r.oid, a.attnum, 'SELECT')
  ORDER BY length(a.attname), length(r.name) LIMIT $2::int)
 UNION ALL
 (SELECT 'function', s.schema, p.proname::text, '', '(' || left(pg_get_function_identity_arguments(p.oid), 200) || ')'
    || coalesce(' -> ' || pg_get_function_result(p.oid), ' procedure'), coalesce(d.description, ''), 0
  FROM pg_proc p JOIN seen s ON s.oid = p.pronamespace
  LEFT JOIN pg_description d ON d.objoid = p.oid AND d.classoid = 'pg_proc'::regclass
  WHERE (lower(p.proname) LIKE ANY ($1::text[]) OR lower(d.description) LIKE ANY ($1::text[]))
    AND has_function_privilege(p.oid, 'EXECUTE')
    AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
  ORDER BY length(p.proname) LIMIT $2::int)
 UNION ALL
 (SELECT 'enum value', s.schema, t.typname::text, e.enumlabel::text, '', '', 0
  FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid JOIN seen s ON s.oid = t.typnamespace
  WHERE (lower(e.enumlabel) LIKE ANY ($1::text[]) OR lower(t.typname) LIKE ANY ($1::text[]))
    AND has_type_privilege(t.oid, 'USAGE') ORDER BY e.enumsortorder LIMIT $2::int))
SELECT * FROM hits
""".replace("{ROWS}", ROWS)
_WORDS: LiteralString = """
WITH seen AS MATERIALIZED (
 SELECT n.oid, n.nspname FROM pg_namespace n
 WHERE n.nspname !~ '^(pg_|information_schema$)' AND has_schema_privilege(n.oid, 'USAGE')),
rel AS MATERIALIZED (
 SELECT c.oid, c.relname FROM pg_class c JOIN seen s ON s.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
   AND NOT (c.oid = ANY ($1::oid[])) AND s.nspname || '.' || c.relname ~ ANY ($2::text[])
   AND (has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT')))
SELECT DISTINCT lower(name) FROM (SELECT relname AS name FROM rel
 UNION ALL SELECT a.attname FROM pg_attribute a JOIN rel r ON r.oid = a.attrelid
  WHERE a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(r.oid, a.attnum, 'SELECT')
 UNION ALL SELECT p.proname FROM pg_proc p JOIN seen s ON s.oid = p.pronamespace WHERE has_function_privilege(p.oid, 'EXECUTE')
 UNION ALL SELECT e.enumlabel FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid JOIN seen s ON s.oid = t.typnamespace) w
LIMIT 50000
"""


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that was found.

    Args:
        sort: ``table``, ``column``, ``function`` or ``enum value``.
        schema: Where it is.
        owner: The table, function or type.
        name: The column or value; empty for others.
        more: Its type, arguments, or kind of relation.
        comment: What somebody wrote of it.
        rows: About how many the table has.
        score: How well it fits.
    """

    sort: str
    schema: str
    owner: str
    name: str
    more: str
    comment: str
    rows: float
    score: float


async def search(session: Session, judge: Judge, text: str) -> tuple[list[Hit], dict[str, str]]:
    """What fits a text, the best first; and which of its words were taken for others.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    given: list[str] = _PART.findall(text.lower())
    words = list(dict.fromkeys(given))[:MAX_WORDS]
    if not words:
        return [], {}
    hits = await _hits(session, judge, words)
    fitting = {word for word in words for hit in hits if _worth(hit, word)}
    strange = [word for word in words if word not in fitting and len(word) >= _SHORTEST]
    # Asked for only now: most texts have no mistakes.
    meant = await asyncio.to_thread(_nearest, strange, await _known(session, judge)) if strange else {}
    if meant:
        words = list(dict.fromkeys(meant.get(word, word) for word in words))
        hits = await _hits(session, judge, words)
    return sorted(hits, key=lambda hit: (-hit.score, hit.schema, hit.owner, hit.name)), meant


def _nearest(words: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    near: dict[str, list[str]] = {word: difflib.get_close_matches(word, known, 1, _SIMILAR) for word in words}
    return {word: found[0] for word, found in near.items() if found}


async def _hits(session: Session, judge: Judge, words: Sequence[str]) -> list[Hit]:
    patterns = [f"%{stem(word)}%" for word in words]
    found = [Hit(*row, score=0.0) for row in await session.rows(_SEARCH, [patterns, MOST])]
    ranked: list[Hit] = []
    known = await shut(session, judge, texts=True)
    for hit in found:
        if hit.sort in ("table", "column") and known.closed(hit.schema, hit.owner):
            continue
        if hit.sort == "function" and known.tells(hit.more):
            continue
        if hit.sort == "column" and known.tells(hit.more):
            hit = replace(hit, more=WITHHELD)  # noqa: PLW2901
        values = [_worth(hit, word) for word in words]
        # What has all of the words comes before what has one of them well.
        score = sum(values) / len(words) * (sum(value > 0 for value in values) / len(words))
        if score:
            ranked.append(
                Hit(hit.sort, hit.schema, hit.owner, hit.name, hit.more, hit.comment, hit.rows, score + _EDGE[hit.sort])
            )
    return ranked


_EDGE = {"table": 3.0, "column": 2.0, "function": 1.0, "enum value": 0.0}


def _worth(hit: Hit, word: str) -> float:
    """How well a word fits what was found: its own name, then its table's, then the comment."""
    own = _fits(hit.name or hit.owner, word)
    around = 0.4 * _fits(hit.owner, word) if hit.name else 0.0
    beside = 0.3 * _fits(hit.comment, word) if hit.comment else 0.0
    return max(own, around, beside, 20.0 if word == hit.schema.lower() else 0.0)


def _fits(text: str, word: str) -> float:
    lower = text.lower()
    root = stem(word)
    if root not in lower:
        return 0.0
    if lower == word:
        return 100.0
    if stem(lower) == root:
        return 90.0
    parts = [part.lower() for part in _PART.findall(_HUMP.sub(" ", text))]
    if any(stem(part) == root for part in parts):
        return 75.0 - min(len(parts), 15)
    if any(part.startswith(root) for part in parts):
        return 55.0 - min(len(parts), 15)
    return 30.0


def stem(word: str) -> str:
    """A word without a plural's end, and safe in a LIKE pattern."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


async def _known(session: Session, judge: Judge) -> list[str]:
    """The words that names are made of."""
    words = {
        part for (name,) in await session.rows(_WORDS, await visible(session, judge)) for part in _PART.findall(name)
    }
    return sorted(word for word in words if len(word) >= _SHORTEST)
