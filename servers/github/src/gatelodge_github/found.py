"""Rows of search results: of many repositories, each with its own trust and label."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import anyio

from gatelodge_github.cursors import Place
from gatelodge_github.data import day, rows, table, text
from gatelodge_github.hub import Desk
from gatelodge_github.paging import Item
from gatelodge_github.searching import Kind
from gatelodge_github.trust.marks import Mark
from gatelodge_github.trust.repositories import Facts
from gatelodge_github.view import View

MOST_ASKED = 10
"""Repositories whose facts are asked for in one answer; any more count as strangers' and private."""
_LINES = 3
_REPO = re.compile(r"/repos/([^/]+/[^/]+)")


def repo_of(item: Item) -> str:
    """The repository that a result is of, or that it is; empty for a user."""
    if name := text(item.get("full_name")) or text(table(item.get("repository")).get("full_name")):
        return name
    found = _REPO.search(text(item.get("repository_url")) or text(item.get("url")))
    return found[1] if found else ""


class Finder:
    """Makes rows of results.

    Args:
        desk: The caller's.
        view: The answer.
        kind: What was searched.
    """

    def __init__(self, desk: Desk, view: View, kind: Kind) -> None:
        self._desk, self._view, self._kind = desk, view, kind

    async def rows(self, items: Sequence[tuple[Item, Place]]) -> list[tuple[dict[str, Any], Place]]:
        """A row for each result that may be shown."""
        if self._kind.path == "users":
            return [({"login": text(item.get("login")), "type": text(item.get("type"))}, at) for item, at in items]
        make = {"repositories": self._repo, "code": self._code, "issues": self._issue, "commits": self._commit}
        facts = await self._facts([item for item, _ in items])
        found: list[tuple[dict[str, Any], Place]] = []
        for item, behind in items:
            of = facts[repo_of(item).lower()]
            mark = await self._mark(item, of)
            if self._view.admits(mark, self._kind.surface):
                self._view.reads(of)
                found.append((make[self._kind.path](item, of, mark), behind))
        return found

    async def _facts(self, items: Sequence[Item]) -> dict[str, Facts]:
        """What is known of the repositories of results, by lower-case name."""
        known: dict[str, Facts] = {}
        unknown: dict[str, str] = {}
        for item in items:
            name, described = repo_of(item), item if "full_name" in item else item.get("repository")
            if described:
                known[name.lower()] = self._desk.repositories.learn(described, name)
            else:
                unknown[name.lower()] = name

        async def ask(name: str) -> None:
            known[name.lower()] = await self._desk.repositories.or_unknown(name)

        async with anyio.create_task_group() as group:
            for at, name in enumerate(unknown.values()):
                if at < MOST_ASKED:
                    group.start_soon(ask, name)
                else:
                    known[name.lower()] = Facts(name, "private", "", push=False, known=False)
        return known

    async def _mark(self, item: Item, facts: Facts) -> Mark:
        if self._kind.path in ("repositories", "code"):
            # Code search knows default branches alone.
            return Mark("", facts.file_trust(""))
        assoc = text(item.get("author_association")) if self._kind.path == "issues" else ""
        user = item.get("user") if self._kind.path == "issues" else item.get("author")
        # Who can't push can't ask about others either.
        asks = facts.push or assoc.lower() not in ("", "member", "collaborator")
        return await self._desk.marks.of(facts.name, user, assoc if asks else "none")

    def _line(self, mark: Mark, said: str, size: int = 160) -> str:
        return self._view.line(mark, said, self._kind.surface, size) if said else ""

    def _repo(self, item: Item, facts: Facts, mark: Mark) -> dict[str, Any]:
        return {
            "repo": facts.name,
            "visibility": facts.visibility,
            "stars": item.get("stargazers_count") or 0,
            "language": text(item.get("language")),
            "archived": item.get("archived") is True,
            "updated": day(item.get("updated_at")),
            "description": self._line(mark, text(item.get("description"))),
        }

    def _code(self, item: Item, facts: Facts, mark: Mark) -> dict[str, Any]:
        return {
            "repo": facts.name,
            "path": self._view.name(mark, text(item.get("path")), self._kind.surface),
            "trust": str(mark.trust),
            "match": self._line(mark, _matched(item), 300),
        }

    def _issue(self, item: Item, facts: Facts, mark: Mark) -> dict[str, Any]:
        return {
            "repo": facts.name,
            "number": item.get("number"),
            "state": text(item.get("state")),
            "title": self._line(mark, text(item.get("title"))),
            "author": mark.author,
            "trust": str(mark.trust),
            "comments": item.get("comments") or 0,
            "updated": day(item.get("updated_at")),
        }

    def _commit(self, item: Item, facts: Facts, mark: Mark) -> dict[str, Any]:
        commit = table(item.get("commit"))
        said = table(commit.get("author"))
        return {
            "repo": facts.name,
            "sha": text(item.get("sha"))[:10],
            "date": day(said.get("date")),
            "author": mark.author or self._line(mark, text(said.get("name")), 40),
            "trust": str(mark.trust),
            "message": self._line(mark, text(commit.get("message")).strip().partition("\n")[0], 120),
        }


def _matched(item: Item) -> str:
    """The lines of a file in which something was found."""
    found: dict[str, None] = {}
    for match in rows(item.get("text_matches")):
        fragment = text(match.get("fragment"))
        if match.get("property") != "content":
            continue
        for one in rows(match.get("matches")):
            where = table(one).get("indices")
            at = where[0] if isinstance(where, list) and where and isinstance(where[0], int) else 0
            begin = fragment.rfind("\n", 0, at) + 1
            end = fragment.find("\n", at)
            found.setdefault(fragment[begin : end if end >= 0 else None].strip())
    return " … ".join([line for line in found if line][:_LINES])
