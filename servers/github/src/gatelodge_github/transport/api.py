"""GitHub's API for the tools of one credential: reads are repeated and kept, changes are sent exactly once.

Every request to a repository passes the gate here once more, whatever a tool did before.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode

import anyio
from gatelodge_core.errors import CallError

from gatelodge_github.credentials import Credential
from gatelodge_github.data import rows, table, text
from gatelodge_github.gate import Gate
from gatelodge_github.graphql import Name, document
from gatelodge_github.hosts import Hosts
from gatelodge_github.transport.budget import Budget
from gatelodge_github.transport.cache import Cache, Kept
from gatelodge_github.transport.client import Client
from gatelodge_github.transport.failures import failure, message_of, unknown_outcome, unreachable
from gatelodge_github.transport.pool import Pool
from gatelodge_github.transport.progress import Lost, Progress
from gatelodge_github.transport.request import JSON, MAX_BYTES, Answer, Raw, Request, Sink

SECONDS = 25.0
"""The longest a request may take, with all repetitions."""
REPEATS = 2
HOPS = 3
PATIENCE = 6.0
"""Seconds that GitHub gets to compute what it answers 202 for."""
_FAILED = frozenset({500, 502, 503, 504})
_MOVED = frozenset({301, 302, 307, 308})
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)+/?")
"""A path that needs no more quoting: nothing in it ends it or begins a query."""
_REPO = re.compile(r"/repos/([^/]+/[^/]+)(?:/|$)")
_NUMBERED = re.compile(r"/repositories/(\d{1,19})(/.*)?")
_ONE_ISSUE = re.compile(r"/issues/\d+(?:/|$)")
"""What GitHub redirects if an issue was transferred, not only if its repository was renamed."""


class Api:
    """Requests of one credential.

    Args:
        hosts: Where to.
        credential: Whose they are.
        gate: The allow-list.
        cache: Answers kept.
        budget: Limits.
        pool: Clients.
    """

    def __init__(
        self, hosts: Hosts, credential: Credential, gate: Gate, cache: Cache, budget: Budget, pool: Pool[Client]
    ) -> None:
        self.hosts, self.credential, self.budget = hosts, credential, budget
        self._gate, self._cache, self._pool = gate, cache, pool
        # One file may hold answers of several GitHubs.
        self._owner = f" {hosts.base_url}"

    async def get(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        accept: str = JSON,
        max_bytes: int = MAX_BYTES,
        cut: bool = False,
        seconds: float = SECONDS,
    ) -> Answer:
        """Read something. A GET is repeated at most twice, and costs nothing at GitHub if it has not changed.

        Args:
            path: Below the API's base, each segment quoted (see `names`).
            params: The query; what is None or empty is left out.
            accept: The media type; where it isn't JSON, the answer's data is text.
            max_bytes: The largest answer.
            cut: Whether a longer text is cut rather than refused.
            seconds: The longest it may take.

        Raises:
            CallError: GitHub said no, failed, or can't be reached.
        """
        chosen = {name: value for name, value in (params or {}).items() if value not in (None, "")}
        request = Request("GET", path, chosen, accept=accept, max_bytes=max_bytes, cut=cut)
        raw = await self._send(request, seconds)
        # A server may not know another media type; what holds the raw file may be JSON of its own.
        told = "json" in raw.headers.get("content-type", "") and "raw" not in accept
        data: Any = raw.json() if request.wants_json or told else raw.body.decode("utf-8", "replace")
        return Answer(raw.status, raw.headers, data, raw.cut)

    async def data(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        """The JSON of a GET; the arguments and errors are those of `get`."""
        return (await self.get(path, params)).data

    async def stream(self, path: str, params: Mapping[str, Any], accept: str, sink: Sink, max_bytes: int) -> Raw:
        """Read a body piece by piece; `sink` runs in a worker thread and says False when it has enough.

        Once it has taken something the request isn't repeated: it would be given the beginning again.

        Raises:
            CallError: As for `get`.
        """
        request = Request("GET", path, params, accept=accept, max_bytes=max_bytes, cut=True, sink=sink, fresh=True)
        return await self._send(request, SECONDS)

    async def location(self, path: str) -> str:
        """Where GitHub sends a download, judged; nothing is fetched from there.

        Redirects inside the API, as of a renamed repository, are followed.

        Raises:
            CallError: As for `get`; `foreign_url`.
        """
        raw = await self._send(Request("GET", path, fresh=True), SECONDS, away=True)
        if raw.status not in _MOVED or "location" not in raw.headers:
            raise CallError("bad_answer", "GitHub did not say where the download is.", "Try again.")
        return self.hosts.check_download(raw.headers["location"])

    async def write(self, verb: str, path: str, body: Any = None, *, check: str) -> Answer:
        """Change something; sent exactly once.

        Args:
            verb: POST, PUT, PATCH or DELETE.
            path: As for `get`.
            body: Sent as JSON.
            check: How to find out whether it was done, if no answer comes, such as ``get_issue(12)``.

        Raises:
            CallError: GitHub said no; `outcome_unknown` if no answer came.
        """
        request = Request(verb, path, body=body)
        raw = await self._send(request, SECONDS, check=check)
        return Answer(raw.status, raw.headers, _read(request, raw, check))

    async def graphql(self, name: Name, variables: Mapping[str, Any], *, check: str = "") -> Mapping[str, Any]:
        """Run one of the GraphQL documents of this package.

        Args:
            name: Of the file, without its ending.
            variables: Its variables; ``owner`` and ``name`` are held to the allow-list.
            check: For mutations, as in `write`; a document without it must only read.

        Returns:
            What is under ``data``.

        Raises:
            CallError: As for `get` and `write`.
        """
        if "owner" in variables and "name" in variables:
            self._gate.check(f"{variables['owner']}/{variables['name']}")
        body = {"query": document(name), "variables": dict(variables)}
        request = Request("POST", "/graphql", body=body, graphql=True, reading=not check)
        raw = await self._send(request, SECONDS, check=check)
        answer = table(_read(request, raw, check))
        found = table(answer.get("data"))
        if answer.get("errors"):
            if check and any(found.values()):
                raise unknown_outcome(request, check, why="GitHub made the change in part")
            raise self._graphql_failure(rows(answer["errors"]), raw)
        if not found:
            raise CallError("bad_answer", "GitHub answered a GraphQL document without data.", "Try again.")
        # It may have another name by now.
        if called := text(table(found.get("repository")).get("nameWithOwner")):
            self._gate.check(called)
        return found

    def _graphql_failure(self, errors: list[dict[str, Any]], raw: Raw) -> CallError:
        first = errors[0] if errors else {}
        kind = str(first.get("type", ""))
        if kind == "RATE_LIMITED":
            limited = self.budget.learn(403, raw.headers, "API rate limit exceeded", "graphql")
            if limited is not None:
                return limited
        status = {"NOT_FOUND": 404, "FORBIDDEN": 403, "INSUFFICIENT_SCOPES": 403}.get(kind, 422)
        said = {"message": str(first.get("message", ""))[:300]}
        return failure(status, raw.headers, said, self.credential.kind)

    async def _send(self, request: Request, seconds: float, *, check: str = "", away: bool = False) -> Raw:
        """Send, repeat what may be repeated, follow what may be followed; the answer is a successful one.

        Args:
            request: What to send.
            seconds: The longest it may take.
            check: As for `write`.
            away: Whether a redirect out of the API is an answer.

        Raises:
            CallError: It isn't.
        """
        until = time.monotonic() + seconds
        for _ in range(HOPS):
            self._allowed(request)
            raw = await self._settled(request, until, check)
            if 200 <= raw.status < 300:
                return raw
            if raw.status < 400:
                location = raw.headers.get("location", "")
                if not request.reads:
                    raise CallError(
                        "moved", "The repository has another name now; nothing was done.", "Look it up first."
                    )
                if raw.status not in _MOVED or not location or request.verb != "GET":
                    raise CallError("bad_answer", f"GitHub answered with status {raw.status}.", "Try again.")
                if away and not self.hosts.is_api(location):
                    return raw
                request = await self._moved(request, location, until)
                continue
            data = _parsed(raw)
            error = self.budget.learn(raw.status, raw.headers, message_of(data), request.resource)
            raise error or failure(raw.status, raw.headers, data, self.credential.kind)
        raise CallError("bad_answer", "GitHub redirected too often.", "Try again later.")

    async def _settled(self, request: Request, until: float, check: str) -> Raw:
        """An answer that is none of failed, lost and not ready."""
        failed, waited = 0, 0.5
        started = time.monotonic()
        while True:
            self.budget.check(request.resource, writes=not request.reads)
            progress = Progress()
            raw, lost = await self._once(request, until, progress)
            left = until - time.monotonic()
            if raw is None or raw.status in _FAILED:
                if not request.reads and progress.sent:
                    why = lost.why if lost else f"GitHub failed (status {raw.status if raw else 0})"
                    raise unknown_outcome(request, check, why=why)
                failed += 1
                again = request.reads and failed <= REPEATS and left > 1 and not progress.fed
                if again and not (lost and lost.late):
                    await anyio.sleep(0.1 * failed)
                    continue
                if raw is None:
                    raise unreachable(lost)
            elif raw.status == 202 and request.verb == "GET":
                if time.monotonic() - started + waited > PATIENCE or waited > left:
                    raise CallError("not_ready", "GitHub is still computing this.", "Ask again in a minute.")
                await anyio.sleep(waited)
                waited *= 2
                continue
            self.budget.learn(200, raw.headers, "", request.resource)
            return raw

    async def _once(self, request: Request, until: float, progress: Progress) -> tuple[Raw | None, Lost | None]:
        try:
            with anyio.fail_after(max(0.0, until - time.monotonic())):
                return await self._pool.run(lambda client: self._exchange(client, request, until, progress)), None
        except TimeoutError:
            # By now nothing can be sent any more: the pool has cut the client.
            return None, Lost(sent=progress.sent, late=True)
        except Lost as lost:
            return None, lost
        except CallError as error:
            if request.reads or not progress.sent or error.code != "too_large":
                raise
            return None, Lost(sent=True, why="GitHub's answer was too large to be read")

    def _exchange(self, client: Client, request: Request, until: float, progress: Progress) -> Raw:
        """In a worker thread: with the answer that was kept, if it still holds."""
        keeps = request.verb == "GET" and not request.fresh
        url = f"{request.path}?{urlencode(sorted(request.params.items()))}"
        owner = ""
        kept: Kept | None = None

        def conditions() -> Mapping[str, str]:
            nonlocal owner, kept
            # Only now is it known which token a file holds.
            owner = self.credential.digest + self._owner
            kept = self._cache.find(owner, request.accept, url) if keeps else None
            if kept and len(kept.body) > request.max_bytes:
                kept = None
            return {"If-None-Match": kept.etag} if kept else {}

        raw = client.send(request, until, conditions, progress)
        if kept and raw.status == 304:
            # The limits are those of now.
            return Raw(200, {**raw.headers, **kept.headers}, kept.body)
        if keeps and raw.status == 200 and not raw.cut and owner == self.credential.digest + self._owner:
            self._cache.keep(owner, request.accept, url, raw.headers, raw.body)
        elif keeps and raw.status in (403, 404, 410, 451) and not _limited(raw):
            self._cache.forget(owner, request.accept, url)
        return raw

    def _allowed(self, request: Request) -> None:
        """The gate, in real code, for each request that names a repository."""
        if not _PATH.fullmatch(request.path):
            raise CallError("bad_path", "that can't be part of a path at GitHub; nothing was sent.", "Check the names.")
        found = _REPO.match(request.path)
        if not found:
            return
        repo = unquote(found[1])
        self._gate.check(repo)
        # A fork changes the place that it goes to.
        if not request.reads and not request.path.endswith("/forks"):
            self._gate.check_write(repo)

    async def _moved(self, request: Request, location: str, until: float) -> Request:
        """The request, as it is after a repository was renamed; the new name is held to the allow-list before."""
        path = self.hosts.check_api(location)
        path, _, query = path.partition("?")
        path = path.removeprefix(self.hosts.prefix)
        numbered = _NUMBERED.fullmatch(path)
        if numbered and self._gate.patterns:
            self._gate.check(text((await self._repository(numbered[1], until)).get("full_name")))
        if numbered and (asked := _REPO.match(request.path)) and _ONE_ISSUE.search(request.path):
            await self._stayed(asked[1], numbered[1], until)
        elif not numbered and not _REPO.match(path):
            raise CallError("foreign_url", "GitHub redirected to something else than a repository.", "Check the name.")
        params = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
        return replace(request, path=path, params=params or request.params)

    async def _repository(self, number: str, until: float) -> Mapping[str, Any]:
        raw = await self._settled(Request("GET", f"/repositories/{number}"), until, "")
        if raw.status != 200:
            raise failure(raw.status, raw.headers, _parsed(raw), self.credential.kind)
        return table(raw.json())

    async def _stayed(self, repo: str, number: str, until: float) -> None:
        """Refuse an issue of another repository: who is asked about one must not answer with the other's, unmarked.

        Raises:
            CallError: `transferred`.
        """
        raw = await self._settled(Request("GET", f"/repos/{repo}"), until, "")
        led = _NUMBERED.fullmatch(self._path(raw.headers.get("location", ""))) if raw.status in _MOVED else None
        if (led[1] if led else str(table(_parsed(raw)).get("id"))) == number:
            return
        found = await self._repository(number, until)
        # A private one is not named where the answer is about a public one.
        place = text(found.get("full_name")) if found.get("private") is False else "a private repository"
        raise CallError(
            "transferred", f"The issue was transferred to {place}.", "Ask for it there, by its number there."
        )

    def _path(self, location: str) -> str:
        return self.hosts.check_api(location).partition("?")[0].removeprefix(self.hosts.prefix)


def _parsed(raw: Raw) -> object:
    try:
        return raw.json()
    except CallError:
        return None


def _read(request: Request, raw: Raw, check: str) -> Any:
    """The JSON of an answer to something that may have changed something."""
    try:
        return raw.json()
    except CallError:
        if request.reads:
            raise
    raise unknown_outcome(request, check, why=f"GitHub answered with status {raw.status}, but the rest can't be read")


def _limited(raw: Raw) -> bool:
    return "retry-after" in raw.headers or raw.headers.get("x-ratelimit-remaining") == "0"
