"""What people are told of a call: what it would do, and what in it must be asked about.

A change is asked about when it goes to a repository that nobody named, when the caller has read something private that
others could read there, and when it touches what runs or what everybody builds on: the default branch, workflows,
CODEOWNERS, commits by strangers. A secret among the arguments is refused outright. All of this runs before the arguments
are checked, so that they may be anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import anyio.to_thread
from gatelodge_core.effects import READ, Rule
from gatelodge_core.errors import CallError
from gatelodge_core.guard.call import Call, Doubt, Subject
from gatelodge_core.guard.hygiene import visible

from gatelodge_github.asking_pulls import pull_doubts, pull_effect
from gatelodge_github.asking_subjects import new_name
from gatelodge_github.credentials import Credential
from gatelodge_github.data import rows, text
from gatelodge_github.gate import Writing
from gatelodge_github.hub import Hub
from gatelodge_github.outbound import secrets_in
from gatelodge_github.trust.commits import placed
from gatelodge_github.trust.repositories import Facts

NEW = frozenset({"create_repo"})
"""Tools that write to where nothing is yet."""
_RUNS = (
    ".github/", "codeowners", "docs/codeowners", ".gitmodules", ".circleci/", ".buildkite/", ".woodpecker/", ".gitlab-ci",
    ".travis.yml", ".drone.yml", ".appveyor.yml", "appveyor.yml", "azure-pipelines", "bitbucket-pipelines.yml", "jenkinsfile",
)  # fmt: skip
"""Beginnings of paths, lower case, whose change decides what a push runs, what is fetched, or who reviews."""
_SHOWN = 120
"""Characters of an argument in a reason; the effect has all of it."""


async def effect(hub: Hub, call: Call) -> str:
    """What a call would do: where, who can read that, what was read before, and everything that goes out."""
    lines: list[str] = []
    target: Facts | None = None
    if call.name in NEW:
        lines.append(await _made(hub, call))
    elif target := await _target(hub, call):
        seen = "everybody can read it" if target.public else target.visibility
        lines.append(f"In {target.name} ({seen if target.known else 'who can read it could not be found out'}).")
        # Before the contents, behind which a path could be cut off.
        lines += [f"Files: {', '.join(paths)}."] if (paths := _paths(call.arguments)) else []
        try:
            lines += await pull_effect(hub, call, target)
        except CallError as error:
            lines.append(f"(more can't be shown: {error})")
    if call.nature.effect is not READ:
        sources = _sources(hub, call, target)
        lines += [f"Private text was read before: {_few(sources)}."] if sources else []
        if hub.taint.untrusted(call.principal):
            lines.append("Text by people who can't push was read before.")
    lines += sorted(
        (_argument(name, value) for name, value in call.arguments.items()), key=lambda line: (len(line), line)
    )
    return "\n".join(lines)


async def _made(hub: Hub, call: Call) -> str:
    """Who will see a new repository. A fork is as visible as what it is made of, whatever else is said."""
    copied = _text(call.arguments, "fork_of")
    if not copied:
        return f"In a new {'public' if call.arguments.get('private') is False else 'private'} repository."
    source = await _target(hub, call, copied)
    seen = source.visibility if source is not None and source.known else "who can read it could not be found out"
    return f"In a new fork of {_short(copied)} ({seen}), which everybody can read who can read that."


def _argument(name: str, value: object) -> str:
    """An argument; a text of several lines has a bar before each, so that it can't look like another argument."""
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
    lines = said.splitlines() or [""]
    return (
        f"{_short(name)}: {lines[0]}"
        if len(lines) == 1
        else "\n".join([f"{_short(name)}:", *(f"| {line}" for line in lines)])
    )


