"""The command ``gatelodge-postgres``."""

from __future__ import annotations

import sys
from typing import NoReturn

from gatelodge_core.launch.entry import Program
from gatelodge_core.launch.entry import main as run

PROGRAM = Program(
    "postgres",
    settings="gatelodge_postgres.settings:PostgresSettings",
    build="gatelodge_postgres.server:build",
    offers="gatelodge_postgres.server:OFFERED",
)


def main() -> NoReturn:
    """Serve the configured databases, or print the recipe of a role that only reads."""
    if sys.argv[1:2] == ["grant-sql"]:
        from gatelodge_postgres.grant import run as grant  # noqa: PLC0415 - a command of its own

        sys.exit(grant(sys.argv[2:]))
    run(PROGRAM)


if __name__ == "__main__":
    main()
