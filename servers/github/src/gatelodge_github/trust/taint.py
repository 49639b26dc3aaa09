"""What a caller has read in private, so that writing it where more people can read is asked about.

The attack: text by an outsider makes the model read a private repository and write it into a public place (the "toxic
agent flow", github/github-mcp-server issue 844). Looking for the same words again would miss a paraphrase, so only the
source counts. The state belongs to the principal, whatever token it comes with, ends after twelve hours, and no tool
can clear it.
"""

from __future__ import annotations

import time

from gatelodge_core.auth.principal import CALLER, Principal, local_user
from gatelodge_core.store.flow import MAX_MARKS, PINNED, Flow

from gatelodge_github.trust.repositories import Facts

KEEP_SECONDS = 12 * 3600
MOST_SOURCES = MAX_MARKS
_UNTRUSTED = f"{PINNED}untrusted"
_REPOSITORY, _FEW = "repository ", "few "
"""How a mark begins: a repository, or what few of its readers see."""


class Taint:
    """What each principal has read.

    Args:
        flow: Where it is kept, such as with other replicas.
    """

    def __init__(self, flow: Flow | None = None) -> None:
        self._flow = flow or Flow(lambda: time.monotonic())  # noqa: PLW0108 - looked up each time, so that a clock can be put in its place

    def read(self, facts: Facts, *, private: bool = False) -> None:
        """The caller reads something of a repository; before it is read, since a write may race it.

        Args:
            facts: The repository.
            private: Whether it is what not everybody can read who can read the repository, such as an alert.
        """
        if facts.public and not private:
            return
        self._flow.mark(_caller(), f"{_FEW if private else _REPOSITORY}{facts.name.lower()}", KEEP_SECONDS)

    def saw_untrusted(self) -> None:
        """The caller was shown text by people who can't push."""
        self._flow.mark(_caller(), _UNTRUSTED, KEEP_SECONDS)

    def untrusted(self, principal: Principal) -> bool:
        """Whether a principal was shown such text."""
        return _UNTRUSTED in self._flow.marks(str(principal))

    def elsewhere(self, principal: Principal, target: Facts | None) -> list[str]:
        """The private repositories that a principal has read and whose readers are others than those of the target.

        Args:
            principal: Who.
            target: Where something is about to be written; None for somewhere new or unknown.

        Returns:
            Their names, the last one read first.
        """
        own = {f"{_REPOSITORY}{target.name.lower()}"} if target is not None and not target.public else set[str]()
        if target is not None and target.visibility == "private":
            # Who works in a private repository may know of its alerts; a whole enterprise may not.
            own.add(f"{_FEW}{target.name.lower()}")
        read = [mark for mark in reversed(self._flow.marks(str(principal))) if mark[:1] != PINNED and mark not in own]
        return list(dict.fromkeys(mark.partition(" ")[2] for mark in read))


def _caller() -> str:
    # Another token of the same caller, with other scopes, is the same caller.
    return str(CALLER.get() or local_user())
