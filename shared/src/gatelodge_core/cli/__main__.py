"""The command ``gatelodge``: what is about all servers rather than one.

Each subcommand is imported only when it is called, so that none pays for another's imports.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from gatelodge_core import outlet

COMMANDS = {
    "approve": ("gatelodge_core.cli.approve", "Say yes or no to a call that waits for you."),
    "audit": ("gatelodge_core.audit.cli", "Look into the journal of all calls, and prove that nobody changed it."),
    "demo": ("gatelodge_core.cli.demo", "Show what the servers do, on files and a database that are removed again."),
    "doctor": (
        "gatelodge_core.cli.doctor",
        "Look at this machine, and start every server that hosts have, as they would.",
    ),
    "install": (
        "gatelodge_core.cli.install",
        "Write servers into the configuration of a host, such as Claude Desktop.",
    ),
    "keys": (
        "gatelodge_core.cli.keys",
        "Make, list, rotate and revoke API keys, by which callers over HTTP are known.",
    ),
    "link": ("gatelodge_core.cli.link", "Print a link that installs a server in Cursor or VS Code with one click."),
    "policy": ("gatelodge_core.cli.policy", "Show the policy, and test what it says of a call."),
    "revoke": (
        "gatelodge_core.cli.revoke",
        "Take back a key, a token, or all that a caller holds, on all replicas.",
    ),
    "uninstall": ("gatelodge_core.cli.uninstall", "Take servers out of the configuration of a host."),
}
USAGE_ERROR = 2


def usage() -> str:
    """The help text."""
    rows = "\n".join(f"  {name:<9} {text}" for name, (_, text) in COMMANDS.items())
    return f"usage: gatelodge COMMAND [ARGUMENT ...]\n\ncommands:\n{rows}\n\ngatelodge COMMAND --help says more; --version shows the version; --completion bash, zsh or fish\nprints what that shell needs to complete commands.\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; its exit status, or 2 if there is no such subcommand."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = " ".join(["gatelodge", *(item for item in arguments[:1] if item in COMMANDS)])
    return outlet.run(name, lambda: _run(arguments))


def _run(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage(), end="")
        return 0 if arguments else USAGE_ERROR
    if arguments[0] == "--version":
        from importlib.metadata import version  # noqa: PLC0415 - every other command would wait for it

        print(f"gatelodge {version('gatelodge-core')}")
        return 0
    if arguments[0] == "--completion":
        from gatelodge_core.cli import completion  # noqa: PLC0415 - like the subcommands

        return completion.run(arguments[1:], COMMANDS)
    if arguments[0] not in COMMANDS:
        print(f"gatelodge: there is no command {arguments[0]!r}.\n\n{usage()}", end="", file=sys.stderr)
        return USAGE_ERROR
    module = importlib.import_module(COMMANDS[arguments[0]][0])
    status: int = module.run(arguments[1:])
    return status


if __name__ == "__main__":
    sys.exit(main())
