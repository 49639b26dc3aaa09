"""``gatelodge-postgres remove-demo``: removes the demo's database, so that the next start makes it anew."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

from gatelodge_core import outlet
from gatelodge_core.errors import SettingsError
from gatelodge_core.places import state_folder

SECONDS = 15.0
"""How long servers that are about to end are waited for."""


def run(argv: Sequence[str]) -> int:
    """Remove it, once no server uses it.

    Returns:
        0 if it is gone or never was, 1 if a server still uses it, 2 if it can't be removed here.
    """
    parser = outlet.Parser(
        prog="gatelodge-postgres remove-demo",
        description="Remove the demo's database and all changes to it; the next --demo makes it anew.",
    )
    parser.add_argument("--state-dir", default="", help="The state folder, if the server was given one.")
    given = parser.parse_args(list(argv))
    if sys.platform == "win32":
        sys.stderr.write("gatelodge-postgres: there is no demo on Windows\n")
        return 2
    from gatelodge_postgres.demo import locks, programs  # noqa: PLC0415 - not to be had on Windows
    from gatelodge_postgres.demo.names import USERS  # noqa: PLC0415
    from gatelodge_postgres.demo.place import home  # noqa: PLC0415

    try:
        folder = home(state_folder(given.state_dir), programs.account(allow_root=True))
        if not os.path.isdir(folder):
            return 0
        # The keeper lets go of it when the last server did, and PostgreSQL has stopped.
        with locks.locked(os.path.join(folder, USERS), SECONDS):
            shutil.rmtree(folder)
    except locks.Held:
        sys.stderr.write("gatelodge-postgres: a server still uses the demo; end it first\n")
        return 1
    except (OSError, SettingsError) as error:
        sys.stderr.write(f"gatelodge-postgres: the demo can't be removed: {error}\n")
        return 2
    return 0
