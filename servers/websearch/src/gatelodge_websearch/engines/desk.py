"""The desk: takes a search to the engines that may see it, and gives what they have."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import anyio
import anyio.lowlevel
import anyio.to_thread
from gatelodge_core.errors import CallError

from gatelodge_websearch.engines.fusion import Fused, fuse
from gatelodge_websearch.engines.gate import Gate
from gatelodge_websearch.engines.model import Ask, Hit, Report
from gatelodge_websearch.pages import Store

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
        combine: Whether all engines are asked at once, rather than the next only if one fails.
        cache_seconds: How long a search is answered from the store.
        denied: Domains that are never shown.
    """

    def __init__(
        self, gates: Sequence[Gate], store: Store, *, combine: bool, cache_seconds: int, denied: Sequence[str]
    ) -> None:
        self.gates = list(gates)
        self._store = store
        self._combine = combine
        self._seconds = cache_seconds
        self._denied = tuple(denied)
        self._running: dict[str, anyio.Event] = {}
        self._done: dict[str, Found] = {}

    async def search(self, ask: Ask, more: Sequence[str], engines: Sequence[str], seconds: float = SECONDS) -> Found:
        """Search.

        Args:
            ask: The search.
            more: Other wordings, searched too.
            engines: Those to ask; the settings' if empty.
            seconds: At most.

        Raises:
            CallError: `unknown_engine`, or `search_failed` if no engine gave an answer.
        """
        gates = self._gates(engines)
        key = json.dumps([asdict(ask), list(more), [gate.engine.name for gate in gates]], sort_keys=True)
        name = "s" + hashlib.sha256(key.encode()).hexdigest()[:10]
        while (running := self._running.get(name)) is not None:
            await running.wait()
            if name in self._done:
                return self._done[name]
        kept = await anyio.to_thread.run_sync(lambda: self._store.search(name))
        if kept is not None and time.time() - kept[0] < self._seconds:
            return _restored(name, kept[1], max(1, round(time.time() - kept[0])))
        event = self._running[name] = anyio.Event()
        try:
            found = await self._made(name, ask, more, gates, anyio.current_time() + seconds)
            # For those who wait; they look before anything else runs.
            self._done[name] = found
            return found
        finally:
            del self._running[name]
            event.set()
            await anyio.lowlevel.cancel_shielded_checkpoint()
            self._done.pop(name, None)

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

    async def _made(self, name: str, ask: Ask, more: Sequence[str], gates: Sequence[Gate], deadline: float) -> Found:
        asks = [ask, *(_worded(ask, query) for query in more)]
        rounds: list[list[Report]] = [[] for _ in asks]
        async with anyio.create_task_group() as group:
            for place, each in enumerate(asks):
                group.start_soon(self._round, each, gates, deadline, rounds[place])
        reports = [report for each in rounds for report in each]
        if not any(report.status in ("ok", "empty") for report in reports):
            raise _failure(reports)
        found = Found(name, fuse(rounds, ask, self._denied), reports)
        await anyio.to_thread.run_sync(lambda: self._store.keep_search(name, _kept(found, ask)))
        return found

    async def _round(self, ask: Ask, gates: Sequence[Gate], deadline: float, reports: list[Report]) -> None:
        if self._combine:

            async def one(gate: Gate) -> None:
                reports.append(await gate.ask(ask, deadline))

            async with anyio.create_task_group() as group:
                for gate in gates:
                    group.start_soon(one, gate)
            return
        for place, gate in enumerate(gates):
            # Each leaves time for those behind it.
            left = deadline - anyio.current_time()
            share = (
                left / (len(gates) - place) if len(gates) - place > 2 else left / 2 if place + 1 < len(gates) else left
            )
            report = await gate.ask(ask, anyio.current_time() + share)
            reports.append(report)
            if report.status in ("ok", "empty"):
                return


def _worded(ask: Ask, query: str) -> Ask:
    return Ask(query, ask.kind, ask.page, ask.time, ask.region, ask.safe, ask.include, ask.exclude)


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
