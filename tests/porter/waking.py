"""The filesystem server, which loads for as long as the test likes: until the FIFO in the variable WAKE is written to."""

from __future__ import annotations

import os
from typing import Any

from gatelodge_core.launch.entry import Program, main
from gatelodge_core.server import Lodge
from gatelodge_filesystem.server import build as build_filesystem
from gatelodge_filesystem.settings import FilesystemSettings


def build(settings: FilesystemSettings) -> Lodge[Any]:
    """The server itself, in the end."""
    with open(os.environ["WAKE"], "rb") as fifo:
        fifo.read()
    return build_filesystem(settings)


PROGRAM = Program(
    "filesystem",
    "gatelodge_filesystem.settings:FilesystemSettings",
    "tests.porter.waking:build",
    surface="gatelodge_filesystem.surface:chosen",
)

if __name__ == "__main__":
    main(PROGRAM)
