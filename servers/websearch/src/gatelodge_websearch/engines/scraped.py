"""The engines that `ddgs` drives, each asked by its own class.

Never `DDGS.text()`: it shows the query to many hosts, takes a challenge for "no results", and unquotes URLs. `ddgs`
has its own HTTP client, which poses as a browser, resolves names by itself and follows redirects; its hosts are fixed.
"""

from __future__ import annotations

import datetime
import importlib
import json
import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any, cast

import anyio
import anyio.to_thread

from gatelodge_websearch.engines.model import SECONDS, Answer, Ask, EngineError, Hit

_CHALLENGE = re.compile(
    r"""(?:class|id)\s*=\s*["'][^"'>]*(?:anomaly-modal|g-recaptcha|h-captcha|cf-challenge|cf-turnstile)"""
)
_ALL = frozenset({"time", "region", "safe_search", "page", "include_domains", "exclude_domains"})
_DOMAINS = frozenset({"page", "include_domains", "exclude_domains"})


@dataclass(frozen=True, slots=True)
class _Kind:
    """What one of the engines can: facts of ddgs 9.16."""

    name: str
    provider: str
    honours: frozenset[str]
    kinds: frozenset[str] = frozenset({"web"})


KNOWN = {
    "duckduckgo": _Kind("duckduckgo", "bing", _ALL | {"dates of web"}, frozenset({"web", "news", "images", "videos"})),
    "mojeek": _Kind("mojeek", "mojeek", _DOMAINS | {"region", "safe_search"}),
    "brave_html": _Kind("brave", "brave", _ALL | {"dates of web"}),
    "startpage": _Kind("startpage", "google", _ALL),
    "yahoo": _Kind("yahoo", "bing", _DOMAINS | {"time"}),
    "wikipedia": _Kind("wikipedia", "wikipedia", frozenset({"region"})),
}


class Scraped:
    """One engine of `ddgs`.

    Args:
        name: As in the settings.
        proxy: An HTTP proxy, or empty.
        ca_file: Certificate authorities, or empty for the client's own.
        threads: Bounds the calls that run at once; its client blocks.
    """

    per_second = 1.0

    def __init__(self, name: str, *, proxy: str, ca_file: str, threads: anyio.CapacityLimiter) -> None:
        self.name = name
        known = KNOWN[name]
        self.provider = known.provider
        self.honours = known.honours
        self.kinds = known.kinds
        self._known = known.name
        self._proxy = proxy or None
        self._ca_file = ca_file
        self._threads = threads

    async def search(self, ask: Ask) -> Answer:
        """Ask it, in a thread; a call that is given up ends by its own timeout."""
        return await anyio.to_thread.run_sync(self._search, ask, abandon_on_cancel=True, limiter=self._threads)

    def _time(self, ask: Ask) -> str:
        """The time as this engine is told it."""
        if ask.dates and f"dates of {ask.kind}" in self.honours:
            return ask.time
        return ask.recent(datetime.date.today())

    def _search(self, ask: Ask) -> Answer:
        errors: Any = importlib.import_module("ddgs.exceptions")
        engine = _made(self._known, ask.kind, self._proxy, self._ca_file)
        try:
            found: Any = engine.search(
                ask.with_sites(),
                region=ask.region or ("us-en" if self._known != "duckduckgo" else "wt-wt"),
                safesearch=ask.safe,
                timelimit=self._time(ask) or None,
                page=ask.page,
            )
        except EngineError:
            raise
        except errors.TimeoutException:
            raise EngineError("timeout", f"It did not answer in {SECONDS} seconds.") from None
        except errors.DDGSException:
            raise EngineError("error", "The request failed, or its answer was cut off.") from None
        except Exception as error:  # noqa: BLE001 - parsers fail on garbage in any way
            raise EngineError("error", f"Its answer could not be read ({type(error).__name__}).") from None
        hits = [hit for item in cast("list[Any]", found or []) if (hit := _hit(item)).url.startswith("http")]
        text = engine.http_client.last
        if not hits:
            _check_empty(text, ask.kind)
        return Answer(hits)


