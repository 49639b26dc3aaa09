"""``gatelodge revoke``: take back a key, a token, or all that a caller holds, on every replica that shares the store."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import Sequence

from gatelodge_core import outlet
from gatelodge_core.auth.keyrecords import ID, NAME, key_in
from gatelodge_core.cli.sharing import opened, shared_settings
from gatelodge_core.errors import SettingsError
from gatelodge_core.settings import LodgeSettings
from gatelodge_core.store.errors import StoreError
from gatelodge_core.store.revocations import MAX_NAME, Revocations

EXIT = "exit status: 0 done, 1 the store can't be used, 2 wrong usage or settings"
_SPAN = re.compile("([1-9][0-9]{0,4})([mhdw])", re.ASCII)
_FORMS = "key:NAME, key-id:ID, oauth:ISSUER|SUBJECT, oauth:ISSUER|SUBJECT|CLIENT, jti:ISSUER|JTI"
_ISSUER = "https?://[^|]+"
_NAMES = re.compile(
    rf"key:(?:{NAME.pattern})|key-id:{ID}|oauth:{_ISSUER}\|[^|]+(?:\|[^|]*)?|jti:{_ISSUER}\|[^|]+", re.ASCII
)
"""What the door asks about (`auth.keys`, `auth.claims`): another name would be on the list and revoke nothing."""
_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def run(argv: Sequence[str]) -> int:
    """Revoke a name, or show what is revoked."""
    parser = outlet.Parser(
        prog="gatelodge revoke",
        description="Take back what a caller over HTTP comes with, on all replicas, within a second.",
        epilog=EXIT,
    )
    parser.add_argument(
        "name",
        nargs="?",
        default="",
        help=f"What is revoked: {_FORMS.replace(', jti', ' or jti')}, as docs/09-remote.md has them; without it, "
        "list what is revoked.",
    )
    parser.add_argument(
        "--for", dest="span", default="90d", help="How long it stays revoked: 90m, 12h, 30d or 8w; default: 90d."
    )
    parser.add_argument("--config", default="", metavar="FILE", help="The TOML settings file.")
    given = parser.parse_args(list(argv))
    found = _SPAN.fullmatch(given.span)
    if found is None:
        parser.error("--for: write 90m, 12h, 30d or 8w")
    if given.name:
        _check(parser, given.name)
    try:
        settings = shared_settings(given.config)
        if settings is None:
            raise SettingsError(
                "there is no shared store: set GATELODGE_STORE_URL as the servers have it. Keys of one machine are taken "
                "back with gatelodge keys revoke"
            )
        return asyncio.run(_revoke(settings, given.name, int(found[1]) * _UNITS[found[2]]))
    except SettingsError as error:
        print(f"gatelodge revoke: {error}", file=sys.stderr)
        return 2
    except StoreError as error:
        print(f"gatelodge revoke: {error}", file=sys.stderr)
        return 1


def _check(parser: outlet.Parser, name: str) -> None:
    """End with what to write, unless the door would know the name; it isn't repeated, as it may be a secret."""
    if key := key_in(name):
        parser.error(f"nothing is revoked: that holds a key itself; write gatelodge revoke key-id:{key}")
    if len(name) > MAX_NAME or not name.isprintable() or not _NAMES.fullmatch(name):
        parser.error(f"nothing is revoked: nobody comes with such a name; write {_FORMS}")


async def _revoke(settings: LodgeSettings, name: str, seconds: int) -> int:
    async with opened(settings) as store:
        revocations = Revocations(store)
        if name:
            await revocations.revoke(name, seconds)
            print(f"Revoked: {name}", file=sys.stderr)
            return 0
        for item in await revocations.listed():
            print(f"{time.strftime('%Y-%m-%d %H:%MZ', time.gmtime(item.expires))}  {item.name}")
    return 0
