"""``gatelodge keys``: who may call over HTTP with an API key.

A key is shown once, on standard output, when it is made; what is said about it goes to standard error, so that
``KEY=$(gatelodge keys add ...)`` works.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from gatelodge_core import outlet
from gatelodge_core.auth.keyfile import KeyFile
from gatelodge_core.auth.keyrecords import NAME, TOOL, Grant, Key, issue
from gatelodge_core.cli.sharing import opened
from gatelodge_core.errors import GatelodgeError, SettingsError
from gatelodge_core.settings import PREFIX, LodgeSettings
from gatelodge_core.settingsfile import SERVERS
from gatelodge_core.store.errors import StoreError
from gatelodge_core.store.revocations import Revocations

DONE, NOT_THERE, USAGE = 0, 1, 2
EXIT = "exit status: 0 done, 1 there is no such live key, 2 wrong usage, or the keys can't be used"
EXPIRES, GRACE = "90d", "24h"
_SPAN = re.compile(r"([1-9][0-9]{0,4})([mhdw])", re.ASCII)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_LONGEST = timedelta(days=3650)
_LEVELS = ("read", "write", "destroy")


class _Settings(LodgeSettings):
    """What all servers are told alike."""

    @classmethod
    def _prefix(cls) -> str:
        return PREFIX


class _NotThere(GatelodgeError):
    """There is no such key, or it can't be used for that any more."""


def run(argv: Sequence[str]) -> int:
    """Run the command; its exit status, as `EXIT` says."""
    given = _parser().parse_args(list(argv))
    try:
        file = _file(given)
        action: Callable[[KeyFile, argparse.Namespace], None] = given.action
        action(file, given)
    except _NotThere as error:
        print(f"gatelodge keys: {error}", file=sys.stderr)
        return NOT_THERE
    except SettingsError as error:
        print(f"gatelodge keys: {error}", file=sys.stderr)
        return USAGE
    return DONE


def _add(file: KeyFile, given: argparse.Namespace) -> None:
    now = datetime.now(UTC)
    grant = Grant(
        given.name,
        tuple(dict.fromkeys(given.scope)),
        tuple(dict.fromkeys(given.tool)) if given.tool else None,
        given.per_minute,
        given.expires,
    )
    with file.changing() as keys:
        keys[:] = [key for key in keys if not key.forgotten(now)]
        text, made = issue(grant, file.pepper, now, [key.id for key in keys])
        keys.append(made)
    _show(text, made, given, f"Servers with --auth keys take it within a second, from callers over HTTP, as {_PASSED}")


def _rotate(file: KeyFile, given: argparse.Namespace) -> None:
    now = datetime.now(UTC)
    with file.changing() as keys:
        old = _only(keys, given.id)
        if old.state(now) != "live":
            raise _NotThere(f"{old.id} is {old.state(now)}; make a new key: gatelodge keys add --name {old.name} ...")
        lifetime = given.expires if given.expires_given else old.expires and old.expires - old.created
        grant = Grant(old.name, old.scopes, old.tools, old.per_minute, lifetime)
        text, made = issue(grant, file.pepper, now, [key.id for key in keys])
        ends = (now + given.grace).replace(microsecond=0)
        ends = ends if old.expires is None else min(old.expires, ends)
        keys[keys.index(old)] = old.model_copy(update={"expires": ends})
        keys.append(made)
    until = f"The old key {old.id} is taken until {_moment(ends)}. Once the new one is in use: gatelodge keys revoke {old.id}"
    _show(text, made, given, until)


def _revoke(file: KeyFile, given: argparse.Namespace) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    if bool(given.id) == bool(given.name):
        raise SettingsError(
            "revoke: give a key's ID, or --name NAME for all keys of that name; see gatelodge keys list"
        )
    with file.changing() as keys:
        found = [_only(keys, given.id)] if given.id else [key for key in keys if key.name == given.name]
        live = [key for key in found if key.revoked is None and (given.id or key.state(now) == "live")]
        if not found or (not live and given.name):
            raise _NotThere(f"no live key of {given.name}; see gatelodge keys list")
        for key in live:
            keys[keys.index(key)] = key.model_copy(update={"revoked": now})
        others = [key.id for key in keys if key.name == found[0].name and key.state(now) == "live"]
    # Those revoked before, too: the store may not have been told.
    _tell_store(given, [key for key in keys if key.id in {item.id for item in found}], now)
    if given.json:
        print(json.dumps({"revoked": [key.id for key in live]}))
        return
    for key in live:
        print(f"{key.id} of {key.name} is revoked; servers that run refuse it within a second.")
    for key in found:
        if key.revoked is not None and given.id:
            print(f"{key.id} of {key.name} was revoked already, {_moment(key.revoked)}.")
    if others:
        print(
            f"{found[0].name} still has {', '.join(others)}; all at once: gatelodge keys revoke --name {found[0].name}"
        )


