"""The tables that a caller names: found in the catalog, allowed to be read, and unambiguous."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from gatelodge_core.errors import CallError

from gatelodge_postgres.catalog.names import split
from gatelodge_postgres.connect.privileges import quoted
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.verdict.judge import Judge
from gatelodge_postgres.verdict.shut import Shut, shut

_FIND: LiteralString = """
SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text, pg_table_is_visible(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND has_schema_privilege(n.oid, 'USAGE')
  AND (lower(c.relname) = ANY ($1::text[]) OR lower(n.nspname || '.' || c.relname) = ANY ($2::text[]))
  AND (has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT'))
"""
_NAMES: LiteralString = """
SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND n.nspname !~ '^(pg_|information_schema$)'
  AND has_schema_privilege(n.oid, 'USAGE') LIMIT 5000
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, view or the like.

    Args:
        oid: In ``pg_class``.
        schema: Where it is.
        name: Its name.
        kind: ``pg_class.relkind``.
    """

    oid: int
    schema: str
    name: str
    kind: str

    @property
    def full(self) -> str:
        """``schema.name``."""
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> str:
        """The same as SQL writes it."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"


async def named(session: Session, judge: Judge, names: Sequence[str]) -> list[Table]:
    """The tables of some names, in their order.

    Args:
        session: A transaction.
        judge: Says which relations are closed.
        names: ``name`` or ``schema.name``, with quotes or without; capitals matter only between names that differ by them.

    Raises:
        CallError: There is none of a name that may be read, or several.
        psycopg.Error: The catalog can't be read.
    """
    words = [split(name) for name in names]
    known = await shut(session, judge)
    found = [
        (Table(oid, schema, name, kind), bool(visible))
        for oid, schema, name, kind, visible in await session.rows(
            _FIND, [[name.lower() for _, name in words], [name.lower() for name in names]]
        )
        if not known.closed(schema, name)
    ]
    return [await _one(session, known, name, word, found) for name, word in zip(names, words, strict=True)]


async def _one(
    session: Session, known: Shut, given: str, word: tuple[str, str], found: Sequence[tuple[Table, bool]]
) -> Table:
    schema, name = word
    # Each way of reading the name, the most literal first.
    for same in (str, str.lower):
        exact = [pair for pair in found if same(pair[0].name) == same(name) and same(pair[0].schema) == same(schema)]
        if not schema:
            exact = [pair for pair in found if same(pair[0].name) == same(name)]
            exact = [pair for pair in exact if pair[1]] or exact
        exact = exact or [pair for pair in found if same(pair[0].full) == same(given)]
        if len(exact) == 1:
            return exact[0][0]
        if exact:
            text = f"{given[:80]!r} can be {' or '.join(pair[0].full for pair in exact[:5])}."
            raise CallError("ambiguous_table", text, "Give the schema too.")
    candidates = [str(full) for (full,) in await session.rows(_NAMES)]
    allowed = {full.lower() if schema else full.rpartition(".")[2].lower(): full for full in candidates if not known.closed(*full.split(".", 1))}  # fmt: skip
    close = [allowed[key] for key in difflib.get_close_matches(given.lower(), allowed, 3, 0.6)]
    hint = f"Did you mean {' or '.join(close)}?" if close else "search_schema finds tables by parts of their names."
    raise CallError("no_table", f"there is no table {given[:80]!r} that may be read.", hint)
