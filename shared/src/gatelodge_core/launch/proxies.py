"""Behind a reverse proxy: who is believed about where a request comes from, and who may come another way.

A proxy that ends TLS is known by its address. What it says of the client (``X-Forwarded-For``, ``X-Forwarded-Proto``) is
believed up to the last address that is no proxy of ours; what anybody else says of himself is not. ``X-Forwarded-Host`` is
believed from nobody: proxies pass the Host on.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from gatelodge_core.answering import say
from gatelodge_core.auth.turned import TurnedAway

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
HEALTH = frozenset({"/livez", "/readyz"})
"""Paths that orchestrators ask directly; nothing is sent to them that could be overheard."""


class Proxied:
    """An ASGI application that only named proxies and this machine reach.

    Args:
        app: What lies behind.
        proxies: Addresses and networks.
        direct: Whether others may come too, since the server has TLS of its own.
        turned: Told of those who may not.
    """

    def __init__(self, app: ASGIApp, proxies: Sequence[str], *, direct: bool, turned: TurnedAway | None = None) -> None:
        self._app, self._turned = app, turned
        self._proxies = [ipaddress.ip_network(proxy) for proxy in proxies]
        self._direct = direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        came_from = address((scope.get("client") or ("",))[0])
        if came_from is not None and self._is_ours(came_from):
            await self._app({**scope, **self._believed(scope, came_from)}, receive, send)
        elif self._direct or scope["path"] in HEALTH or (came_from is not None and came_from.is_loopback):
            await self._app(scope, receive, send)
        else:
            if self._turned is not None:
                self._turned.note("past_the_proxy", str(came_from or ""))
            # Its credential has already crossed the network in the clear; an answer would hide that.
            await say(send, 403, {"error": "this server is reached through its proxy alone; see --behind-proxy"})

    def _is_ours(self, found: Address) -> bool:
        return any(found in proxy for proxy in self._proxies)

    def _believed(self, scope: Scope, proxy: Address) -> dict[str, object]:
        """What a proxy of ours says: the client, which is the last address in the list that is no proxy of ours.

        Each proxy adds what it sees to the end, in the same line or in one of its own. Before something that is no address
        the list is anybody's.
        """
        lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        schemes = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
        client, port = proxy, int(scope["client"][1])
        for text in reversed(",".join(lines).split(",")) if lines else ():
            found, its = _parted(text.strip())
            if found is None:
                break
            client, port = found, its
            if not self._is_ours(found):
                break
        scheme = {"scheme": schemes[-1].decode()} if schemes and schemes[-1] in (b"http", b"https") else {}
        return {"client": (str(client), port), **scheme}


def _parted(text: str) -> tuple[Address | None, int]:
    """An address in a list of a proxy's, which may have a port; None if it is none."""
    host, _, port = text.rpartition(":")
    if host and (text.count(":") == 1 or host.endswith("]")):
        return address(host.removeprefix("[").removesuffix("]")), int(port) if port.isdecimal() and len(port) < 6 else 0
    return address(text.removeprefix("[").removesuffix("]")), 0


def address(text: str) -> Address | None:
    """A peer's address; one of IPv4 that came to a socket of IPv6 as what it is. None if it is none."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
