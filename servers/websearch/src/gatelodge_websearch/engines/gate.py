"""How often an engine is asked, and when it is left alone: a token bucket with a queue, and a circuit breaker."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import anyio

from gatelodge_websearch.engines.model import Ask, Engine, EngineError, Report, trimmed

_OPEN_SECONDS = {"blocked": 600.0, "rate_limited": 60.0, "timeout": 60.0, "error": 30.0}
_FAILURES = {"blocked": 1, "rate_limited": 1, "timeout": 3, "error": 5}
"""After how many failures of a kind in a row the breaker opens."""
_TIMED, _ENOUGH = 50, 10
"""How many answers are timed, and from how many on an engine has a usual time."""


def _never() -> bool:
    return False


class Gate:
    """Stands before one engine. It belongs to one event loop.

    Args:
        engine: The engine.
        clock: Seconds, growing; the event loop's unless given.
    """

    def __init__(self, engine: Engine, clock: Callable[[], float] = anyio.current_time) -> None:
        self.engine = engine
        self._clock = clock
        self._next = 0.0
        self._open_until = 0.0
        self._reason = ""
        self._probing = False
        self._failures: dict[str, int] = {}
        self._times: deque[float] = deque(maxlen=_TIMED)

    def usual(self) -> float | None:
        """The seconds within which 95 of 100 of its answers come; None if there were too few."""
        if len(self._times) < _ENOUGH:
            return None
        return sorted(self._times)[math.ceil(0.95 * len(self._times)) - 1]

    def state(self) -> tuple[str, int, str]:
        """Whether the breaker is ``closed``, ``open`` or ``half-open``; seconds until it is tried; why."""
        if not self._reason:
            return "closed", 0, ""
        left = max(0, round(self._open_until - self._clock()))
        return ("open" if left else "half-open"), left, self._reason

    async def ask(self, ask: Ask, deadline: float, overtaken: Callable[[], bool] = _never) -> Report:
        """Ask the engine, when it is its turn; whatever happens is a report.

        Args:
            ask: The search.
            deadline: On the clock.
            overtaken: Whether a call that is cancelled is so since another engine was quicker: that counts as a timeout.
        """
        begun = self._clock()
        report = Report(self.engine.name, "ok", provider=self.engine.provider)
        ignored = ask.filters() - self.engine.honours
        report.ignored = sorted({"time" if name.startswith("dates") else name for name in ignored})
        try:
            await self._asked(ask, deadline, report, overtaken)
        except EngineError as error:
            report.status, report.message = error.status, error.message
            report.retry_after = round(error.retry_after)
        report.ms = round((self._clock() - begun) * 1000)
        report.found = len(report.hits)
        return report

    async def _asked(self, ask: Ask, deadline: float, report: Report, overtaken: Callable[[], bool]) -> None:
        if ask.kind not in self.engine.kinds:
            raise EngineError("error", f"It has no {ask.kind}.")
        if ask.page > 1 and "page" not in self.engine.honours:
            # It would give the first page again.
            raise EngineError("error", "It has no further pages.")
        await self._turn(deadline)
        # After the queue: it may have opened meanwhile.
        probing = self._pass()
        begun = self._clock()
        try:
            with anyio.fail_after(max(0.01, deadline - self._clock())):
                answer = await self.engine.search(ask)
        except TimeoutError:
            error = EngineError("timeout", "It did not answer in time.")
            self._failed(error)
            raise error from None
        except EngineError as error:
            self._failed(error)
            raise
        except anyio.get_cancelled_exc_class():
            # Otherwise one that never answers would be asked for ever.
            if overtaken():
                self._failed(EngineError("timeout", "Another engine was quicker."))
            raise
        finally:
            if probing:
                self._probing = False
        self._times.append(self._clock() - begun)
        self._reason, self._failures = "", {}
        report.hits, report.warnings = trimmed(answer.hits), tuple(warning[:300] for warning in answer.warnings[:5])
        report.status = "ok" if report.hits else "empty"

    def _pass(self) -> bool:
        """Let a call through, or not; whether it is the one that finds out how the engine is."""
        if not self._reason:
            return False
        left = self._open_until - self._clock()
        if left > 0 or self._probing:
            raise EngineError("open", f"It is left alone for now: {self._reason}.", max(left, 1))
        self._probing = True
        return True

    async def _turn(self, deadline: float) -> None:
        if self._reason and self._open_until > self._clock():
            self._pass()
        now = self._clock()
        step = 1 / self.engine.per_second
        turn = max(self._next, now)
        if turn + step / 2 > deadline:
            raise EngineError("rate_limited", "Its queue here is too long.", turn - now)
        self._next = turn + step
        if turn > now:
            await anyio.sleep(turn - now)

    def _failed(self, error: EngineError) -> None:
        if error.status not in _FAILURES:
            return
        count = self._failures[error.status] = self._failures.get(error.status, 0) + 1
        if self._reason or count >= _FAILURES[error.status]:
            seconds = min(max(error.retry_after, 1), 3600) if error.retry_after else _OPEN_SECONDS[error.status]
            self._reason = error.status
            self._open_until = self._clock() + seconds
            error.retry_after = seconds
