"""Running one query of a caller's: verdict, description, cost, cursor, in one read-only transaction."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import psycopg
from gatelodge_core.errors import CallError

from gatelodge_postgres.connect.database import Database
from gatelodge_postgres.connect.session import Session, decoded
from gatelodge_postgres.errors import told
from gatelodge_postgres.reading import cost
from gatelodge_postgres.reading.describe import BYTEA, Column, Description, Names, describe
from gatelodge_postgres.reading.fetch import DECLARE, Changed, Rows, fetch
from gatelodge_postgres.reading.masks import Masks
from gatelodge_postgres.reading.near import near
from gatelodge_postgres.reading.point import looks_up_one
from gatelodge_postgres.reading.project import wrapping
from gatelodge_postgres.verdict.judge import Judge, Verdict
from gatelodge_postgres.verdict.known import SECONDS
from gatelodge_postgres.verdict.parse import Statement, query, unjudged

_STALE = ("undefined_table", "undefined_column", "undefined_function", "invalid_column_reference", "datatype_mismatch")
"""Errors that can come of a catalog that has changed since it was asked."""
_PARAMETER = re.compile(r"\$\d")
MAX_PLANS = 512
MAX_WRAPPINGS = 8
SMALL = 0.01
"""Part of `max_cost` below which a shape's cost is believed for other constants, as long as its preparation is."""
LEAST = 64
"""Characters that a value may have in any case."""


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
        expected: What the planner expected of it, or of another statement of its shape; None if it wasn't asked.
        point: Whether it looks up one row, whatever the constants.
        remembered: Whether it was found of another statement of its shape.
    """

    verdict: Verdict | None
    sql: str
    offset: int
    description: Description
    masked: frozenset[int]
    explained: bool
    expected: cost.Estimate | None = None
    point: bool = False
    remembered: bool = False
    _wrappings: dict[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]], compare=False)

    @property
    def wide(self) -> int:
        """How many of its columns have no fixed size."""
        return sum(column.wide for column in self.description.columns)

    def wrapping(self, cut: int) -> tuple[str, str]:
        """What stands before and behind it, so that values have `cut` characters at most."""
        found = self._wrappings.get(cut)
        if found is None:
            if len(self._wrappings) > MAX_WRAPPINGS:
                self._wrappings.clear()
            found = self._wrappings[cut] = wrapping(self.description.columns, cut, self.masked)
        return found


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
        self._plans: OrderedDict[bytes, tuple[float, Prepared]] = OrderedDict()
        """By shape: when, and what was found."""
        self._prices: OrderedDict[bytes, tuple[float, cost.Estimate]] = OrderedDict()
        """By text and parameters: when, and what the planner expected."""

    def forget(self) -> None:
        """Believe nothing of the catalog that was found before: it has changed."""
        self._plans.clear()
        self._prices.clear()
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
        whole = self._parsed(sql)
        known = self._remembered(whole)
        if known is not None:
            if not self._cheap(known):
                told = known.verdict is None or not self.judge.conceals(known.verdict)
                await self._price(session, sql, whole, parameters, rows, told=told)
            return known
        return await self._prepare(session, sql, whole, parameters, rows)

    def _parsed(self, sql: str) -> Statement:
        return query(sql) if self.caps.judged else unjudged(sql)

    def _remembered(self, whole: Statement) -> Prepared | None:
        """What was found of a statement of the same shape, for this one."""
        known = self._plans.get(whole.shape)
        if known is None or time.monotonic() - known[0] >= SECONDS:
            return None
        self._plans.move_to_end(whole.shape)
        made = known[1]
        verdict = None if made.verdict is None else replace(made.verdict, statement=whole)
        return replace(made, verdict=verdict, sql=whole.text, offset=whole.start, remembered=True)

    def _cheap(self, known: Prepared) -> bool:
        """Whether a statement of that shape cost little, and can't cost more with other constants."""
        if not self.caps.max_cost:
            return True
        return known.point and known.expected is not None and known.expected.total <= self.caps.max_cost * SMALL

    async def _price(
        self, session: Session, sql: str, whole: Statement, parameters: Sequence[object], rows: int, *, told: bool
    ) -> None:
        if not parameters and _PARAMETER.search(whole.text):
            return  # without values there is nothing to plan for yet
        key = _priced(whole, parameters)
        begun, expected = self._prices.get(key, (0.0, None))
        if expected is None or time.monotonic() - begun >= SECONDS:
            try:
                expected = await cost.estimate(session, whole.text, parameters)
            except psycopg.Error as error:
                raise self._told(error, sql, whole, parameters) from None
            self._note(key, expected)
        cost.check(expected, self.caps.max_cost, rows, told=told)

    def _note(self, key: bytes, expected: cost.Estimate) -> None:
        self._prices[key] = (time.monotonic(), replace(expected, plan=cost.above(expected.plan)))
        self._prices.move_to_end(key)
        if len(self._prices) > MAX_PLANS:
            self._prices.popitem(last=False)

    async def _prepare(
        self, session: Session, sql: str, whole: Statement, parameters: Sequence[object], rows: int
    ) -> Prepared:
        verdict = None
        if self.caps.judged:
            verdict = await self.judge.judge_statement(session, whole)
            verdict.check()
            self.caps.masks.check(verdict)
        explained = verdict is not None and verdict.explained
        told = verdict is None or not self.judge.conceals(verdict)
        if verdict is not None and explained:
            self.judge.check_plan(verdict)
        expected = None
        try:
            # Whether the statement wants values that weren't sent, its description tells.
            if self.caps.max_cost and not explained and (parameters or not _PARAMETER.search(whole.text)):
                description, expected = await cost.described_and_estimated(session, whole.text, parameters)
            else:
                description = await describe(session, whole.text)
        except psycopg.Error as error:
            raise self._told(error, sql, whole, parameters) from None
        await self.names.learn(session, description, anew=bool(self.caps.masks))
        masked = self.caps.masks.masked(description.columns, self.names)
        if expected is not None:
            self._note(_priced(whole, parameters), expected)
            cost.check(expected, self.caps.max_cost, rows, told=told)
        point = verdict is not None and looks_up_one(verdict)
        made = Prepared(verdict, whole.text, whole.start, description, masked, explained, expected, point)
        if not explained:
            self._plans[whole.shape] = (time.monotonic(), made)
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
        made = await self.prepare(session, sql, parameters, wanted.rows + wanted.skip)
        _check_count(made, parameters)
        if made.explained:
            found = await self._explained(session, made, parameters)
        else:
            try:
                found = await self._fetched(session, sql, made, parameters, wanted)
            except Changed:
                await session.constant("CLOSE q")
                whole = self._parsed(sql)
                self._plans.pop(whole.shape, None)
                self.names.forget()
                made = await self._prepare(session, sql, whole, parameters, wanted.rows + wanted.skip)
                found = await self._fetched(session, sql, made, parameters, wanted)
        cut = _shorten(found, made.description.columns, self._cut(wanted, made))
        return Answer(made, found, cut, tuple(session.notices), time.monotonic() - begun)

    def _cut(self, wanted: Wanted, made: Prepared) -> int:
        """Characters of one value: the wide ones of a row share what an answer may have, and each has some."""
        return min(self.caps.value_chars, max(LEAST, wanted.size // max(1, made.wide)))

    async def _fetched(
        self, session: Session, sql: str, made: Prepared, parameters: Sequence[object], wanted: Wanted
    ) -> Rows:
        cut = self._cut(wanted, made)
        head, tail = made.wrapping(cut)
        try:
            return await fetch(
                session,
                f"{head}{made.sql}{tail}",
                parameters,
                # What was remembered is checked in the same breath.
                check=(made.sql, made.description) if made.remembered else None,
                rows=wanted.rows,
                size=wanted.size,
                skip=wanted.skip,
                seconds=wanted.seconds,
                wide=cut * made.wide,
            )
        except psycopg.Error as error:
            raise told(error, sql=sql, prefix=len(DECLARE) + len(head) - made.offset) from None

    async def _explained(self, session: Session, made: Prepared, parameters: Sequence[object]) -> Rows:
        session.tainted = True
        result = await session.extended(made.sql, parameters)
        lines = [decoded(result.get_value(number, 0) or b"") for number in range(result.ntuples)]
        return Rows([[line] for line in lines], sum(map(len, lines)))


def _priced(whole: Statement, parameters: Sequence[object]) -> bytes:
    """What a price holds for: a text with its constants, and the parameters."""
    text = json.dumps([whole.text, [repr(value) for value in parameters]])
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _check_count(made: Prepared, parameters: Sequence[object]) -> None:
    wanted = len(made.description.parameters)
    if wanted != len(parameters):
        text = f"the statement has {wanted} parameters ($1 to ${wanted})" if wanted else "the statement has no $1"
        raise CallError("wrong_parameters", f"{text}, and {len(parameters)} values were sent.", "Send one for each.")


def _shorten(found: Rows, columns: Sequence[Column], cut: int) -> tuple[int, ...]:
    """Cut what is one character too long, and tell in which columns."""
    touched: set[int] = set()
    # Bytes are cut on the server to whole ones, after the two characters that begin them.
    limits = [(number, cut + 2 if column.oid == BYTEA else cut) for number, column in enumerate(columns) if column.wide]
    for row in found.rows:
        for number, limit in limits:
            value = row[number]
            if value is not None and len(value) > limit:
                row[number] = f"{value[:limit]}…"
                touched.add(number)
    return tuple(sorted(touched))
