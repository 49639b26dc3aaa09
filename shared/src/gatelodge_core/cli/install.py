"""``gatelodge install``: write servers into a host's configuration, and see whether they start from there."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from gatelodge_core import outlet
from gatelodge_core.cli.health import check
from gatelodge_core.cli.hosts import jsonc
from gatelodge_core.cli.hosts.apply import held, installed
from gatelodge_core.cli.hosts.entries import Entry, parsed
from gatelodge_core.cli.hosts.machine import Machine
from gatelodge_core.cli.hosts.record import FileRecord, Records, locked
from gatelodge_core.cli.hosts.shapes import Wanted, input_id, passes_secrets, shape
from gatelodge_core.cli.hosts.table import ALIASES, HOSTS, ConfigFile, Host, find, target
from gatelodge_core.cli.hosts.unreadable import Unreadable
from gatelodge_core.cli.hosts.writing import Rewritten, planned, rewrite
from gatelodge_core.cli.servers import (
    NAMES,
    Asked,
    all_secrets,
    installed_here,
    server_of,
    settings_place,
    showable,
    token_file,
    wanted,
)
from gatelodge_core.cli.showing import difference, progress
from gatelodge_core.errors import SettingsError
from gatelodge_core.places import state_folder

DONE, UNWELL, USAGE = 0, 1, 2
STOPPED = 130
"""As shells count a program that Ctrl-C ended."""
EXIT = "exit status: 0 done, 1 written, but a server doesn't start, 2 nothing was changed: wrong usage, or the file can't be used"


@dataclass(frozen=True, slots=True)
class Job:
    """One run of the command."""

    host: Host
    machine: Machine
    file: ConfigFile
    servers: dict[str, Wanted]
    state: str


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = outlet.Parser(
        prog="gatelodge install",
        description="Write servers into the configuration of a host, and see whether they start from there.",
        usage="gatelodge install HOST [SERVER ...] [options] [-- ARGUMENT ...]",
        epilog=f"ARGUMENTs after -- are for the one server that is named. {EXIT}",
        allow_abbrev=False,
    )
    common(made)
    made.add_argument("--root", action="append", default=[], metavar="FOLDER", help="A folder for the filesystem server; add :ro to forbid changes. May be repeated.")  # fmt: skip
    made.add_argument("--read-only", action="store_true", help="Let the servers offer no tool that changes anything.")
    made.add_argument("--no-secrets", action="store_true", help="Don't have the host pass a token or database URL to the servers.")  # fmt: skip
    made.add_argument("--no-check", action="store_true", help="Don't start the servers to see whether they work.")
    return made


def common(made: argparse.ArgumentParser) -> None:
    """What `install` and `uninstall` take alike."""
    made.add_argument(
        "host", metavar="HOST", type=_host, choices=[*HOSTS, *ALIASES], help=f"One of: {', '.join(HOSTS)}."
    )
    made.add_argument("servers", metavar="SERVER", nargs="*", default=[], type=_server, choices=[*NAMES, []], help=f"Which ones: {', '.join(NAMES)}; default: all.")  # fmt: skip
    made.add_argument(
        "--project", action="store_true", help="Use the host's file in this folder, rather than your own."
    )
    made.add_argument(
        "--name", default="", help="What the one server is called in the host; default: gatelodge-SERVER."
    )
    made.add_argument("--dry-run", action="store_true", help="Show what would change, and change nothing.")
    made.add_argument("--home", default="", metavar="FOLDER", help="The home folder whose hosts are meant; default: yours.")  # fmt: skip
    made.add_argument("--state-dir", default="", metavar="FOLDER", help="Where backups and the record of what was written are kept; default: the state folder.")  # fmt: skip


def _host(text: str) -> str:
    if text not in (*HOSTS, *ALIASES):
        raise argparse.ArgumentTypeError(f"there is no host {text!r}; known: {', '.join(HOSTS)}")
    return text


def _server(text: str) -> str:
    if text not in NAMES:
        raise argparse.ArgumentTypeError(f"there is no server {text!r}; known: {', '.join(NAMES)}")
    return text


def run(argv: Sequence[str]) -> int:
    """Run the command; its exit status, as `EXIT` says."""
    try:
        given, extra = understood(parser(), argv)
        job = _job(given, extra)
        try:
            return _run(job, given)
        except Unreadable as error:
            raise SettingsError(f"{job.file.path}: {error}; it is as it was") from None
    except SettingsError as error:
        print(f"gatelodge install: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("\ngatelodge install: stopped; the same command again goes on from what is written", file=sys.stderr)
        return STOPPED


def understood(made: argparse.ArgumentParser, argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """What the command was given, and the arguments for the server, which come after two dashes.

    Raises:
        SettingsError: There is no such option.
    """
    cut = list(argv).index("--") if "--" in argv else len(argv)
    given, unknown = made.parse_known_intermixed_args(argv[:cut])
    if unknown:
        # What stands behind it, or its value, may be a secret.
        option = unknown[0].partition("=")[0]
        raise SettingsError(f"there is no option {option}; if it is meant for the server itself: -- {option}")
    return given, list(argv[cut + 1 :])


def place(given: argparse.Namespace) -> tuple[Host, Machine, str]:
    """The host, the machine and the state folder that are meant.

    Raises:
        SettingsError: There is no such host.
    """
    host = find(given.host)
    machine = Machine.current(given.home, os.getcwd() if given.project else "")
    state = given.state_dir or (machine.path(".local", "state", "gatelodge") if given.home else "")
    return host, machine, state_folder(state)


def _job(given: argparse.Namespace, extra: Sequence[str]) -> Job:
    host, machine, state = place(given)
    names: list[str] = list(dict.fromkeys(given.servers)) or _usual(given)
    if (extra or given.name) and len(names) != 1:
        raise SettingsError("name the one server that --name and the arguments after -- are meant for")
    if given.root and "filesystem" not in names:
        raise SettingsError("--root is for the filesystem server, which isn't among those to install")
    roots = tuple(given.root) or ((os.getcwd(),) if given.project and not extra else ())
    asked = Asked(roots, given.read_only, tuple(extra), not given.no_secrets, given.name)
    if "github" in names and asked.secrets and not passes_secrets(host) and not given.dry_run:
        _ask_token(host, machine)
    servers = {name: wanted(name, host, asked, machine) for name in names}
    return Job(host, machine, target(host, machine, "project" if given.project else "user"), servers, state)


def _usual(given: argparse.Namespace) -> list[str]:
    """The servers to install if none is named: those that are there, and the filesystem only with a folder."""
    names = installed_here() or list(NAMES)
    return [name for name in names if name != "filesystem" or given.root or given.project]


def _ask_token(host: Host, machine: Machine) -> None:
    """Put the GitHub token into a file, for hosts that can't pass one on; only if a person is there to ask."""
    path = token_file(machine)
    if os.path.exists(path) or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    print(f"{host.title} can't keep a secret for a server, so the GitHub token goes into {path}, which only you can read.", file=sys.stderr)  # fmt: skip
    token = getpass.getpass("GitHub token (nothing for none): ", sys.stderr).strip()
    if not token:
        return
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as sink:
            sink.write(f"{token}\n")
    except OSError as error:
        raise SettingsError(f"{path} can't be written: {error.strerror}") from None


