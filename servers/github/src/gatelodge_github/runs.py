"""Workflow runs and their jobs as answers show them, and whose words their names are.

Names of workflows, jobs and steps stand in the workflow file of the run's head, and a workflow's ``run-name`` can
quote a title or a branch. So they are as trusted as files at that head, and only where somebody who may push started it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gatelodge_github.data import rows, table, text, whole
from gatelodge_github.trust.marks import PROGRAM, Mark
from gatelodge_github.trust.repositories import Facts

_PUSHERS = frozenset(
    {
        "create", "delete", "deployment", "dynamic", "merge_group", "push", "registry_package", "release",
        "repository_dispatch", "schedule", "workflow_dispatch",
    }
)  # fmt: skip
"""Events that only those can bring about who may push; anybody can open an issue or a pull request."""
_FINE = frozenset({"success", "skipped", "neutral", ""})
STATUSES = (
    "completed", "action_required", "cancelled", "failure", "neutral", "skipped", "stale", "success", "timed_out",
    "in_progress", "queued", "requested", "waiting", "pending",
)  # fmt: skip
"""What GitHub filters runs by: statuses and conclusions."""


def mark(facts: Facts, run: Mapping[str, Any]) -> Mark:
    """Whose words the names in a run are.

    Args:
        facts: The repository.
        run: GitHub's object.
    """
    event, branch = text(run.get("event")), text(run.get("head_branch"))
    head = text(table(run.get("head_repository")).get("full_name"))
    # The repository of a fork that was deleted is null.
    own = head.lower() == facts.name.lower()
    if own and (event in _PUSHERS or (event == "pull_request" and not facts.public)):
        return Mark("", facts.file_trust(branch))
    return PROGRAM


def result(item: Mapping[str, Any]) -> str:
    """How a run, job or step ended, or else what it is doing."""
    return text(item.get("conclusion")) or text(item.get("status"))


def workflow(run: Mapping[str, Any]) -> str:
    """The name of a run's workflow, or its file."""
    return text(run.get("name")) or text(run.get("path")).partition("@")[0].rpartition("/")[2]


def took(start: object, end: object) -> str:
    """The time between two of GitHub's times, such as ``1m05s``; empty if one of them isn't there.

    Steps have offsets (``2023-02-17T17:03:46.000+01:00``) where jobs have ``Z``.
    """
    try:
        seconds = int((datetime.fromisoformat(text(end)) - datetime.fromisoformat(text(start))).total_seconds())
    except (ValueError, TypeError):
        return ""
    if seconds < 0:
        # GitHub's times of jobs that never began.
        return ""
    hours, minutes = seconds // 3600, seconds // 60 % 60
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds % 60:02}s" if minutes else f"{seconds}s"


@dataclass(frozen=True, slots=True)
class Step:
    """A step that did not end well.

    Args:
        number: As GitHub counts them, from 1.
        name: As the workflow file has it.
        result: Its conclusion.
    """

    number: int
    name: str
    result: str


def failed_steps(job: Mapping[str, Any]) -> list[Step]:
    """The steps of a job that failed, were cancelled or ran out of time."""
    return [
        Step(whole(step.get("number")), text(step.get("name")), text(step.get("conclusion")))
        for step in rows(job.get("steps"))
        if text(step.get("conclusion")) not in _FINE
    ]


def worst_first(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Jobs that did not end well, then those that are not done, then the rest, each in GitHub's order."""

    def rank(job: dict[str, Any]) -> int:
        if text(job.get("conclusion")) not in _FINE:
            return 0
        return 1 if text(job.get("status")) != "completed" else 2

    return sorted(jobs, key=rank)
