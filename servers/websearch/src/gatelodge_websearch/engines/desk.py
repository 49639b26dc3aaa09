"""The desk: takes a search to the engines that may see it, and gives what they have."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

import anyio
import anyio.lowlevel
import anyio.to_thread
from gatelodge_core.errors import CallError

from gatelodge_websearch.engines.fusion import Fused, fuse
from gatelodge_websearch.engines.gate import Gate
from gatelodge_websearch.engines.model import Ask, Hit, Report
from gatelodge_websearch.engines.race import Race
from gatelodge_websearch.leaving import Leaving
from gatelodge_websearch.store import Store

SECONDS = 20.0
"""For a whole search."""


@dataclass(slots=True)
class Found:
    """What a search found.

    Args:
        id: Its name.
        results: Best first.
        reports: How it went with each engine.
        cached: Seconds since it was made, if it is from the store.
    """

    id: str
    results: list[Fused] = field(default_factory=list[Fused])
    reports: list[Report] = field(default_factory=list[Report])
    cached: int = 0


class Desk:
    """Searches.

    Args:
        gates: The engines, in the order of the settings.
        store: Where searches are kept.
        leaving: Knows what may not leave.
        combine: Whether all engines are asked at once, rather than the next only if one fails.
        cache_seconds: How long a search is answered from the store.
        denied: Domains that are never shown.
        hedge: Seconds after which the next engine is asked too, while one is still to answer; 0 for never.
    """

    def __init__(
        self,
        gates: Sequence[Gate],
        store: Store,
        leaving: Leaving,
        *,
        combine: bool,
        cache_seconds: int,
        denied: Sequence[str],
        hedge: float = 0,
    ) -> None:
        self._hedge = hedge
        self.gates = list(gates)
        self._store = store
        self._leaving = leaving
        self._combine = combine
        self._seconds = cache_seconds
        self._denied = tuple(denied)
        self._running: dict[tuple[str, str], anyio.Event] = {}
        self._done: dict[tuple[str, str], Found] = {}

    async def search(self, ask: Ask, more: Sequence[str], engines: Sequence[str], seconds: float = SECONDS) -> Found:
        """Search.

        Args:
            ask: The search.
            more: Other wordings, searched too.
            engines: Those to ask; the settings' if empty.
            seconds: At most.

        Raises:
            CallError: `unknown_engine`, `secret_in_request`, or `search_failed` if no engine gave an answer.
        """
        asks = [ask, *(replace(ask, query=query) for query in more)]
        for each in asks:
            # With its domains joined to it, as engines are told them.
            self._leaving.check((each, each.with_sites()), "search")
        gates = self._gates(engines)
        key = json.dumps([asdict(ask), list(more), [gate.engine.name for gate in gates]], sort_keys=True)
        name = "s" + hashlib.sha256(key.encode()).hexdigest()[:10]
        shelf = self._store.mine()
        mine = (shelf.owner, name)
        while (running := self._running.get(mine)) is not None:
            await running.wait()
            if mine in self._done:
                return self._done[mine]
        kept = await anyio.to_thread.run_sync(shelf.search, name)
        if kept is not None and time.time() - kept[0] < self._seconds:
            return _restored(name, kept[1], max(1, round(time.time() - kept[0])))
        event = self._running[mine] = anyio.Event()
        try:
            found = await self._made(name, asks, gates, anyio.current_time() + seconds)
            await anyio.to_thread.run_sync(shelf.keep_search, name, _kept(found, ask))
            # For those who wait; they look before anything else runs.
            self._done[mine] = found
            return found
        finally:
            del self._running[mine]
            event.set()
            await anyio.lowlevel.cancel_shielded_checkpoint()
            self._done.pop(mine, None)

    def _gates(self, engines: Sequence[str]) -> list[Gate]:
        known = {gate.engine.name: gate for gate in self.gates}
        for engine in engines:
            if engine not in known:
                raise CallError(
                    "unknown_engine",
                    "One of the engines is not switched on.",
                    f"There are: {', '.join(known) or 'none'}. Leave engines out for the usual ones.",
                )
        return [known[engine] for engine in engines] if engines else self.gates

    async def _made(self, name: str, asks: Sequence[Ask], gates: Sequence[Gate], deadline: float) -> Found:
        rounds: list[list[Report]] = [[] for _ in asks]
        async with anyio.create_task_group() as group:
            for place, each in enumerate(asks):
                group.start_soon(self._round, each, gates, deadline, rounds[place])
        reports = [report for each in rounds for report in each]
        if not any(report.status in ("ok", "empty") for report in reports):
            raise _failure(reports)
        return Found(name, fuse(rounds, asks[0], self._denied), reports)

    async def _round(self, ask: Ask, gates: Sequence[Gate], deadline: float, reports: list[Report]) -> None:
        if self._combine:

            async def one(gate: Gate) -> None:
                reports.append(await gate.ask(ask, deadline))

            async with anyio.create_task_group() as group:
                for gate in gates:
                    group.start_soon(one, gate)
            return
        reports += await Race(ask, gates, deadline, self._hedge).run()


def _failure(reports: Sequence[Report]) -> CallError:
    """No engine gave an answer: that isn't "nothing found", and is told as an error."""
    lines: list[str] = []
    for report in reports:
        wait = f", again in {report.retry_after} s" if report.retry_after else ""
        lines.append(f"{report.engine} {report.status} ({report.message.rstrip('.')}{wait})")
    waits = [report.retry_after for report in reports if report.retry_after]
    again = f"Try again in {min(waits)} s, " if waits else "Try again later, "
    return CallError(
        "search_failed",
        f"No engine answered, which does not mean that there is nothing: {'; '.join(dict.fromkeys(lines)) or 'none is set'}.",
        f"{again}or read a page whose address you know.",
    )


def _kept(found: Found, ask: Ask) -> dict[str, Any]:
    return {
        "query": ask.query,
        "results": [{"hit": asdict(item.hit), "score": item.score, "engines": item.engines} for item in found.results],
        "reports": [{**asdict(report), "hits": []} for report in found.reports],
    }


def _restored(name: str, record: dict[str, Any], age: int) -> Found:
    results = cast("list[dict[str, Any]]", record["results"])
    reports = cast("list[dict[str, Any]]", record["reports"])
    return Found(
        name,
        [Fused(Hit(**item["hit"]), item["score"], item["engines"]) for item in results],
        [_reported(item) for item in reports],
        age,
    )


def _reported(item: dict[str, Any]) -> Report:
    warnings = cast("list[str]", item.pop("warnings"))
    return Report(**item, warnings=tuple(warnings))
