"""What is asked of GitHub, and what came of it, as plain data."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gatelodge_core.errors import CallError
from gatelodge_core.numbers import whole

READS = frozenset({"GET", "HEAD"})
JSON = "application/vnd.github+json"
RAW = "application/vnd.github.raw+json"
DIFF = "application/vnd.github.diff"
MATCHES = "application/vnd.github.text-match+json"
MAX_BYTES = 16 * 1024 * 1024
_LINK = re.compile(r'<([^<>]*)>\s*;[^<]*?rel="(\w+)"')

Sink = Callable[[bytes], bool]
"""Takes a piece of a body as it comes; False when it has enough."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Args:
        verb: GET, HEAD, POST, PUT, PATCH or DELETE.
        path: Below the API's base, quoted; without a query.
        params: The query.
        body: Sent as JSON, if there is one.
        accept: The media type wanted.
        max_bytes: The largest answer.
        cut: Whether a longer one is cut rather than refused.
        sink: Takes the body as it comes, in the worker thread.
        graphql: Whether it goes to the GraphQL API instead.
        reading: A POST that changes nothing.
        fresh: Whether an answer that was kept must not be used.
    """

    verb: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    body: Any = None
    accept: str = JSON
    max_bytes: int = MAX_BYTES
    cut: bool = False
    sink: Sink | None = None
    graphql: bool = False
    reading: bool = False
    fresh: bool = False

    @property
    def reads(self) -> bool:
        """Whether it changes nothing, so that it may be repeated."""
        return self.verb in READS or self.reading

    @property
    def resource(self) -> str:
        """Which of GitHub's limits it counts against."""
        if self.graphql:
            return "graphql"
        if self.path.startswith("/search/"):
            return "code_search" if self.path == "/search/code" else "search"
        return "core"

    @property
    def wants_json(self) -> bool:
        """Whether the answer is to be JSON, rather than text."""
        return self.accept.endswith("json") and "raw" not in self.accept


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer as it came.

    Args:
        status: The code.
        headers: Names in lower case.
        body: Decompressed; empty if a sink took it.
        cut: Whether the body was longer than allowed, or the sink had enough.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    cut: bool = False

    def json(self) -> Any:
        """The body as JSON, None if it is empty.

        Raises:
            CallError: `bad_answer`.
        """
        if not self.body:
            return None
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise CallError("bad_answer", "GitHub answered with something that is no JSON.", "Try again.") from None


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer.

    Args:
        status: The code.
        headers: Names in lower case.
        data: The JSON, or the text where no JSON was asked for.
        cut: Whether the text was cut.
    """

    status: int
    headers: Mapping[str, str]
    data: Any
    cut: bool = False

    @property
    def next_page(self) -> int:
        """The number of the next page, 0 if this is the last."""
        return self._page("next")

    @property
    def last_page(self) -> int:
        """The number of the last page, 0 if this is it."""
        return self._page("last")

    def _page(self, wanted: str) -> int:
        for match in _LINK.finditer(self.headers.get("link", "")):
            if match[2] == wanted:
                found = parse_qs(urlsplit(match[1]).query).get("page", ["0"])[0]
                return whole(found) or 0
        return 0
