"""The marks of commits: a commit names its author itself, so its word alone proves nothing.

Anybody can write anybody's address into a commit, and GitHub serves the commits of every fork under the upstream's name
too ("imposter commits"). So an author is believed only where somebody who can push has put the commit: on a branch or a
tag, or behind the default branch; or where the author's own signature is on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gatelodge_core.errors import CallError

from gatelodge_github.data import table, text
from gatelodge_github.names import is_sha, repo_path, segment
from gatelodge_github.transport.api import Api
from gatelodge_github.trust.marks import Mark, Marks, Trust
from gatelodge_github.trust.repositories import Facts

_FOREIGN = ("refs/pull/", "pull/")


async def marks_of(api: Api, marks: Marks, facts: Facts, commits: Sequence[Mapping[str, Any]], ref: str) -> list[Mark]:
    """The marks of commits found at a ref.

    Args:
        api: Asks where a hash belongs, at most once.
        marks: Whom the caller trusts.
        facts: The repository.
        commits: GitHub's objects.
        ref: Where they were found; empty for the default branch.
    """
    # Who can't push can't ask about others either.
    assoc = "" if facts.push else "none"
    found = await marks.all_of(facts.name, [(commit.get("author"), assoc) for commit in commits])
    doubtful = [mark.trust.trusted and not signed(commit) for commit, mark in zip(commits, found, strict=True)]
    if not any(doubtful) or await placed(api, facts, ref):
        return found
    return [replace(mark, trust=Trust.UNKNOWN) if doubt else mark for mark, doubt in zip(found, doubtful, strict=True)]


async def placed(api: Api, facts: Facts, ref: str) -> bool:
    """Whether what a ref leads to was put there by somebody who can push; costs a request for a hash."""
    if ref.startswith(_FOREIGN):
        return False
    if not is_sha(ref):
        return True
    if not facts.default_branch:
        return False
    path = f"{repo_path(facts.name)}/compare/{segment(facts.default_branch)}...{segment(ref)}"
    try:
        found: object = await api.data(path, {"per_page": 1})
    except CallError:
        return False
    # Nothing is in it that isn't on the default branch.
    return text(table(found).get("status")) in ("behind", "identical")


def signed(commit: Mapping[str, Any]) -> bool:
    """Whether GitHub has verified a signature by the author, rather than by who committed for the author."""
    author, committer = (text(table(commit.get(role)).get("login")) for role in ("author", "committer"))
    verified = table(table(commit.get("commit")).get("verification")).get("verified")
    return verified is True and author != "" and author == committer
