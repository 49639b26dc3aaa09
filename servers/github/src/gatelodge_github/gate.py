"""The allow-list: which repositories may be read, and which written; asked before any request, and again of what comes back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum

from gatelodge_core.errors import CallError
from gatelodge_core.globs import Globs

from gatelodge_github.names import REPO


class Writing(StrEnum):
    """Whether a repository may be written."""

    YES = "yes"
    ASK = "ask"
    NO = "no"


class Gate:
    """The allow-list. GitHub's names know no letter case, so neither does it.

    Args:
        repos: Globs of what may be read; all if there are none.
        write_repos: Globs of what may be written.
        default: The default repository: where `write_repos` is empty, the only one written without asking.
    """

    def __init__(self, repos: Sequence[str], write_repos: Sequence[str], default: str) -> None:
        self.patterns = tuple(repos)
        self.default = default
        self._reads = Globs([text.lower() for text in repos], empty_matches=True)
        self._writes = Globs([text.lower() for text in write_repos], empty_matches=False)
        self._named = bool(write_repos)

    def name(self, repo: str) -> str:
        """The repository meant: the default one if none is named; it may be read.

        Raises:
            CallError: `no_repo`, `bad_repo`, or `repo_not_allowed`.
        """
        chosen = repo.strip() or self.default
        if not chosen:
            raise CallError(
                "no_repo", "No repository was named, and there is no default one.", "Give repo: owner/name."
            )
        if not REPO.fullmatch(chosen):
            raise CallError("bad_repo", "repo is not owner/name.", "For example octocat/hello-world.")
        self.check(chosen)
        return chosen

    def reads(self, repo: str) -> bool:
        """Whether a repository may be read."""
        return REPO.fullmatch(repo) is not None and self._reads.matches(repo.lower())

    def check(self, repo: str) -> None:
        """Refuse a repository that may not be read.

        Raises:
            CallError: `repo_not_allowed`.
        """
        if not self.reads(repo):
            raise CallError(
                "repo_not_allowed",
                "that repository is outside this server's allow-list; nothing was asked.",
                f"Allowed: {', '.join(self.patterns)[:300] or 'owner/name'}. The operator sets it with --repos.",
            )

    def writes(self, repo: str) -> Writing:
        """Whether a repository may be written."""
        if not self.reads(repo):
            return Writing.NO
        if self._named:
            return Writing.YES if self._writes.matches(repo.lower()) else Writing.NO
        return Writing.YES if self.default and repo.lower() == self.default.lower() else Writing.ASK

    def check_write(self, repo: str) -> None:
        """Refuse a repository that may never be written; that a person was asked is seen to before.

        Raises:
            CallError: `repo_not_writable`.
        """
        if self.writes(repo) is Writing.NO:
            raise CallError(
                "repo_not_writable",
                "this server may not change that repository; nothing was done.",
                "The operator names what may be written with --write-repos.",
            )

    def qualifiers(self) -> list[str]:
        """What narrows a search to the allow-list as far as GitHub's search language can: ``repo:`` and ``user:``.

        Empty if everything may be read, or if a glob can't be said; results are checked again in any case.
        """
        found: list[str] = []
        for pattern in self.patterns:
            owner, _, name = pattern.partition("/")
            if re.search(r"[*?\[{]", owner):
                return []
            found.append(f"user:{owner}" if re.search(r"[*?\[{]", name) else f"repo:{pattern}")
        return list(dict.fromkeys(found))
