"""Tools that find: search, repositories, refs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal
from urllib.parse import quote

from gatelodge_core.declare import Declarations
from gatelodge_core.effects import EXTERNAL, READ
from gatelodge_core.errors import CallError
from mcp_types import CallToolResult

from gatelodge_github import cursors, names, paging
from gatelodge_github.cursors import Place
from gatelodge_github.data import day, rows, table, text
from gatelodge_github.found import Finder, repo_of
from gatelodge_github.hints import advising
from gatelodge_github.hub import Hub, Visit
from gatelodge_github.paging import Item, Page
from gatelodge_github.searching import KINDS, scoped
from gatelodge_github.tools.common import Limit
from gatelodge_github.transport.request import JSON, MATCHES
from gatelodge_github.trust.marks import Mark

finding = Declarations[Hub]()

MOST_RESULTS = 1000
"""GitHub gives no more of one search."""
MOST_QUERY = 1000
_ROLES = ("admin", "maintain", "push", "triage", "pull")
_METHODS = {"merge": "allow_merge_commit", "squash": "allow_squash_merge", "rebase": "allow_rebase_merge"}
_FEATURES = ("issues", "discussions", "wiki", "projects", "pages")


@finding.tool(effect=READ, reach=EXTERNAL)
async def search_github(
    hub: Hub,
    query: str,
    kind: Literal["repos", "code", "issues", "pulls", "commits", "users"] = "repos",
    repo: str = "",
    sort: str = "",
    limit: Limit = 20,
    cursor: str = "",
) -> CallToolResult:
    """Search repositories, code, issues, pulls, commits or users, by GitHub's qualifiers."""
    chosen = KINDS[kind]
    if sort and sort not in chosen.sorts:
        raise CallError(
            "bad_sort", f"{kind} can't be sorted so.", f"Leave it out, or one of: {', '.join(chosen.sorts)}."
        )
    if not query.strip() or len(query) > MOST_QUERY:
        raise CallError("bad_query", f"A query has 1 to {MOST_QUERY} characters.", "For example: retry language:go")
    if repo and kind == "users":
        raise CallError("bad_kind", "Users are of no repository.", "Leave repo out.")
    # Opened for its facts: whose files and commits these are.
    visit = await hub.open(repo) if repo else None
    desk, view = (visit.desk, visit.view) if visit else (hub.desk(), hub.view())
    scope = scoped(hub.gate, chosen, query, visit.repo if visit else "")
    question = ["search_github", kind, scope.query, sort]
    outside, incomplete = 0, False

    def pick(data: Any) -> Any:
        nonlocal incomplete
        incomplete |= table(data).get("incomplete_results") is True
        return table(data).get("items")

    def keep(item: Item) -> bool:
        nonlocal outside
        inside = kind == "users" or hub.gate.reads(repo_of(item))
        outside += not inside
        return inside

    with advising(
        "Check the qualifiers: a repository, user or sort that isn't there, or that can't be seen, fails the whole search; "
        f"so does going beyond {MOST_RESULTS} results.",
        "invalid",
    ):
        page = await paging.rest(
            desk.api,
            f"/search/{chosen.path}",
            {"q": scope.query, "sort": sort},
            limit=limit,
            cursor=cursor,
            question=question,
            pick=pick,
            total=_count,
            keep=keep,
            accept=MATCHES if kind == "code" else JSON,
        )
    shown = await Finder(desk, view, chosen).rows(page.items)
    notes = [f"{outside} outside the allow-list left out."] if outside else []
    if incomplete:
        notes.append("GitHub's search ran out of time: results are missing.")
    if scope.narrow and page.total > MOST_RESULTS:
        notes.append(f"GitHub gives the first {MOST_RESULTS:,}: narrow the query for others.")
    return view.listing(
        f"{chosen.what} for {scope.query}",
        shown,
        replace(page, total=page.total if scope.narrow and not outside else -1, at_most=False),
        question,
        note=" ".join(notes),
    )


def _count(data: Any) -> int:
    total = table(data).get("total_count")
    return total if isinstance(total, int) else -1


