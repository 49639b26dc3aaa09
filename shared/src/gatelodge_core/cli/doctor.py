"""``gatelodge doctor``: this machine, and every server that hosts are configured with, started as they would start it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from gatelodge_core import outlet
from gatelodge_core.audit.texts import clean
from gatelodge_core.cli.checks import asked, machine, written
from gatelodge_core.cli.checks.findings import Finding
from gatelodge_core.cli.checks.started import Started, start
from gatelodge_core.cli.children import Children
from gatelodge_core.cli.hosts.entries import Entry, entries
from gatelodge_core.cli.hosts.machine import Machine
from gatelodge_core.cli.hosts.table import ALIASES, HOSTS, Host, find
from gatelodge_core.cli.servers import server_of
from gatelodge_core.cli.showing import progress
from gatelodge_core.errors import SettingsError
from gatelodge_core.places import state_folder

EXIT = "exit status: 0 all is well, 1 something doesn't work or isn't safe (with --strict also: not as it should be), 2 usage, 130 stopped with Ctrl-C"
AT_ONCE = 3
"""Servers that are started side by side."""
SECONDS = 30.0
_MARKS = {"ok": ("ok  ", "32"), "warn": ("LOOK", "33"), "fail": ("FAIL", "31")}


def parser() -> argparse.ArgumentParser:
    """What the command takes."""
    made = outlet.Parser(
        prog="gatelodge doctor",
        description="Look at this machine and at the servers that hosts are configured with: each is started as its host "
        "would start it, in each protocol revision, and ended again.",
        epilog=EXIT,
    )
    made.add_argument("--json", action="store_true", help="Report as one JSON object.")
    made.add_argument("--state-dir", default="", help="The state folder, if the servers were given one.")
    made.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="HOST",
        choices=[*HOSTS, *ALIASES],
        help=f"Only this one: {', '.join(HOSTS)}.",
    )
    made.add_argument(
        "--server", action="append", default=[], metavar="KEY", help="Only this server, as the host calls it."
    )
    made.add_argument("--no-start", action="store_true", help="Only read the files; start nothing.")
    made.add_argument("--project", action="store_true", help="Also what the folder one is in is configured with.")
    made.add_argument(
        "--online", action="store_true", help="Let our servers ask their database, and GitHub, who they are."
    )
    made.add_argument("--seconds", type=float, default=SECONDS, help="How long each start may take (%(default)g).")
    made.add_argument("--strict", action="store_true", help="Exit status 1 also for what is only not as it should be.")
    made.add_argument("--home", default="", metavar="DIR", help="Another home folder, in which hosts keep their files.")
    return made


def run(argv: Sequence[str]) -> int:
    """Look, and report."""
    given = parser().parse_args(list(argv))
    try:
        hosts = [find(name) for name in given.host] or list(HOSTS.values())
        here = Machine.current(given.home, os.getcwd() if given.project else "")
    except SettingsError as error:
        sys.stderr.write(f"gatelodge doctor: {error}\n")
        return 2
    if not 0 < given.seconds <= 600:
        sys.stderr.write("gatelodge doctor: --seconds is a number of seconds up to 600\n")
        return 2
    findings = machine.look(state_folder(given.state_dir))
    found: list[Entry] = []
    keys: set[str] = set()
    for host in hosts:
        reading = entries(host, here, project=given.project)
        findings += [
            Finding("unreadable", "fail", problem.text, "Mend the file: the host can't read it either.", problem.host, "", problem.file, problem.line)
            for problem in reading.problems
        ]  # fmt: skip
        keys |= {entry.key for entry in reading.entries}
        found += [entry for entry in reading.entries if not given.server or entry.key in given.server]
    if given.server and not found and not any(finding.host for finding in findings):
        sys.stderr.write(f"gatelodge doctor: no host has {_other(given.server, keys)}\n")
        return 2
    for entry in found:
        findings += written.look(entry, here)
    started = [] if given.no_start else _started([entry for entry in found if _startable(entry)], here, given)
    for one in started:
        findings += one.findings
    if given.json:
        _as_json(findings, started)
    else:
        _report(findings, found)
        if not found:
            print(f"\n{_nothing(hosts, given.server, keys)}")
        print("\n{ok} well, {warn} to look at, {fail} failed".format(**_counts(findings)))
    bad = ("fail", "warn") if given.strict else ("fail",)
    return 1 if any(finding.level in bad for finding in findings) else 0


def _startable(entry: Entry) -> bool:
    return entry.enabled and bool(entry.command)


def _started(found: Sequence[Entry], here: Machine, given: argparse.Namespace) -> list[Started]:
    if not found:
        return []
    children = Children()

    def one(entry: Entry) -> Started:
        server = server_of(entry)
        asks = asked.asks(server, entry) if given.online else ()
        made = start(entry, here, given.seconds, asks, children)
        made.findings.extend(asked.judge(server, made))
        return made

    names = ", ".join(f"{entry.key} ({entry.host})" for entry in found)
    with progress(f"starting {clean(names)}"[:200]), ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            return list(pool.map(one, found))
        except BaseException:
            # Ctrl-C, mostly: nobody waits for servers that ignore it.
            children.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    return {level: sum(finding.level == level for finding in findings) for level in _MARKS}


def _other(asked_for: Sequence[str], keys: Iterable[str]) -> str:
    """A server that isn't there, and those that are."""
    there = ", ".join(clean(key) for key in sorted(keys)) or "none"
    return f"a server called {clean(', '.join(asked_for))}; there are: {there}"


