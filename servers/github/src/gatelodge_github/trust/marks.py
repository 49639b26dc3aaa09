"""Marks: of each item who wrote it, and how far that person is trusted.

GitHub's ``author_association`` says how an author stands to the repository. An organisation's MEMBER need not have push,
and a COLLABORATOR may only read, so both are confirmed by permission; what can't be confirmed counts as an outsider.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import anyio
from gatelodge_core.errors import CallError

from gatelodge_github.data import table, text
from gatelodge_github.names import LOGIN, repo_path, segment
from gatelodge_github.transport.api import Api
from gatelodge_github.trust.turns import Turns

KEEP_SECONDS = 300
KEEP_FAILED = 10
"""Seconds that a failure is kept that may soon be over."""
MOST = 2000
_FINAL = frozenset({"forbidden", "not_found", "repo_not_allowed", "unavailable"})
"""Errors that asking again would not change."""
_ASSOCIATIONS = frozenset(
    {"owner", "member", "collaborator", "contributor", "first_time_contributor", "first_timer", "mannequin", "none"}
)
_PEOPLE = frozenset({"", "User", "EnterpriseUserAccount"})
"""What GitHub calls an author who is a person; a Mannequin has somebody's name, but stands for nobody yet."""
_PUSHERS = frozenset({"admin", "maintain", "write", "push"})
"""What GitHub calls the levels from which on one may push, here and elsewhere in its API."""


class Trust(StrEnum):
    """How far an author is trusted."""

    SELF = "self"
    """The user whose credential this is."""
    COLLABORATOR = "collaborator"
    """May push to the repository."""
    CONTRIBUTOR = "contributor"
    """Had something merged once; may not push."""
    OUTSIDER = "outsider"
    BOT = "bot"
    """A bot that the settings don't name."""
    UNKNOWN = "unknown"
    """A deleted account, or the output of programs."""

    @property
    def trusted(self) -> bool:
        """Whether text by such an author is no more dangerous than the repository itself."""
        return self in (Trust.SELF, Trust.COLLABORATOR)


@dataclass(frozen=True, slots=True)
class Mark:
    """Who wrote an item.

    Args:
        author: The login; empty if nobody is known.
        trust: How far it is trusted.
        assoc: What GitHub says of the author, lower case.
    """

    author: str
    trust: Trust
    assoc: str = ""

    def __str__(self) -> str:
        """As answers show it: ``octocat (outsider)``."""
        return f"{self.author or 'nobody known'} ({self.trust})"


PROGRAM = Mark("", Trust.UNKNOWN)
"""What programs print, as in a log: anybody's words can be in it."""


class Marks:
    """Finds the marks of items, for one credential.

    Args:
        api: Asks for permissions.
        trusted_bots: Logins of bots whose text is trusted.
    """

    def __init__(self, api: Api, trusted_bots: Sequence[str]) -> None:
        self._api = api
        self._bots = frozenset(login.lower() for login in trusted_bots)
        self._pushers: OrderedDict[tuple[str, str], tuple[float, bool]] = OrderedDict()
        self._self: tuple[float, str] | None = None
        self._turns = Turns()

    async def viewer(self) -> str:
        """The login of the credential's user, lower case; empty for an App, for nobody, and if it can't be had."""
        async with self._turns.of("viewer"):
            if self._self is not None and self._self[0] > time.monotonic():
                return self._self[1]
            login, keep = "", KEEP_SECONDS
            if not self._api.credential.app and self._api.credential.kind != "none":
                try:
                    login = text(table(await self._api.data("/user")).get("login")).lower()
                except CallError:
                    keep = KEEP_FAILED
            self._self = (time.monotonic() + keep, login)
            return login

    async def of(self, repo: str, user: object, assoc: str = "") -> Mark:
        """The mark of something in a repository.

        Args:
            repo: ``owner/name``.
            user: GitHub's object of the author (REST: ``login`` and ``type``; GraphQL: ``login`` and ``__typename``), or None.
            assoc: The item's ``author_association``; empty where GitHub gives none, as for commits.
        """
        known = table(user)
        login, kind = text(known.get("login")), text(known.get("type")) or text(known.get("__typename"))
        association = assoc.lower() if assoc.lower() in _ASSOCIATIONS else "none"
        if not LOGIN.fullmatch(login):
            # Nobody's, or a name that GitHub gives to nobody: it isn't shown.
            return Mark("", Trust.UNKNOWN, association)
        if login.lower() == "ghost":
            return Mark(login, Trust.UNKNOWN, association)
        if kind == "Bot" or login.endswith("[bot]"):
            # GraphQL leaves the ending out; no user can have a name with brackets.
            full = login.lower() if login.endswith("[bot]") else f"{login.lower()}[bot]"
            return Mark(login, Trust.COLLABORATOR if full in self._bots else Trust.BOT, association)
        if kind not in _PEOPLE or association == "mannequin":
            return Mark(login, Trust.OUTSIDER, association)
        if login.lower() == await self.viewer():
            return Mark(login, Trust.SELF, association)
        # An owner too: in a stranger's repository, where the credential can't push, nobody's text is the caller's own.
        if association in ("owner", "member", "collaborator") or not assoc:
            pushes = await self.pushes(repo, login)
            return Mark(login, Trust.COLLABORATOR if pushes else Trust.OUTSIDER, association)
        return Mark(login, Trust.CONTRIBUTOR if association == "contributor" else Trust.OUTSIDER, association)

    async def all_of(self, repo: str, items: Sequence[tuple[object, str]]) -> list[Mark]:
        """The marks of several items, (user, association) each; permissions are asked for side by side."""
        found: list[Mark] = [PROGRAM] * len(items)

        async def one(at: int) -> None:
            found[at] = await self.of(repo, *items[at])

        async with anyio.create_task_group() as group:
            for at in range(len(items)):
                group.start_soon(one, at)
        return found

    async def pushes(self, repo: str, login: str) -> bool:
        """Whether somebody may push to a repository; False if that can't be found out. Kept for five minutes."""
        key = (repo.lower(), login.lower())
        async with self._turns.of(key):
            known = self._pushers.get(key)
            if known and known[0] > time.monotonic():
                return known[1]
            allowed, keep = await self._asked(repo, login)
            self._pushers[key] = (time.monotonic() + keep, allowed)
            self._pushers.move_to_end(key)
            while len(self._pushers) > MOST:
                self._pushers.popitem(last=False)
            return allowed

    async def _asked(self, repo: str, login: str) -> tuple[bool, float]:
        """Whether somebody may push, and how long that holds."""
        if not LOGIN.fullmatch(login):
            return False, KEEP_SECONDS
        try:
            data: object = await self._api.data(f"{repo_path(repo)}/collaborators/{segment(login)}/permission")
        except CallError as error:
            return False, KEEP_SECONDS if error.code in _FINAL else KEEP_FAILED
        # `role_name` can be a role of the organisation's own; `permission` is what it comes to.
        return text(table(data).get("permission")) in _PUSHERS, KEEP_SECONDS
