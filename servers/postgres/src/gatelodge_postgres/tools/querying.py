"""Tools that run, check and explain a caller's SQL."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from typing import Annotated

import psycopg
from gatelodge_core.apps.showing import show, wanted
from gatelodge_core.declare import Declarations, Progress
from gatelodge_core.effects import PRIVATE, READ, UNTRUSTED
from gatelodge_core.errors import CallError
from pydantic import BaseModel, Field

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.errors import told
from gatelodge_postgres.reading import cost
from gatelodge_postgres.reading.describe import describe
from gatelodge_postgres.reading.reader import Answer, Reader
from gatelodge_postgres.reading.render import Format, text_of
from gatelodge_postgres.sources import Source, Sources
from gatelodge_postgres.tools import viewed
from gatelodge_postgres.tools.arguments import Connection, MaxRows, Params, Sql, TimeoutMs
from gatelodge_postgres.tools.ticking import ticking

querying = Declarations[Sources]()

TEXT = 25
"""The OID of text."""
DATA = PRIVATE | UNTRUSTED
"""What a database holds is its owner's, and written by others."""


class ColumnRecord(BaseModel):
    """A column of a result."""

    name: str
    type: str
    origin: str


class VerdictRecord(BaseModel):
    """What would become of a statement."""

    allowed: bool
    reasons: list[str]
    columns: list[ColumnRecord]
    parameters: list[str]
    relations: list[str]
    estimated_cost: float
    estimated_rows: float


@querying.tool(effect=READ, yields=DATA)
async def run_query(
    sources: Sources,
    sql: Annotated[str, Field(min_length=1, max_length=100_000, description="One SELECT, VALUES, TABLE or EXPLAIN.")],
    progress: Progress,
    params: Params = [],  # noqa: B006 - a plain default keeps the schema portable; it is never changed
    max_rows: MaxRows = 200,
    max_bytes: Annotated[int, Field(ge=1_000, le=4_000_000)] = 64_000,
    timeout_ms: TimeoutMs = 0,
    format: Format = "csv",  # noqa: A002 - the word callers know
    cursor: Annotated[str, Field(description="From the line MORE of an answer.")] = "",
    connection: Connection = "",
) -> str:
    """Run a read-only SQL query; rows as text after a header with columns, types, origins, and how to get more."""
    source = sources.pick(connection)
    skip = _skipped(cursor, sql, params, source)
    rows = min(max_rows, source.settings.max_rows)
    answer = await ticking(
        progress,
        "the query runs",
        source.reader.query(sql, params, rows=rows, size=max_bytes, skip=skip, seconds=seconds(source, timeout_ms)),
    )
    head = _header(source.reader, answer, skip)
    following = _cursor(skip + len(answer.rows.rows), sql, params, source) if answer.rows.more else ""
    if following:
        head.append(f"MORE: cursor={following}{_unordered(answer)}")
    if wanted():
        show(viewed.rows(source.reader, answer, skip=skip, cursor=following))
    # A mask is a text whatever stands behind it.
    types = [TEXT if number in answer.prepared.masked else column.oid for number, column in enumerate(answer.columns)]
    names = [column.name for column in answer.columns]
    body = text_of(names, types, answer.rows.rows, format)
    return "\n".join(head) + "\n\n" + body


def seconds(source: Source, timeout_ms: int) -> float:
    """The time a query may take, never more than the setting."""
    limit = source.settings.query_seconds
    return min(timeout_ms / 1000, limit) if timeout_ms else limit


def _header(reader: Reader, answer: Answer, skip: int) -> list[str]:
    count = len(answer.rows.rows)
    part = f"shown {skip + 1} to {skip + count}" if skip else f"shown {count}"
    whole = f" of more, stopped by max_{answer.rows.stopped_by}" if answer.rows.more else f" of {skip + count}"
    head = [f"rows: {part}{whole}; {answer.seconds * 1000:.0f} ms", _columns(reader, answer)]
    if answer.cut:
        names = ", ".join(answer.columns[number].name for number in answer.cut)
        limit = reader.caps.value_chars
        head.append(f"cut: values of {names} end with … after {limit} characters; substring(...) shows the rest")
    head += [f"notice: {notice}" for notice in answer.notices]
    return head