def _run(job: Job, given: argparse.Namespace) -> int:
    if given.dry_run:
        result = planned(job.file.path, _Edit(job, Records(job.state)))
        _show(job, result, "")
        print("Nothing was changed, as you said --dry-run.")
        return DONE
    backups: list[str] = []
    with locked(job.state) as records:
        edit = _Edit(job, records)
        result = rewrite(
            job.file.path,
            edit,
            lambda data: backups.append(records.backup(os.path.realpath(job.file.path), data)),
            private=job.file.scope == "user",
        )
        edit.record.created = edit.record.created or result.before is None
        if result.changed:
            records.keep(result.path, edit.record)
    _show(job, result, backups[-1] if backups else "")
    well = given.no_check or _check(job, result)
    if result.changed:
        print(f"\n{job.host.restart}")
    if not given.servers and "filesystem" not in job.servers:
        print("The filesystem server was left out, as it needs a folder: --root FOLDER")
    _advise(job)
    where = (" --project" if given.project else "") + (f" --home {given.home}" if given.home else "")
    back = f"gatelodge uninstall {job.host.name}{where}"
    print(f"To take it out again: {back}")
    return DONE if well else UNWELL


class _Edit:
    """Puts the servers of a job into a text, each time from the beginning; `record` is what it made the last time."""

    def __init__(self, job: Job, records: Records) -> None:
        self._job = job
        self._records = records
        self._path = os.path.realpath(job.file.path)
        self.record = FileRecord()

    def __call__(self, text: str) -> str:
        job, record = self._job, self._records.of(self._path).copy()
        there = {entry.key for entry in parsed(job.host, job.file, text)[0]}
        record.entries = {key: ids for key, ids in record.entries.items() if key in there}
        if not record.entries:
            # All of it was taken out by hand, so nothing of what was made then is still ours.
            record = FileRecord()
        for server, item in job.servers.items():
            _refuse_others(job, text, server, item)
            unwanted = [secret.variable for secret in all_secrets(server) if secret not in item.secrets]
            text = installed(job.host, text, item, record.made, unwanted)
            ids = [input_id(item, secret) for secret in item.secrets] if job.host.dialect == "vscode" else []
            record.entries[item.key] = list(dict.fromkeys([*record.entries.get(item.key, []), *ids]))
        self.record = record
        return text


