"""Which indexes a workload needs: proven by the planner with indexes that don't exist, or guessed where that can't be."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
from gatelodge_core.errors import CallError
from psycopg.errors import QueryCanceled

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dba.candidates import guess, known_tables, others
from gatelodge_postgres.dba.hypothetical import Hypopg
from gatelodge_postgres.dba.plans import attempt, planned
from gatelodge_postgres.dba.predicates import Known, Table, Uses
from gatelodge_postgres.dba.search import MAX_CHOSEN, Chosen, Query, Search
from gatelodge_postgres.errors import call_error, is_lost
from gatelodge_postgres.reading.describe import describe
from gatelodge_postgres.reading.reader import Reader
from gatelodge_postgres.verdict.parse import statement

_TYPED = re.compile(r"\b(interval|date|timestamptz?|time|numeric|point|box|inet|cidr)\s+(\$\d+)", re.IGNORECASE)
"""What normalising makes of ``interval '1 day'``, which can't be parsed again."""


@dataclass
class Advice:
    """What came of it.

    Args:
        queries: Those that were planned.
        skipped: Those that weren't, with the reason.
        add: Indexes to make.
        proven: Whether hypopg was there.
        tried: Candidates tried, and how many there were.
        over_budget: Whether indexes that would help were left out for their size.
    """

    queries: list[Query] = field(default_factory=list[Query])
    skipped: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    add: list[Chosen] = field(default_factory=list[Chosen])
    proven: bool = False
    tried: tuple[int, int] = (0, 0)
    over_budget: bool = False


async def advise(session: Session, reader: Reader, given: Sequence[Query], budget: int, seconds: float) -> Advice:
    """Find indexes that make queries cheaper. Nothing is made.

    Args:
        session: Of the database.
        reader: Judges the queries.
        given: The queries.
        budget: The most bytes that all indexes may take.
        seconds: How long candidates may be tried.

    Raises:
        psycopg.Error: The connection was lost, or time is up.
    """
    deadline = time.monotonic() + seconds
    advice = Advice()
    for query in given:
        try:
            async with attempt(session):
                await _plan(session, reader, query)
            advice.queries.append(query)
        except (CallError, psycopg.Error) as error:
            if isinstance(error, psycopg.Error):
                if isinstance(error, QueryCanceled) or is_lost(error):
                    raise
                error = call_error(error)
            advice.skipped.append((query.sql, error.message))
    if not advice.queries:
        return advice
    known = await known_tables(session, reader, [query.plan for query in advice.queries])
    for query in advice.queries:
        query.uses = Uses(query.plan, known)
    extension = await Hypopg.found(session)
    advice.proven = extension is not None
    if extension is not None:
        search = Search(session, extension, advice.queries, budget, deadline)
        await search.run()
        advice.add, advice.tried, advice.over_budget = search.chosen, search.tried, search.over_budget
        await extension.reset()
    else:
        _guess(advice, known)
    await _unproven(session, advice, known)
    for chosen in advice.add:
        chosen.writes = sum(known[part.schema, part.table].writes for part in chosen.candidate.parts)
    return advice


async def _plan(session: Session, reader: Reader, query: Query) -> None:
    """Judge a query and have it planned.

    Raises:
        CallError: It is refused.
        psycopg.Error: It can't be planned.
    """
    sql = _TYPED.sub(r"\2::\1", query.sql)
    alone, explained = statement(sql), False
    if reader.caps.judged:
        # Not the reader's own preparation, which refuses what is expensive: just that is to become cheaper.
        verdict = await reader.judge.judge(session, sql)
        verdict.check()
        reader.caps.masks.check(verdict)
        alone, explained = verdict.statement, verdict.explained
    if explained or alone.kind != "SelectStmt":
        raise CallError("no_query", "it is no plain query.", "Send one SELECT.")
    query.sql, query.parameters = alone.text, len((await describe(session, alone.text)).parameters)
    query.plan = await planned(session, query.sql, query.parameters)
    query.now = query.before


def _guess(advice: Advice, known: Mapping[Table, Known]) -> None:
    """Fill in what rules of thumb recommend."""
    found: dict[str, Chosen] = {}
    for number, query in enumerate(advice.queries, 1):
        for table, use in query.uses.found.items() if query.uses else ():
            one = guess(use, table, known)
            if one is not None:
                found.setdefault(one.ddl, Chosen(one, proven=False)).helps.append(number)
    # An index on (a, b) does what one on (a) does.
    plain = {ddl: ddl.rstrip(")") for ddl in found}
    longer = [ddl for ddl in found if any(other.startswith(f"{plain[ddl]}, ") for other in found)]
    for ddl in longer:
        other = next(name for name in found if name.startswith(f"{plain[ddl]}, "))
        found[other].helps = sorted({*found[other].helps, *found.pop(ddl).helps})
    advice.add = list(found.values())[:MAX_CHOSEN]


async def _unproven(session: Session, advice: Advice, known: Mapping[Table, Known]) -> None:
    """Add indexes of kinds that hypopg doesn't know, where a table is read from one end to the other."""
    rows = await session.rows("SELECT count(*)::int8 FROM pg_extension WHERE extname = 'pg_trgm'")
    found: dict[str, Chosen] = {}
    for number, query in enumerate(advice.queries, 1):
        for table, use in query.uses.found.items() if query.uses else ():
            for one in others(use, table, known, trigrams=bool(rows[0][0])) if use.sequential else ():
                found.setdefault(one.ddl, Chosen(one, proven=False)).helps.append(number)
    advice.add += list(found.values())[:MAX_CHOSEN]
