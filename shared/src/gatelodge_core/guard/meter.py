"""Counts calls for `/metrics`: what was called, how it ended, what was decided, and how long it took.

Every label has a bounded set of values: names that the server declares, and words of ours. Nothing tells of a caller, an
argument or a subject.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import anyio
from mcp.shared.exceptions import MCPError

from gatelodge_core.guard.call import Call, Next, Outcome
from gatelodge_core.guard.limits import LimitError

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the latency histogram, in seconds."""
OTHER = "other"
"""In place of a name that no declaration has."""
MAX_CODES = 40
"""Codes of refusals that are told apart; more are not known, so this only holds the set closed."""
_CODE = re.compile(r"[a-z_ ]{1,32}", re.ASCII)
_DECISIONS = frozenset({"allow", "confirm", "deny", "refused"})


class Ended(NamedTuple):
    """How calls ended.

    Args:
        kind: ``tool``, ``resource``, ``prompt``, ``completion`` or ``list``.
        name: The declared name.
        outcome: ``ok``, ``error``, ``refused`` or ``cancelled``.
        decision: ``allow``, ``confirm``, ``deny``, ``refused``; ``none`` if it never came to one.
    """

    kind: str
    name: str
    outcome: str
    decision: str


class Meter:
    """The outermost step: it changes nothing.

    Args:
        names: All that the server declares.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self.calls: Counter[Ended] = Counter()
        self.refusals: Counter[str] = Counter()
        """By code."""
        self.latencies: dict[tuple[str, str], list[int]] = {}
        """By kind and name: calls within each of `BOUNDS`, and beyond."""
        self.seconds: Counter[tuple[str, str]] = Counter()
        """By kind and name: all their time."""
        self.in_flight = 0

    async def step(self, call: Call, way: Next) -> Outcome:
        """Walk on, and count.

        Raises:
            MCPError: What the other steps raise.
        """
        began = time.perf_counter()
        self.in_flight += 1
        ended = "error"
        try:
            outcome = await way(call)
            ended = ("refused" if "refusal" in call.notes else "error") if outcome.failed else "ok"
            return outcome
        except LimitError:
            call.notes.setdefault("refusal", "over_limit")
            ended = "refused"
            raise
        except MCPError:
            ended = "refused" if "refusal" in call.notes else "error"
            raise
        except anyio.get_cancelled_exc_class():
            ended = "cancelled"
            raise
        finally:
            self.in_flight -= 1
            self._count(call, ended, time.perf_counter() - began)

    def shed(self, kind: str, name: str, code: str) -> None:
        """Count a call that was refused before it was walked."""
        self._add(kind, name, "refused", "none", 0.0, code)

    def _count(self, call: Call, ended: str, seconds: float) -> None:
        decision = str(call.notes.get("decision", "none"))
        refusal = str(call.notes["refusal"]) if ended == "refused" else ""
        self._add(call.kind, call.target, ended, decision if decision in _DECISIONS else "none", seconds, refusal)

    def _add(self, kind: str, target: str, ended: str, decision: str, seconds: float, refusal: str) -> None:
        name = target if target in self._names else OTHER
        self.calls[Ended(kind, name, ended, decision)] += 1
        if refusal:
            self.refusals[self._code(refusal)] += 1
        key = (kind, name)
        counts = self.latencies.setdefault(key, [0] * (len(BOUNDS) + 1))
        counts[next((place for place, bound in enumerate(BOUNDS) if seconds <= bound), -1)] += 1
        self.seconds[key] += seconds  # pyright: ignore[reportArgumentType] - a Counter adds floats as well

    def _code(self, refusal: str) -> str:
        """The code alone: what follows it can name a rule or a kind of data."""
        found = _CODE.match(refusal)
        code = found.group().strip().replace(" ", "_") if found else OTHER
        return code if code in self.refusals or len(self.refusals) < MAX_CODES else OTHER