def _refuse_others(job: Job, text: str, server: str, item: Wanted) -> None:
    """Never take a name that stands for something else.

    Raises:
        SettingsError: It does.
    """
    if held(job.host, text, item.key) is None:
        return
    there = next(entry for entry in parsed(job.host, job.file, text)[0] if entry.key == item.key and not entry.folder)
    if server_of(there) != server:
        raise SettingsError(
            f"{job.file.path} has another server called {item.key}; choose a name: "
            f"gatelodge install {job.host.name} {server} --name NAME"
        )


def _show(job: Job, result: Rewritten, backup: str) -> None:
    names = ", ".join(item.key for item in job.servers.values())
    if not result.changed:
        print(f"{job.host.title} has {names} already, exactly so, in {result.path}")
        return
    print(difference(result.path, result.before, result.after, _own(job, result), words=job.host.format == "yaml"))
    print(f"\n{names}: in {result.path}")
    if result.before is None and job.host.window:
        print(f"There was no such file: if {job.host.title} isn't installed yet, it finds this when it is.")
    if backup:
        print(f"What was there before: {backup}")
    if job.host.format == "json" and not jsonc.parse(result.after or "").strict():
        print(
            f"LOOK  the file has comments or trailing commas, which {job.host.title} may not take: plain JSON is safer"
        )


def _own(job: Job, result: Rewritten) -> set[str]:
    """The texts that may be shown: what we write, which holds no secrets."""
    keys = {item.key for item in job.servers.values()}
    texts = {
        str(text) for item in job.servers.values() for given in shape(job.host, item).inputs for text in given.values()
    }
    texts |= {text for item in job.servers.values() for text in item.args}
    for text in (result.before, result.after):
        ours = [entry for entry in parsed(job.host, job.file, text or "")[0] if entry.key in keys and not entry.folder]
        texts |= {shown for entry in ours for shown in showable(entry)}
    return texts


def _check(job: Job, result: Rewritten) -> bool:
    """Start each server from what the file says now; whether all can be used."""
    well = True
    entries = {entry.key: entry for entry in _entries(job, result)}
    for item in job.servers.values():
        entry = entries.get(item.key)
        if entry is None:
            print(f"LOOK  {item.key}: gone again from {result.path}; end {job.host.title}, and install again")
            well = False
            continue
        with progress(f"Starting {item.key} as {job.host.title} would"):
            found = check(entry, job.machine, item.secrets)
        print(f"{'LOOK' if found.good is False else 'ok  '}  {item.key}: {found.text}")
        if found.hint:
            print(f"      {found.hint}")
        well = well and found.good is not False
    return well


def _entries(job: Job, result: Rewritten) -> list[Entry]:
    """What the file says now: the host may have written to it since."""
    try:
        with open(result.path, "rb") as source:
            text = source.read().decode("utf-8-sig")
        return [entry for entry in parsed(job.host, job.file, text)[0] if not entry.folder]
    except (OSError, UnicodeDecodeError, Unreadable):
        return []


def _advise(job: Job) -> None:
    """What is still missing for servers whose secrets the host doesn't pass on."""
    if passes_secrets(job.host):
        return
    if "github" in job.servers and not any(arg.startswith("--") for arg in job.servers["github"].args):
        path = token_file(job.machine)
        print(
            f"Without a token GitHub shows what is public. To give one: put it into {path} (chmod 600), and install again."
        )
    if "postgres" in job.servers:
        path = settings_place(job.machine)
        print(f'The database is named in {path} (chmod 600):  [postgres]  and below it  url = "postgresql://..."')
