"""Puts the world back after an attack: cheaply where that is enough, else the database is made anew."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
from psycopg import sql

from tests.postgres.seed import Home, furnish, roles
from tests.postgres.watch import Watch


def mend(watch: Watch, changes: dict[str, list[str]]) -> bool:
    """Undo a change where that is cheap; whether it was."""
    cheap = {"rows", "sequence", "network", "notify", "wal", "stats", "lock", "transaction", "file"}
    ours = {"app.victim", "app.seq1"}
    if not cheap.issuperset(changes) or not ours.issuperset(changes.get("rows", []) + changes.get("sequence", [])):
        return False
    with watch.home.admin() as admin:
        _forget_prepared(admin)
        admin.execute("TRUNCATE app.victim")
        admin.execute("INSERT INTO app.victim SELECT g, 'note ' || g FROM generate_series(1, 5) g")
        admin.execute("ALTER SEQUENCE app.seq1 RESTART")
    _sweep(watch.folder)
    return True


def restore(home: Home) -> None:
    """Make the database anew, and undo what was done to the cluster; cases call what they make there ``evil``."""
    with home.admin() as admin:
        _forget_prepared(admin)
    with home.bed.admin() as admin:
        admin.execute("ALTER SYSTEM RESET ALL")
        admin.execute("SELECT pg_reload_conf()")
        admin.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name ~ '^evil'")
        for (db,) in admin.execute("SELECT datname FROM pg_database WHERE datname ~ '^evil'").fetchall():
            home.bed.drop(db)
    furnish(home)
    with home.bed.admin() as admin:
        for (role,) in admin.execute("SELECT rolname FROM pg_roles WHERE rolname ~ '^evil'").fetchall():
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))
        roles(admin)


def _forget_prepared(admin: psycopg.Connection) -> None:
    """Prepared transactions keep their locks, whoever made them."""
    for (name,) in admin.execute("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()").fetchall():
        admin.execute(sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(name)))


def _sweep(place: Path) -> None:
    for path in place.iterdir():
        if path.name != "secret":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
