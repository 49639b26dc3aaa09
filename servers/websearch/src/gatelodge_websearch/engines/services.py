"""Engines with an API: SearXNG, Brave and Tavily, through the egress client."""

from __future__ import annotations

import datetime
import json
from itertools import islice
from typing import Any, cast
from urllib.parse import urlencode

import anyio.to_thread
from gatelodge_core.numbers import whole
from gatelodge_core.sandbox.egress import Egress, EgressError, Fetched

from gatelodge_websearch.engines.model import SECONDS, Answer, Ask, EngineError, Hit
from gatelodge_websearch.engines.scraped import check_status

BRAVE = "https://api.search.brave.com/res/v1"
TAVILY = "https://api.tavily.com"
_TYPES = ("application/json", "text/json")
_MAX = 1024 * 1024
"""Bytes of an answer: more than any has in good faith. Nothing else runs while JSON is parsed, 80 ms for the worst of it."""
_MOST = 500
"""Items of a list that are looked at; fewer are kept."""
_LONG = {"d": "day", "w": "week", "m": "month", "y": "year"}


class _Service:
    """What the three have in common."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def _asked(
        self, method: str, url: str, headers: dict[str, str], content: bytes | None = None
    ) -> tuple[dict[str, Any], Fetched]:
        try:
            found = await self._egress.request(
                method,
                url,
                headers={"Accept": "application/json", **headers},
                content=content,
                types=_TYPES,
                max_bytes=_MAX,
                seconds=SECONDS,
            )
        except EgressError as error:
            if error.code == "too_slow":
                raise EngineError("timeout", f"It did not answer in {SECONDS} seconds.") from None
            raise EngineError("error", f"It could not be asked: {error.message}") from None
        self._check(found)
        table = await anyio.to_thread.run_sync(_parsed, found.body, abandon_on_cancel=True)
        if not isinstance(table, dict):
            raise EngineError("error", "Its answer was not JSON.")
        return cast("dict[str, Any]", table), found

    def _check(self, found: Fetched) -> None:
        if found.status in (401, 403):
            raise EngineError("error", "It does not accept the key of the settings.")
        if found.status in (402, 432, 433):
            raise EngineError("rate_limited", "The plan of the key is used up.", 3600)
        check_status(found.status, found.headers.get("retry-after", ""))


class Searxng(_Service):
    """A SearXNG, by URL."""

    name = "searxng"
    provider = "searxng"
    honours = frozenset({"time", "region", "safe_search", "page", "include_domains", "exclude_domains"})
    kinds = frozenset({"web", "news", "images", "videos"})
    per_second = 10.0

    def __init__(self, egress: Egress, url: str) -> None:
        super().__init__(egress)
        self._url = url.rstrip("/").removesuffix("/search")

    async def search(self, ask: Ask) -> Answer:
        """Ask it; its own engines that failed are remarks."""
        given: dict[str, Any] = {"q": ask.with_sites(), "format": "json", "pageno": ask.page}
        given["categories"] = {"web": "general"}.get(ask.kind, ask.kind)
        given["safesearch"] = {"off": 0, "moderate": 1, "on": 2}[ask.safe]
        if recent := ask.recent(datetime.date.today()):
            given["time_range"] = _LONG[recent]
        if ask.region:
            country, _, language = ask.region.partition("-")
            given["language"] = f"{language}-{country.upper()}"
        table, _ = await self._asked("GET", f"{self._url}/search?{urlencode(given)}", {})
        silent = [_text(item[0]) for item in _lists(table.get("unresponsive_engines")) if item]
        warnings = (f"its engines {', '.join(silent[:8])} did not answer",) if silent else ()
        hits = [_hit(item, "content", "publishedDate") for item in _tables(table.get("results"))]
        if not hits and silent:
            raise EngineError("error", "None of its engines answered.")
        return Answer([hit for hit in hits if hit.url], warnings)

    def _check(self, found: Fetched) -> None:
        if found.status == 403:
            raise EngineError("error", "It refuses JSON: add json to search.formats in its settings.yml.")
        check_status(found.status, found.headers.get("retry-after", ""))


class Brave(_Service):
    """The Brave Search API, by key."""

    name = "brave"
    provider = "brave"
    honours = frozenset(
        {
            "time",
            "dates of web",
            "dates of news",
            "dates of videos",
            "region",
            "safe_search",
            "page",
            "include_domains",
            "exclude_domains",
        }
    )
    kinds = frozenset({"web", "news", "images", "videos"})

    def __init__(self, egress: Egress, key: str, base: str = "") -> None:
        super().__init__(egress)
        self._key = key
        self._base = base or BRAVE
        self.per_second = 1.0

    async def search(self, ask: Ask) -> Answer:
        """Ask it; the plan's rate is learnt from its answers."""
        given: dict[str, Any] = {"q": ask.with_sites(), "count": 20}
        if ask.page > 1:
            given["offset"] = min(ask.page - 1, 9)
        given["safesearch"] = {"on": "strict"}.get(ask.safe, ask.safe)
        if ask.kind == "images" and ask.safe == "moderate":
            given["safesearch"] = "strict"
        if ask.dates:
            given["freshness"] = "to".join(ask.dates)
        elif ask.time:
            given["freshness"] = f"p{ask.time}"
        if ask.region:
            country, _, language = ask.region.partition("-")
            given |= {"country": country.upper(), "search_lang": language}
        url = f"{self._base}/{ask.kind}/search?{urlencode(given)}"
        table, found = await self._asked("GET", url, {"X-Subscription-Token": self._key})
        limit = whole(found.headers.get("x-ratelimit-limit", "").partition(",")[0].strip())
        if limit is not None and 0 < limit <= 1000:
            self.per_second = float(limit)
        inner: Any = table.get("web", {}) if ask.kind == "web" else table
        items = _tables(cast("dict[str, Any]", inner).get("results") if isinstance(inner, dict) else None)
        hits = [_hit(item, "description", "page_age") for item in items]
        return Answer([hit for hit in hits if hit.url])


