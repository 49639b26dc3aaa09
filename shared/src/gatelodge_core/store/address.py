"""Where the shared store is, and whether it may be used there: in secret and with a password, or on this machine alone."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from gatelodge_core.errors import SettingsError

PORT = 6379
_NAMED = "GATELODGE_STORE_URL"
_FORM = "write redis://127.0.0.1:6379/0, unix:///run/valkey/valkey.sock, or rediss://USER:PASSWORD@HOST:6379/0"


@dataclass(frozen=True, slots=True)
class Address:
    """A Valkey or Redis.

    Args:
        host: Name or address; empty for a Unix socket.
        port: 0 for a Unix socket.
        socket: Path of a Unix socket; empty for TCP.
        database: Number of the database.
        user: Name by which we log in; empty for the default one.
        password: Empty if there is none.
        tls: Whether the connection is secret; the certificate is always checked.
        ca_file: Certificate authorities; empty for the usual ones.
    """

    host: str
    port: int
    socket: str
    database: int
    user: str
    password: str = field(repr=False)
    tls: bool
    ca_file: str = ""

    @property
    def shown(self) -> str:
        """For people: where it is, and no secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.socket or f"{host}:{self.port}"

    @property
    def named(self) -> bool:
        """Whether a name has to be looked up."""
        return bool(self.host) and _address(self.host) is None


def parsed(url: str, ca_file: str = "") -> Address:
    """The address in a setting.

    Args:
        url: As set. Nothing of it is repeated in an error, since it can hold a password.
        ca_file: Certificate authorities, if they aren't the usual ones.

    Raises:
        SettingsError: It can't be understood, or isn't safe to use; the text says what to set.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingsError(f"{_NAMED}: {_FORM}") from None
    # The client library would take its options from there, such as not to check a certificate.
    if parts.query or parts.fragment or not url.isprintable():
        raise SettingsError(f"{_NAMED}: nothing may follow the number of the database; {_FORM}")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme == "unix":
        if parts.hostname or not os.path.isabs(parts.path):
            raise SettingsError(f"{_NAMED}: {_FORM}")
        return Address("", 0, unquote(parts.path), 0, user, password, tls=False)
    host = parts.hostname or ""
    if parts.scheme not in ("redis", "rediss") or not host or port == 0:
        raise SettingsError(f"{_NAMED}: {_FORM}")
    tls = parts.scheme == "rediss"
    local = host == "localhost" or ((address := _address(host)) is not None and address.is_loopback)
    if not local and not tls:
        raise SettingsError(f"{_NAMED}: off this machine the store needs TLS: write rediss://USER:PASSWORD@HOST:PORT/0")
    if not local and not password:
        raise SettingsError(f"{_NAMED}: off this machine the store needs a password: {_FORM}")
    path = os.path.abspath(os.path.expanduser(ca_file)) if ca_file else ""
    if path and not tls:
        raise SettingsError("--store-ca-file has no effect without TLS: write rediss://")
    if path and not os.access(path, os.R_OK):
        raise SettingsError(f"--store-ca-file {ca_file}: can't be read")
    return Address(host, port or PORT, "", _database(parts), user, password, tls, path)


def _database(parts: SplitResult) -> int:
    text = parts.path.removeprefix("/")
    if not text:
        return 0
    if text.isascii() and text.isdigit() and len(text) <= 5:
        return int(text)
    raise SettingsError(f"{_NAMED}: {_FORM}")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
