"""What the catalog has that the rules close: by name, by rows that are shared, through views, and texts that name it.

A query is judged by what it names. Whatever lists, describes or finds must leave out the same relations, and so asks here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import LiteralString

from gatelodge_core.errors import CallError

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.verdict.facts import gather
from gatelodge_postgres.verdict.judge import Judge
from gatelodge_postgres.verdict.parse import statement
from gatelodge_postgres.verdict.patterns import regexes

WITHHELD = "not shown: it names what is not read here"

# From the denied ones up and down, as `kin` says it; then to the views over all those, and the sequences that belong to them.
_SHUT: LiteralString = r"""
WITH RECURSIVE denied(oid) AS (
 SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname || '.' || c.relname ~ ANY ($1::text[])),
above(oid) AS (TABLE denied UNION SELECT i.inhparent FROM above a JOIN pg_inherits i ON i.inhrelid = a.oid),
below(oid) AS (TABLE denied UNION SELECT i.inhrelid FROM below b JOIN pg_inherits i ON i.inhparent = b.oid),
reading(oid) AS ((TABLE above UNION TABLE below) UNION
 SELECT v.oid FROM reading d JOIN pg_depend p ON p.refclassid = 'pg_class'::regclass AND p.refobjid = d.oid
  AND p.classid = 'pg_rewrite'::regclass JOIN pg_rewrite r ON r.oid = p.objid
  JOIN pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm') AND v.oid >= 16384),
owned(oid) AS (SELECT p.objid FROM reading d JOIN pg_depend p ON p.refclassid = 'pg_class'::regclass AND p.refobjid = d.oid
  AND p.classid = 'pg_class'::regclass AND p.deptype IN ('a', 'i') JOIN pg_class s ON s.oid = p.objid AND s.relkind = 'S'),
shut(oid, denied) AS (
 SELECT oid, true FROM (TABLE reading UNION TABLE owned) s
 UNION ALL SELECT c.oid, false FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE $3::bool AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^(pg_|information_schema$)'
  AND NOT (n.nspname || '.' || c.relname ~ ANY ($2::text[]))
  AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_depend p JOIN pg_class t ON t.oid = p.refobjid
   JOIN pg_namespace tn ON tn.oid = t.relnamespace WHERE p.classid = 'pg_class'::regclass AND p.objid = c.oid
   AND p.refclassid = 'pg_class'::regclass AND p.deptype IN ('a', 'i') AND tn.nspname || '.' || t.relname ~ ANY ($2::text[]))))
SELECT s.oid::int8, s.denied, n.nspname::text, c.relname::text
FROM shut s JOIN pg_class c ON c.oid = s.oid JOIN pg_namespace n ON n.oid = c.relnamespace
"""
_PLAIN = ("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt")
_NAME = re.compile(r'"(?:[^"]|"")+"|[^\W\d][\w$]*')


@dataclass(frozen=True)
class Shut:
    """What is closed, as it was when it was asked for.

    Args:
        judge: Knows the rules.
        oids: Of relations that are denied, by name or by what they share, read or belong to.
        names: (schema, name) of those.
        words: Names, without schemas, of what may not be told in texts either: also of what isn't allowed.
    """

    judge: Judge
    oids: tuple[int, ...] = ()
    names: frozenset[tuple[str, str]] = frozenset()
    words: frozenset[str] = field(default=frozenset[str]())

    def closed(self, schema: str, name: str) -> bool:
        """Whether a relation may not be told of."""
        return (schema, name) in self.names or bool(self.judge.closed(schema, name))

    def hides(self, full: str) -> bool:
        """The same of ``schema.name``."""
        schema, _, name = full.partition(".")
        return self.closed(schema, name)

    def tells(self, text: str) -> bool:
        """Whether a text of SQL names what is closed. A column or an alias of the same name counts: that can't be told apart."""
        if not self.words:
            return False
        return any(_plain(word) in self.words for word in _NAME.findall(text))

    def reads(self, sql: str) -> bool:
        """Whether a statement that somebody ran names what is closed; of one that can't be parsed, each word counts."""
        if not self.words:
            return False
        try:
            parsed = statement(sql)
        except CallError:
            return self.tells(sql)
        if parsed.kind not in _PLAIN:
            return self.tells(sql)
        return any(name in self.words for _, name in gather(parsed.node, parsed.kind).relations)

    def told(self, texts: Iterable[str]) -> list[str]:
        """Those texts that name nothing closed."""
        return [text for text in texts if not self.tells(text)]

    def or_withheld(self, text: str) -> str:
        """The text, or a word that it isn't shown."""
        return WITHHELD if self.tells(text) else text


async def shut(session: Session, judge: Judge, *, texts: bool = False) -> Shut:
    """Ask the catalog for it.

    Args:
        session: A transaction.
        judge: Knows the rules.
        texts: Whether texts will be asked about, so that the names of all that isn't allowed are wanted too.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    rules = judge.rules
    wanted = texts and bool(rules.allow_relations)
    if not rules.deny_relations and not wanted:
        return Shut(judge)
    rows = await session.rows(_SHUT, [regexes(rules.deny_relations), regexes(rules.allow_relations), wanted])
    denied = [(oid, schema, name) for oid, by, schema, name in rows if by]
    return Shut(
        judge,
        tuple(sorted(oid for oid, _, _ in denied)),
        frozenset((schema, name) for _, schema, name in denied),
        frozenset(name for _, _, _, name in rows),
    )


async def visible(session: Session, judge: Judge) -> list[list[int] | list[str]]:
    """(OIDs of denied relations, expressions of allowed ones) as parameters of a query; nothing allowed means everything is.

    Raises:
        psycopg.Error: The catalog can't be read.
    """
    found = await shut(session, judge)
    return [list(found.oids), regexes(judge.rules.allow_relations) or ["^"]]


def _plain(word: str) -> str:
    return word[1:-1].replace('""', '"') if word[:1] == '"' else word
