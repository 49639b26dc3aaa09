"""Tools that read issues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import EXTERNAL, READ
from gatelodge_core.errors import CallError
from mcp_types import CallToolResult
from pydantic import Field

from gatelodge_github import conversation, cursors, names, paging
from gatelodge_github.conversation import FRAME, PUSHERS, Part, size_of
from gatelodge_github.cursors import Place
from gatelodge_github.data import day, rows, table, text
from gatelodge_github.hub import Hub, Visit
from gatelodge_github.tools.common import Limit, Names, Number
from gatelodge_github.trust.marks import Mark
from gatelodge_github.view import BUDGET, View, several

issues = Declarations[Hub]()

Include = Literal["comments", "timeline", "sub_issues"]
_SPARE = 800
"""Bytes kept for the title of a list, the way to its rest, and notes."""


@issues.tool(effect=READ, reach=EXTERNAL)
async def list_issues(
    hub: Hub,
    repo: str = "",
    state: Literal["open", "closed", "all"] = "open",
    labels: Names = [],  # noqa: B006 - a plain default keeps the schema portable; it is never changed
    assignee: str = "",
    author: str = "",
    milestone: Annotated[str, Field(description="Number, * or none.")] = "",
    since: str = "",
    sort: Literal["created", "updated", "comments"] = "created",
    limit: Limit = 20,
    cursor: str = "",
) -> CallToolResult:
    """List issues, newest first, without bodies and pull requests."""
    visit = await hub.open(repo)
    asked = _asked(state, labels, assignee, author, milestone, since, sort)
    question = ["list_issues", visit.repo.lower(), asked]
    page = await paging.rest(
        visit.api,
        f"{names.repo_path(visit.repo)}/issues",
        asked,
        limit=limit,
        cursor=cursor,
        question=question,
        keep=lambda item: "pull_request" not in item,
        # Pull requests are left out: more at once saves requests.
        most=50,
    )
    marks = await visit.desk.marks.all_of(
        visit.repo, [(item.get("user"), str(item.get("author_association") or "none")) for item, _ in page.items]
    )
    shown: list[tuple[dict[str, Any], Place]] = []
    for (item, behind), mark in zip(page.items, marks, strict=True):
        if not visit.view.admits(mark, "issue"):
            continue
        row: dict[str, Any] = {
            "number": item.get("number"),
            "state": item.get("state"),
            "title": visit.view.line(mark, text(item.get("title")), "issue"),
            "author": mark.author,
            "trust": str(mark.trust),
            "labels": _labels(visit.view, item),
            "milestone": _milestone(visit.view, item),
            "comments": item.get("comments"),
            "updated": day(item.get("updated_at")),
        }
        shown.append((row, behind))
    # The count of GitHub's pages has pull requests in it.
    total = page.total if not page.more and not page.at_most and not cursor and page.total == len(page.items) else -1
    return visit.view.listing(
        f"{state} issues of {visit.title}",
        shown,
        replace(page, total=total, at_most=False),
        question,
    )


def _asked(
    state: str, labels: list[str], assignee: str, author: str, milestone: str, since: str, sort: str
) -> dict[str, Any]:
    """The query of the list.

    Raises:
        CallError: GitHub can't be asked so.
    """
    if milestone not in ("", "*", "none") and not (milestone.isascii() and milestone.isdigit()):
        raise CallError("bad_milestone", "milestone is its number, * for any, or none.")
    if assignee not in ("", "*", "none"):
        names.login(assignee, "assignee")
    if author:
        names.login(author, "author")
    if any("," in label for label in labels):
        raise CallError("bad_label", "GitHub can't filter by a label with a comma in its name.", "Leave it out.")
    return {
        "state": state, "labels": ",".join(labels), "assignee": assignee, "creator": author, "milestone": milestone,
        "since": _moment(since) if since else "", "sort": sort,
    }  # fmt: skip


def _moment(said: str) -> str:
    """A time as GitHub takes it; without a zone it is UTC.

    Raises:
        CallError: `bad_time`.
    """
    try:
        found = datetime.fromisoformat(said)
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return found.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"
    except (ValueError, OverflowError):
        raise CallError("bad_time", "since is no time.", "Write 2026-01-31 or 2026-01-31T12:00:00Z.") from None


@issues.tool(effect=READ, reach=EXTERNAL)
async def get_issue(
    hub: Hub,
    number: Number,
    repo: str = "",
    include: list[Include] = [],  # noqa: B006 - as above
    limit: Limit = 20,
    cursor: str = "",
) -> str:
    """Read an issue; include comments, timeline, parent and sub-issues."""
    wanted = list(dict.fromkeys(include))
    if cursor and len(wanted) > 1:
        raise CallError("bad_cursor", "A cursor goes on in one list.", "Name that list alone in include.")
    visit = await hub.open(repo)
    view = visit.view
    if cursor and wanted:
        part = _part(visit, number, wanted[0], limit, cursor, BUDGET - _SPARE)
        return view.bulk(f"issue {number} of {visit.title}", await _included(hub, visit, wanted[0], part, -1))
    item = table(await visit.api.data(f"{names.repo_path(visit.repo)}/issues/{number}"))
    mark = await visit.desk.marks.of(visit.repo, item.get("user"), str(item.get("author_association") or "none"))
    head = [] if cursor else _head(view, mark, item)
    pull = "pull_request" in item
    title = f"{'pull request' if pull else 'issue'} {number} of {visit.title}"
    room = BUDGET - size_of("\n".join([title, *head])) - _SPARE
    body = _body(visit, mark, item, cursor, room // 2 if wanted else room)
    room -= size_of(body)
    parts = [body]
    for at, name in enumerate(wanted):
        if pull and name == "sub_issues":
            found = "sub-issues: a pull request has none"
        else:
            part = _part(visit, number, name, limit, "", room // (len(wanted) - at) - _SPARE)
            count: object = item.get("comments")
            found = await _included(hub, visit, name, part, count if isinstance(count, int) else -1)
        parts.append(found)
        room -= size_of(found)
    return view.bulk("\n".join([title, *head]), *parts)


def _part(visit: Visit, number: int, name: Include, limit: int, cursor: str, room: int) -> Part:
    question = ["get_issue", visit.repo.lower(), number, name]
    return Part(number, limit, cursor, room, question, f'include=["{name}"]')


async def _included(hub: Hub, visit: Visit, name: Include, part: Part, comments: int) -> str:
    if name == "comments":
        return await conversation.comments(visit, part, comments)
    if name == "timeline":
        return await conversation.timeline(visit, part, hub.gate)
    return await conversation.sub_issues(visit, part, hub.gate)


def _head(view: View, mark: Mark, item: Mapping[str, Any]) -> list[str]:
    """A line for each field that isn't empty."""
    pull, children = table(item.get("pull_request")), table(item.get("sub_issues_summary"))
    state = "merged" if pull.get("merged_at") else text(item.get("state"))
    reason = text(item.get("state_reason"))
    closer = text(table(item.get("closed_by")).get("login"))
    closed = day(item.get("closed_at"))
    locked = text(item.get("active_lock_reason")) or "yes" if item.get("locked") is True else ""
    fields: dict[str, object] = {
        "title": view.line(mark, text(item.get("title")), "issue", 256),
        "state": f"{state} ({reason})" if reason else state,
        "author": mark,
        "type": view.line(PUSHERS, text(table(item.get("type")).get("name")), "issue", 60),
        "labels": ", ".join(_labels(view, item)),
        "assignees": ", ".join(text(one.get("login")) for one in rows(item.get("assignees"))),
        "milestone": _milestone(view, item),
        "created": day(item.get("created_at")),
        "updated": day(item.get("updated_at")),
        "closed": f"{closed} by {closer}" if closed and closer else closed,
        "locked": locked,
        "comments": item.get("comments"),
        "sub-issues": f"{children.get('completed')} of {children.get('total')} done" if children.get("total") else "",
        "more": "get_pull shows branches, reviews and checks" if "pull_request" in item else "",
    }
    return [f"{name}: {value}" for name, value in fields.items() if value not in ("", None)]


