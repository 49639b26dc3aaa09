"""``gatelodge link``: a link that installs a server in Cursor or VS Code with one click."""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from gatelodge_core import outlet
from gatelodge_core.cli.hosts.machine import Machine
from gatelodge_core.cli.hosts.shapes import Wanted, shape, whole
from gatelodge_core.cli.hosts.table import HOSTS, find
from gatelodge_core.cli.install import understood
from gatelodge_core.cli.servers import NAMES, Asked, portable, wanted
from gatelodge_core.errors import SettingsError

DONE, USAGE = 0, 2
EXIT = "exit status: 0 done, 2 wrong usage"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = outlet.Parser(
        prog="gatelodge link",
        description="Print a link that installs a server with one click. No secret is in it.",
        usage="gatelodge link {cursor,vscode} SERVER [options] [-- ARGUMENT ...]",
        epilog=EXIT,
        allow_abbrev=False,
    )
    made.add_argument("host", metavar="HOST", choices=["cursor", "vscode"], help="cursor or vscode.")
    made.add_argument("server", metavar="SERVER", choices=NAMES, help=f"One of: {', '.join(NAMES)}.")
    made.add_argument("--root", action="append", default=[], metavar="FOLDER", help="A folder for the filesystem server; add :ro to forbid changes. May be repeated.")  # fmt: skip
    made.add_argument("--read-only", action="store_true", help="Let the server offer no tool that changes anything.")
    made.add_argument("--no-secrets", action="store_true", help="Don't have the host pass a token or database URL on.")
    made.add_argument("--name", default="", help="What the server is called in the host; default: gatelodge-SERVER.")
    made.add_argument("--portable", action="store_true", help="For any machine that has uv, rather than for this one; folders as they are given.")  # fmt: skip
    made.add_argument(
        "--web", action="store_true", help="With vscode: a link over https, for pages that allow no other."
    )
    return made


def run(argv: Sequence[str]) -> int:
    """Run the command; its exit status, as `EXIT` says."""
    try:
        given, extra = understood(parser(), argv)
        print(_link(given, extra))
    except SettingsError as error:
        print(f"gatelodge link: {error}", file=sys.stderr)
        return USAGE
    return DONE


def _link(given: argparse.Namespace, extra: Sequence[str]) -> str:
    host = find(given.host)
    asked = Asked(tuple(given.root), given.read_only, tuple(extra), not given.no_secrets, given.name)
    if given.root and given.server != "filesystem":
        raise SettingsError("--root is for the filesystem server")
    item = (
        portable(given.server, host, asked) if given.portable else wanted(given.server, host, asked, Machine.current())
    )
    if given.host == "vscode":
        return vscode_link(item, web=given.web)
    if given.web:
        raise SettingsError("--web is for vscode; Cursor's links are taken by Cursor alone")
    return cursor_link(item)


def cursor_link(item: Wanted) -> str:
    """The link that Cursor takes: the server object in base64."""
    config = base64.b64encode(json.dumps(whole(HOSTS["cursor"], item), separators=(",", ":")).encode()).decode()
    return "cursor://anysphere.cursor-deeplink/mcp/install?" + urlencode({"name": item.key, "config": config})


def vscode_link(item: Wanted, *, web: bool = False) -> str:
    """The link that VS Code takes, which asks for the inputs; over https it goes through the product's own page."""
    host = HOSTS["vscode"]
    server = {"name": item.key, **whole(host, item)}
    inputs = list(shape(host, item).inputs)
    if not web:
        return "vscode:mcp/install?" + quote(json.dumps(server | ({"inputs": inputs} if inputs else {})), safe="")
    del server["name"]
    query = {"name": item.key, "config": json.dumps(server)} | ({"inputs": json.dumps(inputs)} if inputs else {})
    return "https://insiders.vscode.dev/redirect/mcp/install?" + urlencode(query, quote_via=quote)
