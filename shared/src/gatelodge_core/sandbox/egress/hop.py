"""One request and its answer: no redirects, no content types, but every bound."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import anyio
import httpcore2
import httpx2

from gatelodge_core.errors import SettingsError
from gatelodge_core.sandbox.egress.body import Body, Caps
from gatelodge_core.sandbox.egress.connect import VettedBackend, VettedStream
from gatelodge_core.sandbox.egress.decode import decoder_for
from gatelodge_core.sandbox.egress.errors import EgressError
from gatelodge_core.sandbox.egress.failures import translated
from gatelodge_core.sandbox.egress.limits import EgressLimits
from gatelodge_core.sandbox.egress.names import Target
from gatelodge_core.sandbox.egress.policy import EgressSettings, Policy
from gatelodge_core.sandbox.egress.resolve import Resolver, ThreadResolver

RawHeaders = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Args:
        status: The code.
        headers: As sent, without what speaks of the connection or of a coding that is decoded already.
        body: Not read yet; its `aclose` must be called.
        inside: Whether it came from an address that isn't public.
    """

    status: int
    headers: httpx2.Headers
    body: Body
    inside: bool


class Hops:
    """Sends single requests, over two pools: one that knows the exceptions of the settings, and one that doesn't.

    A pool reuses a connection only for the same scheme, host and port, and each connection leads to an address that
    was judged for that host when it was made.

    Args:
        settings: Where to, and how much.
        resolver: Looks names up.
        context: For TLS.
        backend: Opens sockets to literal addresses.
    """

    def __init__(
        self,
        settings: EgressSettings,
        resolver: Resolver | None = None,
        context: ssl.SSLContext | None = None,
        backend: httpcore2.AsyncNetworkBackend | None = None,
    ) -> None:
        self.limits = settings.limits
        self.policy = Policy.of(settings)
        self._resolver = resolver or ThreadResolver(settings.limits.lookups)
        self._context = context or httpx2.create_ssl_context(trust_env=False)
        self._backend = backend
        self._pool = self._proxied(settings.proxy) if settings.proxy else self._direct(self.policy)
        self._outside = self._pool
        if self.policy.has_exceptions and not settings.proxy:
            self._outside = self._direct(self.policy.outside())

    def _vetting(self, policy: Policy) -> VettedBackend:
        return VettedBackend(policy, self._resolver, self.limits.header_bytes + self.limits.wire_bytes, self._backend)

    def _direct(self, policy: Policy) -> httpcore2.AsyncConnectionPool:
        return httpcore2.AsyncConnectionPool(
            ssl_context=self._context,
            max_connections=self.limits.connections,
            max_keepalive_connections=self.limits.keepalive,
            keepalive_expiry=self.limits.keepalive_seconds,
            network_backend=self._vetting(policy),
        )

    def _proxied(self, proxy: str) -> httpcore2.AsyncConnectionPool:
        url = httpx2.URL(proxy)
        if url.scheme not in ("http", "https") or not url.host:
            raise SettingsError("proxy: the URL of a proxy begins with http:// or https:// and has a host.")
        host, port = url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)
        everywhere = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
        return httpcore2.AsyncHTTPProxy(
            proxy_url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=port, target=b"/"),
            proxy_auth=(url.username, url.password) if url.userinfo else None,
            ssl_context=self._context,
            proxy_ssl_context=self._context if url.scheme == "https" else None,
            max_connections=self.limits.connections,
            max_keepalive_connections=self.limits.keepalive,
            keepalive_expiry=self.limits.keepalive_seconds,
            # The one connection that this pool makes is to the proxy, which the operator named.
            network_backend=self._vetting(Policy(frozenset({port}), frozenset({(host, port)}), everywhere)),
        )

    async def aclose(self) -> None:
        """Close every connection."""
        for pool in {self._pool, self._outside}:
            await pool.aclose()

    async def send(
        self,
        method: str,
        target: Target,
        headers: RawHeaders,
        content: bytes | AsyncIterable[bytes],
        caps: Caps,
        *,
        outside: bool = False,
    ) -> Answer:
        """Send one request and read the head of its answer.

        Args:
            method: In capitals.
            target: Judged.
            headers: All of them, Host included.
            content: The body.
            caps: Of the answer.
            outside: Whether public addresses alone may be reached.

        Raises:
            EgressError: Whatever went wrong.
        """
        limits = self.limits
        request = httpcore2.Request(
            method,
            httpcore2.URL(
                scheme=target.scheme.encode(),
                host=target.host.encode(),
                port=target.url.port,  # absent if it is the default, as a proxy expects it
                target=target.url.raw_path,
            ),
            headers=headers,
            content=content,
            extensions={
                "timeout": {
                    "connect": limits.connect_seconds,
                    "read": limits.idle_seconds,
                    "write": limits.idle_seconds,
                    "pool": limits.seconds,
                }
            },
        )
        response: httpcore2.Response | None = None
        with anyio.CancelScope(deadline=caps.deadline), translated():
            response = await (self._outside if outside else self._pool).handle_async_request(request)
        if response is None:
            raise EgressError("too_slow", "The answer took too long.")
        try:
            return _answer(response, limits, caps)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await response.aclose()
            raise


def _answer(response: httpcore2.Response, limits: EgressLimits, caps: Caps) -> Answer:
    raw: RawHeaders = response.headers
    if len(raw) > limits.header_count or sum(len(name) + len(value) for name, value in raw) > limits.header_bytes:
        raise EgressError("too_large", "The headers of the answer are larger than may be received.")
    if response.status < 200:
        raise EgressError("bad_answer", "The host wants to change the protocol.")
    headers = httpx2.Headers(raw)
    coding = headers.get("content-encoding", "")
    decoder = decoder_for(coding)
    length = headers.get("content-length", "")
    if not caps.cut and length.isascii() and length.isdigit() and int(length[:20]) > caps.wire:
        raise EgressError("too_large", "The answer is larger than may be received.")
    if coding:
        for name in ("content-encoding", "content-length"):
            headers.pop(name, None)
    extensions = cast("Mapping[str, object]", response.extensions)  # pyright: ignore[reportUnknownMemberType] - untyped there
    stream = extensions.get("network_stream")
    assert isinstance(response.stream, AsyncIterable)
    body = Body(response.stream, decoder, limits, caps)
    return Answer(response.status, headers, body, isinstance(stream, VettedStream) and stream.inside)
