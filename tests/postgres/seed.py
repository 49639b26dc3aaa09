"""The seeded database that tests work on: a shop, secrets, and traps for whoever reads carelessly."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from tests.postgres.bed import PASSWORD, Bed

FOLDER = Path(__file__).parent
TEMPLATE = "seeded"
READER = "gatelodge_ro"
CHANNEL = "gl_canary"
"""Where the seed's traps notify."""
FILE_SECRET = "gl-secret-file-7f3a"
SUBSCRIPTION_SECRET = "gl-secret-subscription-3d"
SECRETS = (
    FILE_SECRET,
    SUBSCRIPTION_SECRET,
    "gl-secret-fdw-91cc",
    "gl-secret-fdw-92cc",
    "gl-secret-tenant2-8d2f",
    "gl-secret-claim2-8d2f",
    "SCRAM-SHA-256$4096:",
)
"""What no answer may contain, whoever asks; the protected columns are apart, see `COLUMN_SECRETS`."""
COLUMN_SECRETS = ("gl-secret-ssn-", "gl-secret-diagnosis-")
"""In app.people.ssn, which the reader was not granted, and app.patients.diagnosis, which it was."""

EXTENSIONS = (
    "dblink", "postgres_fdw", "file_fdw", "pg_trgm", "hstore", "tablefunc", "pgcrypto", "uuid-ossp", "hypopg",
    "pg_stat_statements", "xml2", "lo", "pageinspect", "pgstattuple", "adminpack", "pg_walinspect", "citext",
)  # fmt: skip
"""Made where they are available; `GEO` only on request, as it makes a database twice as large."""
GEO = "postgis"

_ROLES = {
    "app_owner": "NOLOGIN INHERIT",
    READER: "LOGIN INHERIT CONNECTION LIMIT 10",
    "app_writer": "LOGIN INHERIT",
    "authenticator": "LOGIN NOINHERIT",
    "tenant1": "LOGIN INHERIT",
    "tenant2": "LOGIN INHERIT",
}
_SETTINGS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "15s",
    "idle_in_transaction_session_timeout": "30s",
    "search_path": "app",
}
_COUNT = itertools.count(1)


@dataclass(frozen=True)
class Home:
    """A seeded database."""

    bed: Bed
    db: str

    def url(self, user: str = READER, **options: str) -> str:
        """A connection URL, over TCP; `options` are libpq's."""
        return self.bed.url(self.db, user, PASSWORD, over="tcp", **options)

    def admin(self) -> psycopg.Connection:
        return self.bed.admin(self.db)

    def has(self, *extensions: str) -> bool:
        """Whether the extensions were made in this database."""
        with self.admin() as admin:
            made = {name for (name,) in admin.execute("SELECT extname FROM pg_extension")}
        return made.issuperset(extensions)


@contextlib.contextmanager
def home(bed: Bed, *, geo: bool = False) -> Generator[Home]:
    """A seeded database of one's own, cloned from the template; with PostGIS if `geo`, where it is available."""
    made = Home(bed, f"home_{next(_COUNT)}")
    furnish(made, geo=geo)
    try:
        yield made
    finally:
        bed.drop(made.db)


def furnish(made: Home, *, geo: bool = False) -> None:
    """Make a seeded database anew, and the cluster's roles as they were."""
    bed = made.bed
    template(bed)
    bed.drop(made.db)
    bed.create(made.db, TEMPLATE)
    # A clone has its template's contents, but not what is granted on the database, nor its own address.
    with made.admin() as admin:
        roles(admin)
        name = sql.Identifier(made.db)
        admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
        for role in (READER, "app_writer", "authenticator", "tenant1", "tenant2"):
            admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, sql.Identifier(role)))
        if made.has("postgres_fdw"):
            admin.execute(
                sql.SQL("ALTER SERVER loop OPTIONS (SET host {}, SET port {}, SET dbname {})").format(
                    sql.Literal(str(bed.socket_dir)), sql.Literal(str(bed.port)), sql.Literal(made.db)
                )
            )
        if geo and GEO in bed.extensions():
            admin.execute("CREATE EXTENSION postgis")


def template(bed: Bed) -> str:
    """The template of a server's seeded databases, made when first asked for; its name."""
    with bed.admin() as admin:
        if admin.execute("SELECT FROM pg_database WHERE datname = %s", [TEMPLATE]).fetchone() is not None:
            return TEMPLATE
        roles(admin)
        # With `connect = false` it is a record only; the catalog is shared, so it is seen from each database.
        admin.execute(
            f"CREATE SUBSCRIPTION planted CONNECTION 'host=127.0.0.1 port=1 password={SUBSCRIPTION_SECRET}'"
            " PUBLICATION p WITH (connect = false, slot_name = NONE)"
        )
    (bed.data / "planted_secret").write_text(FILE_SECRET + "\n")
    bed.create(TEMPLATE, "template0")
    available = bed.extensions()
    with bed.admin(TEMPLATE) as admin:
        for extension in EXTENSIONS:
            if extension in available:
                admin.execute(sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(extension)))
        _run(admin, "seed.sql")
        _run(admin, "seed_shop.sql")
        if available.issuperset(("dblink", "postgres_fdw", "file_fdw", "hstore")):
            _run(admin, "seed_contrib.sql")
        _run(admin, "seed_grants.sql")
        admin.execute("ANALYZE")
    return TEMPLATE


def roles(admin: psycopg.Connection) -> None:
    """The cluster's roles, made or put back to what they were."""
    for role, options in _ROLES.items():
        name = sql.Identifier(role)
        if admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
            admin.execute(sql.SQL("CREATE ROLE {} PASSWORD {}").format(name, sql.Literal(PASSWORD)))
        plain = f"NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS {options}"
        admin.execute(b"ALTER ROLE %s %s" % (role.encode(), plain.encode()))
        admin.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(name))
    for setting, value in _SETTINGS.items():
        admin.execute(
            sql.SQL("ALTER ROLE {} SET {} = {}").format(
                sql.Identifier(READER), sql.Identifier(setting), sql.Literal(value)
            )
        )
    # Memberships belong to the cluster: one left by an attack would give the next module's roles more than they have.
    held = (
        "SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members WHERE member::regrole::text = ANY(%s)"
    )
    for granted, member in admin.execute(held, [list(_ROLES)]).fetchall():
        admin.execute(f"REVOKE {granted} FROM {member}".encode())
    admin.execute("GRANT tenant1, tenant2 TO authenticator")


def _run(admin: psycopg.Connection, name: str) -> None:
    admin.execute((FOLDER / name).read_text("utf-8").encode())
