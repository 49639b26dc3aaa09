"""Running one query of a caller's: verdict, description, cost, cursor, in one read-only transaction."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg
from gatelodge_core.errors import CallError

from gatelodge_postgres.connect.database import Database
from gatelodge_postgres.connect.session import Session, decoded
from gatelodge_postgres.errors import told
from gatelodge_postgres.reading import cost
from gatelodge_postgres.reading.describe import Column, Description, Names, describe
from gatelodge_postgres.reading.fetch import DECLARE, Changed, Rows, fetch
from gatelodge_postgres.reading.masks import Masks
from gatelodge_postgres.reading.near import near
from gatelodge_postgres.reading.project import wrapped
from gatelodge_postgres.verdict.judge import Judge, Verdict
from gatelodge_postgres.verdict.known import SECONDS
from gatelodge_postgres.verdict.parse import Statement, statement

_STALE = ("undefined_table", "undefined_column", "undefined_function", "invalid_column_reference", "datatype_mismatch")
"""Errors that can come of a catalog that has changed since it was asked."""
_PARAMETER = re.compile(r"\$\d")
MAX_PLANS = 512
MAX_KEPT = 8192
"""Characters of a statement whose preparation is remembered."""


@dataclass(frozen=True)
class Caps:
    """What one answer may hold.

    Args:
        value_chars: Characters of one value.
        max_cost: Of the planner's; 0 asks no planner.
        masks: Columns that are masked.
        judged: Whether statements are judged before they run.
    """

    value_chars: int
    max_cost: float
    masks: Masks
    judged: bool = True


@dataclass(frozen=True)
class Prepared:
    """A statement that may run, and how it is sent.

    Args:
        verdict: What the judge found; None where nothing is judged.
        sql: The statement alone.
        offset: Characters of the caller's text before it.
        description: What it gives.
        masked: Numbers of its columns that are masked.
        explained: Whether it stands in an EXPLAIN, which no cursor takes.
    """

    verdict: Verdict | None
    sql: str
    offset: int
    description: Description
    masked: frozenset[int]
    explained: bool


@dataclass(frozen=True)
class Answer:
    """What a query gave.

    Args:
        prepared: The statement.
        rows: Its rows.
        cut: Numbers of columns with values that were cut.
        notices: What the server said beside.
        seconds: How long it took.
    """

    prepared: Prepared
    rows: Rows
    cut: tuple[int, ...]
    notices: tuple[str, ...]
    seconds: float

    @property
    def columns(self) -> tuple[Column, ...]:
        """Its columns."""
        return self.prepared.description.columns


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much of a query's rows is wanted, and in how many seconds."""

    rows: int
    size: int
    skip: int
    seconds: float


