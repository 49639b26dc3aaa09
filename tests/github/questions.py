"""What the tests of questions share: calls as the guard sees them, a call of each tool, and the person's answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from gatelodge_core.auth.principal import Principal, local_user
from gatelodge_core.effects import READ, Nature, Rule
from gatelodge_core.guard.call import Call, Channel, Kind
from gatelodge_github.asking import doubts
from gatelodge_github.hub import Hub
from gatelodge_github.server import OFFERED


def no(_: str) -> bool:
    """The person says so."""
    return False


OUTSIDE: dict[str, dict[str, Any]] = {
    "get_repo": {}, "list_refs": {}, "get_file": {"path": "vault.txt"}, "get_tree": {}, "list_commits": {},
    "get_diff": {"target": "main"}, "create_branch": {"branch": "x"},
    "commit_files": {"branch": "x", "message": "x", "files": [{"path": "x", "content": "x"}]},
    "list_issues": {}, "get_issue": {"number": 1}, "create_issue": {"title": "x"}, "add_comment": {"number": 1, "body": "x"},
    "update_issue": {"number": 1, "title": "x"}, "list_pulls": {}, "get_pull": {"number": 1}, "get_pull_diff": {"number": 1},
    "create_pull": {"title": "x", "head": "x"}, "merge_pull": {"number": 1, "expected_head": "0" * 40},
    "update_pull": {"number": 1, "title": "x"}, "review_pull": {"number": 1, "body": "x"}, "list_runs": {},
    "get_run": {"run_id": 1}, "get_job_log": {"job_id": 1}, "run_workflow": {"action": "dispatch", "workflow": "ci.yml"},
    "create_release": {"tag": "x"}, "list_alerts": {}, "read_discussions": {}, "search_github": {"query": "vault", "kind": "code"},
}  # fmt: skip
"""A call of each tool that takes a repository."""


WRITES: dict[str, dict[str, Any]] = {
    name: OUTSIDE.get(name, {"name": "new"}) for name, tool in OFFERED.tools.items() if tool.nature.effect is not READ
}
"""The least that each changing tool takes."""


def call_of(name: str, arguments: Mapping[str, Any], kind: Kind = "tool", principal: Principal | None = None) -> Call:
    nature = OFFERED.tools[name].nature if kind == "tool" else Nature(READ)
    channel = cast("Channel", None)
    return Call(kind, name, arguments, nature, "", principal or local_user(), "memory", "", 1, {}, channel, name)


async def reasons(hub: Hub, name: str, **arguments: Any) -> list[str]:
    found = await doubts(hub, call_of(name, arguments))
    assert {doubt.rule for doubt in found} <= {Rule.CONFIRM}
    return [doubt.reason for doubt in found]
