"""``gatelodge policy``: what the policy says, of every tool or of one call, and why."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass

import platformdirs

from gatelodge_core import outlet
from gatelodge_core.auth.principal import local_user
from gatelodge_core.cli.showing import progress
from gatelodge_core.effects import Effect, Rule
from gatelodge_core.errors import SettingsError
from gatelodge_core.guard.call import Subject
from gatelodge_core.guard.policy import Policy, load
from gatelodge_core.settingsfile import SERVERS

DESCRIBE_SECONDS = 30
_SUBJECTS = ("path", "paths", "table", "repo", "url", "domain")


@dataclass(frozen=True, slots=True)
class _Tool:
    server: str
    name: str
    effect: Effect
    default: Rule


def run(argv: Sequence[str]) -> int:
    """Show or test; exit status 0, 1 for a call that isn't allowed, 2 for a policy that can't be used."""
    parser = outlet.Parser(prog="gatelodge policy", description="What the policy says, and why.")
    parser.add_argument("--policy", default="", help="The policy file; default: policy.toml beside the settings file.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="VERB")
    commands.add_parser("show", help="The rule that holds for each tool, apart from rules on subjects.")
    test = commands.add_parser("test", help="The verdict on one call. Exit status 0 if it is allowed, else 1.")
    test.add_argument("tool")
    test.add_argument(
        "arguments", nargs="*", default=[], metavar="KEY=VALUE", help="Arguments of the call, such as path=notes/a.md."
    )
    test.add_argument("--principal", default=str(local_user()), help="Who calls; default: you, over stdio.")
    given = parser.parse_args(list(argv))
    try:
        policy = _policy(given.policy)
        with progress("asking the servers for their tools"):
            tools = [tool for server in SERVERS for tool in _describe(server)]
        if given.command == "show":
            return _show(policy, tools)
        return _test(policy, tools, given.tool, given.arguments, given.principal)
    except SettingsError as error:
        print(f"gatelodge policy: {error}", file=sys.stderr)
        return 2


def _policy(path: str) -> Policy:
    chosen = path or os.environ.get("GATELODGE_POLICY", "")
    if not chosen:
        usual = os.path.join(platformdirs.user_config_dir("gatelodge"), "policy.toml")
        chosen = usual if os.path.exists(usual) else ""
    return load(os.path.expanduser(chosen)) if chosen else Policy()


def _describe(server: str) -> list[_Tool]:
    """The tools of a server, if it is installed; asked of its own command, as core knows no server."""
    command = shutil.which(f"gatelodge-{server}", path=sysconfig.get_path("scripts"))
    if command is None:
        return []
    done = subprocess.run([command, "--describe"], capture_output=True, timeout=DESCRIBE_SECONDS, check=False)
    if done.returncode:
        raise SettingsError(f"{command} --describe failed: {done.stderr.decode(errors='replace').strip()}")
    table = json.loads(done.stdout)
    return [_Tool(server, item["name"], Effect(item["effect"]), Rule(item["default"])) for item in table["tools"]]


def _show(policy: Policy, tools: list[_Tool]) -> int:
    print(f"Policy: {policy.source or 'none; the defaults hold'}\n")
    rows = [("server", "tool", "effect", "rule", "why")]
    for tool in tools:
        verdict = policy.judge(
            server=tool.server,
            tool=tool.name,
            effect=tool.effect,
            principal=str(local_user()),
            subjects=[],
            default=tool.default,
        )
        rows.append((tool.server, tool.name, str(tool.effect), str(verdict.rule), verdict.why))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join([*(row[column].ljust(widths[column]) for column in range(4)), row[4]]))
    narrow = [rule for rule in policy.rules if rule.subject]
    if narrow:
        print("\nBesides, for what they act on:")
        for rule in narrow:
            print(f"  {rule}{f' ({rule.reason})' if rule.reason else ''}")
    return 0


def _test(policy: Policy, tools: list[_Tool], name: str, arguments: Sequence[str], principal: str) -> int:
    tool = next((item for item in tools if item.name == name), None)
    if tool is None:
        raise SettingsError(
            f"no installed server has a tool {name!r}; there are: {', '.join(item.name for item in tools)}"
        )
    subjects: list[Subject] = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise SettingsError(f"{argument!r}: write KEY=VALUE, for example path=notes/a.md")
        if key in _SUBJECTS:
            subjects.append(Subject(value.rstrip("/"), tree=False))
    verdict = policy.judge(
        server=tool.server, tool=name, effect=tool.effect, principal=principal, subjects=subjects, default=tool.default
    )
    print(f"{verdict.rule}: {verdict.why}{f' ({verdict.reason})' if verdict.reason else ''}")
    return 0 if verdict.rule is Rule.ALLOW else 1
