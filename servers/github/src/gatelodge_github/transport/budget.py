"""GitHub's limits as its answers tell them, and our own on changes: a call that can't be made is refused at once.

Sources: docs.github.com, "Rate limits for the REST API" (primary: X-RateLimit-*; secondary: Retry-After, else a minute) and
"Best practices" (about 80 changes a minute).
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from gatelodge_core.errors import CallError

UNTOLD_SECONDS = 60
"""How long to wait after a secondary limit that doesn't say."""
LONGEST = 7200.0
"""Seconds that any limit is believed; the longest window of GitHub's is an hour."""
_RESOURCE = re.compile(r"[a-z_]{1,40}")
_MOST_RESOURCES = 30


@dataclass(frozen=True, slots=True)
class Standing:
    """What is left of one of GitHub's limits.

    Args:
        resource: Such as ``core``, ``search``, ``code_search``, ``graphql``.
        limit: Requests in a window.
        remaining: What is left of them.
        reset: When the window ends, in seconds since 1970.
    """

    resource: str
    limit: int
    remaining: int
    reset: int


class Budget:
    """The limits of one credential.

    Args:
        writes_per_minute: Changes a minute, of our own.
        clock: Seconds since 1970.
    """

    def __init__(self, writes_per_minute: int, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._rate = writes_per_minute
        self._room = float(writes_per_minute)
        self._filled = clock()
        self._standing: dict[str, Standing] = {}
        self._blocked: dict[str, float] = {}
        self._lock = threading.Lock()

    def standings(self) -> list[Standing]:
        """What is known of GitHub's limits."""
        with self._lock:
            return sorted(self._standing.values(), key=lambda standing: standing.resource)

    def check(self, resource: str, *, writes: bool) -> None:
        """Refuse what GitHub would refuse, and count a change.

        Raises:
            CallError: `rate_limited`, with the time.
        """
        with self._lock:
            now = self._clock()
            # A secondary limit is for everything that the credential does.
            until = max(self._blocked.get("", 0.0), self._blocked.get(resource, 0.0))
            if until > now:
                raise limited(resource, until - now, now)
            if not writes:
                return
            self._refill()
            if self._room < 1:
                raise self._spent(1)
            self._room -= 1

    def expect(self, changes: int) -> None:
        """Refuse a call of several changes that would end half done for want of changes a minute; counts nothing.

        Raises:
            CallError: `write_limit`.
        """
        with self._lock:
            self._refill()
            if changes > self._rate:
                raise CallError(
                    "write_limit",
                    f"this takes {changes} changes, and {self._rate} may be made in a minute (writes_per_minute).",
                    "Ask for less at once; nothing was done.",
                )
            if self._room < changes:
                raise self._spent(changes)

    def _refill(self) -> None:
        # A clock that was set back gives nothing, and takes nothing.
        now = self._clock()
        passed = max(0.0, now - self._filled)
        self._room = min(float(self._rate), self._room + passed * self._rate / 60)
        self._filled = now

    def _spent(self, wanted: int) -> CallError:
        wait = (wanted - self._room) * 60 / self._rate
        return CallError(
            "write_limit",
            f"more than {self._rate} changes in a minute (writes_per_minute).",
            f"Try again in {math.ceil(wait)} s.",
        )

    def learn(self, status: int, headers: Mapping[str, str], message: str, resource: str = "core") -> CallError | None:
        """Take note of an answer.

        Args:
            status: Of the answer.
            headers: Of the answer, names in lower case.
            message: What it says.
            resource: Which limit was asked, if the answer doesn't tell: some GitHub Enterprise Servers don't.

        Returns:
            The error to raise, if the answer tells of a limit.
        """
        told = headers.get("x-ratelimit-resource", "")
        resource = told if _RESOURCE.fullmatch(told) else resource
        limit, remaining, reset = (
            _number(headers.get(f"x-ratelimit-{name}")) for name in ("limit", "remaining", "reset")
        )
        with self._lock:
            known = resource in self._standing or len(self._standing) < _MOST_RESOURCES
            if known and limit is not None and remaining is not None and reset is not None:
                self._standing[resource] = Standing(resource, limit, remaining, reset)
            if status not in (403, 429):
                return None
            after = _number(headers.get("retry-after"))
            said = message.lower()
            if after is None and remaining == 0 and reset is not None:
                # The end is told by GitHub's clock, and so is the answer's date.
                return self._block(resource, reset - _date(headers.get("date"), self._clock()))
            if after is not None or status == 429 or "secondary rate limit" in said or "abuse detection" in said:
                return self._block("", UNTOLD_SECONDS if after is None else after)
            if said.startswith("api rate limit exceeded"):
                return self._block(resource, UNTOLD_SECONDS)
        return None

    def _block(self, resource: str, seconds: float) -> CallError:
        wait, now = min(max(1.0, seconds), LONGEST), self._clock()
        self._blocked[resource] = now + wait
        return limited(resource or "secondary", wait, now)


def limited(resource: str, seconds: float, now: float) -> CallError:
    """The error for a limit of GitHub's.

    Args:
        resource: Which.
        seconds: How long it lasts.
        now: Seconds since 1970.
    """
    wait = max(1, math.ceil(seconds))
    at = time.strftime("%H:%M:%S", time.gmtime(now + wait))
    return CallError(
        "rate_limited",
        f"GitHub's {resource} limit is used up; nothing was done.",
        f"Try again in {wait} s (after {at} UTC); until then, work with what you have.",
    )


def _number(text: str | None) -> int | None:
    try:
        return int(float(text)) if text is not None else None
    except (ValueError, OverflowError):
        return None


def _date(text: str | None, otherwise: float) -> float:
    try:
        return parsedate_to_datetime(text).timestamp() if text else otherwise
    except (ValueError, OverflowError, OSError):
        return otherwise
