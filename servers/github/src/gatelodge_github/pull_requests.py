"""A pull request as GitHub's REST API has it: whose code it is, and what keeps it from being merged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gatelodge_core.errors import CallError

from gatelodge_github.data import rows, table, text
from gatelodge_github.names import repo_path
from gatelodge_github.transport.api import Api
from gatelodge_github.trust.marks import Mark, Marks, Trust


@dataclass(frozen=True, slots=True)
class Side:
    """A branch that a pull request merges, or is merged into.

    Args:
        repo: ``owner/name``; empty if the repository is gone.
        owner: Its owner; empty if that is gone too.
        ref: The branch.
        sha: Its commit.
    """

    repo: str
    owner: str
    ref: str
    sha: str

    @classmethod
    def of(cls, value: object) -> Side:
        """Take it out of GitHub's object."""
        found = table(value)
        repo = table(found.get("repo"))
        owner = text(table(repo.get("owner") or found.get("user")).get("login"))
        return cls(text(repo.get("full_name")), owner, text(found.get("ref")), text(found.get("sha")))


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull request.

    Args:
        number: Its number.
        state: ``open``, ``draft``, ``merged`` or ``closed``.
        head: What is merged.
        base: What it is merged into.
        mergeable: Whether it can be merged without conflicts; None while GitHub computes that.
        data: Everything that GitHub says of it.
    """

    number: int
    state: str
    head: Side
    base: Side
    mergeable: bool | None
    data: Mapping[str, Any]

    @classmethod
    def of(cls, value: object) -> Pull:
        """Take it out of GitHub's object: of one pull request, an item of a list, or one that was found by a search."""
        data = table(value)
        number, mergeable = data.get("number"), data.get("mergeable")
        return cls(
            number if isinstance(number, int) else 0,
            state_of(data),
            Side.of(data.get("head")),
            Side.of(data.get("base")),
            mergeable if isinstance(mergeable, bool) else None,
            data,
        )

    @property
    def title(self) -> str:
        """The title, as its author wrote it."""
        return text(self.data.get("title"))

    @property
    def foreign(self) -> bool:
        """Whether the head is in another repository than the base, such as a fork."""
        return self.head.repo.lower() != self.base.repo.lower() or not self.head.repo

    @property
    def head_name(self) -> str:
        """The head's branch, with the owner before it if it is in another repository."""
        return f"{self.head.owner or 'a removed repository'}:{self.head.ref}" if self.foreign else self.head.ref

    @property
    def node_id(self) -> str:
        """Its name in GraphQL."""
        return text(self.data.get("node_id"))

    async def author(self, marks: Marks, repo: str) -> Mark:
        """The mark of who opened it, and of its title and description."""
        return await marks.of(repo, self.data.get("user"), str(self.data.get("author_association") or "none"))

    def code(self, author: Mark) -> Mark:
        """The mark of its code, of the names of its files and branch: its author's, unless the fork is somebody else's."""
        if self.foreign and author.trust.trusted and self.head.owner.lower() != author.author.lower():
            return Mark(self.head.owner, Trust.OUTSIDER)
        return author


def state_of(data: Mapping[str, Any]) -> str:
    """``open``, ``draft``, ``merged`` or ``closed``; lists say `merged_at` alone, and a search says it further inside."""
    merged = data.get("merged") is True or data.get("merged_at") or table(data.get("pull_request")).get("merged_at")
    if merged:
        return "merged"
    if data.get("state") == "closed":
        return "closed"
    return "draft" if data.get("draft") is True else "open"


def requested(pull: Pull) -> list[str]:
    """Whose reviews are requested: logins, and teams as ``org/team``."""
    users = [text(user.get("login")) for user in rows(pull.data.get("requested_reviewers"))]
    teams = [f"{pull.base.owner}/{text(team.get('slug'))}" for team in rows(pull.data.get("requested_teams"))]
    return users + teams


def pull_path(repo: str, number: int) -> str:
    """``/repos/owner/name/pulls/12``."""
    return f"{repo_path(repo)}/pulls/{number}"


async def fetch(api: Api, repo: str, number: int) -> Pull:
    """Read one, with one request.

    Raises:
        CallError: As `Api.get`.
    """
    return Pull.of(await api.data(pull_path(repo, number)))


def moved(pull: Pull, expected_head: str) -> CallError | None:
    """The error if the head is another commit than somebody saw; None if it is that one."""
    if not expected_head:
        return CallError(
            "head_needed",
            "expected_head is missing: the full sha of the commit that was looked at.",
            f"The head is {pull.head.sha}: look at it (get_pull_diff), then decide.",
        )
    # A few digits can be met on purpose by another commit.
    if len(expected_head) >= 40 and pull.head.sha == expected_head.lower():
        return None
    return CallError(
        "head_moved",
        f"the head of pull request {pull.number} is {pull.head.sha} now, not what was expected.",
        f"Look at what changed (get_pull, get_pull_diff) and decide again with expected_head={pull.head.sha}.",
    )


def hindrance(pull: Pull, expected_head: str) -> CallError | None:
    """Why a pull request can't be merged as it is; None if that is for GitHub to decide."""
    name = f"pull request {pull.number}"
    if pull.state == "merged":
        return CallError("already_merged", f"{name} is merged already.", "There is nothing to do.")
    if pull.state == "closed":
        return CallError("closed", f"{name} is closed.", f'update_pull({pull.number}, state="open") opens it again.')
    if error := moved(pull, expected_head):
        return error
    if pull.state == "draft":
        return CallError("draft", f"{name} is a draft.", f'update_pull({pull.number}, draft="no") makes it ready.')
    if pull.mergeable is False:
        return CallError(
            "conflicts",
            f"{name} conflicts with {pull.base.ref or 'its base'}.",
            "Its branch must be merged or rebased by hand, with commits that resolve the conflicts.",
        )
    return None
