"""A listener for the metrics alone, for a Prometheus that has no credential here. It shows them to whoever reaches it."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from gatelodge_core.answering import say
from gatelodge_core.errors import SettingsError
from gatelodge_core.launch.exposure import split_address
from gatelodge_core.launch.metrics import METRICS_PATH, Exposition

ON = "on"
"""The setting that shows metrics behind the door instead."""


def metrics_address(setting: str) -> tuple[str, int]:
    """Where the metrics are to be shown, as address and port.

    Raises:
        SettingsError: The setting is none.
    """
    try:
        return split_address(setting)
    except SettingsError:
        raise SettingsError(
            f"--metrics {setting[:60]!r}: write on, for /metrics behind the same authentication, or HOST:PORT, such as "
            "127.0.0.1:9464"
        ) from None


class Aside:
    """The ASGI application of that listener.

    Args:
        metrics: What is shown.
        names: Host names under which it is asked, beside any address: a web page can't make its own name an address.
    """

    def __init__(self, metrics: Exposition, names: frozenset[str]) -> None:
        self._app: ASGIApp = metrics.answer
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; see the ASGI specification."""
        hosts = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._named(hosts[0]):
            await say(send, 421, {"error": "this Host is not served here; see --allowed-hosts"})
        elif scope["path"] != METRICS_PATH:
            await say(send, 404, {"error": f"not found; metrics are at {METRICS_PATH}"})
        else:
            await self._app(scope, receive, send)

    def _named(self, header: str) -> bool:
        try:
            name = urlsplit(f"//{header}").hostname or ""
            if name in self._names and not any(char in header for char in "/@?# "):
                return True
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True
