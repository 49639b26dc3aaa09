"""The database that is asked: a PostgreSQL of its own on loopback, filled by SQL, read by a role that only reads."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass

from tests.postgres import beds

ROLE = "reader"
POINTS = 100_000
"""Rows of the table that point queries ask."""
TOWN = "town-"
"""Stands once in each row of the big table, and nowhere else."""

_MADE = """
CREATE TABLE points (id int PRIMARY KEY, name text NOT NULL, amount numeric(12, 2) NOT NULL);
INSERT INTO points SELECT i, 'point-' || i || '-end', i * 0.37 FROM generate_series(1, {points}) i;
CREATE TABLE big (id bigint PRIMARY KEY, customer int, status text, amount numeric(12, 2), made timestamptz, town text, note text);
INSERT INTO big SELECT i, i % 50000, (ARRAY['open', 'paid', 'shipped', 'returned'])[1 + i % 4], i * 0.37,
  timestamptz '2020-01-01' + i * interval '1 minute', 'town-' || i % 997, md5(i::text) || md5((i + 1)::text) || md5((i + 2)::text) || ' end of the note'
FROM generate_series(1, {rows}) i;
"""
_TABLES = """
DO $$ BEGIN
FOR i IN 0..{last} LOOP
  EXECUTE format('CREATE TABLE t_%s (id int PRIMARY KEY, owner int, label text, made timestamptz)', lpad(i::text, 4, '0'));
  -- A transaction may hold only so many locks.
  IF i % 100 = 99 THEN COMMIT; END IF;
END LOOP; END $$
"""
_READER = f"""
CREATE ROLE {ROLE} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
GRANT USAGE ON SCHEMA public TO {ROLE};
GRANT SELECT ON ALL TABLES IN SCHEMA public TO {ROLE};
"""
_SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "4GB", "maintenance_work_mem": "128MB"}


@dataclass(frozen=True)
class Data:
    """The database.

    Args:
        url: Where it is, with the role.
        version: PostgreSQL's major version.
        rows: Of the table `big`.
        width: Bytes of one of them as text, on average.
        tables: How many tables named ``t_`` and four digits there are.
    """

    url: str
    version: int
    rows: int
    width: int
    tables: int


@contextlib.contextmanager
def database(*, rows: int, tables: int) -> Generator[Data]:
    """The database, for as long as the context lasts.

    Raises:
        Unavailable: This machine has no PostgreSQL.
    """
    with beds.system(settings=_SETTINGS) as bed:
        bed.create("bench")
        with bed.admin("bench") as admin:
            admin.execute(_MADE.format(points=POINTS, rows=rows).encode())
            admin.execute(_TABLES.format(last=tables - 1).encode())
            admin.execute(_READER.encode())
            admin.execute("VACUUM ANALYZE")
            admin.execute("CHECKPOINT")
            found = admin.execute("SELECT avg(octet_length(big::text))::int FROM big WHERE id <= 1000").fetchone()
        assert found is not None
        yield Data(bed.url("bench", ROLE, None), bed.version, rows, found[0], tables)
