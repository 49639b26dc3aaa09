"""The tool for discussions, which only GitHub's GraphQL API has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import EXTERNAL, READ
from gatelodge_core.errors import CallError
from mcp_types import CallToolResult, TextContent
from pydantic import Field

from gatelodge_github import cursors, paging
from gatelodge_github.conversation import PUSHERS
from gatelodge_github.cursors import Place
from gatelodge_github.data import day, rows, table, text
from gatelodge_github.discussion_thread import after_of, author_of, state_of, texts, told
from gatelodge_github.hub import Hub, Visit
from gatelodge_github.paging import Page
from gatelodge_github.tools.common import Limit
from gatelodge_github.trust.marks import Mark
from gatelodge_github.trust.repositories import Facts

discussions = Declarations[Hub]()


@discussions.tool(effect=READ, reach=EXTERNAL)
async def read_discussions(
    hub: Hub,
    repo: str = "",
    number: Annotated[int, Field(ge=0)] = 0,
    category: str = "",
    limit: Limit = 20,
    cursor: str = "",
) -> CallToolResult:
    """List discussions, or read one with its answer and comments."""
    visit = await hub.open(repo)
    owner, _, name = visit.repo.partition("/")
    place = {"owner": owner, "name": name}
    if not number:
        return await _listed(hub, visit, place, category, limit, cursor)
    if category:
        raise CallError("bad_arguments", "category is for lists.", "Leave out number or category.")
    return await _one(hub, visit, {**place, "number": number}, limit, cursor)


async def _listed(
    hub: Hub, visit: Visit, place: Mapping[str, Any], category: str, limit: int, cursor: str
) -> CallToolResult:
    question = ["read_discussions", visit.repo.lower(), category.lower()]
    behind = cursors.read(cursor, question)
    after, skip = behind.get("a") or None, behind.get("o") or 0
    chosen = await _category(hub, visit, place, category) if category else None
    variables = {**place, "after": after, "categoryId": chosen}

    async def ask(first: int) -> Mapping[str, Any]:
        # What is skipped must be in it.
        return await visit.api.graphql("discussions", {**variables, "first": max(first, skip + 1)})

    data, size = await paging.smaller(ask, min(100, behind.get("n") or limit))
    size = max(size, skip + 1)
    found = _checked(hub, visit, data)
    listed = table(found.get("discussions"))
    nodes = rows(listed.get("nodes"))
    part = list(zip(nodes, _places(listed, after, size, len(nodes)), strict=True))[skip : skip + limit]
    marks = await visit.desk.marks.all_of(visit.repo, [author_of(node) for node, _ in part])
    shown: list[tuple[dict[str, Any], Place]] = []
    for (node, following), mark in zip(part, marks, strict=True):
        if visit.view.admits(mark, "discussion"):
            shown.append((_row(visit, mark, node), following))
    total = listed.get("totalCount")
    more = skip + limit < len(nodes) or bool(after_of(listed))
    page = Page(part, total=total if isinstance(total, int) else -1, more=more)
    return visit.view.listing(f"discussions of {visit.title}", shown, page, question)


def _row(visit: Visit, mark: Mark, node: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "number": node.get("number"),
        "state": state_of(node),
        "title": visit.view.line(mark, text(node.get("title")), "discussion"),
        "author": mark.author,
        "trust": str(mark.trust),
        "category": visit.view.line(PUSHERS, text(table(node.get("category")).get("name")), "discussion", 60),
        "comments": table(node.get("comments")).get("totalCount"),
        "updated": day(node.get("updatedAt")),
    }


async def _one(hub: Hub, visit: Visit, place: Mapping[str, Any], limit: int, cursor: str) -> CallToolResult:
    number = place["number"]
    question = ["read_discussion", visit.repo.lower(), number]
    begin = cursors.read(cursor, question)
    begin["n"] = min(100, begin.get("n") or limit)
    whole, begin = await _page(hub, visit, place, begin)
    parts = await told(visit, whole, limit, begin, question)
    text_ = visit.view.bulk(f"discussion {number} of {visit.title}", parts)
    return CallToolResult(content=[TextContent(type="text", text=text_)])


async def _page(hub: Hub, visit: Visit, place: Mapping[str, Any], begin: Place) -> tuple[Mapping[str, Any], Place]:
    """The discussion with the comments at a place, and that place in the page that could be had.

    A page that is too large is asked for in smaller ones. Of those all may have been told by now, so it can be a later one.

    Raises:
        CallError: `not_found`, and as `_checked`.
    """
    size: int = begin["n"]
    for left in reversed(range(paging.MOST_PAGES)):
        asked = {**place, "after": begin.get("a") or None}

        async def ask(first: int, asked: Mapping[str, Any] = asked) -> Mapping[str, Any]:
            return await visit.api.graphql("discussion", {**asked, "first": first})

        data, size = await paging.smaller(ask, size)
        begin = {**begin, "n": size}
        whole = table(_checked(hub, visit, data).get("discussion"))
        if not whole:
            break
        count, following = len(texts(whole, first=not asked["after"])), after_of(table(whole.get("comments")))
        if begin.get("t", 0) < count or not following or not left:
            return whole, begin
        begin |= {"a": following, "t": begin["t"] - count}
    raise CallError("not_found", "There is no such discussion.", "read_discussions() lists them.")


async def _category(hub: Hub, visit: Visit, place: Mapping[str, Any], wanted: str) -> str:
    """The id of a category, by its name or slug.

    Raises:
        CallError: `no_category`.
    """
    found = _checked(hub, visit, await visit.api.graphql("discussion_categories", {**place, "first": 100}))
    known = rows(table(found.get("discussionCategories")).get("nodes"))
    for node in known:
        if wanted.lower() in (text(node.get("name")).lower(), text(node.get("slug")).lower()):
            return text(node.get("id"))
    slugs = ", ".join(text(node.get("slug")) for node in known)[:400]
    raise CallError("no_category", "there is no such category.", f"There are: {slugs}." if slugs else "There is none.")


def _checked(hub: Hub, visit: Visit, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The repository of an answer; it may have moved, or been hidden, since it was looked up.

    Raises:
        CallError: `repo_not_allowed`, `not_found`, or `discussions_off`.
    """
    found = table(data.get("repository"))
    name = text(found.get("nameWithOwner"))
    if not name:
        raise CallError("not_found", "The repository is not there any more.", "Check the name.")
    hub.gate.check(name)
    visit.view.reads(Facts(name, text(found.get("visibility")).lower() or "private", "", push=False))
    if found.get("hasDiscussionsEnabled") is False:
        raise CallError("discussions_off", "Discussions are switched off in this repository.", "list_issues may help.")
    return found


def _places(page: Mapping[str, Any], after: str | None, size: int, count: int) -> list[Place]:
    """The place behind each node of a page, whose own cursor is that of its end alone."""
    inside: list[Place] = [{"a": after or "", "n": size, "o": at} for at in range(1, count + 1)]
    if inside and (following := after_of(page)):
        inside[-1] = {"a": following, "n": size}
    return inside
