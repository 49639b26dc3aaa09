"""The limits step: rate, concurrency, time and size, per principal and per tool. Everything is bounded.

Over a limit the answer comes at once, with the time to wait (429 and Retry-After on HTTP); the queue in front of the
concurrency limit is short, so that nobody waits long for a refusal. Replicas share the rates, by a store; how many calls run
at once is each one's own affair, since it is that one's memory that they take.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
from mcp.shared.exceptions import MCPError

from gatelodge_core.auth.principal import Principal
from gatelodge_core.guard.call import CLEAN, FORM, Call, Next, Outcome
from gatelodge_core.store.errors import StoreError
from gatelodge_core.store.rates import Rate, SharedRates

OVER_LIMIT = -32029
"""JSON-RPC code of a refused call; from the range that JSON-RPC leaves to servers."""
TIME = "time"
"""Note on a call: its `CallTime`."""
BARRED_SECONDS = 1.0
"""For how long, at most, replicas' refusal is taken for the next one without asking again."""
STORE_SECONDS = 2.0
"""After which time a caller is told to try again while a shared store does not answer."""
SHED_SECONDS = 1.0
"""For how long after a refusal the door may give the next ones itself, as long as they would be given here too."""
MAX_KEYS = 4096
"""Callers and tools whose use is remembered; the longest idle is forgotten first."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one principal may use.

    Args:
        per_second: Calls a second, in the long run.
        burst: Calls at once after a pause.
        concurrent: Calls running at once.
        concurrent_per_tool: Of these, of one tool.
        queued: Calls waiting for a place; one more is refused.
        seconds: The longest a call may run, and the longest it may wait for its place.
        result_bytes: The largest result.
    """

    per_second: float = 200
    burst: float = 2000
    concurrent: int = 32
    concurrent_per_tool: int = 16
    queued: int = 256
    seconds: float = 60
    result_bytes: int = 8 * 1024 * 1024


class CallTime:
    """The time that a call has. A person's is not the call's: while one is asked, it stands still.

    Args:
        scope: Ends the call.
        seconds: The longest it may run.
    """

    def __init__(self, scope: anyio.CancelScope, seconds: float) -> None:
        self._scope, self._seconds = scope, seconds

    @property
    def over(self) -> bool:
        """Whether it is."""
        return anyio.current_time() >= self._scope.deadline

    @contextmanager
    def still(self) -> Generator[None]:
        """Stand still, and begin anew afterwards: what was asked about has not begun before the answer."""
        self._scope.deadline = math.inf
        try:
            yield
        finally:
            self._scope.deadline = anyio.current_time() + self._seconds


class LimitError(MCPError):
    """A call over a limit.

    Args:
        what: Which limit, in words.
        wait: Seconds after which it may go through.
    """

    code_word = "over_limit"

    def __init__(self, what: str, wait: float) -> None:
        self.wait = wait
        super().__init__(
            OVER_LIMIT,
            f"{self.code_word}: {what}. Try again in {wait:.1f} s.",
            {"retry_after_ms": math.ceil(wait * 1000)},
        )


class UnavailableError(LimitError):
    """A call that isn't made since what it rests on does not answer.

    Args:
        what: In words.
        wait: Seconds after which it may go through.
    """

    code_word = "store_unavailable"

    def __init__(self, what: str, wait: float = STORE_SECONDS) -> None:
        super().__init__(what, wait)


@dataclass(slots=True)
class _Bucket:
    """A token bucket; `level` tokens at the time `at`."""

    level: float
    at: float

    def missing(self, now: float, rate: float, most: float) -> float:
        """Fill it for the time that passed; seconds until it holds a token, 0 if it does."""
        self.level = min(most, self.level + (now - self.at) * rate)
        self.at = now
        return 0 if self.level >= 1 else (1 - self.level) / rate


@dataclass(slots=True)
class _Use:
    """What one principal uses now."""

    bucket: _Bucket
    slots: anyio.Semaphore
    tools: dict[str, anyio.Semaphore] = field(default_factory=dict[str, anyio.Semaphore])
    inside: int = 0
    """Calls that run or wait."""
    quota: _Bucket | None = None
    """For a principal with a number of calls a minute of its own."""
    barred: tuple[float, float, str] = (0.0, 0.0, "")
    """Until when that replicas together have no call for it is taken for so, when they have one, and by which limit."""
    refused: float = -math.inf
    """When a call of its was last refused here."""


