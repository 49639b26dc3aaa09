"""``gatelodge uninstall``: take servers out of a host's configuration, and leave it as it was."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from gatelodge_core import outlet
from gatelodge_core.cli.hosts.apply import held, uninstalled
from gatelodge_core.cli.hosts.entries import parsed
from gatelodge_core.cli.hosts.record import FileRecord, Records, locked
from gatelodge_core.cli.hosts.table import ConfigFile, Host, files
from gatelodge_core.cli.hosts.unreadable import Unreadable
from gatelodge_core.cli.hosts.writing import Rewritten, planned, rewrite
from gatelodge_core.cli.install import common, place
from gatelodge_core.cli.servers import NAMES, key_of, server_of, showable
from gatelodge_core.cli.showing import difference
from gatelodge_core.errors import SettingsError

DONE, NOT_THERE, USAGE = 0, 1, 2
EXIT = (
    "exit status: 0 done, 1 there was nothing to take out, 2 nothing was changed: wrong usage, or a file can't be used"
)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = outlet.Parser(
        prog="gatelodge uninstall",
        description="Take servers out of the configuration of a host, and leave the rest as it is.",
        epilog=EXIT,
        allow_abbrev=False,
    )
    common(made)
    return made


def run(argv: Sequence[str]) -> int:
    """Run the command; its exit status, as `EXIT` says."""
    given = parser().parse_intermixed_args(list(argv))
    try:
        host, machine, state = place(given)
        if given.name and len(given.servers) != 1:
            raise SettingsError("name the one server that --name is meant for")
        if given.project and not host.project(machine):
            raise SettingsError(f"{host.title} has no file for a project; leave --project out")
        scope = "project" if given.project else "user"
        found = [file for file in files(host, machine, project=given.project) if file.scope == scope]
        found = [file for file in found if os.path.lexists(file.path)]
        if given.dry_run:
            done = [_one(host, file, given, Records(state)) for file in found]
        else:
            with locked(state) as records:
                done = [_one(host, file, given, records) for file in found]
    except (SettingsError, Unreadable) as error:
        print(f"gatelodge uninstall: {error}", file=sys.stderr)
        return USAGE
    if any(done):
        print(
            "Nothing was changed, as you said --dry-run."
            if given.dry_run
            else f"What {host.title} has started already runs until its session ends."
        )
        return DONE
    print(f"{host.title} has no such server of Gatelodge's; gatelodge doctor shows what it has")
    return NOT_THERE


def _one(host: Host, file: ConfigFile, given: argparse.Namespace, records: Records) -> bool:
    """Take the servers out of one file; whether there were some."""
    edit = _Edit(host, file, given, records)
    backups: list[str] = []
    try:
        if given.dry_run:
            result = planned(file.path, edit)
        else:
            result = rewrite(
                file.path,
                edit,
                lambda data: backups.append(records.backup(os.path.realpath(file.path), data)),
                private=file.scope == "user",
            )
            if edit.keys:
                records.keep(result.path, edit.record)
    except Unreadable as error:
        raise SettingsError(f"{file.path}: {error}; it is as it was") from None
    if result.changed:
        _show(host, file, result, edit.keys, backups[-1] if backups else "")
    for key in edit.left:
        print(f"{key} in {file.path} also starts a server of ours, but was not made by install; to take it out: gatelodge uninstall {host.name} {edit.left[key]} --name {key}")  # fmt: skip
    return bool(edit.keys)


class _Edit:
    """Takes the servers out of a text, each time from the beginning."""

    def __init__(self, host: Host, file: ConfigFile, given: argparse.Namespace, records: Records) -> None:
        self._host, self._file, self._given, self._records = host, file, given, records
        self.record = FileRecord()
        self.keys: list[str] = []
        self.left: dict[str, str] = {}

    def __call__(self, text: str) -> str | None:
        record = self._records.of(os.path.realpath(self._file.path)).copy()
        servers = {entry.key: server_of(entry) for entry in parsed(self._host, self._file, text)[0] if not entry.folder}
        self.keys = [key for key, server in servers.items() if self._meant(key, server, record)]
        self.left = {key: server for key, server in servers.items() if server and key not in self.keys and self._asked(server)}  # fmt: skip
        for key in self.keys:
            held(self._host, text, key)  # refuses keys that stand twice
            text = uninstalled(self._host, text, key, record.made, record.entries.pop(key, []))
        self.record = record
        # What was made for us alone goes when it is empty; a file that was there stays, whatever is left of it.
        return None if record.created and not record.entries and self.keys and not text.strip() else text

    def _meant(self, key: str, server: str, record: FileRecord) -> bool:
        """Whether an entry is to go: one that `install` made, under the name that is asked for."""
        if self._given.name:
            return key == key_of("", self._given.name) and server in self._given.servers
        usual = key == f"gatelodge-{server}"
        return bool(server) and self._asked(server) and (usual or key in record.entries)

    def _asked(self, server: str) -> bool:
        return server in (self._given.servers or NAMES)


def _show(host: Host, file: ConfigFile, result: Rewritten, keys: Sequence[str], backup: str) -> None:
    ours = [entry for entry in parsed(host, file, result.before or "")[0] if entry.key in keys and not entry.folder]
    own = {text for entry in ours for text in showable(entry)}
    print(difference(result.path, result.before, result.after, own, words=host.format == "yaml"))
    gone = ", which was made for it and is gone" if result.after is None else ""
    print(f"\n{', '.join(keys)}: out of {result.path}{gone}")
    if backup:
        print(f"What was there before: {backup}")