def _check_empty(text: str, kind: str) -> None:
    """Tell "nothing found" from a page that is none of results. Only now: a query may hold the very words."""
    if _CHALLENGE.search(text):
        raise EngineError("blocked", "It asks whether we are human.")
    if kind == "web" and "<form" not in text.lower() and not text.lstrip().startswith(("[", "{")):
        raise EngineError("error", "Its answer was not a page of results.")


def _made(name: str, kind: str, proxy: str | None, ca_file: str) -> Any:
    engines: Any = importlib.import_module("ddgs.engines")
    base: Any = engines.ENGINES["text" if kind == "web" else kind][name]
    made: Any = _exact(base, kind)
    # A new one for each call: some of them write to themselves.
    engine = made(proxy=proxy, timeout=SECONDS, verify=ca_file or True)
    engine.http_client = Checked(engine.http_client)
    return engine


_CLASSES: dict[tuple[Any, str], Any] = {}


def _exact(base: Any, kind: str) -> Any:
    """The engine's class with URLs left as they came, and all filters sent."""
    if (base, kind) in _CLASSES:
        return _CLASSES[base, kind]
    results: Any = importlib.import_module("ddgs.results")
    cleaned = {key: value for key, value in results.TextResult._normalizers.items() if key not in ("href", "url")}
    text_result: Any = type("TextResult", (results.TextResult,), {"_normalizers": cleaned})

    def build_payload(self: Any, *arguments: Any, **given: Any) -> dict[str, Any]:
        dates = str(given.get("timelimit") or "") if base.name == "brave" else ""
        if ".." in dates:
            given["timelimit"] = None
        payload: dict[str, Any] = base.build_payload(self, *arguments, **given)
        if ".." in dates:
            payload["tf"] = dates.replace("..", "to")
        if base.name == "duckduckgo":
            # The site's own form has these names; `l` alone is what ddgs sends.
            payload.pop("l", None)
            payload["kl"] = given.get("region", "wt-wt")
            payload["kp"] = {"on": "1", "moderate": "-1", "off": "-2"}[given.get("safesearch", "moderate")]
        return payload

    def extract_results(self: Any, text: str) -> list[Any]:
        items: list[dict[str, Any]] = json.loads(text).get("results", [])
        names: dict[str, str] = self.elements_replace
        return [SimpleNamespace(**{new: item.get(old) for old, new in names.items()}) for item in items]

    members: dict[str, Any] = {"__module__": __name__}
    if kind == "web":
        members |= {"result_type": property(lambda _: text_result), "build_payload": build_payload}
    else:
        members["extract_results"] = extract_results
    made = _CLASSES[base, kind] = type(f"Exact{base.__name__}", (base,), members)
    return made


class Checked:
    """The client of an engine, with statuses told apart; `ddgs` takes every one but 200 for "nothing found"."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.client: Any = inner.client
        self.last = ""

    def request(self, *arguments: Any, **given: Any) -> Any:
        """Send a request.

        Raises:
            EngineError: The status isn't 200.
        """
        answer: Any = self._inner.request(*arguments, **given)
        status = int(answer.status_code)
        if status == 200:
            self.last = str(answer.text)
            return answer
        headers: Any = getattr(answer._resp, "headers", {})
        check_status(status, str(headers.get("retry-after", "")))
        return answer


def check_status(status: int, retry_after: str = "") -> None:
    """Say what a status means for a search.

    Raises:
        EngineError: Unless it is 200.
    """
    if status == 200:
        return
    seconds = _seconds(retry_after)
    if status == 429:
        raise EngineError("rate_limited", "It gets too many requests from here.", seconds)
    if status in (202, 403, 418):
        raise EngineError("blocked", f"It refuses programs, or asks whether we are human (status {status}).", seconds)
    raise EngineError("error", f"It answered with status {status}.", seconds)


def _seconds(retry_after: str) -> float:
    """What a Retry-After says: seconds, or a date (RFC 9110, section 10.2.3); 0 if it is neither."""
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        when = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return max(0.0, when.timestamp() - time.time())


def _hit(item: Any) -> Hit:
    def text(*names: str) -> str:
        return next((str(value) for name in names if (value := getattr(item, name, None))), "")

    return Hit(
        text("href", "url", "image", "content"), text("title"), text("body", "description"), text("date", "published")
    )
