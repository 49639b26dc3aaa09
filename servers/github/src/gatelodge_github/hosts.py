"""Where requests may go: one API on one host, and the hosts that it sends downloads to.

Held here in code, not by the client library, whose checks are assertions and gone under ``python -O``.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

from gatelodge_core.errors import CallError, SettingsError
from gatelodge_core.numbers import whole

PUBLIC_HOSTS = (
    "*.blob.core.windows.net",
    "*.actions.githubusercontent.com",
    "*.githubusercontent.com",
    "codeload.github.com",
)
"""Where GitHub itself keeps downloads."""
_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|[0-9a-f:.]+")


@dataclass(frozen=True, slots=True)
class Hosts:
    """One GitHub.

    Args:
        base_url: Of the REST API, without a slash at its end.
        web_url: What people see, without a slash at its end.
        scheme: ``https``, or ``http`` on loopback.
        host: Of the API, lower case.
        port: Of the API.
        prefix: Of all REST paths: empty, or ``/api/v3``.
        graphql: The path of the GraphQL API.
        downloads: Hosts of job logs; ``*.`` at the beginning for all below.
        named: ``host:port`` of those that the operator named: they alone may have a private address.
    """

    base_url: str
    web_url: str
    scheme: str
    host: str
    port: int
    prefix: str
    graphql: str
    downloads: tuple[str, ...]
    named: tuple[str, ...] = ()

    @classmethod
    def of(cls, host: str, api_url: str = "", downloads: tuple[str, ...] = ()) -> Hosts:
        """The GitHub with this web host.

        Args:
            host: ``github.com``, a tenant of ghe.com, or a GitHub Enterprise Server.
            api_url: The API's base, where it isn't the usual one.
            downloads: Further hosts of downloads.

        Raises:
            SettingsError: One of them can't be used.
        """
        host = host.strip().lower().removeprefix("https://").rstrip("/")
        if not host or any(char in host for char in "/@?# "):
            raise SettingsError("host: write the host alone, such as github.com")
        usual = f"https://api.{host}" if host == "github.com" or host.endswith(".ghe.com") else f"https://{host}/api/v3"
        url = (api_url or usual).rstrip("/")
        parts = urlsplit(url)
        try:
            port = _port(parts)
        except ValueError:
            raise SettingsError("api_url: its port is no number") from None
        more = "@" in parts.netloc or parts.query or parts.fragment
        if parts.scheme not in ("http", "https") or not parts.hostname or more:
            raise SettingsError("api_url: write it like https://ghe.example.com/api/v3")
        if parts.scheme == "http" and not _is_loopback(parts.hostname):
            raise SettingsError("api_url: http would show the token to the network; use https")
        public = not api_url and (host == "github.com" or host.endswith(".ghe.com"))
        further = tuple(item.strip().lower() for item in downloads)
        own = () if host == "github.com" else (host, f"*.{host}")
        graphql = parts.path[:-3] + "/graphql" if parts.path.endswith("/v3") else parts.path + "/graphql"
        return cls(
            url,
            f"https://{host}",
            parts.scheme,
            parts.hostname.lower(),
            port,
            parts.path,
            graphql,
            (*PUBLIC_HOSTS, *own, *further),
            () if public else (f"{parts.hostname.lower()}:{port}",),
        )

    @property
    def origin(self) -> str:
        """Scheme, host and port of the API."""
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def is_api(self, url: str) -> bool:
        """Whether a URL is one of the API's."""
        try:
            self.check_api(url)
        except CallError:
            return False
        return True

    def check_api(self, url: str) -> str:
        """The path and query of a URL of the API, which the server may have named.

        Raises:
            CallError: `foreign_url`: another scheme, host or port, a user name, or a path outside the API.
        """
        try:
            parts = urlsplit(url)
            port = _port(parts)
        except ValueError:
            raise _foreign() from None
        path = parts.path
        inside = path == self.graphql or not self.prefix or path.startswith(f"{self.prefix}/")
        if (
            (parts.scheme, (parts.hostname or "").lower(), port) != (self.scheme, self.host, self.port)
            or "@" in parts.netloc
            or not inside
            or any(part in (".", "..") for part in unquote(path).split("/"))
            or not _plain(url)
        ):
            raise _foreign()
        return f"{path}?{parts.query}" if parts.query else path

    def check_download(self, url: str) -> str:
        """A URL that a download was redirected to, if its host is one of those known.

        Raises:
            CallError: `foreign_url`.
        """
        try:
            parts = urlsplit(url)
            host, port = (parts.hostname or "").lower(), _port(parts)
        except ValueError:
            raise _foreign() from None
        if "@" in parts.netloc or not _NAME.fullmatch(host) or not _plain(url):
            raise _foreign()
        for known in self.downloads:
            name, _, numbered = known.partition(":")
            wanted = whole(numbered) or 443
            below = name.startswith("*.") and host.endswith(name[1:])
            plain = parts.scheme == "http" and _is_loopback(host) and bool(numbered)
            if (host == name or below) and port == wanted and (parts.scheme == "https" or plain):
                return url
        raise _foreign()


def _port(parts: SplitResult) -> int:
    return (443 if parts.scheme == "https" else 80) if parts.port is None else parts.port


def _plain(url: str) -> bool:
    """Whether no two readers of a URL can disagree on where its parts end."""
    return url.isascii() and "\\" not in url and not any(ord(char) <= 0x20 or ord(char) == 0x7F for char in url)


def _foreign() -> CallError:
    return CallError(
        "foreign_url",
        "GitHub named an address outside the configured hosts; nothing was sent there.",
        "If that host is yours, the operator can name it in download_hosts or api_url.",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
