"""The authorization server: what it says of itself, and its documents, by the one safe way out.

Metadata by RFC 8414 or OpenID Connect Discovery. They count only if the issuer in them is ours to the letter: else
whoever may write at another issuer of the same host could hand us his keys.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from gatelodge_core.auth.documents import DocumentError, JsonObject, read_object
from gatelodge_core.sandbox.egress import Egress, EgressError, EgressLimits, EgressSettings

logger = logging.getLogger(__name__)

SECONDS = 10
"""For one request to it."""
MAX_DOCUMENT = 512 * 1024
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts that may be asked over plain HTTP."""
_DEFAULT_PORTS = {"http": 80, "https": 443}


class IssuerError(Exception):
    """The authorization server couldn't be asked, or said nothing that can be used.

    Args:
        text: For the log.
        status: Of its answer; 0 if there was none.
        code: The error that it named (RFC 6749, section 5.2), if it did.
    """

    def __init__(self, text: str, status: int = 0, code: str = "") -> None:
        super().__init__(text)
        self.status, self.code = status, code


def is_secure(url: str) -> bool:
    """Whether a URL can be asked: over TLS, or on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL))


def address(url: str) -> tuple[str, int]:
    """Host and port of a URL.

    Raises:
        ValueError: It has none.
    """
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    if not parts.hostname or port is None:
        raise ValueError(url)
    return parts.hostname, port


def way_out(urls: tuple[str, ...], context: ssl.SSLContext | None) -> Egress:
    """The way to an authorization server; it follows no redirect.

    It leads to the hosts that the operator named, wherever these are, and beyond them to public ones on the same ports,
    since metadata may name another host (Google's keys are not where its issuer is).

    Args:
        urls: Those that the operator named.
        context: For TLS; the system's certificate authorities if None.
    """
    named = [address(url) for url in urls]
    hosts = tuple(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in named)
    limits = EgressLimits(
        wire_bytes=MAX_DOCUMENT, body_bytes=MAX_DOCUMENT, seconds=SECONDS, redirects=0, connections=32, keepalive=8
    )
    settings = EgressSettings(ports=frozenset(port for _, port in named), allow_hosts=hosts, limits=limits)
    return Egress(settings, context=context)


def metadata_urls(issuer: str) -> list[str]:
    """Where an issuer's metadata may be, in the order in which MCP clients look, too.

    Source: RFC 8414, section 3.1 and 5; OpenID Connect Discovery, section 4.
    """
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    found = [
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}/.well-known/openid-configuration{path}",
        f"{origin}{path}/.well-known/openid-configuration",
    ]
    return list(dict.fromkeys(found))


class Issuer:
    """One authorization server.

    Args:
        name: Its issuer identifier, exactly as in its tokens.
        egress: The way to it.
    """

    def __init__(self, name: str, egress: Egress) -> None:
        self.name = name
        self._egress = egress
        self._metadata: JsonObject | None = None

    async def aclose(self) -> None:
        """Close every connection to it."""
        await self._egress.aclose()

    def forget(self) -> None:
        """Ask for its metadata anew the next time: an address in them didn't answer."""
        self._metadata = None

    async def endpoint(self, name: str) -> str:
        """The URL under a name in its metadata, such as ``jwks_uri``.

        Raises:
            IssuerError: It has no metadata, or no such URL in them.
        """
        if self._metadata is None:
            self._metadata = await self._discover()
        url = self._metadata.get(name)
        if not isinstance(url, str) or not is_secure(url):
            raise IssuerError(f"its metadata have no {name} with https://; name the address in the settings")
        return url

    async def document(self, url: str) -> bytes:
        """Fetch one of its documents.

        Raises:
            IssuerError: It isn't there.
        """
        try:
            answer = await self._egress.get(url, headers={"accept": "application/json"})
        except EgressError as error:
            raise IssuerError(f"{url}: {error.code}: {error.message}") from None
        if answer.status != 200:
            raise IssuerError(f"{url}: status {answer.status}", answer.status)
        return answer.body

    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> JsonObject:
        """Send it a form; its answer, an object.

        Raises:
            IssuerError: It didn't answer with one.
        """
        kinds = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        try:
            answer = await self._egress.post(url, content, headers={**headers, **kinds})
        except EgressError as error:
            raise IssuerError(f"{url}: {error.code}: {error.message}") from None
        try:
            found = read_object(answer.body)
        except DocumentError as error:
            raise IssuerError(f"{url}: status {answer.status}, {error}", answer.status) from None
        if answer.status != 200:
            # Not in the log: it was written elsewhere, and may hold what we sent.
            raise IssuerError(f"{url}: status {answer.status}", answer.status, str(found.get("error", "")))
        return found

    async def _discover(self) -> JsonObject:
        reasons: list[str] = []
        for url in metadata_urls(self.name):
            try:
                found = read_object(await self.document(url))
            except IssuerError as error:
                reasons.append(str(error))
                continue
            except DocumentError as error:
                reasons.append(f"{url}: {error}")
                continue
            if found.get("issuer") == self.name:
                return found
            # Most often a slash at the end; the operator sees both in the log.
            reasons.append(f"{url}: it is the issuer {str(found.get('issuer'))[:200]!a}, not {self.name!a}")
        raise IssuerError("no metadata: " + "; ".join(reasons))
