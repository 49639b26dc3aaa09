"""One PostgreSQL server of a test: where it is, and what can be done to it."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

from tests.postgres.certificates import Certificates
from tests.postgres.processes import Child, ready

PASSWORD = "only-for-tests"
"""The superuser's; it guards nothing."""
Auth = Literal["trust", "scram-sha-256", "cert"]


@dataclass
class Bed:
    """A database server of our own; `user` postgres is its superuser."""

    binaries: Path
    folder: Path
    port: int
    version: int
    """The major version."""
    auth: Auth = "trust"
    certificates: Certificates | None = None
    host: str = "127.0.0.1"
    _child: Child | None = field(default=None, repr=False)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def socket_dir(self) -> Path:
        return self.folder

    @property
    def pid(self) -> int:
        assert self._child is not None, "the server was stopped"
        return self._child.pid

    def url(
        self,
        db: str = "postgres",
        user: str = "postgres",
        password: str | None = PASSWORD,
        *,
        over: Literal["tcp", "socket"] = "tcp",
        **options: str,
    ) -> str:
        """A connection URL; `options` are libpq's."""
        login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
        place, given = f"{self.host}:{self.port}", dict(options)
        if over == "socket":
            place, given = "", {"host": str(self.socket_dir), "port": str(self.port), **options}
        return f"postgresql://{login}@{place}/{quote(db, safe='')}" + (f"?{urlencode(given)}" if given else "")

    def connect(self, db: str = "postgres", user: str = "postgres", **given: Any) -> psycopg.Connection:
        """A connection in autocommit, over the socket; it never prepares."""
        return psycopg.connect(
            self.url(db, user, over="socket"), autocommit=True, prepare_threshold=None, connect_timeout=10, **given
        )

    def admin(self, db: str = "postgres") -> psycopg.Connection:
        """The superuser's connection, in autocommit."""
        return self.connect(db, application_name="bed admin", options="-c lock_timeout=20s")

    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8", "replace")

    def start(self) -> None:
        assert self._child is None, "it runs already"
        log = self.folder / "log"
        self._child = Child([str(self.binaries / "postgres"), "-D", str(self.data)], log)
        ready(self._child, self.url(over="socket"), log)

    def stop(self, how: Literal["fast", "immediate"] = "fast") -> None:
        """End the server; ``immediate`` is a crash, as with a lost machine."""
        if self._child is not None:
            self._child.end(signal.SIGINT if how == "fast" else signal.SIGQUIT)
            self._child = None

    def restart(self, how: Literal["fast", "immediate"] = "fast") -> None:
        self.stop(how)
        self.start()

    def backends(self, db: str | None = None) -> dict[int, str]:
        """Clients of a database by backend process, with their application name; not the caller's own."""
        with self.admin() as admin:
            rows = admin.execute(
                "SELECT pid, application_name FROM pg_stat_activity WHERE backend_type = 'client backend'"
                " AND pid <> pg_backend_pid() AND (%s::text IS NULL OR datname = %s)",
                [db, db],
            ).fetchall()
        return dict(rows)

    def kill_backend(self, pid: int) -> None:
        """End one connection from the side of the server, and wait until it is gone."""
        with self.admin() as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])

    def configure(self, **settings: str) -> None:
        """Change settings of the running server, those that need no restart."""
        with self.admin() as admin:
            for name, value in settings.items():
                admin.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
            admin.execute("SELECT pg_reload_conf()")

    def create(self, db: str, template: str = "template1", encoding: str = "UTF8") -> str:
        """Make a database, `encoding` SQL_ASCII needs the template ``template0``; its name."""
        order = "CREATE DATABASE {} TEMPLATE {} ENCODING {} LC_COLLATE {locale} LC_CTYPE {locale}"
        locale = sql.Literal("C.UTF-8" if encoding == "UTF8" else "C")
        with self.admin() as admin:
            admin.execute(
                sql.SQL(order).format(
                    sql.Identifier(db), sql.Identifier(template), sql.Literal(encoding), locale=locale
                )
            )
        return db

    def drop(self, db: str) -> None:
        with self.admin() as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(db)))

    def extensions(self) -> set[str]:
        """What CREATE EXTENSION could make here."""
        with self.admin() as admin:
            return {name for (name,) in admin.execute("SELECT name FROM pg_available_extensions")}
