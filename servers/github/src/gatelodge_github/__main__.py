"""The command ``gatelodge-github``."""

from __future__ import annotations

from typing import NoReturn

from gatelodge_core.launch.entry import Program
from gatelodge_core.launch.entry import main as run

PROGRAM = Program(
    "github",
    settings="gatelodge_github.settings:GithubSettings",
    build="gatelodge_github.server:build",
    offers="gatelodge_github.server:OFFERED",
    surface="gatelodge_github.surface:chosen",
)


def main() -> NoReturn:
    """Serve GitHub as the settings say."""
    run(PROGRAM)


if __name__ == "__main__":
    main()
