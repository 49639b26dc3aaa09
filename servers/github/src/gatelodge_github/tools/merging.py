"""Tools that write pull requests."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import DESTROY, EXTERNAL, WRITE
from gatelodge_core.errors import CallError
from mcp_types import CallToolResult
from pydantic import BaseModel, ConfigDict, Field

from gatelodge_github import names
from gatelodge_github.data import table, text
from gatelodge_github.hub import Hub, Visit
from gatelodge_github.pull_requests import Pull, fetch, hindrance, moved, pull_path, requested
from gatelodge_github.tools.common import Body, Names, Number, Title, changing

merging = Declarations[Hub]()

_TEAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)


class LineComment(BaseModel):
    """A review comment on a line, or from `start_line` to it, of the new file (RIGHT) or the old one (LEFT)."""

    model_config = ConfigDict(extra="forbid", strict=True)

    path: str
    line: int
    body: str
    start_line: int = 0
    side: Literal["RIGHT", "LEFT"] = "RIGHT"

    def sent(self) -> dict[str, Any]:
        """As GitHub takes it."""
        made: dict[str, Any] = {"path": self.path, "line": self.line, "side": self.side, "body": self.body}
        if self.start_line and self.start_line != self.line:
            made |= {"start_line": self.start_line, "start_side": self.side}
        return made


@merging.tool(effect=WRITE, reach=EXTERNAL, additive=True)
async def create_pull(
    hub: Hub,
    title: Title,
    head: str,
    repo: str = "",
    base: str = "",
    body: Body = "",
    draft: bool = False,
    reviewers: Names = [],  # noqa: B006 - a plain default keeps the schema portable; it is never changed
) -> CallToolResult:
    """Open a pull request; head is branch or owner:branch, reviewers are logins or org/team."""
    visit = await changing(hub, repo)
    owner, colon, branch = head.rpartition(":")
    names.ref(branch, "head")
    if colon:
        names.login(owner, "the owner in head")
    asked = _reviewers(visit, reviewers)
    into = names.ref(base or visit.facts.default_branch, "base")
    sent: dict[str, Any] = {"title": title, "head": head, "base": into}
    sent |= {"body": body} if body else {}
    sent |= {"draft": True} if draft else {}
    check = f'list_pulls(repo="{visit.repo}", head="{head}")'
    try:
        answer = await visit.api.write("POST", f"{names.repo_path(visit.repo)}/pulls", sent, check=check)
    except CallError as error:
        if error.code == "invalid" and "already exists" in error.message:
            raise CallError("exists", error.message, f"Find it with {check}, then update_pull.") from None
        raise
    pull = Pull.of(answer.data)
    fields = {**_fields(pull), "head": head}
    if asked:
        try:
            fields["reviewers"] = requested(await _request(visit, pull.number, asked))
        except CallError as error:
            fields["problem"] = (
                f"the pull request was opened, but its reviewers were not asked for: {error} "
                f"Don't open it again: update_pull({pull.number}, add_reviewers=...)."
            )
    return visit.view.record(f"opened in {visit.title}", fields)


@merging.tool(effect=DESTROY, reach=EXTERNAL)
async def merge_pull(
    hub: Hub,
    number: Number,
    expected_head: Annotated[str, Field(description="Full head sha from get_pull.")],
    repo: str = "",
    method: Literal["merge", "squash", "rebase"] = "merge",
    title: str = "",
    message: Body = "",
) -> CallToolResult:
    """Merge a pull request at expected_head and no other commit."""
    visit = await changing(hub, repo)
    pull = await fetch(visit.api, visit.repo, number)
    if error := hindrance(pull, expected_head):
        raise error
    # What was agreed to, not what was read now.
    sent = {"sha": expected_head.lower(), "merge_method": method}
    sent |= {"commit_title": title} if title else {}
    sent |= {"commit_message": message} if message else {}
    answer = await visit.api.write(
        "PUT", f"{pull_path(visit.repo, number)}/merge", sent, check=f'get_pull({number}, repo="{visit.repo}")'
    )
    fields = {
        "number": number,
        "url": text(pull.data.get("html_url")),
        "state": "merged",
        "method": method,
        "base": pull.base.ref,
        "head": pull.head.sha,
        "sha": text(table(answer.data).get("sha")),
    }
    return visit.view.record(f"merged in {visit.title}", fields)


@merging.tool(effect=WRITE, reach=EXTERNAL)
async def update_pull(
    hub: Hub,
    number: Number,
    repo: str = "",
    title: str = "",
    body: Body = "",
    clear_body: bool = False,
    state: Literal["", "open", "closed"] = "",
    base: str = "",
    draft: Literal["", "yes", "no"] = "",
    add_reviewers: Names = [],  # noqa: B006 - a plain default keeps the schema portable; it is never changed
    update_branch: bool = False,
) -> CallToolResult:
    """Change only what is given: state, base, draft or ready, reviewers; update_branch merges base into head."""
    visit = await changing(hub, repo)
    if body and clear_body:
        raise CallError("invalid", "body is given and is to be cleared.", "Choose one.")
    asked = _reviewers(visit, add_reviewers)
    given = {"title": title, "body": body, "state": state, "base": names.ref(base, "base") if base else ""}
    changed = {name: value for name, value in given.items() if value} | ({"body": ""} if clear_body else {})
    if not (changed or draft or asked or update_branch):
        raise CallError("nothing_given", "there is nothing to change.", "Give title, body, state, base, draft, ...")
    steps = _Steps(visit, number)
    if draft or update_branch:
        pull = await steps.read()
        if update_branch and pull.foreign:
            # It pushes there; that the person was asked is seen to before.
            hub.gate.check_write(pull.head.repo)
    if changed:
        await steps.take(", ".join(changed), lambda: steps.patch(changed))
    if draft:
        await steps.take("draft" if draft == "yes" else "ready for review", lambda: steps.draft(draft == "yes"))
    if asked:
        await steps.take("reviewers", lambda: steps.ask(asked))
    if update_branch:
        await steps.take("branch is being updated", steps.update)
    return visit.view.record(f"changed in {visit.title}", {**_fields(steps.pull), **steps.more, "done": steps.done})


@merging.tool(effect=WRITE, reach=EXTERNAL, additive=True)
async def review_pull(
    hub: Hub,
    number: Number,
    repo: str = "",
    event: Literal["comment", "approve", "request_changes"] = "comment",
    body: Body = "",
    comments: list[LineComment] = [],  # noqa: B006 - as above
    expected_head: str = "",
) -> CallToolResult:
    """Review a pull request, with comments on lines of its diff; approve needs expected_head."""
    visit = await changing(hub, repo)
    if not body and (event == "request_changes" or (event == "comment" and not comments)):
        raise CallError("invalid", f"a review of the kind {event} needs a body.", "Give body.")
    if any(not (one.path and one.body and 0 <= one.start_line <= one.line) or not one.line for one in comments):
        raise CallError("invalid", "a comment needs a path, a body, and a line from 1 on, not before its start_line.")
    pull = await fetch(visit.api, visit.repo, number)
    if (expected_head or event == "approve") and (error := moved(pull, expected_head)):
        raise error
    sent: dict[str, Any] = {"commit_id": expected_head.lower() or pull.head.sha, "event": event.upper()}
    sent |= {"body": body} if body else {}
    sent |= {"comments": [comment.sent() for comment in comments]} if comments else {}
    check = f'get_pull({number}, include=["reviews"], repo="{visit.repo}")'
    try:
        answer = await visit.api.write("POST", f"{pull_path(visit.repo, number)}/reviews", sent, check=check)
    except CallError as error:
        if error.code == "invalid" and comments and re.search(r"part of the diff|resolve|\bline\b", error.message):
            raise CallError(
                "bad_line",
                f"{error.message} Nothing was posted.",
                "A comment must stand on a line that get_pull_diff shows: line numbers of the new file for RIGHT (added "
                "and unchanged lines), of the old one for LEFT (removed lines); start_line in the same hunk.",
            ) from None
        raise
    review = table(answer.data)
    fields = {
        "number": number,
        "review": review.get("id"),
        "state": text(review.get("state")).lower(),
        "url": text(review.get("html_url")),
        "sha": pull.head.sha,
        "comments": len(comments),
    }
    return visit.view.record(f"reviewed in {visit.title}", fields)


class _Steps:
    """The changes of one call, one request each; an error says what stands by then."""

    def __init__(self, visit: Visit, number: int) -> None:
        self.pull = self._read = Pull.of({"number": number})
        self.done: list[str] = []
        self.more: dict[str, Any] = {}
        self._visit, self._number = visit, number
        self._check = f'get_pull({number}, repo="{visit.repo}")'

    async def read(self) -> Pull:
        """Read it first."""
        self.pull = self._read = await fetch(self._visit.api, self._visit.repo, self._number)
        return self.pull

    async def take(self, name: str, step: Callable[[], Awaitable[None]]) -> None:
        """Do one of them.

        Raises:
            CallError: It failed.
        """
        try:
            await step()
        except CallError as error:
            before = f"Done before: {', '.join(self.done)}. " if self.done else ""
            raise CallError(error.code, f"{before}Failed: {name}. {error.message}", error.hint) from None
        self.done.append(name)

    async def patch(self, changed: Mapping[str, str]) -> None:
        """Change fields."""
        path = pull_path(self._visit.repo, self._number)
        self.pull = Pull.of((await self._visit.api.write("PATCH", path, dict(changed), check=self._check)).data)

    async def draft(self, wanted: bool) -> None:
        """Make it a draft, or ready; nothing is sent if it is that already."""
        if wanted != (self._read.data.get("draft") is True):
            name = "to_draft" if wanted else "convert_draft"
            await self._visit.api.graphql(name, {"pullRequestId": self._read.node_id}, check=self._check)
        self.pull = Pull.of({**self.pull.data, "draft": wanted})

    async def ask(self, asked: Mapping[str, list[str]]) -> None:
        """Request reviews."""
        self.pull = await _request(self._visit, self._number, asked)
        self.more["reviewers"] = requested(self.pull)

    async def update(self) -> None:
        """Merge the base into the head that was read; GitHub does it a little later."""
        path = f"{pull_path(self._visit.repo, self._number)}/update-branch"
        sent = {"expected_head_sha": self._read.head.sha}
        await self._visit.api.write("PUT", path, sent, check=self._check)


def _fields(pull: Pull) -> dict[str, Any]:
    return {
        "number": pull.number,
        "url": text(pull.data.get("html_url")),
        "state": pull.state,
        "base": pull.base.ref,
        "sha": pull.head.sha,
    }


def _reviewers(visit: Visit, reviewers: list[str]) -> dict[str, list[str]]:
    """Logins and teams as GitHub takes them; empty if there are none.

    Raises:
        CallError: `bad_login`, or `bad_reviewer`.
    """
    users, teams = list[str](), list[str]()
    for name in reviewers:
        org, slash, team = name.partition("/")
        if not slash:
            users.append(names.login(name, "a reviewer"))
        elif org.lower() == visit.repo.partition("/")[0].lower() and _TEAM.fullmatch(team):
            teams.append(team)
        else:
            raise CallError("bad_reviewer", "a team must be org/team, of the organisation that owns the repository.")
    return {name: found for name, found in (("reviewers", users), ("team_reviewers", teams)) if found}


async def _request(visit: Visit, number: int, asked: Mapping[str, list[str]]) -> Pull:
    path = f"{pull_path(visit.repo, number)}/requested_reviewers"
    return Pull.of((await visit.api.write("POST", path, dict(asked), check=f"get_pull({number})")).data)
