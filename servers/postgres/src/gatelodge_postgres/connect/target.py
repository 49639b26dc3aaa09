"""Where a database is: its connection parameters as libpq reads them, and what the process must reach for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from gatelodge_core.errors import SettingsError
from gatelodge_core.numbers import whole
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

PORT = 5432
_SOCKETS = "/var/run/postgresql"
_FILES = ("sslcert", "sslkey", "sslrootcert", "sslcrl", "passfile")
_HOME_FILES = (".pgpass", ".postgresql")


@dataclass(frozen=True)
class Target:
    """A database's address.

    Args:
        name: What callers call it.
        parameters: libpq's, with environment and service file already applied.
        label: What people are shown of it, where the parameters don't tell.
    """

    name: str
    parameters: dict[str, Any]
    label: str = ""

    @property
    def hosts(self) -> list[str]:
        """Host names, addresses, or folders of Unix sockets; empty texts mean the default folder."""
        return str(self.parameters.get("hostaddr") or self.parameters.get("host") or "").split(",")

    @property
    def ports(self) -> list[int]:
        """One port a host."""
        given = [int(text) if text else PORT for text in str(self.parameters.get("port") or PORT).split(",")]
        return given if len(given) > 1 else given * len(self.hosts)

    @property
    def sockets(self) -> list[str]:
        """Folders of Unix sockets."""
        return [host or _SOCKETS for host in self.hosts if not host or host.startswith(("/", "@"))]

    @property
    def local(self) -> bool:
        """Whether every host is this machine."""
        return all(not host or host[0] in "/@" or host in ("localhost", "127.0.0.1", "::1") for host in self.hosts)

    @property
    def files(self) -> list[str]:
        """Files that libpq may read after the process is confined: certificates, keys, the password file."""
        home = os.path.expanduser("~")
        given = [str(self.parameters[key]) for key in _FILES if self.parameters.get(key)]
        usual = [os.path.join(home, name) for name in _HOME_FILES]
        return [os.path.abspath(path) for path in (*given, *usual) if path != "system" and os.path.exists(path)]

    @property
    def shown(self) -> str:
        """Host, port and database, for people; no user, no password."""
        if self.label:
            return self.label
        places = ",".join(
            f"{host or self.sockets[0]}:{port}" for host, port in zip(self.hosts, self.ports, strict=False)
        )
        return f"{places}/{self.parameters.get('dbname') or self.parameters.get('user') or ''}"

    @property
    def places(self) -> list[str]:
        """Each host with its port, or its Unix socket, as ``ssh -L`` takes them."""
        places: list[str] = []
        for host, port in zip(self.hosts, self.ports, strict=False):
            if not host or host.startswith("/"):
                places.append(f"{host or _SOCKETS}/.s.PGSQL.{port}")
            else:
                places.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        return places

    def through(self, ports: Sequence[int]) -> Target:
        """The same database behind tunnels on this machine, one a host; certificates are checked for its own name."""
        moved = {"hostaddr": ",".join("127.0.0.1" for _ in ports), "port": ",".join(map(str, ports))}
        names = str(self.parameters.get("host") or ",".join(self.hosts))
        return replace(self, parameters={**self.parameters, "host": names, **moved}, label=self.shown)


def parse(name: str, url: str) -> Target:
    """Read a URL or DSN.

    Raises:
        SettingsError: libpq doesn't understand it; the text holds nothing of it, since it can hold a password.
    """
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        raise SettingsError(
            f"database {name}: its URL can't be read; write postgresql://USER@HOST:PORT/DATABASE, "
            "with special characters in passwords as %XX"
        ) from None
    parameters: dict[str, Any] = {**_defaults(str(given.get("service") or "")), **given}
    parameters.pop("service", None)
    target = Target(name, parameters)
    if not target.local and not given.get("sslmode") and parameters.get("sslmode") in (None, "prefer"):
        # libpq's own default accepts plain text, which is right for this machine alone.
        target = Target(name, {**parameters, "sslmode": "require"})
    ports = str(parameters.get("port") or PORT).split(",")
    if not all(not text or 0 < (whole(text) or 0) < 65536 for text in ports):
        raise SettingsError(f"database {name}: its port is no number from 1 to 65535")
    if len(ports) not in (1, len(target.hosts)):
        raise SettingsError(f"database {name}: there must be one port, or one for each host")
    return target


def _defaults(service: str) -> dict[str, str]:
    """What environment and service file say; libpq expands a service only through PGSERVICE."""
    before = os.environ.get("PGSERVICE")
    if service:
        os.environ["PGSERVICE"] = service
    try:
        options = pq.Conninfo.get_defaults()
    finally:
        if service:
            os.environ.pop("PGSERVICE")
            if before is not None:
                os.environ["PGSERVICE"] = before
    keep = ("host", "hostaddr", "port", "dbname", "user", "password", "passfile", "target_session_attrs", *_FILES)
    # libpq's own defaults come along; they say nothing of what was meant, and would hide our own.
    found = {item.keyword.decode(): (item.val or b"").decode() for item in options if item.val != item.compiled}
    return {key: found[key] for key in dict.fromkeys((*keep, "sslmode")) if found.get(key)}
