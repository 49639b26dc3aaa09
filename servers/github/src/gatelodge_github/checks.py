"""What ran on a commit: check runs (Actions and Apps) and statuses (older services), put together, failures first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
from gatelodge_core.errors import CallError

from gatelodge_github.data import rows, table, text
from gatelodge_github.names import repo_path, segment
from gatelodge_github.transport.api import Api

MOST_PAGES = 3
"""Pages of 100 check runs that are read."""
ORDER = ("failed", "running", "cancelled", "skipped", "passed")
_CONCLUSIONS = {
    "success": "passed",
    "neutral": "passed",
    "skipped": "skipped",
    "cancelled": "cancelled",
    "stale": "cancelled",
}
"""What counts as failed is the rest: failure, timed_out, action_required, startup_failure, and what is new."""
_STATES = {"success": "passed", "pending": "running"}


@dataclass(frozen=True, slots=True)
class Check:
    """One check.

    Args:
        name: As the workflow, App or service calls it.
        state: One of `ORDER`.
        note: What it says of itself.
        job: The id of the Actions job, for its log; 0 if it is none.
    """

    name: str
    state: str
    note: str = ""
    job: int = 0


@dataclass(slots=True)
class Checks:
    """All checks of a commit, failures first.

    Args:
        items: The checks.
        total: How many there are, which may be more.
        problems: What could not be read.
    """

    items: list[Check] = field(default_factory=list[Check])
    total: int = 0
    problems: list[str] = field(default_factory=list[str])

    def __str__(self) -> str:
        """As ``1 failed, 2 passed``."""
        counted = Counter(check.state for check in self.items)
        parts = [f"{counted[state]} {state}" for state in ORDER if counted[state]]
        if self.total > len(self.items):
            parts.append(f"{self.total - len(self.items)} not looked at")
        return ", ".join([*(parts or ["none"]), *self.problems])

    def named(self, state: str) -> list[str]:
        """The names of those in a state."""
        return [check.name for check in self.items if check.state == state]


async def checks_of(api: Api, repo: str, sha: str) -> Checks:
    """Read the checks of a commit with two requests, side by side; what can't be read is said, not raised."""
    found = Checks()
    parts: list[Sequence[Check]] = [(), ()]

    async def one(at: int, name: str) -> None:
        try:
            parts[at], total = await (_runs(api, repo, sha) if at == 0 else _statuses(api, repo, sha))
            found.total += total
        except CallError as error:
            found.problems.append(f"{name} can't be read ({error.code})")

    async with anyio.create_task_group() as group:
        group.start_soon(one, 0, "check runs")
        group.start_soon(one, 1, "statuses")
    found.items = sorted([*parts[0], *parts[1]], key=lambda check: ORDER.index(check.state))
    return found


async def _runs(api: Api, repo: str, sha: str) -> tuple[list[Check], int]:
    found: list[Check] = []
    total = 0
    for page in range(1, MOST_PAGES + 1):
        answer = await api.get(f"{repo_path(repo)}/commits/{segment(sha)}/check-runs", {"per_page": 100, "page": page})
        data = table(answer.data)
        total = max(total, _number(data.get("total_count")))
        for run in rows(data.get("check_runs")):
            done = run.get("status") == "completed"
            state = _CONCLUSIONS.get(text(run.get("conclusion")), "failed") if done else "running"
            actions = table(run.get("app")).get("slug") == "github-actions"
            # GitHub gives a job of Actions and its check run the same id.
            job = _number(run.get("id")) if actions else 0
            found.append(Check(text(run.get("name")), state, text(table(run.get("output")).get("title")), job))
        if not answer.next_page:
            break
    return found, max(total, len(found))


async def _statuses(api: Api, repo: str, sha: str) -> tuple[list[Check], int]:
    data = table(await api.data(f"{repo_path(repo)}/commits/{segment(sha)}/status", {"per_page": 100}))
    found = [
        Check(text(one.get("context")), _STATES.get(text(one.get("state")), "failed"), text(one.get("description")))
        for one in rows(data.get("statuses"))
    ]
    return found, max(_number(data.get("total_count")), len(found))


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
