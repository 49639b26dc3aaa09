"""What a check finds, and what it is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, LiteralString

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.sources import Source
from gatelodge_postgres.verdict.shut import shut

Severity = Literal["ok", "notice", "warning", "critical"]
MOST = 8
"""Objects that one finding names."""
_VISIBLE: LiteralString = """n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
 AND n.nspname !~ '^pg_temp' AND has_schema_privilege(n.oid, 'USAGE') AND has_any_column_privilege(c.oid, 'SELECT')"""


def visible(sql: LiteralString) -> LiteralString:
    """A query of ours in which VISIBLE is the condition that the role may see pg_class c in pg_namespace n."""
    return sql.replace("VISIBLE", _VISIBLE)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Args:
        severity: How bad it is.
        evidence: What was seen, with numbers.
        fix: What to do about it; empty if nothing.
    """

    severity: Severity
    evidence: str
    fix: str = ""


@dataclass(frozen=True)
class At:
    """What a check looks at.

    Args:
        session: A transaction of its own.
        source: The database.
    """

    session: Session
    source: Source

    async def readable(self, sql: LiteralString, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Those rows of a query whose first two values name a relation that may be read.

        Raises:
            psycopg.Error: It can't be run.
        """
        return await self.told(await self.session.rows(sql, list(values)))

    async def told(self, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """The same of rows that are there already.

        Raises:
            psycopg.Error: The catalog can't be read.
        """
        closing = await shut(self.session, self.source.reader.judge)
        return [row for row in rows if not closing.closed(str(row[0]), str(row[1]))]


Check = Callable[[At], Awaitable[list[Finding]]]


def named(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    more = len(names) - MOST
    return ", ".join(names[:MOST]) + (f" and {more} more" if more > 0 else "")


def some(severity: Severity, names: Sequence[str], what: str, fix: str = "") -> list[Finding]:
    """One finding about several objects; none without any."""
    return [Finding(severity, f"{what}: {named(names)}", fix)] if names else []


def unseen(what: str, fix: str) -> Finding:
    """That a part can't be seen with the role's rights."""
    return Finding("notice", f"can't see {what}", fix)


STATS = "GRANT pg_read_all_stats to the role."
