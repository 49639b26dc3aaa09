"""The tool that tells whether a database is sound."""

from __future__ import annotations

from typing import Annotated

from gatelodge_core.declare import Declarations, Progress
from gatelodge_core.effects import READ
from pydantic import Field

from gatelodge_postgres.dba.checks.finding import Severity
from gatelodge_postgres.dba.health import CHECKS, CheckName, Result, examine
from gatelodge_postgres.sources import Sources
from gatelodge_postgres.tools.arguments import Connection
from gatelodge_postgres.tools.querying import DATA
from gatelodge_postgres.tools.ticking import ticking

health = Declarations[Sources]()
ORDER: tuple[Severity, ...] = ("critical", "warning", "notice")


@health.tool(effect=READ, yields=DATA)
async def check_health(
    sources: Sources,
    progress: Progress,
    checks: Annotated[list[CheckName], Field(max_length=len(CHECKS))] = [],  # noqa: B006 - a plain default keeps the schema portable; it is never changed
    connection: Connection = "",
) -> str:
    """Database health check: findings by severity with evidence and fix, for all areas or those named in checks."""
    source = sources.pick(connection)
    found = await ticking(progress, "checks run", examine(source, checks))
    return "\n".join(report(source.name, found))


def report(name: str, results: list[Result]) -> list[str]:
    """The findings as lines, the gravest first."""
    flat = [(one.check, finding) for one in results for finding in one.findings]
    counts = ", ".join(f"{sum(1 for _, one in flat if one.severity == severity)} {severity}" for severity in ORDER)
    lines = [f"database {name}, {len(results)} checks: {counts}"]
    for severity in ORDER:
        lines += [
            f"[{severity}] {check}: {one.evidence.rstrip('.')}." + (f" Fix: {one.fix}" if one.fix else "")
            for check, one in flat
            if one.severity == severity
        ]
    fine = [f"{check} ({one.evidence})" for check, one in flat if one.severity == "ok"]
    return [*lines, f"ok: {'; '.join(fine)}"] if fine else lines
