"""``gatelodge-postgres grant-sql``: the recipe of a role that reads and can do nothing else."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from gatelodge_core import outlet

from gatelodge_postgres.connect.privileges import grant_sql


def run(argv: Sequence[str]) -> int:
    """Print it; nothing is connected and nothing is run."""
    parser = outlet.Parser(
        prog="gatelodge-postgres grant-sql",
        description="Print SQL that makes a role which only reads. Review it, and run it as a superuser.",
    )
    parser.add_argument("--database", default="app", help="The database's name.")
    parser.add_argument("--schema", action="append", default=[], help="A schema to be read. May be repeated.")
    parser.add_argument("--role", default="gatelodge_ro", help="The role to make.")
    given = parser.parse_args(list(argv))
    sys.stdout.write(grant_sql(given.database, given.schema or ["public"], given.role))
    return 0
