"""What an engine is asked, and what it answers."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, Protocol

Kind = Literal["web", "news", "images", "videos"]
Status = Literal["ok", "empty", "rate_limited", "blocked", "timeout", "open", "error"]
_MAX_HITS, _MAX_TEXT = 200, 4000
_MAX_URL = 4096
"""The longest that is read."""
SECONDS = 8
"""The longest that one engine may take."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A search.

    Args:
        query: Words.
        kind: Of results.
        page: From 1.
        time: ``d``, ``w``, ``m`` or ``y`` for the last day to year, or ``2026-01-01..2026-02-01``; empty for any.
        region: ``cc-ll``, such as ``us-en``; empty for any.
        safe: ``on``, ``moderate`` or ``off``.
        include: Domains that results must be in.
        exclude: Domains that they may not be in.
    """

    query: str
    kind: Kind = "web"
    page: int = 1
    time: str = ""
    region: str = ""
    safe: str = "moderate"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def dates(self) -> tuple[str, str] | None:
        """The first and the last day that results may be of, if a range is asked for."""
        first, dots, last = self.time.partition("..")
        return (first, last) if dots else None

    def recent(self, today: datetime.date) -> str:
        """The ``d``, ``w``, ``m`` or ``y`` for an engine that knows no ranges: the shortest that holds the range, or none."""
        if self.dates is None:
            return self.time
        age = (today - datetime.date.fromisoformat(self.dates[0])).days
        return next((word for word, days in (("d", 1), ("w", 7), ("m", 30), ("y", 365)) if age < days), "")

    def filters(self) -> set[str]:
        """Names of the filters that are set; a range of dates is one of its own for each kind."""
        given = {
            "time": self.time and not self.dates,
            f"dates of {self.kind}": self.dates,
            "region": self.region,
            "safe_search": self.safe != "moderate",
            "page": self.page > 1,
            "include_domains": self.include,
            "exclude_domains": self.exclude,
        }
        return {name for name, value in given.items() if value}

    def with_sites(self) -> str:
        """The query with operators for the domains, which nearly all engines read."""
        sites = " OR ".join(f"site:{domain}" for domain in self.include)
        parts = [self.query, f"({sites})" if len(self.include) > 1 else sites]
        parts += [f"-site:{domain}" for domain in self.exclude]
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Hit:
    """A result, its URL exactly as the engine gave it."""

    url: str
    title: str = ""
    snippet: str = ""
    published: str = ""


def trimmed(hits: Sequence[Hit]) -> list[Hit]:
    """Results without what no engine has in good faith: hundreds of them, URLs that can't be read, endless texts."""
    fitting = (hit for hit in hits if len(hit.url) <= _MAX_URL)
    return [
        Hit(hit.url, hit.title[:_MAX_TEXT], hit.snippet[:_MAX_TEXT], hit.published[:100])
        for hit in islice(fitting, _MAX_HITS)
    ]


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine found, and remarks of its own."""

    hits: list[Hit]
    warnings: tuple[str, ...] = ()


class EngineError(Exception):
    """An engine gave no answer.

    Args:
        status: In which way.
        message: For the caller; nothing that came from outside.
        retry_after: Seconds after which asking again makes sense, as the engine says; 0 if it doesn't.
    """

    def __init__(self, status: Status, message: str, retry_after: float = 0) -> None:
        super().__init__(status, message, retry_after)
        self.status: Status = status
        self.message = message
        self.retry_after = retry_after


class Engine(Protocol):
    """A search engine."""

    @property
    def name(self) -> str:
        """As in the settings."""
        ...

    @property
    def provider(self) -> str:
        """Whose index it is: engines with one provider have one vote."""
        ...

    @property
    def honours(self) -> frozenset[str]:
        """Filters that it applies itself."""
        ...

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of results that it has."""
        ...

    @property
    def per_second(self) -> float:
        """How many requests a second it allows, in the long run."""
        ...

    async def search(self, ask: Ask) -> Answer:
        """Ask it.

        Raises:
            EngineError: It gave no answer.
        """
        ...


@dataclass(slots=True)
class Report:
    """How it went with one engine.

    Args:
        engine: Its name.
        status: What came of it.
        ms: How long it took, waiting included.
        found: How many results.
        retry_after: Seconds until it makes sense to ask again.
        ignored: Filters that it did not apply.
        message: What was wrong.
        hits: The results.
        provider: Whose index it is.
        warnings: Its remarks.
    """

    engine: str
    status: Status
    ms: int = 0
    found: int = 0
    retry_after: int = 0
    ignored: list[str] = field(default_factory=list[str])
    message: str = ""
    hits: list[Hit] = field(default_factory=list[Hit], repr=False)
    provider: str = ""
    warnings: tuple[str, ...] = ()
