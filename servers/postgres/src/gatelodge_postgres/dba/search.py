"""Trying indexes on the planner: the one that saves most is taken, then the next, until none is worth its size."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg
from gatelodge_core.errors import CallError
from psycopg.errors import QueryCanceled

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dba.candidates import MAX_CANDIDATES, Candidate, candidates
from gatelodge_postgres.dba.hypothetical import Hypopg, Hypothetical
from gatelodge_postgres.dba.plans import Plan, attempt, cost_of, nodes, planned
from gatelodge_postgres.dba.predicates import Uses
from gatelodge_postgres.errors import is_lost

MAX_CHOSEN = 8
LEAST = 0.02
"""Part of the whole cost that an index must save."""
LEAST_OF_ONE = 0.3
"""Or part of the cost of one query, if that isn't small."""
SMALL_COST = 100.0
NOISE = 0.05


@dataclass
class Query:
    """A query to be made cheaper.

    Args:
        sql: Its text.
        weight: How often it runs.
        parameters: How many it has.
        plan: As it is now.
        uses: How that uses tables.
        now: Its cost with the indexes chosen so far.
        indexes: Names of hypothetical indexes in its newest plan.
    """

    sql: str
    weight: float = 1
    parameters: int = 0
    plan: Plan = field(default_factory=dict[str, object])
    uses: Uses | None = None
    now: float = 0
    indexes: frozenset[str] = frozenset()

    @property
    def before(self) -> float:
        """Its cost without them."""
        return cost_of(self.plan)


@dataclass
class Chosen:
    """An index that is recommended.

    Args:
        candidate: The index.
        size: Bytes that it takes, as hypopg expects; 0 if that isn't known.
        proven: Whether the planner said so.
        helps: Numbers of the queries whose plans use it, from 1.
        writes: Changes of its table's rows since counting began, each of which would change the index too.
    """

    candidate: Candidate
    size: int = 0
    proven: bool = True
    helps: list[int] = field(default_factory=list[int])
    writes: int = 0


class Search:
    """Tries candidates, and takes the best one again and again.

    Args:
        session: Of the database.
        extension: Makes them up.
        queries: What is to become cheaper.
        budget: The most bytes that all indexes may take.
        deadline: When to stop, on the monotonic clock.
    """

    def __init__(
        self,
        session: Session,
        extension: Hypopg,
        queries: Sequence[Query],
        budget: int,
        deadline: float,
    ) -> None:
        self._session = session
        self._extension = extension
        self._queries = queries
        self._budget = budget
        self._deadline = deadline
        self._made: dict[str, list[Hypothetical]] = {}
        self._whole = sum(query.weight * query.before for query in queries) or 1.0
        self.chosen: list[Chosen] = []
        """What to add."""
        self.tried = (0, 0)
        """How many candidates were tried, and how many there were."""
        self.over_budget = False
        """Whether an index that would help was left out for its size."""

    async def run(self) -> None:
        """Choose, and tell each query what it costs then.

        Raises:
            psycopg.Error: The connection was lost, or time is up.
        """
        pool = self._pool()
        tried = 0
        scored: list[tuple[float, int, Candidate]] = []
        for one in pool:
            if time.monotonic() > self._deadline:
                break
            tried += 1
            gain, size = await self._gain(one)
            if gain > 0:
                scored.append((gain, size, one))
        self.tried = tried, len(pool)
        await self._choose(scored)
        await self._thin()
        self._tell()

    def _pool(self) -> list[Candidate]:
        """The candidates of all queries, the heaviest queries' first."""
        found: dict[str, Candidate] = {}
        heavy = sorted(self._queries, key=lambda query: query.weight * query.before, reverse=True)
        for query in heavy:
            for table, use in query.uses.found.items() if query.uses else ():
                for one in candidates(use, table):
                    known = found.get(one.ddl)
                    parts = dict.fromkeys((*(known.parts if known else ()), *one.parts))
                    found[one.ddl] = Candidate(one.table, one.ddl, tuple(parts), one.group)
        return list(found.values())[:MAX_CANDIDATES]

    async def _choose(self, scored: list[tuple[float, int, Candidate]]) -> None:
        fresh: set[str] = {one.ddl for _, _, one in scored}
        spent = 0
        while scored and len(self._made) < MAX_CHOSEN and time.monotonic() < self._deadline:
            # Among about equal gains, the smallest; a gain measured before the last choice is only an upper bound.
            scored.sort(key=lambda item: (-round(item[0] / self._whole, 2), item[1], -item[0], item[2].ddl))
            gain, size, one = scored.pop(0)
            if spent + size > self._budget:
                self.over_budget |= self._worth(gain)
            elif one.ddl not in fresh:
                fresh.add(one.ddl)
                gain, size = await self._gain(one)
                if gain > 0:
                    scored.append((gain, size, one))
            elif self._worth(gain):
                await self._take(one)
                spent += size
                fresh.clear()

    def _worth(self, gain: float) -> bool:
        if gain >= LEAST * self._whole:
            return True
        return any(
            query.now > SMALL_COST and gain >= LEAST_OF_ONE * query.weight * query.now for query in self._queries
        )

    async def _gain(self, one: Candidate) -> tuple[float, int]:
        """(cost saved by one more index, its size); nothing if it can't be."""
        try:
            async with attempt(self._session):
                made = [await self._extension.create(part) for part in one.parts]
                saved = 0.0
                for query in self._touching(one):
                    cost = cost_of(await planned(self._session, query.sql, query.parameters))
                    less = query.now - cost
                    # hypopg thinks indexes a little better than they turn out: what is near is no gain.
                    saved += query.weight * less if less > NOISE * query.now else 0
                for index in made:
                    await self._extension.drop(index)
            return saved, sum(index.size for index in made)
        except (CallError, psycopg.Error) as error:
            if isinstance(error, psycopg.Error) and (isinstance(error, QueryCanceled) or is_lost(error)):
                raise
            await self._restore()
            return 0.0, 0

    def _touching(self, one: Candidate) -> list[Query]:
        return [query for query in self._queries if query.uses and one.table in query.uses.found]

    async def _take(self, one: Candidate) -> None:
        for each in one.group or (one,):
            if each.ddl not in self._made:
                self._made[each.ddl] = [await self._extension.create(part) for part in each.parts]
                self.chosen.append(Chosen(each, sum(index.size for index in self._made[each.ddl])))
        for query in self._touching(one):
            await self._replan(query)

    async def _replan(self, query: Query) -> None:
        plan = await planned(self._session, query.sql, query.parameters)
        query.now = cost_of(plan)
        query.indexes = frozenset(str(node["Index Name"]) for node in nodes(plan) if "Index Name" in node)

    async def _thin(self) -> None:
        """Take away again what later choices have made needless: no plan uses it."""
        for chosen in list(self.chosen):
            names = {index.name for index in self._made[chosen.candidate.ddl]}
            if not any(names & query.indexes for query in self._queries):
                for index in self._made.pop(chosen.candidate.ddl):
                    await self._extension.drop(index)
                self.chosen.remove(chosen)

    async def _restore(self) -> None:
        """The chosen ones alone, whatever was half made: hypopg keeps that through a rollback."""
        await self._extension.reset()
        chosen = {one.candidate.ddl: one.candidate for one in self.chosen}
        for ddl, candidate in chosen.items():
            self._made[ddl] = [await self._extension.create(part) for part in candidate.parts]

    def _tell(self) -> None:
        for chosen in self.chosen:
            names = {index.name for index in self._made[chosen.candidate.ddl]}
            chosen.helps = [n for n, query in enumerate(self._queries, 1) if names & query.indexes]
