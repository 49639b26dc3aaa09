"""Behind a reverse proxy: who is believed about where a request comes from, and who may come another way.

A proxy that ends TLS is known by its address. What it says of the client (``X-Forwarded-For``, ``X-Forwarded-Proto``) is
believed up to the last address that is no proxy of ours; what anybody else says of himself is not. ``X-Forwarded-Host`` is
believed from nobody: proxies pass the Host on.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from gatelodge_core.answering import say
from gatelodge_core.auth.turned import TurnedAway

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
        # uvicorn has types of its own for the same things.
        self._believing = cast("ASGIApp", ProxyHeadersMiddleware(cast("Any", app), list(proxies)))
        self._proxies = [ipaddress.ip_network(proxy) for proxy in proxies]
        self._direct = direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; see the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        came_from = address((scope.get("client") or ("",))[0])
        if came_from is not None and any(came_from in proxy for proxy in self._proxies):
            scope["client"] = (str(came_from), scope["client"][1])
            await self._believing(scope, receive, send)
        elif self._direct or scope["path"] in HEALTH or (came_from is not None and came_from.is_loopback):
            await self._app(scope, receive, send)
        else:
            if self._turned is not None:
                self._turned.note("past_the_proxy", str(came_from or ""))
            # Its credential has already crossed the network in the clear; an answer would hide that.
            await say(send, 403, {"error": "this server is reached through its proxy alone; see --behind-proxy"})


def address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """A peer's address; one of IPv4 that came to a socket of IPv6 as what it is. None if it is none."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