def _nothing(hosts: Sequence[Host], asked_for: Sequence[str], keys: Iterable[str]) -> str:
    """What to say where there is no server to tell of."""
    if asked_for:
        return f"No host that can be read has {_other(asked_for, keys)}"
    which, name = (f"{hosts[0].title} is configured with no", hosts[0].name) if len(hosts) == 1 else ("No host is configured with any", "HOST")  # fmt: skip
    return f"{which} server. To begin: gatelodge install {name} filesystem --root FOLDER"


def _as_json(findings: Sequence[Finding], started: Sequence[Started]) -> None:
    told = {
        "version": 1,
        "summary": _counts(findings),
        "findings": [finding.as_json() for finding in findings],
        "servers": [one.as_json() for one in started],
    }
    json.dump(told, sys.stdout, indent=2, ensure_ascii=False)
    print()


def _report(findings: Sequence[Finding], found: Sequence[Entry]) -> None:
    _lines(finding for finding in findings if not finding.host)
    for entry in found:
        of = [item for item in findings if (item.host, item.server, item.file) == (entry.host, entry.key, entry.file)]
        _head(f"{entry.key} in {HOSTS[entry.host].title}", f"{entry.file}{f':{entry.line}' if entry.line else ''}")
        if not entry.enabled:
            print("        switched off there; not started")
        elif not of:
            print("        not started")
        _lines(of)
    known = {(entry.host, entry.key, entry.file) for entry in found}
    rest = [item for item in findings if item.host and (item.host, item.server, item.file) not in known]
    for finding in rest:
        _head(HOSTS[finding.host].title, f"{finding.file}{f':{finding.line}' if finding.line else ''}")
        _lines([finding])


def _head(title: str, place: str) -> None:
    print(f"\n{clean(title)}  ({clean(place)})")


def _lines(findings: Iterable[Finding]) -> None:
    colour = outlet.coloured(sys.stdout)
    for finding in findings:
        mark, code = _MARKS[finding.level]
        shown = f"\x1b[{code}m{mark}\x1b[0m" if colour else mark
        print(f"{shown}  {finding.what:<12}  {clean(finding.text)}")
        if finding.fix:
            print(f"                    {clean(finding.fix)}")
