"""Sees what a query did to the world: the database, the server, its files, and who was called on the network.

A `Watch` takes snapshots by connections of its own; what differs between two of them happened in between.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psycopg
from psycopg import sql

from tests.postgres.listener import Listener
from tests.postgres.processes import folder, own
from tests.postgres.seed import CHANNEL, COLUMN_SECRETS, FILE_SECRET, SECRETS, Home

Effect = Literal[
    "rows", "sequence", "large_object", "catalog", "file", "network", "notify", "wal", "lock", "transaction", "server",
    "stats", "backend", "session", "leak", "column", "time", "size", "text",
]  # fmt: skip
"""All but the last six are seen by `Watch.changes`; ``session`` by `PROBE`, the rest in the answer."""

World = dict[str, dict[str, str]]
"""Facts by effect and by name."""

_CATALOGS = (
    "pg_aggregate", "pg_amop", "pg_attrdef", "pg_attribute", "pg_auth_members", "pg_authid", "pg_cast", "pg_class",
    "pg_collation", "pg_constraint", "pg_conversion", "pg_database", "pg_db_role_setting", "pg_default_acl",
    "pg_depend", "pg_description", "pg_enum", "pg_event_trigger", "pg_extension", "pg_foreign_data_wrapper",
    "pg_foreign_server", "pg_foreign_table", "pg_index", "pg_inherits", "pg_language", "pg_namespace", "pg_opclass",
    "pg_operator", "pg_policy", "pg_proc", "pg_publication", "pg_publication_rel", "pg_replication_origin",
    "pg_rewrite", "pg_seclabel", "pg_sequence", "pg_shdescription", "pg_statistic", "pg_statistic_ext",
    "pg_subscription", "pg_tablespace", "pg_transform", "pg_trigger", "pg_ts_config", "pg_ts_dict", "pg_type",
    "pg_user_mapping",
)  # fmt: skip
_FACTS: dict[str, str] = {
    "sequence": "SELECT schemaname || '.' || sequencename, coalesce(last_value::text, '-') FROM pg_sequences",
    "large_object": "SELECT m.oid::text, coalesce(string_agg(md5(l.data), '' ORDER BY l.pageno), '')"
    " FROM pg_largeobject_metadata m LEFT JOIN pg_largeobject l ON l.loid = m.oid GROUP BY m.oid",
    "lock": "SELECT concat_ws('/', pid, classid, objid), mode FROM pg_locks WHERE locktype = 'advisory'",
    "transaction": "SELECT pid::text, state FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    " UNION ALL SELECT gid, 'prepared' FROM pg_prepared_xacts",
    "server": "SELECT 'loaded', pg_conf_load_time()::text UNION ALL SELECT 'slot ' || slot_name, coalesce(plugin::text, 'physical') FROM pg_replication_slots",
    "stats": "SELECT datname || '', stats_reset::text FROM pg_stat_database"
    " UNION ALL SELECT 'bgwriter', stats_reset::text FROM pg_stat_bgwriter"
    " UNION ALL SELECT 'wal', stats_reset::text FROM pg_stat_wal",
}

PROBE = """
SELECT json_build_object(
    'prepared', (SELECT count(*) FROM pg_prepared_statements),
    'cursors', (SELECT count(*) FROM pg_cursors WHERE is_holdable),
    'listening', (SELECT string_agg(c, ',') FROM pg_listening_channels() AS c),
    'settings', (SELECT string_agg(name || '=' || setting, ',' ORDER BY name) FROM pg_settings WHERE source = 'session'),
    'loaded', (SELECT count(*) FROM pg_settings WHERE name LIKE 'auto_explain.%'),
    'tenant', current_setting('app.tenant', true),
    'user', current_user || '/' || session_user,
    'temporary', pg_my_temp_schema() <> 0)::text
