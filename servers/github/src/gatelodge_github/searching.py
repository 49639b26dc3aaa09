"""What may be searched: GitHub's search language, held to the allow-list.

A qualifier can name any repository, and the mere number of results would tell what is in it. So with an allow-list, what
a query names must be inside it; results are checked one by one in any case.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gatelodge_core.errors import CallError

from gatelodge_github.gate import Gate
from gatelodge_github.view import Surface

_NAMED = re.compile(r'(?i)(?<![\w-])(repo|user|org|owner)\s*:\s*("[^"]*"|[^\s()"]*)')
_CHOICE = re.compile(r"\b(?:OR|NOT)\b|[()]")
"""What can take a part of a query out of the qualifiers' reach."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of search.

    Args:
        path: The route.
        what: Of the results, in the plural.
        surface: Where their text stands.
        sorts: The orders there are, beside that of the best match.
        qualifier: Added to each query.
    """

    path: str
    what: str
    surface: Surface
    sorts: tuple[str, ...] = ()
    qualifier: str = ""


_ISSUE_SORTS = ("comments", "created", "updated", "reactions", "interactions")
KINDS = {
    "repos": Kind("repositories", "repositories", "search", ("stars", "forks", "help-wanted-issues", "updated")),
    "code": Kind("code", "files", "file"),
    "issues": Kind("issues", "issues", "issue", _ISSUE_SORTS, "is:issue"),
    "pulls": Kind("issues", "pull requests", "pull", _ISSUE_SORTS, "is:pr"),
    "commits": Kind("commits", "commits", "commit", ("author-date", "committer-date")),
    "users": Kind("users", "users", "search", ("followers", "repositories", "joined")),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """A query as it is sent.

    Args:
        query: With the qualifiers that narrow it.
        narrow: Whether nothing outside the allow-list can be among the results, so that their number may be told.
    """

    query: str
    narrow: bool


def scoped(gate: Gate, kind: Kind, query: str, repo: str) -> Scope:
    """A query narrowed to a repository, or to what may be read.

    Args:
        gate: The allow-list.
        kind: What is searched.
        query: As the caller wrote it.
        repo: ``owner/name``, checked; empty for all.

    Raises:
        CallError: `repo_not_allowed`: it names what may not be read.
    """
    users = kind.path == "users"
    named: Sequence[tuple[str, str]] = () if users else _NAMED.findall(query)
    for qualifier, value in named:
        if not _allowed(gate, qualifier.lower(), value.strip('"')):
            raise CallError(
                "repo_not_allowed",
                f"the query names what is outside this server's allow-list ({qualifier}:); nothing was asked.",
                "Leave the qualifier out: searches are narrowed to the allow-list by themselves.",
            )
    added = [f"repo:{repo}"] if repo else [] if users or named else gate.qualifiers()
    # Inside a quotation a qualifier is none, and one that isn't closed may swallow ours.
    loose = _CHOICE.search(query) or query.count('"') % 2 or (named and '"' in query)
    narrow = users or not gate.patterns or bool((added or named) and not loose)
    return Scope(" ".join(part for part in [query.strip(), kind.qualifier, *added] if part), narrow)


def _allowed(gate: Gate, qualifier: str, value: str) -> bool:
    if not gate.patterns:
        return True
    if qualifier == "repo":
        return gate.reads(value)
    # Of an owner, only if everything of that owner may be read.
    return f"{value}/*".lower() in {pattern.lower() for pattern in gate.patterns}
