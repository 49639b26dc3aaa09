"""The tool that tells what a table's columns hold."""

from __future__ import annotations

from typing import Annotated

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import READ
from gatelodge_core.errors import CallError
from pydantic import Field

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dev.profiling import VALUE_CHARS, Facts, Profile, facts, sample_sql, sampled
from gatelodge_postgres.dev.tables import named
from gatelodge_postgres.reading.render import text_of
from gatelodge_postgres.sources import Source, Sources
from gatelodge_postgres.tools.arguments import Connection
from gatelodge_postgres.tools.objects import count, size
from gatelodge_postgres.tools.querying import DATA

profiling = Declarations[Sources]()

TEXT = 25
SAMPLE_BYTES = 8000
BUDGET = 10_000
"""Characters that the columns may take."""
_KINDS = {"r": "table", "p": "partitioned table", "v": "view", "m": "materialized view", "f": "foreign table"}


@profiling.tool(effect=READ, yields=DATA)
async def profile_table(
    sources: Sources,
    table: Annotated[str, Field(min_length=1, max_length=200)],
    columns: Annotated[list[str], Field(max_length=40)] = [],  # noqa: B006 - never changed
    sample: Annotated[int, Field(ge=0, le=50)] = 5,
    connection: Connection = "",
) -> str:
    """Profile a table: row estimate, size; per column nulls, distinct, min, max, common values; sample rows."""
    source = sources.pick(connection)
    reader = source.reader

    async def look(session: Session) -> Facts:
        (found,) = await named(session, reader.judge, [table])
        return await facts(session, reader, found, columns)

    known = await source.database.run(look)
    notes: list[str] = []

    async def read(session: Session) -> str:
        return await sampled(session, reader, known)

    try:
        looked = await source.database.run(read)
    except CallError as error:
        # What the catalog told is worth something without the rows.
        looked = ""
        notes.append(f"no sample for columns without statistics: {error.message}")
    lines = [_head(known)]
    if any(column.source == "statistics" for column in known.columns):
        analyzed = f", gathered {known.analyzed}" if known.analyzed else ""
        lines.append(f"(s): by the planner's statistics, estimates{analyzed}")
    lines += [f"(q): by a query over {looked}"] if looked else []
    lines += notes
    lines += _fitting([_line(column, known.rows) for column in known.columns], known)
    return "\n".join([*lines, *(await _sample(source, known, sample) if sample else [])])


def _head(known: Facts) -> str:
    words = [f"{_KINDS[known.table.kind]} {known.table.full}"]
    if known.table.kind in ("r", "p", "m"):
        words.append(f"~{count(known.rows)} rows" if known.rows >= 0 else "never counted")
        words.append(f"{size(known.size)} with indexes")
    words += [f"{known.parts} partitions or children"] if known.parts else []
    words.append(f"{known.all} columns")
    return ", ".join(words)


def _fitting(lines: list[str], known: Facts) -> list[str]:
    shown: list[str] = []
    used = 0
    for line in lines:
        used += len(line)
        if shown and used > BUDGET:
            break
        shown.append(line)
    if len(shown) < known.all and (len(shown) < len(lines) or len(lines) < known.all):
        shown.append(f"shown {len(shown)} of {known.all} columns; columns=[...] chooses")
    return shown


def _line(column: Profile, rows: float) -> str:
    head = f"{column.name} {column.type}{' not null' if column.required else ''}"
    if not column.granted:
        return f"{head}: the role may not read it"
    if column.masked:
        return f"{head}: masked"
    if not column.source:
        return f"{head}: {'nothing known' if column.plain else 'a type whose values are not compared here'}"
    words = [f"{column.nulls:.3g} null"] if column.nulls else ["no nulls"]
    if column.distinct >= 0:
        unique = column.distinct == rows > 0 or (column.source == "statistics" and rows > 0 and column.distinct >= rows * 0.999)  # fmt: skip
        words.append("all distinct" if unique else f"{count(column.distinct)} distinct")
    if column.low is not None and column.high is not None:
        words.append(f"{_shown(column.low)} .. {_shown(column.high)}")
    if column.common:
        values = ", ".join(f"{_shown(value)} {share:.1%}" for value, share in column.common)
        words.append(f"common {values}")
    return f"{head}: {'; '.join(words)} ({'s' if column.source == 'statistics' else 'q'})"


def _shown(value: str) -> str:
    text = value if len(value) <= VALUE_CHARS + 1 else f"{value[:VALUE_CHARS]}…"
    return repr(text) if not text or text != text.strip() or "\n" in text else text


async def _sample(source: Source, known: Facts, rows: int) -> list[str]:
    sql = sample_sql(known)
    if not sql:
        return []
    try:
        answer = await source.reader.query(sql, [], rows=rows, size=SAMPLE_BYTES)
    except CallError as error:
        return ["", f"no sample rows: {error.message}"]
    found = [[None if value is None else _shorter(value) for value in row] for row in answer.rows.rows]
    names = [column.name for column in answer.columns]
    return ["", f"sample of {len(found)} rows, values cut after {VALUE_CHARS} characters", text_of(names, [TEXT] * len(names), found, "csv")]  # fmt: skip


def _shorter(value: str) -> str:
    return value if len(value) <= VALUE_CHARS else f"{value[:VALUE_CHARS]}…"
