"""Job logs: from where GitHub redirects to, without the credential, streamed with bounds."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable

import anyio
import anyio.to_thread
from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.egress import Egress, EgressLimits, EgressSettings
from gatelodge_core.sandbox.egress.names import Target

from gatelodge_github.hosts import PUBLIC_HOSTS, Hosts

MIB = 1024 * 1024
MOST_BYTES = 256 * MIB
"""Of one log, decompressed; what lies behind is not looked at, and the answer says so."""
SECONDS = 45.0
_FED = MIB // 4


class Downloads:
    """Fetches from the hosts that downloads lie on.

    Args:
        hosts: Which these are.
        ca_file: Certificate authorities to trust instead of the usual ones.
    """

    def __init__(self, hosts: Hosts, ca_file: str = "") -> None:
        self._hosts, self._ca_file = hosts, ca_file
        self._egress: Egress | None = None

    async def feed(self, url: str, take: Callable[[bytes], None], *, most: int = MOST_BYTES) -> bool:
        """Fetch something in pieces, which are taken in a worker thread.

        Args:
            url: As GitHub named it; judged again here.
            take: Takes the next bytes. If the call is cancelled meanwhile, it isn't waited for: it must end by itself.
            most: Bytes after which it ends.

        Returns:
            Whether it was cut.

        Raises:
            CallError: It can't be had.
        """
        self._hosts.check_download(url)

        async def check(target: Target) -> None:
            self._hosts.check_download(str(target.url))

        async with self._out().stream("GET", url, max_bytes=most, cut=True, seconds=SECONDS, check=check) as answer:
            if answer.status != 200:
                gone = answer.status in (404, 410, 403)
                raise CallError(
                    "log_gone" if gone else "github_failed",
                    "The download is not there any more." if gone else f"The download failed (status {answer.status}).",
                    "Logs expire after some time." if gone else "Try again.",
                )
            held = bytearray()
            async for piece in answer.body:
                held += piece
                if len(held) >= _FED:
                    await anyio.to_thread.run_sync(take, bytes(held), abandon_on_cancel=True)
                    held.clear()
            if held:
                await anyio.to_thread.run_sync(take, bytes(held), abandon_on_cancel=True)
            return answer.body.truncated

    def _out(self) -> Egress:
        if self._egress is None:
            # A private address may only be where the operator named the host.
            named = [host for host in self._hosts.downloads if not host.startswith("*.") and host not in PUBLIC_HOSTS]
            pairs = tuple(host if ":" in host else f"{host}:443" for host in named)
            ports = frozenset({443, *(int(pair.rpartition(":")[2]) for pair in pairs)})
            context = ssl.create_default_context(cafile=os.path.expanduser(self._ca_file)) if self._ca_file else None
            domains = tuple(host.removeprefix("*.").partition(":")[0] for host in self._hosts.downloads)
            limits = EgressLimits(
                wire_bytes=MOST_BYTES, body_bytes=MOST_BYTES, ratio=1000, seconds=SECONDS, redirects=2, connections=8
            )
            self._egress = Egress(
                EgressSettings(ports=ports, allow_hosts=pairs, allow_domains=domains, limits=limits), context=context
            )
        return self._egress

    async def aclose(self) -> None:
        """Close every connection."""
        if self._egress is not None:
            await self._egress.aclose()