def _body(visit: Visit, mark: Mark, item: Mapping[str, Any], cursor: str, room: int) -> str:
    """The text of an issue, or what fits of it."""
    whole, number = text(item.get("body")), item.get("number")
    # With the text in it: in a text that was changed the place is another.
    question = ["get_issue", visit.repo.lower(), number, "body", whole]
    begin: object = cursors.read(cursor, question).get("c", 0)
    begin = begin if type(begin) is int and 0 <= begin <= len(whole) else 0
    shown, going_on = conversation.excerpt(
        visit.view,
        mark,
        whole,
        f"issue {number} by {mark.author}",
        "issue",
        max(conversation.LEAST, room - FRAME),
        begin,
    )
    if not going_on:
        return shown
    onward = cursors.make({"c": going_on}, question)
    return f"{shown}\n(cut at character {going_on} of {len(whole)}; the rest: include nothing, cursor={onward})"


def _labels(view: View, item: Mapping[str, Any]) -> list[str]:
    return several([view.name(PUSHERS, text(label.get("name")), "issue", 60) for label in rows(item.get("labels"))])


def _milestone(view: View, item: Mapping[str, Any]) -> str:
    under = text(table(item.get("milestone")).get("title"))
    return view.name(PUSHERS, under, "issue", 60) if under else ""