async def doubts(hub: Hub, call: Call) -> list[Doubt]:
    """What in a call is asked about or refused; nothing in one that only reads."""
    if call.kind != "tool" or call.nature.effect is READ:
        return []
    known = [secret for secret in hub.settings.secrets().values() if secret]
    secrets = await anyio.to_thread.run_sync(_secrets, hub, call, known)
    if secrets:
        return [
            Doubt(Rule.DENY, f"a secret would leave ({'; '.join(secrets)}). Take it out; if it is real, replace it.")
        ]
    found: list[Doubt] = []
    target = None if call.name in NEW else await _target(hub, call)
    if target is not None and hub.gate.writes(target.name) is Writing.ASK:
        found.append(Doubt(Rule.CONFIRM, f"{target.name} is not the default repository.", Subject(target.name)))
    sources = _sources(hub, call, target)
    if sources and (target is not None or call.name in NEW):
        place = "a new repository" if target is None else f"{target.name} ({target.visibility})"
        reason = f"private text was read ({_few(sources)}), and others can read {place}: make sure that none of it goes along."
        found.append(Doubt(Rule.CONFIRM, reason))
    found += [*await _risky(hub, call, target), *await pull_doubts(hub, call, target)]
    # As policies name it (`asking_subjects`).
    return [
        replace(doubt, subject=Subject(doubt.subject.name.lower())) if doubt.subject is not None else doubt
        for doubt in found
    ]


def _secrets(hub: Hub, call: Call, known: list[str]) -> list[str]:
    """Where secrets are, and what they look like; in a worker thread."""
    try:
        credential: Credential = hub.desk(call.principal).api.credential
        known = [*known, *filter(None, [credential.current()])]
    except CallError:
        # Without a credential there is none that could leave.
        pass
    return [f"{item.path}: {item.kind}" for item in secrets_in(call.arguments, known)[:5]]


def _sources(hub: Hub, call: Call, target: Facts | None) -> list[str]:
    return hub.taint.elsewhere(call.principal, target if target is not None and target.known else None)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


async def _risky(hub: Hub, call: Call, target: Facts | None) -> list[Doubt]:
    """What is asked about whatever was read: changes of what runs, and of what everybody builds on."""
    if call.name in NEW:
        return [Doubt(Rule.CONFIRM, "it makes a repository.", Subject(await new_name(hub, call)))]
    subject = Subject(target.name) if target is not None else None
    found: list[Doubt] = []
    if call.name == "create_release":
        draft = call.arguments.get("draft") is not False
        found.append(Doubt(Rule.CONFIRM, f"it {'drafts' if draft else 'publishes'} a release.", subject))
    if call.name == "create_branch" and target is not None:
        start = _text(call.arguments, "from_ref")
        if start and not await placed(hub.desk(call.principal).api, target, start):
            # GitHub serves the commits of every fork under the upstream's name; on a branch, their workflows run.
            why = f"{_short(start)} is not in the default branch: it can be a stranger's commit, whose workflows would run."
            found.append(Doubt(Rule.CONFIRM, why))
    if call.name == "commit_files":
        branch = _text(call.arguments, "branch").removeprefix("refs/heads/")
        if target is None or not target.default_branch or branch == target.default_branch:
            which = _short(branch) or "whatever it is"
            found.append(Doubt(Rule.CONFIRM, f"it changes the default branch, {which}.", subject))
        risky = [path for path in _paths(call.arguments) if _decides(path)]
        if risky:
            named = ", ".join(map(_short, risky[:5])) + (f" and {len(risky) - 5} more" if len(risky) > 5 else "")
            found.append(Doubt(Rule.CONFIRM, f"it changes what runs or who reviews: {named}."))
    return found


def _decides(path: str) -> bool:
    """Whether a file decides what runs or who reviews; whatever its letter case, and however the path is written."""
    plain = "/".join(part for part in path.replace("\\", "/").lower().split("/") if part not in ("", "."))
    return f"{plain}/".startswith(_RUNS)


async def _target(hub: Hub, call: Call, repo: str = "") -> Facts | None:
    """The repository that a change would go to, as it is now; None if the tool will refuse anyway."""
    try:
        name = hub.gate.name(repo or _text(call.arguments, "repo"))
        return await hub.desk(call.principal).repositories.or_unknown(name, within=30)
    except CallError:
        return None


def _text(arguments: Mapping[str, Any], name: str) -> str:
    return text(arguments.get(name))


def _short(said: str) -> str:
    """A text of the caller's on one line, for a reason."""
    line = " ".join(visible(said[: 4 * _SHOWN])[0].split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def _paths(arguments: Mapping[str, Any]) -> list[str]:
    return [path for item in rows(arguments.get("files")) if (path := text(item.get("path")))]