class Tavily(_Service):
    """The Tavily API, by key."""

    name = "tavily"
    provider = "tavily"
    honours = frozenset({"time", "dates of web", "dates of news", "include_domains", "exclude_domains"})
    kinds = frozenset({"web", "news"})
    per_second = 2.0

    def __init__(self, egress: Egress, key: str, base: str = "") -> None:
        super().__init__(egress)
        self._key = key
        self._base = base or TAVILY

    async def search(self, ask: Ask) -> Answer:
        """Ask it."""
        given: dict[str, Any] = {"query": ask.query, "max_results": 20, "search_depth": "basic"}
        given["topic"] = "news" if ask.kind == "news" else "general"
        if ask.dates:
            given["start_date"], given["end_date"] = ask.dates
        elif ask.time:
            given["time_range"] = _LONG[ask.time]
        if ask.include:
            given["include_domains"] = list(ask.include)
        if ask.exclude:
            given["exclude_domains"] = list(ask.exclude)
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        table, _ = await self._asked("POST", f"{self._base}/search", headers, json.dumps(given).encode())
        hits = [_hit(item, "content", "published_date") for item in _tables(table.get("results"))]
        return Answer([hit for hit in hits if hit.url])


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _hit(item: dict[str, Any], snippet: str, published: str) -> Hit:
    url = _text(item.get("url"))
    return Hit(
        url if url.startswith(("http://", "https://")) else "",
        _text(item.get("title")),
        _text(item.get(snippet)),
        _text(item.get(published)),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _tables(value: object) -> list[dict[str, Any]]:
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", item) for item in islice(items, _MOST) if isinstance(item, dict)]


def _lists(value: object) -> list[list[Any]]:
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("list[Any]", item) for item in islice(items, _MOST) if isinstance(item, list)]