def _tell_store(given: argparse.Namespace, revoked: Sequence[Key], now: datetime) -> None:
    """Have replicas know that don't share the file, where there is a store for that.

    Raises:
        SettingsError: It can't be told.
    """
    settings: LodgeSettings = given.settings
    if not settings.store_url.get_secret_value():
        return

    async def tell() -> None:
        async with opened(settings) as store:
            for key in revoked:
                left = (key.expires - now).total_seconds() if key.expires else _LONGEST.total_seconds()
                await Revocations(store).revoke(f"key-id:{key.id}", max(left, 1))

    try:
        asyncio.run(tell())
    except StoreError as error:
        ids = ", ".join(key.id for key in revoked)
        raise SettingsError(f"{ids}: revoked in the file, but {error}; run the same command again") from None


def _list(file: KeyFile, given: argparse.Namespace) -> None:
    now = datetime.now(UTC)
    keys = file.read()[1] if os.path.lexists(file.path) else []
    if given.json:
        print(json.dumps({"keys": [_public(key, now) for key in keys]}, indent=2))
        return
    if not keys:
        print(f"No keys in {file.path}. Make one: gatelodge keys add --name NAME --scope filesystem:read")
        return
    rows = [("ID", "NAME", "STATE", "SCOPES", "TOOLS", "A MINUTE", "CREATED", "EXPIRES")]
    rows += [
        (
            key.id,
            key.name,
            key.state(now),
            ",".join(key.scopes),
            ",".join(key.tools) if key.tools else "all",
            str(key.per_minute or "-"),
            _moment(key.created),
            _moment(key.expires),
        )
        for key in keys
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


_PASSED = "the header  Authorization: Bearer KEY"


def _show(text: str, made: Key, given: argparse.Namespace, then: str) -> None:
    """Give out the key, once."""
    try:
        if given.json:
            print(json.dumps({"key": text, **_public(made, made.created)}, indent=2), flush=True)
        else:
            print(text, flush=True)
    except OSError as error:
        # What is left in the buffer must not fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SettingsError(
            f"the key could not be written out ({error.strerror}): take it back with gatelodge keys revoke {made.id}"
        ) from None
    if given.json:
        return
    tools = f"tools {', '.join(made.tools)}" if made.tools else "all tools of these"
    often = f", {made.per_minute} calls a minute" if made.per_minute else ""
    ends = f"until {_moment(made.expires)}" if made.expires else "without end"
    print(
        f"\nThis is {made.name}'s key {made.id}. It is shown this once; only a hash of it is kept in {given.shown}.\n"
        f"It holds {', '.join(made.scopes)} ({tools}{often}), {ends}.\n{then}",
        file=sys.stderr,
    )


def _only(keys: Sequence[Key], name: str) -> Key:
    """The key with an id.

    Raises:
        _NotThere: There is none.
    """
    for key in keys:
        if key.id == name:
            return key
    # It may be a whole key, given by mistake: it isn't repeated.
    raise _NotThere("there is no key with this id; gatelodge keys list shows them")


def _public(key: Key, now: datetime) -> dict[str, Any]:
    """All of a record but the hash."""
    return {**key.model_dump(mode="json", exclude={"hash"}), "state": key.state(now)}


def _moment(moment: datetime | None) -> str:
    return "never" if moment is None else moment.strftime("%Y-%m-%d %H:%MZ")


def _file(given: argparse.Namespace) -> KeyFile:
    """The file that servers with the same flags, environment and settings file would use."""
    flags = [("--state-dir", given.state_dir), ("--keys-file", given.keys_file), ("--config", given.config)]
    settings = _Settings.load([part for name, value in flags if value for part in (name, value)])
    file = KeyFile(settings.keys_path, settings.key_pepper.get_secret_value())
    given.shown, given.settings = file.path, settings
    return file


