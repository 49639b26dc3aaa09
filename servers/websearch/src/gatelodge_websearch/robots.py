"""robots.txt (RFC 9309): whether a page asks not to be read by programs."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

import anyio
import anyio.to_thread
from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.egress import Egress
from gatelodge_core.sandbox.egress.client import Check

AGENT = "gatelodge"
_KEPT_SECONDS = 3600.0
"""The RFC allows a day; an hour follows changes sooner."""
_MAX_BYTES = 512 * 1024
"""The RFC asks for at least 500 KiB."""
_ORIGINS = 512
_MAX_KEPT, _EACH = 32 * 1024 * 1024, 150
"""Bytes of all that is kept, and what a rule takes beside its pattern."""
MAX_RULES = 10_000
"""Of a host; the largest files of large sites have some thousand."""
_FEW = 200
"""Rules that are looked through at once; more are in a thread, since a hostile one can take a tenth of a second."""
_LINE = re.compile(r"\s*([A-Za-z-]+)\s*:\s*([^#]*)")


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one host for us: (allow, path pattern)."""

    rules: tuple[tuple[bool, str], ...] = ()

    def allows(self, path: str) -> bool:
        """Whether a path with its query may be read: the longest pattern that fits decides, allow before disallow."""
        path = _normal(path)
        best = (-1, True)
        for allow, pattern in self.rules:
            if _fits(pattern, path):
                best = max(best, (len(pattern), allow))
        return best[1]


NOTHING = Rules(((False, "/"),))
"""For a host whose rules can't be had now (section 2.3.1.4)."""


def parse(text: str) -> Rules:
    """The rules that hold for us: the groups of our name, else those for everyone; the first `MAX_RULES` of each.

    What it takes is in line with the text: rules for others are never kept, however many a group names.
    """
    own: list[tuple[bool, str]] = []
    everyone: list[tuple[bool, str]] = []
    named = False
    takers: list[list[tuple[bool, str]]] = []
    fresh = True
    for line in text.lstrip("\ufeff").splitlines():
        found = _LINE.match(line)
        if not found:
            continue
        key, value = found[1].lower(), found[2].strip()
        if key == "user-agent":
            takers = takers if fresh else []
            fresh = True
            taker = own if value.lower().partition("/")[0] == AGENT else everyone if value == "*" else None
            named = named or taker is own
            # A group has each rule once, however often it names us.
            if taker is not None and not any(taker is other for other in takers):
                takers.append(taker)
        elif key in ("allow", "disallow"):
            fresh = False
            for taker in takers if value else ():
                if len(taker) < MAX_RULES:
                    taker.append((key == "allow", _normal(value)))
    return Rules(tuple(own if named else everyone))


def _normal(path: str) -> str:
    """One spelling for a path: escapes that needn't be are undone (section 2.2.2)."""
    return quote(unquote(path), safe="/*$?=&;:@!'()+,~%-._")


def _fits(pattern: str, path: str) -> bool:
    """Whether a pattern with ``*`` and a final ``$`` fits the beginning of a path.

    No regular expression: patterns come from outside, and could take exponential time.
    """
    ends = pattern.endswith("$")
    parts = (pattern[:-1] if ends else pattern).split("*")
    if not path.startswith(parts[0]):
        return False
    at = len(parts[0])
    for part in parts[1:-1]:
        at = path.find(part, at)
        if at < 0:
            return False
        at += len(part)
    if len(parts) == 1:
        return not ends or at == len(path)
    last = parts[-1]
    if ends:
        return path.endswith(last) and len(path) - len(last) >= at
    return path.find(last, at) >= 0


class Robots:
    """Rules of hosts, kept for an hour; they are the same for all callers.

    Args:
        egress: The way out.
        check: Told where a redirect of robots.txt leads; it raises to refuse.
    """

    def __init__(self, egress: Egress, check: Check | None = None) -> None:
        self._egress = egress
        self._check = check
        self._kept: OrderedDict[str, tuple[float, Rules, int]] = OrderedDict()

    async def allows(self, url: str) -> bool:
        """Whether a page may be read."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        kept = self._kept.get(origin)
        now = anyio.current_time()
        if kept is None or now - kept[0] > _KEPT_SECONDS:
            rules = await self._ask(origin)
            kept = (now, rules, sum(_EACH + len(pattern) for _, pattern in rules.rules))
            self._kept[origin] = kept
            self._kept.move_to_end(origin)
            while len(self._kept) > _ORIGINS or sum(weight for _, _, weight in self._kept.values()) > _MAX_KEPT:
                self._kept.popitem(last=False)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if len(kept[1].rules) <= _FEW:
            return kept[1].allows(path)
        return await anyio.to_thread.run_sync(kept[1].allows, path)

    async def _ask(self, origin: str) -> Rules:
        try:
            found = await self._egress.get(
                f"{origin}/robots.txt", max_bytes=_MAX_BYTES, cut=True, seconds=8, check=self._check
            )
        except CallError as error:
            # What the page itself will be refused for is told there, with its own reason.
            return NOTHING if error.code in ("too_slow", "bad_answer", "bad_encoding") else Rules()
        if found.status >= 500 or found.status == 429:
            return NOTHING
        if found.status != 200:
            return Rules()
        text = found.body.decode("utf-8", "replace")
        return await anyio.to_thread.run_sync(parse, text)
