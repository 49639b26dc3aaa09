"""From the settings to how a server listens over HTTP: its door, its TLS, and whom it asks who is calling."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from gatelodge_core.auth.building import judges
from gatelodge_core.auth.door import Door
from gatelodge_core.auth.turned import TurnedAway
from gatelodge_core.errors import SettingsError
from gatelodge_core.guard.limits import LimitStep
from gatelodge_core.guard.shedding import Shedding
from gatelodge_core.launch.aside import ON, metrics_address
from gatelodge_core.launch.exposure import judged
from gatelodge_core.launch.http import HttpOptions
from gatelodge_core.launch.metrics import Exposition
from gatelodge_core.launch.routes import MCP_PATH
from gatelodge_core.server import Lodge
from gatelodge_core.settings import LodgeSettings

OTHER_REQUESTS = 16
"""Streams and short requests that a caller may have open beside calls."""


def options(settings: LodgeSettings, lodge: Lodge[object]) -> HttpOptions:
    """How a server listens.

    Args:
        settings: Its settings; `http` is set.
        lodge: The server, whose tools say which scopes there are.

    Raises:
        SettingsError: It can't be served safely, or what knows its callers can't be used.
    """
    exposure = judged(settings, MCP_PATH)
    if settings.store_url.get_secret_value() and not lodge.replicas.seals:
        raise SettingsError(
            "GATELODGE_STORE_URL is for replicas, and these must open each other's questions: set GATELODGE_STATE_KEY, "
            "the same for all of them (openssl rand -hex 32)"
        )
    host = f"[{exposure.host}]" if ":" in exposure.host else exposure.host
    turned = TurnedAway(lodge.turned_away) if lodge.turned_away is not None else None
    limits = next((step for step in lodge.steps if isinstance(step, LimitStep)), None)
    # Apart from strangers', whose kinds are bounded together.
    over = TurnedAway(lodge.turned_away) if lodge.turned_away is not None else None
    usual = HttpOptions(
        f"{host}:{exposure.port}",
        stateless=settings.stateless,
        max_sessions=settings.max_sessions,
        allowed_hosts=exposure.hosts,
        allowed_origins=exposure.origins,
        drain_seconds=settings.drain_seconds,
        tls=exposure.tls,
        proxies=exposure.proxies,
        # The other half of the descriptors is for the journal, the backends and files.
        max_connections=settings.open_files // 2,
        # The guard refuses what is over the limits, with a record. A flood beyond that is not worth reading.
        max_open=2 * (settings.calls_at_once + settings.calls_waiting) + OTHER_REQUESTS,
        metrics=_metrics(settings, lodge),
        metrics_address="" if settings.metrics == ON else settings.metrics,
        old=settings.legacy_sse,
        prefix=urlsplit(exposure.resource).path.removesuffix(MCP_PATH) if exposure.resource else "",
        turned=turned,
        shedding=Shedding(limits, lodge.meter, over) if limits is not None else None,
    )
    if exposure.auth == "none":
        return usual
    found = judges(
        settings, resource=exposure.resource, keys=exposure.keys, oauth=exposure.oauth, revoked=lodge.replicas.revoked
    )
    server = lodge.identity.server
    scopes = sorted({tool.nature.scope(server) for tool in lodge.declarations.tools.values()} | {f"{server}:read"})

    def door(app: ASGIApp) -> Door:
        return Door(
            app,
            found.authenticators,
            resource=exposure.resource if exposure.oauth else "",
            issuers=[settings.oauth_issuer] if exposure.oauth else [],
            # Reading first: it is what a caller without any scope is told to ask for.
            scopes=sorted(scopes, key=lambda scope: (not scope.endswith(":read"), scope)),
            turned=turned,
        )

    return replace(usual, door=door, connect=found.connect, read=found.read)


def _metrics(settings: LodgeSettings, lodge: Lodge[object]) -> Exposition | None:
    if not settings.metrics:
        return None
    if settings.metrics != ON:
        metrics_address(settings.metrics)
    limits = {
        "calls_per_second": settings.calls_per_second,
        "calls_at_once": settings.calls_at_once,
        "calls_waiting": settings.calls_waiting,
        "call_seconds": settings.call_seconds,
        "sessions": settings.max_sessions,
        "connections": settings.open_files // 2,
    }
    identity = lodge.identity

    def states() -> dict[str, bool]:
        return {"server": not lodge.ready(), **lodge.states()}

    return Exposition(identity.server, identity.version, lodge.meter, limits=limits, states=states)