def _columns(reader: Reader, answer: Answer) -> str:
    """Names, types and origins; a table that all columns come from is named once."""
    origins = [reader.names.origin(column) for column in answer.columns]
    tables = {origin[:2] if origin is not None else None for origin in origins}
    words: list[str] = []
    for number, (column, origin) in enumerate(zip(answer.columns, origins, strict=True)):
        word = f"{column.name} {reader.names.type(column.oid)}"
        if origin is not None and len(tables) > 1:
            word += f" = {'.'.join(origin)}"
        elif origin is not None and origin[2] != column.name:
            word += f" = {origin[2]}"
        words.append(word + (" (masked)" if number in answer.prepared.masked else ""))
    common = next(iter(tables)) if len(tables) == 1 else None
    table = f"; from {'.'.join(common)}" if common is not None else ""
    return f"columns: {', '.join(words)}{table}"


def _unordered(answer: Answer) -> str:
    verdict = answer.prepared.verdict
    if verdict is None or verdict.ordered:
        return ""
    return " (the query runs again; without ORDER BY rows can come in another order)"


def _digest(sql: str, params: Sequence[object], source: Source) -> str:
    text = json.dumps([source.name, sql, list(params)], default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def _cursor(shown: int, sql: str, params: Sequence[object], source: Source) -> str:
    return base64.urlsafe_b64encode(f"{shown}:{_digest(sql, params, source)}".encode()).decode().rstrip("=")


def _skipped(cursor: str, sql: str, params: Sequence[object], source: Source) -> int:
    """How many rows a cursor says were shown.

    Raises:
        CallError: It is no cursor, or one of another query.
    """
    if not cursor:
        return 0
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        number, _, digest = raw.partition(":")
        shown = int(number)
    except (ValueError, binascii.Error):
        raise CallError("bad_cursor", "that is no cursor.", "Take it from the line MORE of an answer.") from None
    if digest != _digest(sql, params, source) or not 0 <= shown < 2**40:
        text = "the cursor belongs to another query."
        raise CallError("bad_cursor", text, "Send sql, params and connection as in the answer it came from.")
    return shown


@querying.tool(effect=READ, yields=DATA)
async def validate_query(sources: Sources, sql: Sql, connection: Connection = "") -> VerdictRecord:
    """Check SQL without running it: whether it is allowed and why not, result columns, parameters, cost."""
    source = sources.pick(connection)
    reader = source.reader

    async def work(session: Session) -> VerdictRecord:
        verdict = await reader.judge.judge(session, sql)
        reasons = list(verdict.reasons)
        try:
            reader.caps.masks.check(verdict)
        except CallError as error:
            reasons.append(error.message)
        # What the caller names it knows; where a view reads what is closed, it needn't know of what views read.
        closed = any(reader.judge.closed(one.schema, one.name, one.kin) for one in verdict.relations)
        relations = sorted(f"{one.schema}.{one.name}" for one in (verdict.named if closed else verdict.relations))
        if reasons:
            return VerdictRecord(
                allowed=False, reasons=reasons, columns=[], parameters=[], relations=relations,
                estimated_cost=0, estimated_rows=0,
            )  # fmt: skip
        try:
            description = await describe(session, verdict.statement.text)
            await reader.names.learn(session, description)
            expected = None
            if not verdict.explained and not description.parameters:
                expected = await cost.estimate(session, verdict.statement.text)
        except psycopg.Error as error:
            raise told(error, sql=sql, prefix=-verdict.statement.start) from None
        if expected is not None and reader.caps.max_cost:
            try:
                cost.check(expected, reader.caps.max_cost, 200, told=not reader.judge.conceals(verdict))
            except CallError as error:
                reasons.append(error.message)
        return VerdictRecord(
            allowed=not reasons,
            reasons=reasons,
            columns=[
                ColumnRecord(
                    name=column.name,
                    type=reader.names.type(column.oid),
                    origin=".".join(reader.names.origin(column) or ()),
                )
                for column in description.columns
            ],
            parameters=[reader.names.type(oid) for oid in description.parameters],
            relations=relations,
            estimated_cost=expected.total if expected else 0,
            estimated_rows=expected.rows if expected else 0,
        )

    return await reader.database.run(work, sql=sql)
