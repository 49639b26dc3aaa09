"""What the tests of the administrator's tools share: databases of their own, and waiting for what is seen."""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
import time
from collections.abc import Callable, Generator

import psycopg

from tests.postgres.bed import Bed
from tests.postgres.processes import PATIENCE
from tests.postgres.seed import READER, roles

_COUNT = itertools.count(1)


@contextlib.contextmanager
def database(bed: Bed, *statements: str) -> Generator[str]:
    """A database of one's own with a schema ``shop`` that the reader may read, after `statements` ran; its name."""
    name = bed.create(f"dba_{next(_COUNT)}")
    try:
        with bed.admin() as admin:
            roles(admin)
        with bed.admin(name) as admin:
            admin.execute(f"CREATE SCHEMA shop; GRANT USAGE ON SCHEMA shop TO {READER}".encode())
            admin.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO {READER}".encode())
            for statement in statements:
                admin.execute(statement.encode())
        yield name
    finally:
        bed.drop(name)


def until(what: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.02)


def waits(bed: Bed, connection: psycopg.Connection) -> Callable[[], bool]:
    """Whether a connection waits for a lock."""
    pid = connection.info.backend_pid

    def look() -> bool:
        with bed.admin() as admin:
            rows = admin.execute("SELECT FROM pg_locks WHERE pid = %s AND NOT granted", [pid]).fetchall()
        return bool(rows)

    return look


@contextlib.contextmanager
def behind(connection: psycopg.Connection, statement: str) -> Generator[threading.Thread]:
    """A statement that runs in a thread meanwhile; at the end it is cancelled if it still does."""

    def run() -> None:
        with contextlib.suppress(psycopg.Error):
            connection.execute(statement.encode())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread
    finally:
        with contextlib.suppress(psycopg.Error):
            connection.cancel_safe(timeout=5)
        thread.join(PATIENCE)


def created(text: str) -> list[str]:
    """The CREATE INDEX statements in an answer."""
    return re.findall(r"^\d+\. (CREATE INDEX .*);$", text, re.MULTILINE)
