"""What people are asked about pull requests: what would be merged or approved, by whom, at which commit.

A yes belongs to the arguments of a call. So that it also belongs to the code, a merge and an approval must name the
head's commit (`expected_head`): GitHub merges that commit or none. Whatever else can be known to fail is refused before
anybody is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gatelodge_core.effects import Rule
from gatelodge_core.errors import CallError
from gatelodge_core.guard.call import Call, Doubt, Subject

from gatelodge_github.checks import checks_of
from gatelodge_github.data import text
from gatelodge_github.gate import Writing
from gatelodge_github.hub import Hub
from gatelodge_github.pull_requests import Pull, fetch, hindrance, moved
from gatelodge_github.trust.repositories import Facts

_SHOWN = {"merge_pull": "Merges", "review_pull": "Reviews", "update_pull": "Changes"}


async def pull_doubts(hub: Hub, call: Call, target: Facts | None) -> list[Doubt]:
    """What in a call about a pull request is asked about, or is refused before anybody is asked."""
    approves = call.name == "review_pull" and call.arguments.get("event") == "approve"
    updates = call.name == "update_pull" and call.arguments.get("update_branch") is True
    if target is None or not (call.name == "merge_pull" or approves or updates):
        return []
    try:
        pull = await fetch(hub.desk(call.principal).api, target.name, _number(call.arguments))
    except CallError as error:
        return [Doubt(Rule.DENY, f"the pull request can't be read. {error}")]
    if updates:
        return _pushed(hub, pull, target)
    head = text(call.arguments.get("expected_head"))
    error = hindrance(pull, head) if call.name == "merge_pull" else moved(pull, head)
    if error is not None:
        return [Doubt(Rule.DENY, str(error))]
    if approves:
        return [Doubt(Rule.CONFIRM, "an approval can let it be merged.", Subject(target.name))]
    return []


def _pushed(hub: Hub, pull: Pull, target: Facts) -> list[Doubt]:
    """Updating the branch pushes a commit to the head, which can be another repository, or what everybody builds on."""
    found: list[Doubt] = []
    head = pull.head.repo
    if pull.foreign and hub.gate.writes(head) is Writing.ASK:
        found.append(Doubt(Rule.CONFIRM, f"it pushes to another repository, {head}.", Subject(head)))
    if not pull.foreign and (not target.default_branch or pull.head.ref == target.default_branch):
        found.append(Doubt(Rule.CONFIRM, f"it pushes to the default branch, {pull.head.ref}.", Subject(target.name)))
    return found


async def pull_effect(hub: Hub, call: Call, target: Facts | None) -> list[str]:
    """What stands behind the number of a pull request: lines for the person who is asked."""
    what = _SHOWN.get(call.name)
    if what is None or target is None:
        return []
    desk = hub.desk(call.principal)
    try:
        pull = await fetch(desk.api, target.name, _number(call.arguments))
    except CallError as error:
        return [f"The pull request can't be read: {error}"]
    author = await pull.author(desk.marks, target.name)
    code = pull.code(author)
    whose = str(author) if code == author else f"{author}, the code is of {code}"
    data = pull.data
    sizes = f"{data.get('commits')} commits, {data.get('changed_files')} files, +{data.get('additions')} -{data.get('deletions')}"
    checks = await checks_of(desk.api, target.name, pull.head.sha)
    failed = [" ".join(name.split())[:60] for name in checks.named("failed")[:5]]
    # Its author must not be able to end the quotation.
    title = " ".join(pull.title.replace('"', "'").split())[:160]
    default = " (the default branch)" if pull.base.ref == target.default_branch else ""
    return [
        f'{what} pull request {pull.number}, "{title}", by {whose}.',
        f"From {pull.head_name} at {pull.head.sha} into {pull.base.ref}{default}: {sizes}.",
        f"Checks: {checks}{': ' if failed else ''}{', '.join(failed)}. State: {_standing(pull)}.",
    ]


def _standing(pull: Pull) -> str:
    """The state, and what GitHub says of merging."""
    said = text(pull.data.get("mergeable_state"))
    known = {
        "blocked": "blocked by rules of the branch, which an administrator's merge overrides",
        "behind": "behind its base",
        "unstable": "mergeable, though checks fail or are missing",
        "clean": "mergeable",
    }
    return f"{pull.state}, {known.get(said, said or 'unknown')}"


def _number(arguments: Mapping[str, Any]) -> int:
    """The number of the call; 0, which is no pull request, if it has none. The tool refuses such a call itself."""
    number = arguments.get("number")
    return number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else 0
