"""The real filesystem server with one tool more, which attacks from inside; and, if asked, without its path jail.

    python -m tests.sandbox.probed_server ROOT... [--state-dir DIR] [--sandbox off]

``TESTS_NO_JAIL=1`` opens paths as they are, ``TESTS_THREAD=1`` starts a thread too early.
"""

from __future__ import annotations

import json
import os
import threading
import time

from gatelodge_core.declare import Declarations, merged
from gatelodge_core.effects import READ
from gatelodge_core.launch.entry import Program, main
from gatelodge_core.sandbox import jail
from gatelodge_core.sandbox._opener import Pinned
from gatelodge_core.server import Lodge
from gatelodge_filesystem import server
from gatelodge_filesystem.settings import FilesystemSettings
from gatelodge_filesystem.workspace import Workspace

from tests.sandbox._attacks import Grounds, attacks, outcome

probes = Declarations[Workspace]()


@probes.tool(effect=READ)
async def probe(workspace: Workspace, deeds: list[str], grounds: str) -> str:
    """Attack from inside, on the thread that serves."""
    del workspace
    possible = attacks(Grounds(**json.loads(grounds)))
    return json.dumps({deed: outcome(possible[deed]) for deed in deeds})


class OpenDoor:
    """No jail at all: a path leads where the system says."""

    level = "none"

    def pin(self, root_fd: int, rel: str, *, follow: bool, aliases: tuple[str, ...]) -> Pinned:
        del aliases
        flags = os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
        return Pinned(os.open(rel or ".", flags, dir_fd=root_fd), None)


def build(settings: FilesystemSettings) -> Lodge[Workspace]:
    """The server's own build, with the probe among the tools."""
    server.OFFERED = merged([server.OFFERED, probes])
    if os.environ.get("TESTS_NO_JAIL"):
        setattr(jail, "best_opener", OpenDoor)  # noqa: B010 - the module doesn't export it
        setattr(jail, "_NAMING", OpenDoor())  # noqa: B010
        setattr(jail, "check_rel", str)  # noqa: B010
    if os.environ.get("TESTS_THREAD"):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    return server.build(settings)


PROGRAM = Program("filesystem", "gatelodge_filesystem.settings:FilesystemSettings", "tests.sandbox.probed_server:build")

if __name__ == "__main__":
    main(PROGRAM)
