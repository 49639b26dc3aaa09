"""What GitHub does with every request and the emulator doesn't: credentials, hidden repositories, limits, ETags."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.github.loopback import Answer, Request, Respond, as_json

DOCS = "https://docs.github.com/rest"
RESET_IN = 3600
_REPOSITORY = re.compile(r"/repos/[^/]+/[^/]+")
_NEW_TOKEN = re.compile(r"/app/installations/\d+/access_tokens")


def refusal(status: int, message: str, **headers: str) -> Answer:
    """An error as GitHub words it."""
    return as_json({"message": message, "documentation_url": DOCS, "status": str(status)}, status, **headers)


def not_found() -> Answer:
    """GitHub's 404, for what isn't there as for what one may not see."""
    return refusal(404, "Not Found")


@dataclass(slots=True)
class Manners:
    """GitHub's manners before something that answers.

    Args:
        tokens: Scopes by token; any other token is 401. Installation tokens join when one is made. Empty: not checked.
        limit: Requests for each token; 304 doesn't count.
    """

    tokens: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    limit: int = 5000
    _made: set[str] = field(default_factory=set[str])
    _used: Counter[str] = field(default_factory=Counter[str])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Request, content: Respond) -> Answer:
        """The answer of `content` as GitHub would give it."""
        token = request.token
        # A JWT (of an App) is for the emulator to check, which it does.
        if (
            self.tokens
            and token
            and not token.startswith("eyJ")
            and token not in self.tokens
            and token not in self._made
        ):
            return refusal(401, "Bad credentials")
        if self._left(token) <= 0:
            message = "API rate limit exceeded for user ID 1. If you reach out to GitHub Support for help, please include the request ID."
            return refusal(403, message).with_headers(self._numbers(request))
        answer = content(request)
        if answer.status == 201 and _NEW_TOKEN.fullmatch(request.path):
            self._made.add(answer.json()["token"])
        if answer.status == 403 and self._hidden(request, content):
            answer = not_found()
        answer = _conditional(request, answer)
        if answer.status != 304:
            with self._lock:
                self._used[token] += 1
        more = {"X-GitHub-Media-Type": "github.v3; format=json", **self._numbers(request)}
        if token in self.tokens:
            more |= {"X-OAuth-Scopes": ", ".join(self.tokens[token]), "X-Accepted-OAuth-Scopes": ""}
        return answer.with_headers(more)

    def spend(self, token: str, left: int = 0) -> None:
        """Leave a token only so many requests."""
        with self._lock:
            self._used[token] = self.limit - left

    def _left(self, token: str) -> int:
        return self.limit - self._used[token]

    def _numbers(self, request: Request) -> dict[str, str]:
        kind = re.match(r"/(search/code|search|graphql)\b", request.path)
        left = max(0, self._left(request.token))
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Used": str(self.limit - left),
            "X-RateLimit-Reset": str(int(time.time()) + RESET_IN),
            "X-RateLimit-Resource": {"search/code": "code_search"}.get(kind[1], kind[1]) if kind else "core",
        }

    def _hidden(self, request: Request, content: Respond) -> bool:
        repository = _REPOSITORY.match(request.path)
        if repository is None:
            return False
        asked = {name: value for name, value in request.headers.items() if name == "authorization"}
        return content(Request("GET", repository[0], asked)).status in {403, 404}


def _conditional(request: Request, answer: Answer) -> Answer:
    """With an ETag, or as 304 if the reader has it."""
    if request.method not in {"GET", "HEAD"} or answer.status != 200 or not isinstance(answer.body, bytes):
        return answer
    # What varies by these at GitHub has other tags there.
    varied = [request.token, request.headers.get("accept", ""), request.target]
    tag = 'W/"' + hashlib.sha256("\n".join(varied).encode() + answer.body).hexdigest() + '"'
    headers = {"ETag": tag, "Cache-Control": "private, max-age=60, s-maxage=60", "Vary": "Accept, Authorization"}
    if tag in request.headers.get("if-none-match", ""):
        return Answer(304, b"", headers)
    return answer.with_headers(headers)