@finding.tool(effect=READ, reach=EXTERNAL)
async def get_repo(hub: Hub, repo: str = "") -> CallToolResult:
    """A repository's visibility, default branch, your role, fork, topics, license, counts, features."""
    asked, desk = hub.gate.name(repo), hub.desk()
    data = table(await desk.api.data(names.repo_path(asked)))
    facts = desk.repositories.learn(data, asked)
    visit = Visit(desk, facts, hub.view())
    visit.view.reads(facts)
    mark = Mark("", facts.file_trust(""))
    may = table(data.get("permissions"))
    said = text(data.get("description"))
    fields: dict[str, Any] = {
        "repo": facts.name,
        "description": visit.view.line(mark, said, "search", 350) if said else "",
        "visibility": facts.visibility,
        "default_branch": facts.default_branch,
        "role": next((role for role in _ROLES if may.get(role) is True), ""),
        "push": facts.push,
        "fork_of": facts.parent or ("yes" if facts.fork else ""),
        "archived": data.get("archived") is True,
        "template": data.get("is_template") is True or "",
        "topics": data.get("topics"),
        "language": data.get("language"),
        "license": table(data.get("license")).get("spdx_id"),
        "open_issues_and_pulls": data.get("open_issues_count"),
        "stars": data.get("stargazers_count"),
        "forks": data.get("forks_count"),
        "updated": day(data.get("updated_at")),
        "pushed": day(data.get("pushed_at")),
        "features": [feature for feature in _FEATURES if data.get(f"has_{feature}") is True],
        "merge_methods": [name for name, key in _METHODS.items() if data.get(key) is True],
    }
    return visit.view.record(f"repository {visit.title}", fields)


@finding.tool(effect=READ, reach=EXTERNAL)
async def list_refs(
    hub: Hub,
    repo: str = "",
    kind: Literal["branches", "tags", "releases"] = "branches",
    prefix: str = "",
    limit: Limit = 20,
    cursor: str = "",
) -> CallToolResult:
    """List branches, tags or releases whose name begins with prefix."""
    visit = await hub.open(repo)
    if prefix:
        # A prefix may end as no name may.
        names.ref(f"{prefix}x", "prefix")
    question = ["list_refs", visit.repo.lower(), kind, prefix]
    path = names.repo_path(visit.repo)
    if prefix and kind != "releases":
        space = "heads" if kind == "branches" else "tags"
        found: object = await visit.api.data(f"{path}/git/matching-refs/{space}/{quote(prefix, safe='/')}")
        page = _part(rows(found), limit, cursors.read(cursor, question))
        shown = [(_matching(visit, item), behind) for item, behind in page.items]
    else:
        page = await paging.rest(
            visit.api,
            f"{path}/{kind}",
            {},
            limit=limit,
            cursor=cursor,
            question=question,
            keep=lambda item: not prefix or text(item.get("tag_name")).startswith(prefix),
        )
        if kind == "releases":
            shown = await _releases(visit, page)
            if prefix:
                page = replace(page, total=-1 if page.more else page.total, at_most=True)
        else:
            shown = [(_ref(visit, item, branch=kind == "branches"), behind) for item, behind in page.items]
    return visit.view.listing(f"{kind}{f' {prefix}*' if prefix else ''} of {visit.title}", shown, page, question)


def _part(items: list[Item], limit: int, place: Place) -> Page:
    """A part of a list that GitHub gives as a whole."""
    first = place.get("o") or 0
    part: list[tuple[Item, Place]] = [
        (item, {"o": at}) for at, item in enumerate(items[first : first + limit], first + 1)
    ]
    return Page(part, total=len(items), more=first + limit < len(items))


def _owners(visit: Visit) -> Mark:
    """Of names: whoever makes a branch or a tag can push."""
    return Mark("", visit.facts.file_trust(""))


def _matching(visit: Visit, item: Item) -> dict[str, Any]:
    name = text(item.get("ref")).removeprefix("refs/").partition("/")[2]
    at = table(item.get("object"))
    return {
        "name": visit.view.name(_owners(visit), name, "ref", 250),
        "sha": text(at.get("sha")),
        # An annotated tag is an object of its own, which has another hash than its commit.
        "of": text(at.get("type")),
    }


def _ref(visit: Visit, item: Item, *, branch: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": visit.view.name(_owners(visit), text(item.get("name")), "ref", 250),
        "sha": text(table(item.get("commit")).get("sha")),
    }
    return row | ({"protected": item.get("protected") is True} if branch else {})


async def _releases(visit: Visit, page: Page) -> list[tuple[dict[str, Any], Place]]:
    assoc = "" if visit.facts.push else "none"
    marks = await visit.desk.marks.all_of(visit.repo, [(item.get("author"), assoc) for item, _ in page.items])
    shown: list[tuple[dict[str, Any], Place]] = []
    for (item, behind), mark in zip(page.items, marks, strict=True):
        if not visit.view.admits(mark, "release"):
            continue
        if item.get("draft") is True:
            # Only those who can push see it, whoever sees the repository.
            visit.view.private(visit.facts)
        tag, name = text(item.get("tag_name")), text(item.get("name"))
        row: dict[str, Any] = {
            "tag": visit.view.name(mark, tag, "release", 250),
            "name": visit.view.line(mark, name, "release") if name and name != tag else "",
            "draft": item.get("draft") is True,
            "prerelease": item.get("prerelease") is True,
            "author": mark.author,
            "trust": str(mark.trust),
            "date": day(item.get("published_at") or item.get("created_at")),
        }
        shown.append((row, behind))
    return shown
