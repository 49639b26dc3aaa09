"""Running a change inside a transaction, and finding out all that it does there. Whether it stays is decided after it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import LiteralString

import psycopg
from gatelodge_core.errors import CallError
from psycopg import pq
from psycopg.errors import QueryCanceled

from gatelodge_postgres.changing.acting import Acting, acting
from gatelodge_postgres.changing.caveats import check_whole, notes_on, sequences
from gatelodge_postgres.changing.judging import Judged, judge
from gatelodge_postgres.changing.masking import check_masked
from gatelodge_postgres.changing.measure import Identity, Measured, count_emptied, identify, look, measure
from gatelodge_postgres.changing.returned import Returning, returning, rows_of
from gatelodge_postgres.changing.sample import Change, Column, Sampling, read, sampling
from gatelodge_postgres.changing.shape import Shape, shape
from gatelodge_postgres.changing.withholding import told_error
from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.errors import call_error, is_lost
from gatelodge_postgres.reading.describe import describe
from gatelodge_postgres.reading.masks import Masks
from gatelodge_postgres.verdict.judge import Judge, Rules
from gatelodge_postgres.verdict.known import Known, Relation
from gatelodge_postgres.verdict.shut import Shut, shut

_IMMEDIATE: LiteralString = "SET CONSTRAINTS ALL IMMEDIATE"


@dataclass(frozen=True)
class Wanted:
    """A change to be made.

    Args:
        sql: The caller's text.
        parameters: Of ``$1`` and so on.
        full_table: Whether it may change every row of a table.
        profile: What the person lets be changed: ``dml``, ``ddl`` or ``all``.
    """

    sql: str
    parameters: Sequence[object]
    full_table: bool
    profile: str


@dataclass(frozen=True)
class Limits:
    """What holds for all changes of one database; a superuser calls only functions that are allowed."""

    rules: Rules
    allow_superuser: bool
    masks: Masks
    known: Known


@dataclass(frozen=True)
class Rehearsal:
    """What a change does.

    Args:
        identity: As whom, and where.
        word: What SQL calls it.
        profile: ``dml`` or ``ddl``.
        rows: That it changes or, of a table that is emptied or dropped, that go.
        columns: Of the sample.
        changes: The sample.
        measured: Rows by table, locks, rewrites.
        acting: What runs besides.
        relations: What it names, as ``schema.relation``.
        notices: What the server said.
        notes: What isn't undone, or can't be told.
        seconds: How long the statement took.
        closing: What may not be told of to the caller; the person is told all.
        returned: Names and rows of its own RETURNING, where that was asked for.
    """

    identity: Identity
    word: str
    profile: str
    rows: int
    columns: tuple[Column, ...]
    changes: tuple[Change, ...]
    measured: Measured
    acting: Acting
    relations: tuple[str, ...]
    notices: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float
    closing: Shut
    returned: tuple[tuple[str, ...], list[list[str | None]]] = field(default=((), []))


async def rehearse(session: Session, wanted: Wanted, limits: Limits, *, sampled: bool) -> Rehearsal:
    """Judge the change, run it, and measure.

    Args:
        session: In a transaction of the role that changes things.
        wanted: The change.
        limits: What holds for it.
        sampled: Whether rows are shown as they were and become; otherwise its own RETURNING is.

    Raises:
        CallError: It is refused, or PostgreSQL refuses it.
        psycopg.Error: The connection is lost, or it took too long.
    """
    formed = shape(wanted.sql)
    if not formed.reasons and wanted.profile not in ("all", formed.profile):
        allowed = "rows (INSERT, UPDATE, DELETE, MERGE)" if wanted.profile == "dml" else "definitions"
        text = f"{formed.word} is not allowed here: the setting write_profile lets only {allowed} be changed."
        raise CallError("refused", text)
    identity = await identify(session, allow_superuser=limits.allow_superuser)
    if identity.superuser:
        limits = replace(limits, rules=replace(limits.rules, strict=True))
    judged = await judge(session, wanted.sql, formed, limits.known, limits.rules)
    closing = await shut(session, Judge(limits.known, limits.rules), texts=True)
    try:
        return await _rehearsed(session, wanted, limits, identity, judged, closing, sampled=sampled)
    except CallError as error:
        raise told_error(error, closing) from None


async def _rehearsed(
    session: Session,
    wanted: Wanted,
    limits: Limits,
    identity: Identity,
    judged: Judged,
    closing: Shut,
    *,
    sampled: bool,
) -> Rehearsal:
    formed = judged.shape
    masked = await check_masked(session, judged, limits.masks)
    if formed.unconditional and not wanted.full_table:
        text = f"no condition on a column limits {', '.join(formed.unconditional)}: every row would change."
        raise CallError("full_table", text, "Add a WHERE, or set allow_full_table if every row is meant.")
    runs = await acting(session, judged, limits.rules)
    before = await look(session, files=formed.profile == "ddl")
    emptied = [one for one in judged.relations if one.kind in ("r", "p") and _is(formed, one)]
    standing = await count_emptied(session, emptied, cascade=formed.cascade and formed.word == "TRUNCATE")
    session.tainted = True
    begun = time.monotonic()
    try:
        plan, own = await _plan(session, judged, masked, limits, wanted, sampled=sampled)
        result = await session.extended(own.sql if own else plan.sql, wanted.parameters)
        seconds = time.monotonic() - begun
        if session.connection.pgconn.transaction_status != pq.TransactionStatus.INTRANS:
            raise CallError("left_transaction", "the statement left its transaction.", "Report this; check the data.")
        # What is put off to the commit would else fail there, after the person's yes.
        await session.constant(_IMMEDIATE)
    except psycopg.Error as error:
        raise _told(error, wanted.sql, formed, masked=bool(masked)) from None
    rows, changes = read(result, plan) if own is None else (rows_of(result)[0], ())
    measured = await measure(session, before)
    _check_reach(measured, formed, closing)
    if not wanted.full_table:
        await check_whole(session, judged, rows)
    notes = [*notes_on(formed, identity, standing), *([plan.note] if plan.note and sampled else [])]
    notes += await sequences(session, judged)
    notices = tuple(session.notices) if not masked else (f"{len(session.notices)} notices are not shown",)
    return Rehearsal(
        identity=identity,
        word=formed.word,
        profile=formed.profile,
        rows=standing if formed.profile == "ddl" and emptied else rows if formed.profile == "dml" else 0,
        columns=plan.columns,
        changes=changes,
        measured=measured,
        acting=runs,
        relations=tuple(sorted({f"{one.schema}.{one.name}" for one in judged.relations})),
        notices=notices if session.notices else (),
        notes=tuple(notes),
        seconds=seconds,
        closing=closing,
        returned=(own.names, rows_of(result)[1]) if own else ((), []),
    )


async def _plan(
    session: Session,
    judged: Judged,
    masked: dict[int, frozenset[str]],
    limits: Limits,
    wanted: Wanted,
    *,
    sampled: bool,
) -> tuple[Sampling, Returning | None]:
    """How the statement is sent."""
    formed = judged.shape
    if formed.profile == "ddl":
        if wanted.parameters:
            raise CallError("wrong_parameters", "definitions take no parameters.", "Write the values into the text.")
        return Sampling(formed.body, 0, ()), None
    described = await describe(session, formed.statement.text)
    count = len(described.parameters)
    if count != len(wanted.parameters):
        text = f"the statement has {count} parameters, and {len(wanted.parameters)} values were sent."
        raise CallError("wrong_parameters", text, "Send one for each.")
    if not sampled:
        return Sampling(formed.body, 0, ()), await returning(session, formed, limits.masks, touched=bool(masked))
    return await sampling(session, judged, masked), None


def _is(formed: Shape, one: Relation) -> bool:
    return (one.schema, one.name) in formed.emptied or (("", one.name) in formed.emptied and one.visible)


def _told(error: psycopg.Error, sql: str, formed: Shape, *, masked: bool) -> Exception:
    if is_lost(error) or isinstance(error, QueryCanceled):
        return error
    told = call_error(error, sql=sql, prefix=-formed.statement.start)
    detail = error.diag.message_detail
    # Such as "Failing row contains (...)", which shows every column.
    return CallError(told.code, told.message.replace(f" ({detail})", ""), told.hint) if masked and detail else told


def _check_reach(measured: Measured, formed: Shape, closing: Shut) -> None:
    """Refuse definitions that touch, by whatever way, a relation that the person closed, or one that shares its rows."""
    if formed.profile == "dml":
        return
    for name in (*measured.locks, *measured.gone, *measured.made):
        schema, relation = _split(name)
        if (schema, relation) in closing.names or closing.judge.closed(schema, relation, direct=False):
            text = "this change is not previewed: it touches another relation, which is closed by deny_relations."
            raise CallError("refused", text, "Change only what is open, or ask the person.")


def _split(name: str) -> tuple[str, str]:
    schema, _, relation = name.partition(".")
    return schema, relation
