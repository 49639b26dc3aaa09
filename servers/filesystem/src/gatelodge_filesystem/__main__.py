"""The command ``gatelodge-filesystem``."""

from __future__ import annotations

from typing import NoReturn

from gatelodge_core.launch.entry import Program
from gatelodge_core.launch.entry import main as run

PROGRAM = Program(
    "filesystem",
    settings="gatelodge_filesystem.settings:FilesystemSettings",
    build="gatelodge_filesystem.server:build",
    offers="gatelodge_filesystem.server:OFFERED",
    surface="gatelodge_filesystem.surface:chosen",
)


def main() -> NoReturn:
    """Serve the folders named on the command line, in the environment or in the settings file."""
    run(PROGRAM)


if __name__ == "__main__":
    main()
