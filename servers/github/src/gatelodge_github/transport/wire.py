"""The connection under PyGithub: one host, no redirects, no proxies, bounded bytes and time, and no write if there may be none.

PyGithub asks an object like `http.client`'s for each request. It gets this one, sees of every answer only that it came,
and the answer itself is read from `PinnedConnection.answer`: so it can't sleep on 202, follow a 301, or send a token to
another host (its own checks are assertions).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.egress import EgressError, Policy
from urllib3.exceptions import HTTPError

from gatelodge_github.hosts import Hosts
from gatelodge_github.transport.line import Adapter, Line
from gatelodge_github.transport.progress import Lost, Progress
from gatelodge_github.transport.reading import only_reads
from gatelodge_github.transport.request import READS, Raw, Sink

CHUNK = 64 * 1024


@dataclass(slots=True)
class Limits:
    """What one request may take.

    Args:
        until: By `time.monotonic`.
        max_bytes: Of the decompressed body.
        cut: Whether a longer body is cut rather than refused.
        sink: Takes the body of a successful answer.
        progress: Told how far it gets.
    """

    until: float
    max_bytes: int
    cut: bool = False
    sink: Sink | None = None
    progress: Progress = field(default_factory=Progress)

    @property
    def left(self) -> float:
        """Seconds."""
        return max(0.0, self.until - time.monotonic())


class _Session(requests.Session):
    """One that doesn't look where a redirect leads: even unfollowed, a Location that is no URL would raise there."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - the base class's name
        """Nowhere."""
        return None


class PinnedConnection:
    """Connections to the one host; for one thread at a time, but `abort` may come from another.

    Args:
        hosts: Where to.
        policy: Judges the addresses of the host's name.
        verify: True, or a file of certificate authorities.
        writable: Whether a request may change anything. GraphQL is a POST also where it only reads, so it is told apart
            by the caller, who says so with `reading`; the document is held to that here.
    """

    def __init__(self, hosts: Hosts, policy: Policy, verify: bool | str, *, writable: bool) -> None:
        self.host = hosts.host
        self.answer: Raw | None = None
        self.limits = Limits(0, 0)
        self.reading = False
        self._hosts, self._writable = hosts, writable
        self._line = Line()
        self._session = _Session()
        self._session.trust_env = False
        self._session.auth = _unchanged
        self._session.verify = verify
        self._session.headers["Accept-Encoding"] = "gzip"
        # An API sets none; one that came from something in between would be sent along from then on.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        adapter = Adapter(self._line, policy)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._request: tuple[str, str, Any, dict[str, str]] = ("", "", None, {})

    def request(self, verb: str, url: str, input: Any, headers: dict[str, str], stream: bool = False) -> None:  # noqa: A002, ARG002 - the names that PyGithub's interface has
        """Remember what is to be sent; see `getresponse`."""
        self._request = (verb, url, input, headers)

    def getresponse(self) -> _Seen:
        """Send it, and read the answer into `answer`.

        Raises:
            CallError: It may not be sent, or the answer is too large.
            Lost: Nothing came back.
        """
        verb, url, body, headers = self._request
        self.answer = None
        target = self._hosts.origin + url if url.startswith("/") else url
        path = self._hosts.check_api(target).partition("?")[0]
        self._check_change(verb, path, body)
        progress = self._line.progress = self.limits.progress
        progress.sent = False
        left = self.limits.left
        if left <= 0:
            raise Lost(sent=False, late=True)
        try:
            with self._session.request(
                verb,
                target,
                headers=headers,
                data=body,
                timeout=(min(10.0, left), min(20.0, left)),
                allow_redirects=False,
                stream=True,
            ) as response:
                self.answer = self._read(response, self.limits)
        except EgressError as error:
            if error.code not in ("unreachable", "too_slow"):
                raise
            raise Lost(sent=False, late=error.code == "too_slow") from None
        except requests.exceptions.SSLError:
            if progress.sent:
                raise Lost(sent=True) from None
            raise CallError(
                "bad_certificate",
                "The certificate of GitHub's API isn't trusted; nothing was sent.",
                "Behind a company's own authority, the operator names its file in ca_file.",
            ) from None
        except requests.Timeout:
            raise Lost(sent=progress.sent, late=True) from None
        except (requests.RequestException, HTTPError, HTTPException, OSError):
            raise Lost(sent=progress.sent, late=self.limits.left <= 0) from None
        finally:
            self._line.settle()
        return _Seen()

    def _check_change(self, verb: str, path: str, body: Any) -> None:
        if verb in READS:
            return
        if self.reading:
            # It would be repeated, and let through where nothing may be changed.
            if verb != "POST" or path != self._hosts.graphql or not only_reads(body):
                raise CallError("read_only", "That request isn't one that only reads; it was not sent.")
        elif not self._writable:
            raise CallError("read_only", "This server only reads.", "Start it without --read-only to change anything.")

    def _read(self, response: requests.Response, limits: Limits) -> Raw:
        headers = {name.lower(): value for name, value in response.headers.items()}
        sink = limits.sink if response.status_code == 200 else None
        pieces = bytearray()
        size, cut = 0, False
        for piece in response.iter_content(CHUNK):
            if limits.left <= 0:
                raise requests.Timeout
            size += len(piece)
            if size > limits.max_bytes:
                if not limits.cut:
                    raise CallError("too_large", "GitHub's answer is too large.", "Ask for a smaller part.")
                piece, cut = piece[: len(piece) - (size - limits.max_bytes)], True  # noqa: PLW2901 - its last part is dropped
            if sink is not None:
                limits.progress.fed = True
                cut = not sink(piece) or cut
            else:
                pieces += piece
            if cut:
                break
        return Raw(response.status_code, headers, bytes(pieces), cut)

    def abort(self) -> None:
        """Cut all connections: a thread that waits for one of them stops at once. The object is of no use any more."""
        self._line.cut()

    def close(self) -> None:
        """Close what is idle."""
        self._session.close()
        self._line.close()


class _Seen:
    """What PyGithub sees of every answer."""

    status = 200

    def getheaders(self) -> list[tuple[str, str]]:
        return []

    def read(self) -> str:
        return ""


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Without an `auth` of its own, requests would look into ~/.netrc."""
    return request