class Reader:
    """Runs queries against one database.

    Args:
        database: Which.
        judge: Judges them.
        caps: What an answer may hold.
    """

    def __init__(self, database: Database, judge: Judge, caps: Caps) -> None:
        self.database = database
        self.judge = judge
        self.caps = caps
        self.names = Names()
        self.forgotten: Callable[[], None] = lambda: None
        """Called when the catalog seems to have changed; must not block."""
        self._plans: OrderedDict[str, tuple[float, Prepared]] = OrderedDict()

    def forget(self) -> None:
        """Believe nothing of the catalog that was found before: it has changed."""
        self._plans.clear()
        self.judge.known.forget()
        self.names.forget()
        self.forgotten()

    async def query(
        self, sql: str, parameters: Sequence[object], *, rows: int, size: int, skip: int = 0, seconds: float = 0
    ) -> Answer:
        """Run a query.

        Args:
            sql: The caller's text.
            parameters: Of ``$1`` and so on.
            rows: The most rows.
            size: The most bytes of values.
            skip: Rows to pass over.
            seconds: The most it may take; the setting's unless given.

        Raises:
            CallError: It is refused, can't run, or took too long.
        """
        begun = time.monotonic()
        limit = seconds or self.database.timeouts.statement

        async def work(session: Session) -> Answer:
            try:
                return await self._query(session, sql, parameters, Wanted(rows, size, skip, limit), begun)
            except CallError as error:
                if error.code in _STALE:
                    self.forget()
                raise

        try:
            return await self.database.run(work, seconds=limit, sql=sql)
        except CallError as error:
            raise await near(self, sql, error) from None

    async def prepare(self, session: Session, sql: str, parameters: Sequence[object], rows: int = 0) -> Prepared:
        """Judge and describe a statement, and ask what it costs. Remembered for as long as the catalog's answers are.

        Raises:
            CallError: It is refused, or too expensive.
            psycopg.Error: It can't be described.
        """
        now = time.monotonic()
        known = self._plans.get(sql)
        if known is not None and now - known[0] < SECONDS:
            self._plans.move_to_end(sql)
            return known[1]
        verdict = None
        if self.caps.judged:
            verdict = await self.judge.judge(session, sql)
            verdict.check()
            self.caps.masks.check(verdict)
            alone, explained = verdict.statement, verdict.explained
        else:
            alone, explained = statement(sql), False
        expected = None
        try:
            # Without values there is nothing to plan for yet; whether the statement wants some, the description tells.
            if self.caps.max_cost and not explained and (parameters or not _PARAMETER.search(alone.text)):
                description, expected = await cost.described_and_estimated(session, alone.text, parameters)
            else:
                description = await describe(session, alone.text)
        except psycopg.Error as error:
            raise self._told(error, sql, alone, parameters) from None
        await self.names.learn(session, description)
        masked = self.caps.masks.masked(description.columns, self.names)
        if expected is not None:
            cost.check(expected, self.caps.max_cost, rows)
        made = Prepared(verdict, alone.text, alone.start, description, masked, explained)
        if len(sql) <= MAX_KEPT:
            self._plans[sql] = (now, made)
        if len(self._plans) > MAX_PLANS:
            self._plans.popitem(last=False)
        return made

    def _told(self, error: psycopg.Error, sql: str, alone: Statement, parameters: Sequence[object]) -> Exception:
        if error.sqlstate == "08P01":
            # The protocol's error for a number of parameters that is not the statement's.
            text = f"the statement has other parameters than the {len(parameters)} values that were sent."
            return CallError("wrong_parameters", text, "Send one value for each of $1, $2, ... in params.")
        return told(error, sql=sql, prefix=-alone.start)

    async def _query(
        self, session: Session, sql: str, parameters: Sequence[object], wanted: Wanted, begun: float
    ) -> Answer:
        known = self._plans.get(sql)
        made = await self.prepare(session, sql, parameters, wanted.rows + wanted.skip)
        _check_count(made, parameters)
        if made.explained:
            found = await self._explained(session, made, parameters)
        else:
            try:
                # What was remembered is checked in the same breath.
                remembered = known is not None and known[1] is made
                found = await self._fetched(session, sql, made, parameters, wanted, check=remembered)
            except Changed:
                self.forget()
                await session.constant("CLOSE q")
                made = await self.prepare(session, sql, parameters, wanted.rows + wanted.skip)
                found = await self._fetched(session, sql, made, parameters, wanted, check=False)
        cut = _shorten(found, made.description.columns, self._cut(wanted))
        return Answer(made, found, cut, tuple(session.notices), time.monotonic() - begun)

    def _cut(self, wanted: Wanted) -> int:
        return min(self.caps.value_chars, max(64, wanted.size))

    async def _fetched(
        self, session: Session, sql: str, made: Prepared, parameters: Sequence[object], wanted: Wanted, *, check: bool
    ) -> Rows:
        columns, cut = made.description.columns, self._cut(wanted)
        text, prefix = wrapped(made.sql, columns, cut, made.masked)
        try:
            return await fetch(
                session,
                text,
                parameters,
                check=(made.sql, made.description) if check else None,
                rows=wanted.rows,
                size=wanted.size,
                skip=wanted.skip,
                seconds=wanted.seconds,
                wide=cut * sum(column.wide for column in columns),
            )
        except psycopg.Error as error:
            raise told(error, sql=sql, prefix=len(DECLARE) + prefix - made.offset) from None

    async def _explained(self, session: Session, made: Prepared, parameters: Sequence[object]) -> Rows:
        session.tainted = True
        result = await session.extended(made.sql, parameters)
        lines = [decoded(result.get_value(number, 0) or b"") for number in range(result.ntuples)]
        return Rows([[line] for line in lines], sum(map(len, lines)))


def _check_count(made: Prepared, parameters: Sequence[object]) -> None:
    wanted = len(made.description.parameters)
    if wanted != len(parameters):
        text = f"the statement has {wanted} parameters ($1 to ${wanted})" if wanted else "the statement has no $1"
        raise CallError("wrong_parameters", f"{text}, and {len(parameters)} values were sent.", "Send one for each.")


def _shorten(found: Rows, columns: Sequence[Column], cut: int) -> tuple[int, ...]:
    """Cut what is one character too long, and tell in which columns."""
    touched: set[int] = set()
    wide = [number for number, column in enumerate(columns) if column.wide]
    for row in found.rows:
        for number in wide:
            value = row[number]
            if value is not None and len(value) > cut:
                row[number] = f"{value[:cut]}…"
                touched.add(number)
    return tuple(sorted(touched))
