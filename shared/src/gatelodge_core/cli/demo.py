"""``gatelodge demo``: a real host's sessions with the servers, from launch to journal, leaving nothing behind."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import cast

from gatelodge_core import outlet
from gatelodge_core.cli import demo_database, demo_files, demo_github, demo_web
from gatelodge_core.cli.demo_session import Unexpected
from gatelodge_core.errors import SettingsError


def run(argv: Sequence[str]) -> int:
    """Run the demo: files, then a database, GitHub and the web if their servers are there.

    Returns:
        0, or 2 if the filesystem server isn't installed, or 1 if a server did otherwise than the demo says.
    """
    parser = outlet.Parser(
        prog="gatelodge demo",
        description="A host's sessions with the servers that are installed: the filesystem server on files made for it, the "
        "PostgreSQL server (with its extra `demo`) on a shop's database made for it, the GitHub server on a stand-in for "
        "GitHub, and the web search server on pages that the demo serves itself.",
    )
    parser.add_argument(
        "--allow-root",
        action="store_true",
        help="As root outside a container: let the user nobody run the database, which root can't.",
    )
    given = parser.parse_args(list(argv))
    try:
        demo_files.run()
        print("\n\n--- A database ---\n")
        if left_out := demo_database.run(allow_root=given.allow_root):
            print(f"Left out: {left_out}")
        print("\n\n--- GitHub ---\n")
        if left_out := demo_github.run():
            print(f"Left out: {left_out}")
        print("\n\n--- The web ---\n")
        if left_out := demo_web.run():
            print(f"Left out: {left_out}")
    except SettingsError as error:
        print(f"gatelodge demo: {error}", file=sys.stderr)
        return 2
    except (Unexpected, BaseExceptionGroup) as error:
        cause = _cause(error)
        if isinstance(cause, BrokenPipeError):
            # The reader, such as `head`, has seen enough.
            raise cause from None
        if not isinstance(cause, Unexpected):
            raise
        print(f"gatelodge demo: {cause}", file=sys.stderr)
        return 1
    print(
        "\nNothing is left of it. Next: gatelodge-filesystem ~/some/folder, gatelodge-postgres --demo, "
        "gatelodge-github --repo owner/name, gatelodge-websearch, or the README."
    )
    return 0


def _cause(error: BaseException) -> BaseException:
    """What was raised in a session, which comes out of it in groups, one in the other."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