class LimitStep:
    """Holds each principal to the limits.

    Args:
        limits: How much one may use.
        clock: Seconds, growing.
        shared: The rates of all replicas together; None where there is but one.
    """

    def __init__(
        self, limits: Limits, clock: Callable[[], float] = time.monotonic, shared: SharedRates | None = None
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._shared = shared
        self._uses: OrderedDict[str, _Use] = OrderedDict()

    async def __call__(self, call: Call, way: Next) -> Outcome:
        """Walk on when there is room.

        Raises:
            LimitError: Over the rate, the queue is full, or no place became free.
            UnavailableError: The rates of all replicas can't be found out.
            MCPError: The call took too long, and isn't a tool's.
        """
        limits = self._limits
        use = self._use(str(call.principal))
        if over := self._over(use, call.principal.per_minute):
            use.refused = self._clock()
            raise over
        self._turn(use, call.principal.per_minute, -1)
        # What is no declared name is the caller's own text, of which there is no end.
        key = call.target if call.kind in ("tool", "prompt") else call.kind
        tool = use.tools.get(key)
        if tool is None:
            tool = use.tools[key] = anyio.Semaphore(limits.concurrent_per_tool, fast_acquire=True)
        use.inside += 1
        try:
            if self._shared is not None:
                await self._take_shared(self._shared, use, call)
            await self._place(tool)
            try:
                await self._place(use.slots)
                try:
                    return self._sized(call, await self._timed(call, way))
                finally:
                    use.slots.release()
            finally:
                tool.release()
        finally:
            use.inside -= 1

    async def _place(self, places: anyio.Semaphore) -> None:
        """Take a place, in the order of asking; whoever waits longer than a call may run has waited for nothing.

        Raises:
            LimitError: None became free.
        """
        try:
            places.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.move_on_after(self._limits.seconds) as scope:
                await places.acquire()
            if scope.cancelled_caught:
                raise LimitError("no place became free", 1.0) from None

    async def _timed(self, call: Call, way: Next) -> Outcome:
        # A TimeoutError that comes from within is another matter.
        with anyio.move_on_after(self._limits.seconds) as scope:
            call.notes[TIME] = CallTime(scope, self._limits.seconds)
            return await way(call)
        call.notes["refusal"] = "timeout"
        text = f"timeout: {call.name} took more than {self._limits.seconds:.0f} s and was stopped. Ask for less."
        if call.kind != "tool":
            raise MCPError(OVER_LIMIT, text)
        return Outcome(call.channel.refusal(text), failed=True)

    def _sized(self, call: Call, outcome: Outcome) -> Outcome:
        form = call.notes.get(FORM) if outcome.result is call.notes.get(CLEAN) else None
        size = len(form) if form is not None else size_of(outcome.result)
        if size <= self._limits.result_bytes:
            return outcome
        call.notes["refusal"] = "result too large"
        text = f"too_large: the result has about {size} bytes, {self._limits.result_bytes} may leave. Ask for less."
        if call.kind != "tool":
            raise MCPError(OVER_LIMIT, text)
        return Outcome(call.channel.refusal(text), failed=True)

    def _use(self, principal: str) -> _Use:
        found = self._uses.get(principal)
        if found is None:
            found = self._uses[principal] = _Use(
                _Bucket(self._limits.burst, self._clock()), anyio.Semaphore(self._limits.concurrent, fast_acquire=True)
            )
            if len(self._uses) > MAX_KEYS:
                idle = next((key for key, use in self._uses.items() if not use.inside and key != principal), None)
                if idle is not None:
                    del self._uses[idle]
        self._uses.move_to_end(principal)
        return found

    def standing(self, principal: Principal) -> LimitError | None:
        """Why a call would be refused as the one just before it was; None otherwise. Nothing is taken."""
        use = self._uses.get(str(principal))
        if use is None or self._clock() - use.refused > SHED_SECONDS:
            return None
        return self._over(use, principal.per_minute)

    def _over(self, use: _Use, per_minute: int) -> LimitError | None:
        now = self._clock()
        limits = self._limits
        until, free, what = use.barred
        if now < until:
            return LimitError(what, free - now)
        if use.inside >= limits.concurrent + limits.queued:
            return LimitError(f"{use.inside} calls run or wait", 1.0)
        if wait := use.bucket.missing(now, limits.per_second, limits.burst):
            return LimitError("too many calls", wait)
        if per_minute:
            quota = use.quota = use.quota or _Bucket(per_minute, now)
            if wait := quota.missing(now, per_minute / 60, per_minute):
                return LimitError(f"this caller has {per_minute} calls a minute", wait)
        return None

    @staticmethod
    def _turn(use: _Use, per_minute: int, tokens: int) -> None:
        """Take a token of both buckets, or give it back."""
        use.bucket.level += tokens
        if per_minute and use.quota is not None:
            use.quota.level += tokens

    async def _take_shared(self, shared: SharedRates, use: _Use, call: Call) -> None:
        """Take a token of all replicas' buckets. What has been taken here is given back if there is none."""
        limits, per_minute = self._limits, call.principal.per_minute
        rates = [Rate(limits.per_second, limits.burst)]
        if per_minute:
            rates.append(Rate(per_minute / 60, per_minute))
        try:
            refusal = await shared.take(str(call.principal), rates)
        except StoreError as error:
            self._turn(use, per_minute, 1)
            call.notes["refusal"] = "store_unavailable"
            raise UnavailableError(str(error)) from None
        if refusal is None:
            return
        self._turn(use, per_minute, 1)
        what = f"this caller has {per_minute} calls a minute" if refusal.which else "too many calls"
        # Until then a flood ends here, and never reaches the store.
        use.refused = self._clock()
        use.barred = (use.refused + min(refusal.wait, BARRED_SECONDS), use.refused + refusal.wait, what)
        raise LimitError(what, refusal.wait)


def size_of(value: object, enough: float = math.inf) -> int:
    """About how many bytes a JSON value takes, without writing it.

    Args:
        value: The value.
        enough: Where counting may stop.
    """
    size = 0
    left: list[Any] = [value]
    while left and size < enough:
        item = left.pop()
        size += 3
        if isinstance(item, str):
            size += len(item)
        elif isinstance(item, dict):
            table = cast("dict[str, Any]", item)
            left += table.values()
            size += sum(map(len, table)) + 4 * len(table)
        elif isinstance(item, (list, tuple)):
            left += cast("list[Any]", item)
        else:
            size += 5
    return size
