"""Several lists of results as one: equal pages once, ranks joined.

Reciprocal rank fusion with k 60 (Cormack, Clarke and Büttcher, 2009). Engines with one provider have one vote.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gatelodge_websearch.engines.model import Ask, Hit, Report
from gatelodge_websearch.reader import without_tracking

_K = 60
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(slots=True)
class Fused:
    """A result, and the engines that have it."""

    hit: Hit
    score: float = 0.0
    engines: list[str] = field(default_factory=list[str])
    votes: dict[tuple[int, str], float] = field(default_factory=dict[tuple[int, str], float])


def canonical(url: str) -> str:
    """What equal pages have in common: no scheme, ``www.``, default port, fragment, tracking, AMP form or last slash."""
    try:
        parts = urlsplit(without_tracking(url))
        host, port = (parts.hostname or "").removeprefix("www."), parts.port
    except ValueError:
        return url
    place = host if port in (None, 80, 443) else f"{host}:{port}"
    path = parts.path.rstrip("/").removesuffix("/amp").rstrip("/")
    return f"{place}{path}" + (f"?{parts.query}" if parts.query else "")


def below(url: str, domains: Sequence[str]) -> bool:
    """Whether a URL is in one of the domains."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return False
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def _within(published: str, dates: tuple[str, str] | None) -> bool:
    """Whether a date is in a range, as far as it is known."""
    day = _DAY.match(published)
    return dates is None or day is None or dates[0] <= day[0] <= dates[1]


def fuse(rounds: Sequence[Sequence[Report]], ask: Ask, denied: Sequence[str]) -> list[Fused]:
    """One list out of the reports of each query, best first; what the filters don't allow is left out."""
    found: dict[str, Fused] = {}
    for number, reports in enumerate(rounds):
        for report in reports:
            for rank, hit in enumerate(report.hits, 1):
                if below(hit.url, (*ask.exclude, *denied)) or (ask.include and not below(hit.url, ask.include)):
                    continue
                if "time" in report.ignored and not _within(hit.published, ask.dates):
                    continue
                fused = found.setdefault(canonical(hit.url), Fused(hit))
                vote = (number, report.provider)
                fused.votes[vote] = max(fused.votes.get(vote, 0), 1 / (_K + rank))
                if report.engine not in fused.engines:
                    fused.engines.append(report.engine)
    for fused in found.values():
        fused.score = sum(fused.votes.values())
    return sorted(found.values(), key=lambda fused: -fused.score)
