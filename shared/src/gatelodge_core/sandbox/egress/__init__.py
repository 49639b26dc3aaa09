"""The one safe way out to the network.

    async with Egress(EgressSettings()) as egress:
        page = await egress.get("https://example.com/", types=("text/html",))

A URL is read in one way or refused (`names`); its name is resolved once and every answer judged (`resolve`,
`addresses`, `policy`); the socket opens to an address that was judged (`connect`); the answer is bounded in bytes and
time (`hop`, `body`, `decode`); each redirect begins anew (`client`). `Egress.transport` gives the same to another
client of `httpx2`, and `vetted_connect` gives clients that block their sockets.
"""

from __future__ import annotations

from gatelodge_core.sandbox.egress.client import Egress, Fetched, Streamed
from gatelodge_core.sandbox.egress.connect import vetted_connect
from gatelodge_core.sandbox.egress.errors import EgressError
from gatelodge_core.sandbox.egress.limits import EgressLimits
from gatelodge_core.sandbox.egress.policy import EgressSettings, Policy
from gatelodge_core.sandbox.egress.transport import EgressRefused

__all__ = [
    "Egress",
    "EgressError",
    "EgressLimits",
    "EgressRefused",
    "EgressSettings",
    "Fetched",
    "Policy",
    "Streamed",
    "vetted_connect",
]