def _parser() -> argparse.ArgumentParser:
    parser = outlet.Parser(
        prog="gatelodge keys", description="API keys, by which callers over HTTP are known.", epilog=EXIT
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, text: str, action: Callable[[KeyFile, argparse.Namespace], None]) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text, epilog=EXIT, allow_abbrev=False)
        made.add_argument("--keys-file", default="", metavar="FILE", help="The file, if the servers were given one.")
        made.add_argument("--state-dir", default="", metavar="FOLDER", help="The state folder, if the servers were given one.")  # fmt: skip
        made.add_argument("--config", default="", metavar="FILE", help="The TOML settings file.")
        made.add_argument("--json", action="store_true", help="Answer as one JSON object.")
        made.set_defaults(action=action)
        return made

    add = verb("add", "Make a key, and show it this once.", _add)
    add.add_argument("--name", required=True, type=_named, help="Whose it is; policies know the caller as key:NAME.")
    add.add_argument("--scope", required=True, action="append", type=_scoped, metavar="SERVER:LEVEL", help="What it grants: " + ", ".join(SERVERS) + "; read, write (with read) or destroy (with both). May be repeated.")  # fmt: skip
    add.add_argument("--tool", action="append", default=[], type=_tool, metavar="GLOB", help="Only these tools, and prompts and resources by their names; default: all in scope. May be repeated.")  # fmt: skip
    add.add_argument("--expires", default=EXPIRES, type=_lifetime, metavar="SPAN", help=f"After 30d, 12h, 8w, or never; default: {EXPIRES}.")  # fmt: skip
    add.add_argument("--per-minute", default=0, type=_count, metavar="N", help="Calls a minute of all its holder's keys; default: the servers' limits alone.")  # fmt: skip
    verb("list", "Show all keys, but not the keys themselves.", _list)
    rotate = verb("rotate", "Make a key like another one, which ends after a time of grace.", _rotate)
    rotate.add_argument("id", metavar="ID", help="Of the old key.")
    rotate.add_argument("--grace", default=GRACE, type=_grace, metavar="SPAN", help=f"How long the old key is still taken; default: {GRACE}; 0 for not at all.")  # fmt: skip
    rotate.add_argument("--expires", action=_Given, type=_lifetime, metavar="SPAN", help="As for add; default: as long as the old key was to live.")  # fmt: skip
    rotate.set_defaults(expires_given=False)
    revoke = verb("revoke", "Take keys back, at once and for good.", _revoke)
    revoke.add_argument("id", nargs="?", default="", metavar="ID", help="Of the key.")
    revoke.add_argument("--name", default="", help="All keys of this name, instead.")
    return parser


class _Given(argparse.Action):
    """Tells a value from the default, where None means something."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None) -> None:  # noqa: ARG002 - argparse's signature  # fmt: skip
        namespace.expires, namespace.expires_given = values, True


def _wrong(text: str) -> NoReturn:
    raise argparse.ArgumentTypeError(text)


def _named(text: str) -> str:
    return text if NAME.fullmatch(text) else _wrong("a name has letters, digits, . _ @ and -, at most 64")


def _tool(text: str) -> str:
    return text if TOOL.fullmatch(text) else _wrong("write a tool's name, with * and ? for what may be there")


def _scoped(text: str) -> str:
    server, _, level = text.partition(":")
    if server in SERVERS and level in _LEVELS:
        return text
    _wrong(f"write SERVER:LEVEL with {', '.join(SERVERS)} and {', '.join(_LEVELS)}, such as filesystem:read")


def _count(text: str) -> int:
    return int(text) if re.fullmatch("[1-9][0-9]{0,5}", text, re.ASCII) else _wrong("write a number from 1 to 999999")


def _lifetime(text: str) -> timedelta | None:
    return None if text == "never" else _span(text)


def _grace(text: str) -> timedelta:
    return timedelta() if text == "0" else _span(text)


def _span(text: str) -> timedelta:
    found = _SPAN.fullmatch(text)
    span = int(found[1]) * _UNITS[found[2]] if found else timedelta()
    return span if timedelta() < span <= _LONGEST else _wrong("write 90m, 12h, 30d or 8w, ten years at most")
