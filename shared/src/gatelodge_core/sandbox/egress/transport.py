"""The same way out for other clients of `httpx2`."""

from __future__ import annotations

import anyio
import httpx2

from gatelodge_core.sandbox.egress.body import Body, Caps
from gatelodge_core.sandbox.egress.decode import offer
from gatelodge_core.sandbox.egress.errors import EgressError
from gatelodge_core.sandbox.egress.hop import Hops
from gatelodge_core.sandbox.egress.names import parse

_REPLACED = frozenset({b"host", b"accept-encoding", b"upgrade", b"proxy-authorization", b"proxy-connection"})


class EgressRefused(httpx2.TransportError):
    """An `EgressError`, in the family that clients of `httpx2` expect.

    Args:
        reason: What happened.
        request: Of the client.
    """

    def __init__(self, reason: EgressError, request: httpx2.Request) -> None:
        super().__init__(str(reason), request=request)
        self.reason = reason


class EgressTransport(httpx2.AsyncBaseTransport):
    """Gives each request of a client the bounds of the egress, and each of its redirects the same judgement.

    Give the client ``trust_env=False`` too. It sends its own redirects, so the rules about credentials, downgrades and
    their number are its own; addresses, names, ports, sizes and times are held here. The deadline of the settings
    counts from each request to the last byte of its answer, so an event stream ends with it. Bodies come decoded.

    Args:
        hops: The pools; closing the transport leaves them open, since they have another owner.
    """

    def __init__(self, hops: Hops) -> None:
        self._hops = hops

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request.

        Raises:
            EgressRefused: It was refused, or failed.
        """
        limits = self._hops.limits
        caps = Caps(limits.wire_bytes, limits.body_bytes, False, anyio.current_time() + limits.seconds)
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        try:
            target = parse(str(request.url), self._hops.policy)
            headers = [(name, value) for name, value in request.headers.raw if name.lower() not in _REPLACED]
            # Whatever Host the client has: it is the name that was judged, or the request goes nowhere.
            headers += [(b"Host", target.url.netloc), (b"Accept-Encoding", offer().encode())]
            answer = await self._hops.send(request.method, target, headers, request.stream, caps)
        except EgressError as error:
            raise EgressRefused(error, request) from None
        return httpx2.Response(answer.status, headers=answer.headers, stream=_Stream(answer.body, request))


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, body: Body, request: httpx2.Request) -> None:
        self._body = body
        self._request = request

    def __aiter__(self) -> _Stream:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._body.__anext__()
        except EgressError as error:
            raise EgressRefused(error, self._request) from None

    async def aclose(self) -> None:
        await self._body.aclose()
