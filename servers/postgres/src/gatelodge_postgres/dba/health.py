"""Whether a database is sound: twelve checks, each in a transaction of its own, so that none spoils another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gatelodge_core.errors import CallError

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dba.checks import cluster, schema, security, sessions, space
from gatelodge_postgres.dba.checks.finding import At, Check, Finding
from gatelodge_postgres.sources import Source

CheckName = Literal[
    "connections", "cache", "bloat", "vacuum_wraparound", "indexes", "sequences", "constraints", "replication", "locks",
    "settings", "security", "storage",
]  # fmt: skip
CHECKS: dict[CheckName, Check] = {
    "connections": sessions.connections,
    "cache": sessions.cache,
    "bloat": space.bloat,
    "vacuum_wraparound": space.vacuum_wraparound,
    "indexes": schema.indexes,
    "sequences": schema.sequences,
    "constraints": schema.constraints,
    "replication": cluster.replication,
    "locks": sessions.locks,
    "settings": cluster.settings,
    "security": security.security,
    "storage": space.storage,
}
SECONDS = 5.0
"""The longest that one check may take."""
_HOPELESS = frozenset(("unreachable", "busy", "closing", "superuser_refused", "privileges_refused", "no_role"))
"""Codes of errors that would meet every check."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found."""

    check: CheckName
    findings: tuple[Finding, ...]


async def examine(source: Source, names: Sequence[CheckName] = ()) -> list[Result]:
    """Run checks.

    Args:
        source: The database.
        names: Which; all without any.

    Raises:
        CallError: The database can't be had at all.
    """
    return [await _one(source, name) for name in dict.fromkeys(names or CHECKS)]


async def _one(source: Source, name: CheckName) -> Result:
    async def work(session: Session) -> list[Finding]:
        return await CHECKS[name](At(session, source))

    try:
        found = await source.database.run(work, seconds=min(SECONDS, source.settings.query_seconds))
    except CallError as error:
        if error.code in _HOPELESS:
            raise
        found = [Finding("notice", f"could not be checked: {error.message}", error.hint)]
    return Result(name, tuple(found))
