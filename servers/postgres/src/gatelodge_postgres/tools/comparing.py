"""The tool that compares two schemas."""

from __future__ import annotations

from typing import Annotated

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import READ
from pydantic import Field

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dev.compared.differences import differences
from gatelodge_postgres.dev.compared.migration import DANGER, migration
from gatelodge_postgres.dev.compared.snapshot import Snapshot, snapshot
from gatelodge_postgres.sources import Source, Sources
from gatelodge_postgres.tools.arguments import Connection
from gatelodge_postgres.tools.querying import DATA

comparing = Declarations[Sources]()

DIFFERENCES = 8_000
DRAFT = 16_000
"""Characters of each that an answer holds."""


@comparing.tool(effect=READ, yields=DATA)
async def compare_schemas(
    sources: Sources,
    left: Annotated[str, Field(min_length=1, description="schema, or connection:schema.")],
    right: Annotated[str, Field(min_length=1)],
    part: Annotated[int, Field(ge=1, description="Of a long draft.")] = 1,
    connection: Connection = "",
) -> str:
    """Compare two schemas: tables, columns, constraints, indexes, views, functions; drafts a migration, never run."""
    one = await _look(sources, left, connection)
    other = await _look(sources, right, connection)
    found = differences(one, other)
    lines = [f"{len(found)} differences from {left} to {right} (- only left, + only right, ~ changed)"]
    lines.append(
        "not compared: triggers, policies, grants, comments, domains, composite types, inheritance, foreign tables"
    )
    hidden = one.hidden + other.hidden
    lines += [f"left out: {hidden} relations that are not read here, or that the role may not read"] if hidden else []
    if one.version // 10_000 != other.version // 10_000:
        versions = f"{one.version // 10_000} and {other.version // 10_000}"
        lines.append(f"versions {versions} may write one definition in two ways")
    if not found:
        return "\n".join(lines)
    shown = _fitting(found, DIFFERENCES) if part == 1 else []
    lines += shown
    if part == 1 and len(shown) < len(found):
        lines.append(f"shown {len(shown)} of {len(found)} differences; the draft has them all")
    return "\n".join([*lines, "", *_draft(migration(one, other), left, part)])


def _draft(statements: list[str], left: str, part: int) -> list[str]:
    parts: list[list[str]] = []
    rest = statements
    while rest:
        page = _fitting(rest, DRAFT)
        parts.append(page)
        rest = rest[len(page) :]
    dangers = sum(statement.startswith(DANGER) for statement in statements)
    head = f"-- Draft that would make {' '.join(left.split())} like the other; review it, nothing has run it. {dangers} steps are dangerous."
    if len(parts) > 1:
        head += (
            f" Part {part} of {len(parts)}; part={part + 1} has more."
            if part < len(parts)
            else f" Part {part} of {len(parts)}."
        )
    return [head, *(parts[part - 1] if part <= len(parts) else [])]


def _fitting(lines: list[str], most: int) -> list[str]:
    """As many lines as fit, and one at least."""
    used = 0
    for number, line in enumerate(lines):
        used += len(line)
        if number and used > most:
            return lines[:number]
    return lines


async def _look(sources: Sources, given: str, connection: str) -> Snapshot:
    name, separator, schema = given.partition(":")
    if separator and any(source.name == name for source in sources.all):
        source: Source = sources.pick(name)
    else:
        source, schema = sources.pick(connection), given
    judge = source.reader.judge

    async def work(session: Session) -> Snapshot:
        return await snapshot(session, judge, schema)

    return await source.database.run(work)
