"""The command ``gatelodge-postgres``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

from gatelodge_core.launch.entry import Program
from gatelodge_core.launch.entry import main as run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROGRAM = Program(
    "postgres",
    settings="gatelodge_postgres.settings:PostgresSettings",
    build="gatelodge_postgres.server:build",
    offers="gatelodge_postgres.server:OFFERED",
    surface="gatelodge_postgres.surface:chosen",
)


def main() -> NoReturn:
    """Serve the configured databases, print the recipe of a role that only reads, or remove the demo's database."""
    if sys.argv[1:2] == ["grant-sql"]:
        from gatelodge_postgres.grant import run as grant  # noqa: PLC0415 - a command of its own

        _command("grant-sql", grant)
    if sys.argv[1:2] == ["remove-demo"]:
        from gatelodge_postgres.demo.remove import run as remove  # noqa: PLC0415 - a command of its own

        _command("remove-demo", remove)
    run(PROGRAM)


def _command(name: str, run: Callable[[Sequence[str]], int]) -> NoReturn:
    from gatelodge_core import outlet  # noqa: PLC0415 - the server itself has no use for it

    sys.exit(outlet.run(f"gatelodge-postgres {name}", lambda: run(sys.argv[2:])))


if __name__ == "__main__":
    main()
