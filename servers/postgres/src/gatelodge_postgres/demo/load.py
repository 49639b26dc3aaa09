"""Fills a cluster that was just made: roles, tables, rows, keys, and what each role may do. Run as ``python -m``."""

from __future__ import annotations

import sys
from importlib import resources
from typing import LiteralString, cast

import psycopg
from psycopg import sql

from gatelodge_postgres.connect.privileges import grant_sql
from gatelodge_postgres.demo.names import DATABASE, PORT, READER, SUPERUSER, WRITER
from gatelodge_postgres.demo.rows import Shop

SCHEMA = "shop"
CONNECTIONS = 50
"""Of each role: several servers share the database."""

Admin = psycopg.Connection[tuple[object, ...]]


def load(sockets: str) -> None:
    """Fill the cluster whose socket is in a folder.

    Raises:
        psycopg.Error: A statement failed.
    """
    writer = sql.Identifier(WRITER)
    with _connected(sockets, SUPERUSER) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN CONNECTION LIMIT {}").format(writer, CONNECTIONS))
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    with _connected(sockets, DATABASE) as admin:
        with admin.transaction():
            admin.execute(sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(sql.Identifier(SCHEMA), writer))
            admin.execute(sql.SQL("SET LOCAL ROLE {}").format(writer))
            admin.execute(_script("schema.sql"))
            _copy(admin)
            admin.execute(_script("keys.sql"))
        _grant(admin)
        admin.execute("VACUUM ANALYZE")


def _connected(sockets: str, database: str) -> Admin:
    return psycopg.connect(
        host=sockets, port=PORT, user=SUPERUSER, dbname=database, autocommit=True, prepare_threshold=None
    )


def _copy(admin: Admin) -> None:
    """Copy all rows, and let numbers go on after them."""
    for table, columns, rows in Shop().tables():
        name = sql.Identifier(SCHEMA, table)
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        with admin.cursor().copy(sql.SQL("COPY {} ({}) FROM STDIN").format(name, names)) as copy:
            for row in rows:
                copy.write_row(row)
        if columns[0] == "id":
            following = "SELECT setval(pg_get_serial_sequence({}, 'id'), {})"
            admin.execute(sql.SQL(following).format(f"{SCHEMA}.{table}", len(rows)))


def _grant(admin: Admin) -> None:
    """The recipe that grant-sql prints for the reader, without a password: the socket says who comes."""
    recipe = grant_sql(DATABASE, [SCHEMA], READER).replace(" PASSWORD 'change me'", "")
    admin.execute(cast("LiteralString", recipe))
    reader, writer, schema = sql.Identifier(READER), sql.Identifier(WRITER), sql.Identifier(SCHEMA)
    admin.execute(sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(reader, CONNECTIONS))
    # As the recipe proposes for the tools that look at the server's work.
    admin.execute(sql.SQL("GRANT pg_read_all_stats TO {}").format(reader))
    admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(DATABASE), writer))
    admin.execute(sql.SQL("ALTER ROLE {} SET search_path = {}").format(writer, schema))
    # Tables that the writer makes later are read as well.
    later = "ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA {} GRANT SELECT ON TABLES TO {}"
    admin.execute(sql.SQL(later).format(writer, schema, reader))


def _script(name: str) -> LiteralString:
    text = resources.files("gatelodge_postgres.demo").joinpath(name).read_text("utf-8")
    return cast("LiteralString", text)


if __name__ == "__main__":
    load(sys.argv[1])
