"""One search over engines in their order: the next is asked when one fails, and also while one is slow."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from gatelodge_websearch.engines.gate import Gate
from gatelodge_websearch.engines.model import Ask, Report

_LEAST = 0.25
"""Seconds that an engine always has to itself, however quick it is otherwise."""


class Race:
    """The first engine that finds something ends it. Each engine is asked once at most.

    Args:
        ask: The search.
        gates: The engines.
        deadline: On the event loop's clock.
        hedge: Seconds after which the next engine is asked while one is still to answer: fewer where an engine usually
            answers sooner; 0 for never.
    """

    def __init__(self, ask: Ask, gates: Sequence[Gate], deadline: float, hedge: float) -> None:
        self._ask = ask
        self._gates = gates
        self._deadline = deadline
        self._hedge = hedge
        self._running: dict[str, float] = {}
        self._reports: list[Report] = []
        self._won = False

    async def run(self) -> list[Report]:
        """How it went with each engine that was asked."""
        send, receive = anyio.create_memory_object_stream[Report](len(self._gates))
        with send, receive:
            async with anyio.create_task_group() as group:
                await self._start_all(group, send, receive)
                while self._running and not self._won:
                    self._take(await receive.receive())
                # What still runs is too late, and its connection ends here.
                group.cancel_scope.cancel()
        now = anyio.current_time()
        self._reports += [
            Report(name, "timeout", round((now - begun) * 1000), message="Another engine was quicker.")
            for name, begun in self._running.items()
        ]
        order = {gate.engine.name: place for place, gate in enumerate(self._gates)}
        return sorted(self._reports, key=lambda report: order[report.engine])

    async def _start_all(
        self, group: TaskGroup, send: MemoryObjectSendStream[Report], receive: MemoryObjectReceiveStream[Report]
    ) -> None:
        """Ask one engine after the other, until one has an answer."""

        async def one(gate: Gate, until: float) -> None:
            send.send_nowait(await gate.ask(self._ask, until, lambda: self._won))

        for place, gate in enumerate(self._gates):
            self._running[gate.engine.name] = anyio.current_time()
            group.start_soon(one, gate, self._until(len(self._gates) - place))
            with anyio.move_on_after(self._patience(gate)):
                while gate.engine.name in self._running and not self._won:
                    self._take(await receive.receive())
            if self._won or any(report.status == "empty" for report in self._reports):
                return

    def _take(self, report: Report) -> None:
        del self._running[report.engine]
        self._reports.append(report)
        self._won = self._won or report.status == "ok"

    def _until(self, remaining: int) -> float:
        """When an engine must have answered, so that there is time for those behind it."""
        now = anyio.current_time()
        return now + (self._deadline - now) / remaining

    def _patience(self, gate: Gate) -> float | None:
        if not self._hedge:
            return None
        usual = gate.usual()
        return self._hedge if usual is None else min(self._hedge, max(_LEAST, usual))