""".strip()
"""What a session remembers, in one harmless SELECT; run it before and after on the same connection."""


def leaks(text: str) -> list[str]:
    """The secrets in a text that nobody may get, also where they are encoded; see `columns` for the others."""
    return _found(text, SECRETS)


def columns(text: str) -> list[str]:
    """The values of protected columns in a text."""
    return _found(text, COLUMN_SECRETS)


def _found(text: str, secrets: Iterable[str]) -> list[str]:
    found: list[str] = []
    for secret in secrets:
        raw = secret.encode()
        shapes = (secret, raw.hex(), base64.b64encode(raw[: len(raw) // 3 * 3]).decode(), secret[::-1])
        if any(shape.lower() in text.lower() for shape in shapes):
            found.append(secret)
    return found


@dataclass
class Watch:
    """Eyes on one seeded database; use `watching`."""

    home: Home
    folder: Path
    """Where the server's account may write; a file here came from a query."""
    listener: Listener
    bystander: psycopg.Connection
    """Somebody else's idle connection, for whom ends those."""
    _admin: psycopg.Connection
    _ear: psycopg.Connection
    _heard: list[str]

    @property
    def places(self) -> dict[str, str]:
        """What a case's SQL leaves open."""
        return {
            "{canary}": str(self.folder / "canary"),
            "{folder}": str(self.folder),
            "{secret}": str(self.folder / "secret"),
            "{port}": str(self.listener.port),
            "{bystander}": str(self.bystander.info.backend_pid),
            "{db}": self.home.db,
            "{socket}": str(self.home.bed.socket_dir),
            "{dbport}": str(self.home.bed.port),
        }

    def fill(self, text: str) -> str:
        for name, value in self.places.items():
            text = text.replace(name, value)
        return text

    def snapshot(self) -> World:
        """The facts just now."""
        world: World = {kind: self._ask(query) for kind, query in _FACTS.items()}
        world["rows"] = self._rows()
        world["catalog"] = self._catalogs()
        world["file"] = self._files()
        world["server"] |= {"auto.conf": (self.home.bed.data / "postgresql.auto.conf").read_text()}
        world["network"] = {"callers": str(self.listener.count)}
        # A notification that was committed is delivered before the answer to what we ask next.
        self._ear.execute("SELECT 1")
        world["notify"] = {"heard": str(len(self._heard))}
        world["backend"] = {"bystander": self._lives()}
        world["wal"] = {"at": self._flushed()}
        return world

    def changes(self, before: World) -> dict[str, list[str]]:
        """What differs from then, by effect; each with the names of what changed."""
        after = self.snapshot()
        start, end = before["wal"]["at"], after["wal"]["at"]
        found: dict[str, list[str]] = {}
        for kind in set(before) - {"wal"}:
            old, new = before[kind], after[kind]
            if names := sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)):
                found[kind] = names
        if records := self._records(start, end):
            found["wal"] = records
        return found

    def _ask(self, query: str) -> dict[str, str]:
        return dict(self._admin.execute(query.encode()).fetchall())

    def _rows(self) -> dict[str, str]:
        tables = self._admin.execute(
            "SELECT relnamespace::regnamespace::text, relname, oid::regclass::text FROM pg_class c"
            " WHERE relkind IN ('r', 'm') AND relpersistence <> 't' AND oid >= 16384 AND NOT EXISTS"
            " (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')"
        ).fetchall()
        parts = [
            sql.SQL(
                "SELECT {}, count(*) || md5(coalesce(string_agg(t::text, ',' ORDER BY t::text), '')) FROM {} t"
            ).format(sql.Literal(name), sql.SQL(name))
            for _, _, name in tables
        ]
        return dict(self._admin.execute(sql.SQL(" UNION ALL ").join(parts)).fetchall())

    def _catalogs(self) -> dict[str, str]:
        # Each change of a row gives it the number of its transaction.
        return self._ask(
            " UNION ALL ".join(
                f"SELECT '{name}', count(*) || '/' || coalesce(sum(xmin::text::bigint), 0) FROM {name}"
                for name in _CATALOGS
            )
        )

    def _files(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for place, _, names in os.walk(self.folder):
            for name in names:
                path = Path(place, name)
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
        data = self.home.bed.data
        for part in (data, data / "pg_replslot", data / "pg_tblspc", data / "pg_snapshots"):
            found |= {str(path): "there" for path in part.iterdir()}
        return found

    def _lives(self) -> str:
        # Asked rather than looked up: who was told to end does so at its next statement at the latest.
        try:
            self.bystander.execute("SELECT 1")
        except psycopg.OperationalError:
            return "ended"
        return "lives"

    def _flushed(self) -> str:
        self._admin.execute("SET synchronous_commit = on")
        # A commit that wrote something flushes all that was written before.
        self._admin.execute("SELECT pg_logical_emit_message(true, 'watch', '')")
        return str(self._ask("SELECT 'at', pg_current_wal_flush_lsn()::text")["at"])

    def _records(self, start: str, end: str) -> list[str]:
        """The kinds of log records in between that don't come from changing rows."""
        if self._admin.execute("SELECT to_regproc('pg_get_wal_records_info')").fetchone() == (None,):
            return []
        query = (
            "SELECT DISTINCT record_type FROM pg_get_wal_records_info(%s, %s) WHERE resource_manager = 'LogicalMessage'"
            " AND description !~ 'prefix \"watch\"' OR resource_manager = 'XLOG' AND record_type IN ('SWITCH', 'RESTORE_POINT', 'CHECKPOINT_ONLINE')"
        )
        return sorted(kind for (kind,) in self._admin.execute(query, [start, end]))


@contextlib.contextmanager
def watching(home: Home) -> Generator[Watch]:
    """Eyes on a seeded database, for as long as it isn't made anew."""
    with folder() as place, contextlib.ExitStack() as stack:
        (place / "secret").write_text(FILE_SECRET + "\n")
        own(place / "secret")
        listener = Listener()
        stack.callback(listener.close)
        admin, ear, bystander = home.admin(), home.admin(), home.bed.connect(home.db, application_name="bystander")
        for connection in (admin, ear, bystander):
            stack.callback(connection.close)
        heard: list[str] = []
        ear.add_notify_handler(lambda notify: heard.append(notify.payload))
        ear.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
        if home.has("postgres_fdw"):
            admin.execute(sql.SQL("ALTER SERVER canary OPTIONS (SET port {})").format(sql.Literal(str(listener.port))))
        yield Watch(home, place, listener, bystander, admin, ear, heard)


def probe(connection: psycopg.Connection) -> str:
    """What a connection remembers, hypothetical indexes too."""
    parts = [str(connection.execute(PROBE.encode()).fetchone())]
    # Missing on most servers, and out of reach once a role or a search path was changed.
    with contextlib.suppress(psycopg.Error):
        parts.append(str(connection.execute("SELECT count(*) FROM public.hypopg()").fetchone()))
    return " ".join(parts)
