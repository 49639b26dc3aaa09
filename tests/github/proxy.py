"""A dumb proxy on loopback: it records, does as it is told, and else passes on what comes.

    with proxying(emulator.url, Manners(tokens)) as proxy:
        proxy.serve("GET", r"/repos/alice/public-repo/actions/runs", lambda request: {"total_count": 0, ...})
        proxy.fault("POST", r".*/issues", faults.lost_after_commit(), times=1)
        ...                                             # the server under test talks to proxy.url
        assert len(proxy.sent("POST", r".*/issues")) == 1

Without an upstream it stands alone, such as for the second host that serves logs: what isn't served is 404.
Paths are regular expressions for the whole path as it came, without the query and without the proxy's own prefix.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from tests.github.loopback import Answer, Request, Respond, as_json, listening
from tests.github.manners import Manners, not_found

PATIENCE = 60.0
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding", "date", "server", "host"}

Act = Callable[[Request, Respond], Answer]
"""A fault: gets the request, and what would answer it properly."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request (without the prefix) and what went back; an answer sent in parts has no ``bytes``."""

    request: Request
    answer: Answer


@dataclass(slots=True)
class _Rule:
    method: str
    path: re.Pattern[str]
    act: Act
    left: int | None = None

    def matches(self, request: Request) -> bool:
        return self.left != 0 and self.method in {"*", request.method} and self.path.fullmatch(request.path) is not None


@dataclass(slots=True)
class Proxy:
    """A proxy that runs; made by `proxying`.

    Args:
        url: What to give to the client: with the prefix.
        requests: What came, in order of arrival.
        exchanges: What came with what went back, in order of the answers.
        headers: Set on every answer.
    """

    upstream: str | None
    manners: Manners | None = None
    prefix: str = ""
    url: str = ""
    requests: list[Request] = field(default_factory=list[Request])
    exchanges: list[Exchange] = field(default_factory=list[Exchange])
    headers: dict[str, str] = field(default_factory=dict[str, str])
    _faults: list[_Rule] = field(default_factory=list[_Rule])
    _served: list[_Rule] = field(default_factory=list[_Rule])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, method: str, path: str, act: Act, *, times: int | None = None) -> None:
        """Let `act` answer (``*``: any method), so many times or always. The one told last goes first."""
        self._faults.insert(0, _Rule(method, re.compile(path), act, times))

    def serve(self, method: str, path: str, handler: Callable[[Request], Any]) -> None:
        """Answer with what `handler` gives, an `Answer` or something for JSON, instead of asking upstream (see `ask`)."""

        def act(request: Request, _: Respond) -> Answer:
            given = handler(request)
            return given if isinstance(given, Answer) else as_json(given)

        self._served.insert(0, _Rule(method, re.compile(path), act))

    def graphql(self, handler: Callable[[str, dict[str, Any]], dict[str, Any]]) -> None:
        """Answer ``POST /graphql``: `handler` gets document and variables and gives the whole answer (data, errors)."""

        def answer(request: Request) -> dict[str, Any]:
            asked = request.json()
            return handler(asked["query"], asked.get("variables") or {})

        self.serve("POST", "/graphql", answer)

    def sent(self, method: str = "*", path: str = ".*") -> list[Request]:
        """The requests of a method and path."""
        return [one for one in self.requests if method in {"*", one.method} and re.fullmatch(path, one.path)]

    def writes(self) -> list[Request]:
        """The requests that may change something: a GraphQL query does not."""
        return [one for one in self.requests if one.method not in {"GET", "HEAD", "OPTIONS"} and not _is_query(one)]

    def counted(self) -> int:
        """Requests that GitHub would count against the limit: all but those answered with 304."""
        return sum(one.answer.status != 304 for one in self.exchanges)

    def forget(self) -> None:
        """What came so far."""
        self.requests.clear()
        self.exchanges.clear()

    def heal(self) -> None:
        """Drop the faults; what is served stays."""
        self._faults.clear()

    def respond(self, came: Request) -> Answer:
        """Answer one request."""
        inside = self._stripped(came)
        request = inside or came
        self.requests.append(request)
        if inside is None:
            answer = not_found()
        else:
            fault = self._rule(self._faults, request)
            answer = fault.act(request, self._proper) if fault else self._proper(request)
        answer = answer.with_headers(self.headers)
        self.exchanges.append(Exchange(request, answer))
        return answer

    def ask(self, request: Request) -> Answer:
        """What the upstream says to it, past all faults and manners: for handlers that change but a part."""
        return not_found() if self.upstream is None else self._passed_on(self.upstream, request)

    def look(self, request: Request, target: str) -> Any:
        """What the upstream has at `target` for the credential of `request`; None unless it is 200."""
        credential = {name: value for name, value in request.headers.items() if name == "authorization"}
        answer = self.ask(Request("GET", target, credential))
        return answer.json() if answer.status == 200 else None

    def _stripped(self, came: Request) -> Request | None:
        """Without the prefix; None if it came past it."""
        if self.prefix == "/api/v3" and came.path == "/api/graphql":
            return replace(came, target="/graphql")
        return (
            replace(came, target=came.target[len(self.prefix) :]) if came.target.startswith(self.prefix + "/") else None
        )

    def _rule(self, rules: list[_Rule], request: Request) -> _Rule | None:
        with self._lock:
            found = next((rule for rule in list(rules) if rule.matches(request)), None)
            if found is not None and found.left is not None:
                found.left -= 1
            return found

    def _proper(self, request: Request) -> Answer:
        return self.manners(request, self._content) if self.manners else self._content(request)

    def _content(self, request: Request) -> Answer:
        served = self._rule(self._served, request)
        if served:
            return served.act(request, not_found_for)
        return self.ask(request)

    def _passed_on(self, upstream: str, request: Request) -> Answer:
        where = urlsplit(upstream)
        assert where.hostname == "127.0.0.1", "nothing is ever sent elsewhere"
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=PATIENCE)
        headers = {name: value for name, value in request.headers.items() if name not in {*_HOP, "accept-encoding"}}
        try:
            connection.request(request.method, where.path + request.target, request.body or None, headers)
            got = connection.getresponse()
            body = got.read()
        finally:
            connection.close()
        return self._readdressed(upstream, Answer(got.status, body, _headers(got.getheaders())))

    def _readdressed(self, upstream: str, answer: Answer) -> Answer:
        """With the proxy's address for the upstream's, or clients would go past the proxy."""
        headers = {name: value.replace(upstream, self.url) for name, value in answer.headers.items()}
        body = answer.bytes
        if "json" in answer.header("Content-Type"):
            body = body.replace(upstream.encode(), self.url.encode())
        return Answer(answer.status, body, headers)


def not_found_for(_: Request) -> Answer:
    """404, whatever it was."""
    return not_found()


def _headers(given: list[tuple[str, str]]) -> dict[str, str]:
    return {name: value for name, value in given if name.lower() not in _HOP}


def _is_query(request: Request) -> bool:
    return request.path == "/graphql" and not request.json()["query"].lstrip().startswith("mutation")


@contextlib.contextmanager
def proxying(
    upstream: str | None, manners: Manners | None = None, *, prefix: str = "", on: socket.socket | None = None
) -> Generator[Proxy]:
    """A proxy before `upstream` (on loopback), or alone; `prefix` as ``/api/v3`` makes it look like a GHES."""
    proxy = Proxy(upstream, manners, prefix)
    with listening(proxy.respond, on) as address:
        proxy.url = address + prefix
        yield proxy
