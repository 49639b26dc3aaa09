"""The client: redirects, content types and deadlines over single hops."""

from __future__ import annotations

import contextlib
import re
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import anyio
import httpcore2
import httpx2

from gatelodge_core.sandbox.egress import headers as headers_of
from gatelodge_core.sandbox.egress.body import Body, Caps
from gatelodge_core.sandbox.egress.errors import EgressError
from gatelodge_core.sandbox.egress.hop import Answer, Hops
from gatelodge_core.sandbox.egress.names import Target, check_text, parse
from gatelodge_core.sandbox.egress.policy import EgressSettings
from gatelodge_core.sandbox.egress.resolve import Resolver
from gatelodge_core.sandbox.egress.transport import EgressTransport

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KEEPS_METHOD = frozenset({307, 308})
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_DRAINED = 16 * 1024
"""A redirect's body up to this size is read to its end, so that its connection can be used again."""

Check = Callable[[Target], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer whose body isn't read yet.

    Args:
        status: The code; no code is an error here.
        url: What answered, after all redirects.
        headers: As sent, without a Content-Encoding that is decoded already.
        body: Iterate over it; it has `wire`, `size` and `truncated`.
        chain: The URLs that redirected, first to last.
    """

    status: int
    url: str
    headers: httpx2.Headers
    body: Body
    chain: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer, read.

    Args:
        status: The code; no code is an error here.
        url: What answered, after all redirects.
        headers: As sent, without a Content-Encoding that is decoded already.
        body: Decompressed.
        chain: The URLs that redirected, first to last.
        truncated: Whether the body was cut at a cap.
        wire: Bytes of the body as sent.
    """

    status: int
    url: str
    headers: httpx2.Headers
    body: bytes = field(repr=False)
    chain: tuple[str, ...] = ()
    truncated: bool = False
    wire: int = 0


class Egress:
    """Fetches from the network, and from nowhere else. It keeps no cookies and reads no environment.

    It belongs to one asyncio event loop. Many tasks may use it at once.

    Args:
        settings: Where to, and how much; the public internet within the default limits unless given.
        resolver: Looks names up; the system's resolver, in threads, unless given.
        context: For TLS; the system's certificate authorities unless given.
        backend: Opens sockets to literal addresses that were judged; a test's may lead elsewhere.

    Raises:
        SettingsError: A setting can't be used.
    """

    def __init__(
        self,
        settings: EgressSettings | None = None,
        *,
        resolver: Resolver | None = None,
        context: ssl.SSLContext | None = None,
        backend: httpcore2.AsyncNetworkBackend | None = None,
    ) -> None:
        self._settings = settings or EgressSettings()
        self._hops = Hops(self._settings, resolver, context, backend)
        self.transport: httpx2.AsyncBaseTransport = EgressTransport(self._hops)
        """The same way out for another client of `httpx2`, such as the SDK's; it lives as long as this object."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._hops.aclose()

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        max_bytes: int | None = None,
        types: Sequence[str] = (),
        cut: bool = False,
        seconds: float | None = None,
        check: Check | None = None,
    ) -> Fetched:
        """Fetch; the arguments and errors are those of `stream`."""
        return await self.request(
            "GET", url, headers=headers, max_bytes=max_bytes, types=types, cut=cut, seconds=seconds, check=check
        )

    async def post(
        self,
        url: str,
        content: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        max_bytes: int | None = None,
        types: Sequence[str] = (),
        seconds: float | None = None,
    ) -> Fetched:
        """Send a body; the arguments and errors are those of `stream`."""
        return await self.request(
            "POST", url, content=content, headers=headers, max_bytes=max_bytes, types=types, seconds=seconds
        )

    async def request(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        max_bytes: int | None = None,
        types: Sequence[str] = (),
        cut: bool = False,
        seconds: float | None = None,
        check: Check | None = None,
    ) -> Fetched:
        """Send a request and read the answer; the arguments and errors are those of `stream`."""
        async with self.stream(
            method,
            url,
            content=content,
            headers=headers,
            max_bytes=max_bytes,
            types=types,
            cut=cut,
            seconds=seconds,
            check=check,
        ) as answer:
            read = bytearray()
            async for piece in answer.body:
                read += piece
            body = answer.body
            return Fetched(
                answer.status, answer.url, answer.headers, bytes(read), answer.chain, body.truncated, body.wire
            )

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        max_bytes: int | None = None,
        types: Sequence[str] = (),
        cut: bool = False,
        seconds: float | None = None,
        check: Check | None = None,
    ) -> AsyncGenerator[Streamed]:
        """Send a request and give the answer before its body. Leaving early, or cancelling, closes the socket.

        Args:
            method: Such as ``GET``.
            url: Absolute, http or https.
            content: The body, if it has one.
            headers: More of them. On a redirect to another host only Accept and Accept-Language go along.
            max_bytes: Of the decompressed body; never more than the settings allow.
            types: Media types that a successful answer may have, such as ``text/html`` or ``text/*``; all if empty.
                One without a type counts as ``application/octet-stream`` (RFC 9110, section 8.3).
            cut: End a body that is too large at the cap, rather than fail.
            seconds: For everything up to the last byte; never more than the settings allow.
            check: Told where each redirect leads before anything is sent there; it raises to refuse.

        Yields:
            The answer, whatever its status.

        Raises:
            EgressError: It was refused, or failed.
        """
        limits = self._hops.limits
        caps = Caps(
            wire=limits.wire_bytes,
            body=limits.body_bytes if max_bytes is None else min(max_bytes, limits.body_bytes),
            cut=cut,
            deadline=anyio.current_time() + (limits.seconds if seconds is None else min(seconds, limits.seconds)),
        )
        if not method.isascii() or not method.isalpha() or method.upper() in ("CONNECT", "TRACE"):
            raise EgressError("bad_header", "That method can't be sent.")
        target = parse(url, self._hops.policy)
        answer, target, chain = await self._follow(
            method.upper(), target, content, headers_of.checked(headers), caps, check
        )
        try:
            if types and 200 <= answer.status < 300:
                _check_type(answer.headers.get("content-type", ""), types)
            yield Streamed(answer.status, str(target.url), answer.headers, answer.body, chain)
        finally:
            await answer.body.aclose()

    async def _follow(
        self,
        method: str,
        target: Target,
        content: bytes | None,
        headers: dict[str, str],
        caps: Caps,
        check: Check | None,
    ) -> tuple[Answer, Target, tuple[str, ...]]:
        chain: list[str] = []
        outside = False
        while True:
            if content is None and method in ("POST", "PUT", "PATCH"):
                content = b""
            raw = headers_of.raw(target, headers, self._settings.user_agent, content)
            answer = await self._hops.send(method, target, raw, content or b"", caps, outside=outside)
            location = answer.headers.get("location")
            if answer.status not in _REDIRECTS or location is None:
                return answer, target, tuple(chain)
            try:
                if len(chain) >= self._hops.limits.redirects:
                    raise EgressError("too_many_redirects", f"The host redirected more than {len(chain)} times.")
                outside = outside or not answer.inside
                following = self._next(target, location, outside=outside)
                keeps = answer.status in _KEEPS_METHOD or method in ("GET", "HEAD")
                if keeps and content is not None and following.origin != target.origin:
                    raise EgressError("unsafe_redirect", "The host wants the body of the request sent elsewhere.")
                await _drain(answer.body)
            finally:
                await answer.body.aclose()
            if check is not None:
                # It may ask the network itself, and then needs the connection that was just given back.
                await check(following)
            if not keeps:
                method, content = "GET", None
            headers = headers_of.following(headers, target, following, content=content is not None)
            chain.append(str(target.url))
            target = following

    def _next(self, before: Target, location: str, *, outside: bool) -> Target:
        """Where a redirect leads, judged as if the caller had asked for it, or more strictly."""
        check_text(location)
        if location.startswith("//"):
            location = f"{before.scheme}:{location}"
        elif not _SCHEME.match(location):
            try:
                location = str(before.url.join(location))
            except httpx2.InvalidURL:
                raise EgressError("bad_url", "The host redirected to something that is no URL.") from None
        policy = self._hops.policy
        after = parse(location, policy.outside() if outside else policy)
        if before.scheme == "https" and after.scheme == "http":
            raise EgressError("downgrade", "The host redirected from https to http.")
        return after


async def _drain(body: Body) -> None:
    """Read a short body to its end; a long or broken one is left, and its connection closes."""
    with contextlib.suppress(EgressError):
        async for _ in body:
            if body.wire > _DRAINED:
                return


def _check_type(value: str, types: Sequence[str]) -> None:
    found = value.partition(";")[0].strip().lower()
    if "" in types and not found:
        return
    found = found or "application/octet-stream"
    if not any(_is_of(found, wanted) for wanted in types):
        accepted = ", ".join(wanted for wanted in types if wanted)
        raise EgressError("bad_content_type", f"The answer is none of {accepted}.")


def _is_of(found: str, wanted: str) -> bool:
    """Whether a type is one that is wanted: ``text/*`` is all text, ``*+json`` all that is JSON (RFC 6838, section 4.2.8)."""
    if wanted.endswith("/*"):
        return found.startswith(wanted[:-1])
    return found.endswith(wanted[1:]) if wanted.startswith("*+") else found == wanted
