"""Tools that write issues and comments."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Any, Literal

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import EXTERNAL, WRITE
from gatelodge_core.errors import CallError
from mcp_types import CallToolResult
from pydantic import Field

from gatelodge_github.data import rows, table, text
from gatelodge_github.hub import Hub, Visit
from gatelodge_github.names import login, repo_path, segment
from gatelodge_github.tools.common import Body, Names, Number, Title, changing
from gatelodge_github.transport.request import Answer

filing = Declarations[Hub]()

Clear = Literal["body", "assignees", "milestone"]
NO_LABEL = "Label does not exist"
"""GitHub's words where a label to be taken off isn't on."""


@filing.tool(effect=WRITE, reach=EXTERNAL, additive=True)
async def create_issue(
    hub: Hub,
    title: Title,
    repo: str = "",
    body: Body = "",
    labels: Names = [],  # noqa: B006 - a plain default keeps the schema portable; it is never changed
    assignees: Names = [],  # noqa: B006 - as above
    milestone: int = 0,
    parent: int = 0,
) -> CallToolResult:
    """Open an issue; a sub-issue of parent."""
    visit = await changing(hub, repo)
    path = f"{repo_path(visit.repo)}/issues"
    wanted = {"labels": labels, "assignees": [login(one, "assignee") for one in assignees], "milestone": milestone}
    given = {"title": title, "body": body, **wanted}
    visit.api.budget.expect(2 if parent else 1)
    if parent and "pull_request" in table(await visit.api.data(f"{path}/{parent}")):
        raise CallError("bad_parent", f"{parent} is a pull request; nothing was done.", "Only issues have sub-issues.")
    answer = await visit.api.write(
        "POST",
        path,
        {name: value for name, value in given.items() if value},
        check=f'list_issues(repo="{visit.repo}", state="all"): whether the first has this title',
    )
    made = table(answer.data)
    number = made.get("number")
    if parent:
        await _then(
            f"issue {number} was opened ({text(made.get('html_url'))}), but is no sub-issue of {parent} yet",
            visit.api.write(
                "POST",
                f"{path}/{parent}/sub_issues",
                {"sub_issue_id": made.get("id")},
                check=f'get_issue(number={parent}, repo="{visit.repo}", include=["sub_issues"])',
            ),
        )
    fields = {**_shown(made), "parent": parent or ""}
    # To who can't push GitHub says nothing, and sets none of them.
    dropped = [name for name, value in wanted.items() if value and not made.get(name)]
    if dropped:
        fields["not_set"] = f"{', '.join(dropped)}: GitHub left this out, which needs push access"
    return visit.view.record(f"opened issue {number} in {visit.title}", fields)


@filing.tool(effect=WRITE, reach=EXTERNAL, additive=True)
async def add_comment(
    hub: Hub,
    number: Number,
    body: Body,
    repo: str = "",
    in_reply_to: Annotated[int, Field(description="Review comment.")] = 0,
) -> CallToolResult:
    """Comment on an issue or pull request, or reply to a review comment."""
    visit = await changing(hub, repo)
    path = f"{repo_path(visit.repo)}/issues/{number}/comments"
    check = f'get_issue(number={number}, repo="{visit.repo}", include=["comments"])'
    if in_reply_to:
        path = f"{repo_path(visit.repo)}/pulls/{number}/comments/{in_reply_to}/replies"
        check = f'get_pull(number={number}, repo="{visit.repo}", include=["threads"])'
    made = table((await visit.api.write("POST", path, {"body": body}, check=check)).data)
    fields = {"id": made.get("id"), "url": text(made.get("html_url")), "in_reply_to": in_reply_to or ""}
    return visit.view.record(f"commented on {number} in {visit.title}", fields)


@filing.tool(effect=WRITE, reach=EXTERNAL)
async def update_issue(
    hub: Hub,
    number: Number,
    repo: str = "",
    title: str = "",
    body: Body = "",
    state: Literal["", "open", "closed"] = "",
    state_reason: Literal["", "completed", "not_planned", "duplicate", "reopened"] = "",
    add_labels: Names = [],  # noqa: B006 - as above
    remove_labels: Names = [],  # noqa: B006 - as above
    assignees: Annotated[Names, Field(description="Replaces all.")] = [],  # noqa: B006 - as above
    milestone: int = 0,
    clear: list[Clear] = [],  # noqa: B006 - as above
) -> CallToolResult:
    """Change an issue or pull request: only what is given; clear empties fields."""
    people = [login(one, "assignee") for one in assignees]
    fields = {"title": title, "body": body, "state": state, "state_reason": state_reason, "assignees": people, "milestone": milestone}  # fmt: skip
    changes: dict[str, Any] = {name: value for name, value in fields.items() if value}
    _check(changes, add_labels, remove_labels, clear)
    empty: dict[Clear, Any] = {"body": "", "assignees": [], "milestone": None}
    changes |= {name: empty[name] for name in clear}
    off = [segment(name) for name in dict.fromkeys(remove_labels)]
    visit = await changing(hub, repo)
    visit.api.budget.expect(bool(changes) + bool(add_labels) + len(off))
    return await _updated(visit, number, changes, add_labels, list(zip(dict.fromkeys(remove_labels), off, strict=True)))


def _check(changes: dict[str, Any], add: list[str], remove: list[str], clear: list[Clear]) -> None:
    """Refuse what says nothing, or two things at once.

    Raises:
        CallError: `nothing_given` or `contradiction`.
    """
    if not (changes or add or remove or clear):
        raise CallError("nothing_given", "Nothing is to be changed.", "Give a field, or name one in clear.")
    both = [name for name in clear if name in changes]
    both += [name for name in add if name.lower() in {other.lower() for other in remove}]
    if both:
        raise CallError("contradiction", f"{', '.join(both)[:200]}: given and taken away at once.")
    reason, state = changes.get("state_reason"), changes.get("state")
    if reason and state != ("open" if reason == "reopened" else "closed"):
        wanted = "open" if reason == "reopened" else "closed"
        raise CallError("contradiction", f"state_reason {reason} goes with state={wanted}.", "Give both.")


async def _updated(
    visit: Visit, number: int, changes: dict[str, Any], add: list[str], remove: list[tuple[str, str]]
) -> CallToolResult:
    path = f"{repo_path(visit.repo)}/issues/{number}"
    check = f'get_issue(number={number}, repo="{visit.repo}")'
    done: list[str] = []
    fields: dict[str, Any] = {"number": number}
    absent: list[str] = []
    if changes:
        answer = await visit.api.write("PATCH", path, changes, check=check)
        fields = _shown(table(answer.data))
        done.append(f"changed {', '.join(changes)}")
    if add:
        step = visit.api.write("POST", f"{path}/labels", {"labels": add}, check=check)
        fields["labels"] = _names((await _then(f"{_so_far(done)} the labels were not added", step)).data)
        done.append(f"added labels {', '.join(add)}")
    for name, quoted in remove:
        step = visit.api.write("DELETE", f"{path}/labels/{quoted}", check=check)
        try:
            fields["labels"] = _names((await _then(f"{_so_far(done)} label {name} was not taken off", step)).data)
            done.append(f"took off label {name}")
        except CallError as error:
            if error.code != "not_found" or NO_LABEL not in error.message:
                raise
            absent.append(name)
    fields |= {"done": done, "was_not_on": absent}
    return visit.view.record(f"updated {number} in {visit.title}", fields)


def _so_far(done: list[str]) -> str:
    return f"{'; '.join(done)}; but" if done else "nothing was changed;"


async def _then(stands: str, step: Awaitable[Answer]) -> Answer:
    """A step behind others: what stands is said if it fails.

    Raises:
        CallError: Of the step.
    """
    try:
        return await step
    except CallError as error:
        raise CallError(error.code, f"{stands[:600]}: {error.message}", error.hint) from None


def _shown(item: Any) -> dict[str, Any]:
    """What is told of an issue that was written; its texts are known to the caller, or were others'."""
    return {
        "number": item.get("number"),
        "url": text(item.get("html_url")),
        "state": text(item.get("state")),
        "state_reason": text(item.get("state_reason")),
        "labels": _names(item.get("labels")),
        "assignees": [text(one.get("login")) for one in rows(item.get("assignees"))],
        "milestone": table(item.get("milestone")).get("number"),
    }


def _names(labels: object) -> list[str]:
    return [text(label.get("name")) for label in rows(labels)]
