"""Whether a server may listen as it is told to: it starts only if that is secure, and else says all that is missing.

Whoever can be reached by others needs to know them (authentication), to be called by its own name (DNS rebinding), and to
be called in secret (TLS, its own or a proxy's).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from gatelodge_core.auth import oauth
from gatelodge_core.errors import SettingsError
from gatelodge_core.settings import LodgeSettings

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_LOCAL = frozenset(LOOPBACK_NAMES)
_ORIGIN = re.compile(r"https?://[^\s/?#@*\\]+", re.IGNORECASE)
_ALONE = "\nFor this machine alone, listen on loopback: --http 127.0.0.1:8000, without --public-url and --behind-proxy."


@dataclass(frozen=True, slots=True)
class Tls:
    """The server's own TLS.

    Args:
        cert: File of the certificate with its chain.
        key: File of the private key.
        client_ca: File of the authority of callers' certificates; empty if they need none.
    """

    cert: str
    key: str
    client_ca: str = ""


@dataclass(frozen=True, slots=True)
class Exposure:
    """How a server listens.

    Args:
        host: An address.
        port: 0 for a free one.
        auth: How callers are known.
        resource: The canonical URL of the endpoint, for OAuth; empty if there is none.
        hosts: Names under which it is called, beside the loopback names and `host`.
        origins: Browser origins that may call.
        tls: Its own TLS, or None.
        proxies: Addresses and networks from which forwarded headers are believed.
    """

    host: str
    port: int
    auth: Literal["none", "keys", "oauth", "both"]
    resource: str
    hosts: tuple[str, ...]
    origins: tuple[str, ...]
    tls: Tls | None
    proxies: tuple[str, ...]

    @property
    def oauth(self) -> bool:
        """Whether OAuth tokens are taken."""
        return self.auth in ("oauth", "both")

    @property
    def keys(self) -> bool:
        """Whether API keys are taken."""
        return self.auth in ("keys", "both")


def judged(settings: LodgeSettings, path: str) -> Exposure:
    """How the settings say that a server listens.

    Args:
        settings: Of the server; `http` is set.
        path: Of its endpoint, such as ``/mcp``.

    Raises:
        SettingsError: With all that is missing or contradicts itself.
    """
    host, port = split_address(settings.http)
    wrong: list[str] = []
    public = _public(settings.public_url, wrong)
    if not _is_loopback(host) or settings.behind_proxy or (public and public not in _LOCAL):
        wrong += _exposed(settings, public)
    if bool(settings.tls_cert) != bool(settings.tls_key):
        wrong.append("--tls-cert and --tls-key belong together")
    if settings.tls_client_ca and not settings.tls_cert:
        wrong.append("--tls-client-ca needs --tls-cert: callers' certificates are seen by whoever ends TLS")
    if settings.auth in ("oauth", "both"):
        wrong += oauth.lacking(settings)
        if not settings.public_url:
            wrong.append("--auth oauth needs --public-url: tokens must be issued for this server alone (RFC 8707)")
    elif settings.oauth_issuer:
        # Whoever names an issuer believes that tokens are checked.
        wrong.append(
            f"--oauth-issuer has no effect with --auth {settings.auth}: set --auth oauth or both, or leave it out"
        )
    wrong += [*_proxies(settings.behind_proxy), *_names(settings)]
    if wrong:
        raise SettingsError(f"--http {settings.http}: it can't be served safely:\n- " + "\n- ".join(wrong) + _ALONE)
    tls = Tls(settings.tls_cert, settings.tls_key, settings.tls_client_ca) if settings.tls_cert else None
    names = (*settings.allowed_hosts, *([public] if public else []))
    origins = tuple(origin.lower() for origin in settings.allowed_origins)
    resource = canonical(settings.public_url, path) if public else ""
    return Exposure(host, port, settings.auth, resource, names, origins, tls, tuple(settings.behind_proxy))


def canonical(url: str, path: str) -> str:
    """The URL that tokens are issued for, as clients write it.

    Scheme and host in lower case, no default port, no slash at the end (RFC 3986, section 6.2; MCP, authorization,
    canonical server URI).

    Args:
        url: That callers reach this server by.
        path: Of the endpoint, if `url` has none.
    """
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    shown = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, {"http": 80, "https": 443}[scheme]) else f":{parts.port}"
    return f"{scheme}://{shown}{port}{parts.path.rstrip('/') or path}"


def _exposed(settings: LodgeSettings, public: str) -> list[str]:
    """What a server lacks that others can reach."""
    found: list[str] = []
    if settings.auth == "none":
        found.append("others can reach it, so it must know its callers: set --auth keys, oauth or both")
    if not settings.public_url and not settings.allowed_hosts:
        found.append("it must know its own name, or any web page could call it: set --public-url (or --allowed-hosts)")
    if not settings.tls_cert and not settings.behind_proxy:
        found.append(
            "credentials would cross the network in the clear: set --tls-cert and --tls-key, or, where a proxy ends TLS, "
            "--behind-proxy with the proxy's address"
        )
    if settings.public_url.lower().startswith("http://") and public not in _LOCAL:
        found.append("--public-url: write https://")
    return found


def _names(settings: LodgeSettings) -> list[str]:
    """What is wrong with the names under which callers come."""
    found = [
        f"--allowed-hosts {name[:60]!r}: write a host name alone, such as tools.example.com"
        for name in settings.allowed_hosts
        if not name or any(char in name for char in "*/?#@ ")
    ]
    found += [
        f"--allowed-origins {origin[:60]!r}: write a web page's origin, such as https://app.example"
        for origin in settings.allowed_origins
        if not _ORIGIN.fullmatch(origin)
    ]
    return found


def _proxies(texts: Sequence[str]) -> list[str]:
    """What is wrong with the addresses of proxies."""
    found: list[str] = []
    four: list[ipaddress.IPv4Network] = []
    six: list[ipaddress.IPv6Network] = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            found.append(f"--behind-proxy {text[:60]!r} is no address or network, such as 10.0.0.7 or 10.0.0.0/24")
        else:
            four.append(network) if network.version == 4 else six.append(network)
    # Also in parts, such as two halves.
    whole = (*ipaddress.collapse_addresses(four), *ipaddress.collapse_addresses(six))
    if any(network.prefixlen == 0 for network in whole):
        found.append("--behind-proxy: everybody's word would be believed; name the proxy")
    return found


def split_address(address: str) -> tuple[str, int]:
    """``127.0.0.1:8000`` or ``[::1]:8000`` as host and port.

    Raises:
        SettingsError: It isn't an address of this machine with a port.
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise SettingsError(f"--http {address!r}: write HOST:PORT, for example --http 127.0.0.1:8000")
    if host != "localhost":
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise SettingsError(f"--http: {host!r} is not an address; write 127.0.0.1, [::1] or 0.0.0.0") from None
    return host, int(port)


def _public(url: str, wrong: list[str]) -> str:
    """The host of the public URL, lower case; empty if there is none."""
    if not url:
        return ""
    host = ""
    try:
        parts = urlsplit(url)
        plain = parts.username is None and parts.port != 0 and not any(char in url for char in "?#%\\ ")
        if parts.scheme in ("http", "https") and plain and url.isascii() and url.isprintable():
            host = (parts.hostname or "").lower()
    except ValueError:
        host = ""
    if not host:
        wrong.append("--public-url: write it like https://tools.example.com/files, without a query")
        return ""
    return host


def _is_loopback(host: str) -> bool:
    return host == "localhost" or ipaddress.ip_address(host).is_loopback
