"""One client of PyGithub, for one thread at a time: it signs and encodes requests, over a pinned connection."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from gatelodge_core.sandbox.egress import Policy

from gatelodge_github.credentials import Credential
from gatelodge_github.hosts import Hosts
from gatelodge_github.transport.progress import Progress
from gatelodge_github.transport.request import Raw, Request

API_VERSION = "2022-11-28"
USER_AGENT = "gatelodge-github"


class Client:
    """Sends requests one after another. Made and used in worker threads; PyGithub is imported when the first is made.

    Args:
        hosts: Where to.
        credential: Whose requests they are.
        policy: Judges addresses.
        verify: True, or a file of certificate authorities.
        learn: Told each token before it is sent.
        writable: Whether a request may change anything.
    """

    def __init__(
        self,
        hosts: Hosts,
        credential: Credential,
        policy: Policy,
        verify: bool | str,
        learn: Callable[[str], None],
        *,
        writable: bool,
    ) -> None:
        from gatelodge_github.transport.wire import PinnedConnection  # noqa: PLC0415 - brings requests and urllib3

        self._hosts, self._credential, self._learn = hosts, credential, learn
        self._connection = PinnedConnection(hosts, policy, verify, writable=writable)
        self._token: str | None = None
        self._requester: Any = None

    def send(
        self,
        request: Request,
        until: float,
        conditions: Callable[[], Mapping[str, str]] = dict[str, str],
        progress: Progress | None = None,
    ) -> Raw:
        """Send a request once, and give the answer, whatever its status.

        If GitHub refuses the token, it has done nothing; then the request is sent with a newer one, if there is one.

        Args:
            request: What to send.
            until: By `time.monotonic`.
            conditions: Gives more headers, once the token is known.
            progress: Told how far it gets.

        Raises:
            CallError: It may not be sent; the answer is too large; there is no token to be had.
            Lost: Nothing came back.
        """
        progress = progress or Progress()
        token = self._sign_in(until)
        answer = self._sent(request, until, conditions(), progress)
        if answer.status == 401 and token:
            progress.sent = False
            self._credential.refused(token)
            if self._sign_in(until) != token:
                # What was kept belongs to the token that was refused.
                answer = self._sent(request, until, {}, progress)
                if answer.status == 401:
                    self._credential.refused(self._token or "")
        return without(answer, self._token or "") if answer.status >= 400 else answer

    def _sign_in(self, until: float) -> str:
        token = self._credential.token(max(0.1, until - time.monotonic()))
        if self._requester is None or token != self._token:
            if token:
                self._learn(token)
            self._requester, self._token = requester(self._hosts, token), token
        return token

    def _sent(self, request: Request, until: float, headers: Mapping[str, str], progress: Progress) -> Raw:
        from gatelodge_github.transport.wire import Limits  # noqa: PLC0415 - as above

        connection = self._connection
        connection.limits = Limits(until, request.max_bytes, cut=request.cut, sink=request.sink, progress=progress)
        connection.reading = request.reading
        sent = {"Accept": request.accept, "X-GitHub-Api-Version": API_VERSION, **headers}
        # PyGithub adds the API's prefix to a path, and judges no URL here: the connection does.
        url = f"{self._hosts.origin}{self._hosts.graphql}" if request.graphql else request.path
        self._requester.requestJson(request.verb, url, dict(request.params) or None, sent, request.body, connection)
        answer = connection.answer
        assert answer is not None
        return answer

    def abort(self) -> None:
        """Cut its connections; a thread that waits for one stops at once."""
        self._connection.abort()

    def close(self) -> None:
        """Close what is idle."""
        self._connection.close()


def without(answer: Raw, token: str) -> Raw:
    """An error's answer without the token, which something between us and GitHub might repeat."""
    if not token:
        return answer
    headers = {name: value.replace(token, "[token]") for name, value in answer.headers.items()}
    try:
        # Read and written again, so that no escape in it hides the token.
        text = json.dumps(json.loads(answer.body), ensure_ascii=False)
        quoted = json.dumps(token)[1:-1]
    except (ValueError, RecursionError):
        text, quoted = answer.body.decode("utf-8", "replace"), token
    body = text.replace(quoted, "[token]").encode("utf-8", "surrogatepass")
    return Raw(answer.status, headers, body if answer.body else b"", answer.cut)


def requester(hosts: Hosts, token: str, *, app: bool = False) -> Any:
    """PyGithub's requester: a request by it goes out once, unless the connection under it says otherwise.

    Args:
        hosts: Where to.
        token: To sign with; empty for none.
        app: Whether the token is an App's own JWT.
    """
    import github  # noqa: PLC0415 - 350 ms and 35 MB, needed with the first request only

    quieted = logging.getLogger("github")
    # It writes to stderr by itself, and bodies at the level DEBUG.
    quieted.handlers.clear()
    quieted.setLevel(logging.WARNING)
    auth = github.Auth.AppAuthToken(token) if app else github.Auth.Token(token) if token else None
    made = github.Github(
        auth=auth,
        base_url=hosts.base_url,
        lazy=True,
        retry=None,
        seconds_between_requests=0,
        seconds_between_writes=0,
        timeout=10,
        pool_size=1,
        user_agent=USER_AGENT,
    )
    return made.requester
