"""Indexes that don't exist, which the planner is asked to believe in for one transaction; by the extension hypopg.

hypopg keeps them in its backend's memory, where no rollback reaches: each use ends with a reset.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import LiteralString, cast

import psycopg
from gatelodge_core.errors import CallError

from gatelodge_postgres.connect.privileges import quoted
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dba.trees import deparsed, expression_text
from gatelodge_postgres.reading.reader import Reader
from gatelodge_postgres.verdict.facts import statement_words
from gatelodge_postgres.verdict.parse import Node, statement
from gatelodge_postgres.verdict.shut import shut

MAX_INDEXES = 20
MISSING = "The person can install it: CREATE EXTENSION hypopg (package postgresql-NN-hypopg; most hosts offer it)."

_FIND: LiteralString = """
SELECT n.nspname::text, e.extversion,
 has_schema_privilege(n.oid, 'USAGE') AND (SELECT bool_and(has_function_privilege(p.oid, 'EXECUTE')) FROM pg_proc p
   WHERE p.pronamespace = n.oid AND p.proname IN ('hypopg_create_index', 'hypopg_reset', 'hypopg_relation_size'))
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'hypopg'
"""
_TABLE: LiteralString = """
SELECT n.nspname::text, c.relname::text, c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = $2::name AND CASE WHEN $1 = '' THEN pg_table_is_visible(c.oid) ELSE n.nspname = $1 END
 AND c.relkind IN ('r', 'm', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
 AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')
"""


@dataclass(frozen=True, slots=True)
class Hypothetical:
    """An index that was made up.

    Args:
        ddl: The statement that would make it for real.
        schema: Of its table.
        table: Its table.
        oid: As plans and hypopg know it.
        name: As plans call it.
        size: Bytes that it would take, as hypopg expects.
    """

    ddl: str
    schema: str
    table: str
    oid: int
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """An index that may be made up.

    Args:
        plain: Its statement, without a name, CONCURRENTLY and IF NOT EXISTS.
        schema: Of its table, as the catalog has it.
        table: The same.
        partitioned: Whether the table has partitions, so that CONCURRENTLY can't be said.
    """

    plain: str
    schema: str
    table: str
    partitioned: bool = False

    @property
    def ddl(self) -> str:
        """The statement that makes it, where that can be done while the table is in use."""
        return self.plain if self.partitioned else self.plain.replace(" INDEX ", " INDEX CONCURRENTLY ", 1)


class Hypopg:
    """The extension in one transaction; `found` makes it.

    Args:
        session: Whose indexes they are.
        schema: Where the extension is.
    """

    def __init__(self, session: Session, schema: str) -> None:
        self._session = session
        name = quoted(schema)
        # One quoted name and our own words.
        self._create: LiteralString = cast("LiteralString", f"""
            SELECT h.indexrelid::int8, h.indexname::text, {name}.hypopg_relation_size(h.indexrelid)::int8
            FROM {name}.hypopg_create_index($1) h""")  # fmt: skip  # noqa: S608
        self._drop: LiteralString = cast("LiteralString", f"SELECT {name}.hypopg_drop_index($1::int8::oid)")
        self._reset: LiteralString = cast("LiteralString", f"SELECT {name}.hypopg_reset()")

    @classmethod
    async def found(cls, session: Session) -> Hypopg | None:
        """The extension, without indexes that anybody left; None if there is none that the role may use.

        Raises:
            psycopg.Error: The catalog can't be read.
        """
        rows = await session.rows(_FIND)
        if not rows or not rows[0][2]:
            return None
        made = cls(session, str(rows[0][0]))
        if made._reset not in session.afterwards:
            session.afterwards.append(made._reset)
        await made.reset()
        return made

    async def create(self, wanted: Wanted) -> Hypothetical:
        """Make one up.

        Raises:
            CallError: hypopg can't, for example of this access method.
            psycopg.Error: PostgreSQL wouldn't take such an index.
        """
        try:
            ((oid, name, size),) = await self._session.rows(self._create, [wanted.plain])
        except psycopg.errors.InternalError_ as error:
            raise CallError("not_supported", f"{error.diag.message_primary}.", "Send a btree index.") from None
        return Hypothetical(wanted.ddl, wanted.schema, wanted.table, int(oid), str(name), int(size or 0))

    async def drop(self, index: Hypothetical) -> None:
        """Take one away."""
        await self._session.rows(self._drop, [index.oid])

    async def reset(self) -> None:
        """Take all away."""
        await self._session.rows(self._reset)


async def hypothetical(session: Session, ddl_texts: Sequence[str], reader: Reader | None = None) -> list[Hypothetical]:
    """Let the planner believe in indexes until the transaction ends; they are gone for the connection's next one.

    Args:
        session: The transaction; only plain EXPLAIN sees the indexes.
        ddl_texts: Each one CREATE INDEX on a table that the role may read.
        reader: Judges expressions and conditions in them; without it, only plain columns are taken.

    Raises:
        CallError: hypopg is missing, or a text is no such statement.
        psycopg.Error: hypopg can't make one of them up.
    """
    if not ddl_texts:
        return []
    if len(ddl_texts) > MAX_INDEXES:
        text = f"{len(ddl_texts)} hypothetical indexes were given; at most {MAX_INDEXES} are taken."
        raise CallError("too_many", text, "Leave some out.")
    asked = [await wanted(session, text, reader) for text in ddl_texts]
    extension = await Hypopg.found(session)
    if extension is None:
        raise CallError("no_hypopg", "hypothetical indexes need the extension hypopg, which isn't there.", MISSING)
    return [await extension.create(one) for one in asked]


async def wanted(session: Session, ddl: str, reader: Reader | None = None) -> Wanted:
    """Check a CREATE INDEX that was given as text.

    Raises:
        CallError: It is none, or its table or one of its expressions may not be read.
        psycopg.Error: The catalog can't be read.
    """
    found = statement(ddl)
    if found.kind != "IndexStmt":
        raise CallError("no_index", f"{statement_words(found.kind)} makes no index.", "Send one CREATE INDEX.")
    relation = found.node.get("relation", {})
    asked = str(relation.get("schemaname", "")), str(relation.get("relname", ""))
    rows = await session.rows(_TABLE, list(asked))
    shown = ".".join(filter(None, asked))
    if not rows or relation.get("catalogname"):
        text = f"there is no table {shown[:130]!r} that can be read and indexed."
        raise CallError("no_table", text, "Use list_objects to see what there is.")
    schema, table, kind = (str(value) for value in rows[0])
    if reader is not None and (await shut(session, reader.judge)).closed(schema, table):
        reason = reader.judge.closed(schema, table) or f"{schema}.{table} is not read here, by deny_relations"
        raise CallError("refused", f"{reason}.")
    keep = (
        "accessMethod",
        "indexParams",
        "indexIncludingParams",
        "whereClause",
        "unique",
        "nulls_not_distinct",
        "options",
    )
    node = deepcopy({key: found.node[key] for key in keep if key in found.node})
    node["relation"] = {"schemaname": schema, "relname": table, "inh": True, "relpersistence": "p"}
    await _judged(session, node, reader)
    return Wanted(deparsed("IndexStmt", node), schema, table, kind == "p")


async def _judged(session: Session, node: Node, reader: Reader | None) -> None:
    """Judge an index's columns and expressions as the query that would read the same.

    Raises:
        CallError: It is refused.
    """
    elements = [item["IndexElem"] for item in (*node.get("indexParams", []), *node.get("indexIncludingParams", []))]
    computed = [one for one in elements if "expr" in one]
    if reader is None:
        if computed or "whereClause" in node:
            text = "an index on expressions, or with a condition, can't be judged here."
            raise CallError("not_supported", text, "Send plain columns.")
        return
    parts = [expression_text(one["expr"]) if "expr" in one else quoted(str(one.get("name", ""))) for one in elements]
    table = f"{quoted(node['relation']['schemaname'])}.{quoted(node['relation']['relname'])}"
    # Never run: judged and described, as any caller's text is. LIMIT 0, since its cost is of no interest.
    sql = f"SELECT {', '.join(parts)} FROM {table}"  # noqa: S608
    if "whereClause" in node:
        sql += f" WHERE {expression_text(node['whereClause'])}"
    await reader.prepare(session, f"{sql} LIMIT 0", [])
