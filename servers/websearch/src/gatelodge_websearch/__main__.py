"""The command ``gatelodge-websearch``."""

from __future__ import annotations

from typing import NoReturn

from gatelodge_core.launch.entry import Program
from gatelodge_core.launch.entry import main as run

PROGRAM = Program(
    "websearch",
    settings="gatelodge_websearch.settings:WebsearchSettings",
    build="gatelodge_websearch.server:build",
    offers="gatelodge_websearch.server:OFFERED",
    surface="gatelodge_websearch.surface:chosen",
)


def main() -> NoReturn:
    """Serve web search and reading as the settings say."""
    run(PROGRAM)


if __name__ == "__main__":
    main()
