"""What is known of a repository: who can see it, which branch is its own, what the credential may do there."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

from gatelodge_core.effects import PRIVATE, PUBLIC, Label
from gatelodge_core.errors import CallError

from gatelodge_github.data import table, text
from gatelodge_github.gate import Gate
from gatelodge_github.names import is_sha, repo_path
from gatelodge_github.transport.api import Api
from gatelodge_github.trust.marks import Trust
from gatelodge_github.trust.turns import Turns

KEEP_SECONDS = 300
MOST = 500


@dataclass(frozen=True, slots=True)
class Facts:
    """A repository.

    Args:
        name: ``owner/name`` as GitHub spells it.
        visibility: ``public``, ``private`` or ``internal``; ``private`` if it could not be found out.
        default_branch: Empty if it could not be found out.
        push: Whether the credential may push.
        fork: Whether it is a fork.
        parent: What it was forked from; empty if nothing.
        known: Whether GitHub was asked with success.
    """

    name: str
    visibility: str
    default_branch: str
    push: bool
    fork: bool = False
    parent: str = ""
    known: bool = True

    @property
    def public(self) -> bool:
        """Whether everybody can read it."""
        return self.visibility == "public"

    @property
    def label(self) -> Label:
        """The label of what is in it."""
        return PUBLIC if self.public else PRIVATE

    def file_trust(self, ref: str) -> Trust:
        """How far files at a ref are trusted.

        On the default branch of a repository that the credential can push to, they are collaborators' work. A hash can be
        a commit of any fork, which GitHub serves under the upstream's name too; other branches of public repositories
        can be anybody's that once was allowed to push.
        """
        if not self.push or self.fork:
            return Trust.OUTSIDER
        if ref in ("", "HEAD", self.default_branch, f"refs/heads/{self.default_branch}"):
            return Trust.COLLABORATOR if self.default_branch else Trust.OUTSIDER
        named = not is_sha(ref) and not ref.startswith(("refs/pull/", "pull/"))
        return Trust.COLLABORATOR if named and not self.public else Trust.OUTSIDER


class Repositories:
    """The facts, kept for five minutes, of one credential.

    Args:
        api: Asks for them.
        gate: The allow-list: the name that GitHub answers with is held to it again.
    """

    def __init__(self, api: Api, gate: Gate) -> None:
        self._api, self._gate = api, gate
        self._kept: OrderedDict[str, tuple[float, Facts]] = OrderedDict()
        self._turns = Turns()

    async def facts(self, repo: str, within: float = KEEP_SECONDS) -> Facts:
        """The facts.

        Args:
            repo: ``owner/name``.
            within: The most seconds that they may be old.

        Raises:
            CallError: There is no such repository, or it may not be read.
        """
        self._gate.check(repo)
        async with self._turns.of(repo.lower()):
            known = self._kept.get(repo.lower())
            if known and known[0] > time.monotonic() - within:
                return known[1]
            return self.learn(await self._api.data(repo_path(repo)), repo)

    async def or_unknown(self, repo: str, within: float = KEEP_SECONDS) -> Facts:
        """The facts; if they can't be had, those of a private repository of strangers."""
        try:
            return await self.facts(repo, within)
        except CallError:
            return Facts(repo, "private", "", push=False, known=False)

    def learn(self, data: object, asked: str = "") -> Facts:
        """Take the facts out of GitHub's object of a repository, wherever it came from.

        Args:
            data: The object; what it lacks counts for the worse.
            asked: The name that was asked for.

        Raises:
            CallError: `repo_not_allowed`: it has another name by now.
        """
        found = table(data)
        name = text(found.get("full_name")) or asked
        self._gate.check(name)
        visibility = text(found.get("visibility"))
        # An older Enterprise Server tells only whether it is private.
        open_to_all = found.get("private") is False and visibility in ("", "public")
        may = table(found.get("permissions"))
        facts = Facts(
            name,
            "public" if open_to_all else "internal" if visibility == "internal" else "private",
            text(found.get("default_branch")),
            push=any(may.get(level) is True for level in ("push", "maintain", "admin")),
            fork=found.get("fork") is True,
            parent=text(table(found.get("parent")).get("full_name")),
        )
        if not facts.default_branch or (facts.fork and not facts.parent):
            # Search gives a part of the object: too little to be kept in place of the whole.
            known = self._kept.get(name.lower())
            fresh = known is not None and known[0] > time.monotonic() - KEEP_SECONDS
            return known[1] if known is not None and fresh and known[1].public == facts.public else facts
        for key in {name.lower(), asked.lower() or name.lower()}:
            self._kept[key] = (time.monotonic(), facts)
            self._kept.move_to_end(key)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return facts

    def forget(self, repo: str) -> None:
        """Ask again the next time, under whatever name it was known."""
        kept = self._kept.get(repo.lower())
        names = {repo.lower()} | {key for key, (_, facts) in self._kept.items() if kept and facts.name == kept[1].name}
        for name in names:
            self._kept.pop(name, None)
