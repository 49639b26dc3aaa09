"""What a caller has read in private, so that writing it where more people can read is asked about.

The attack: text by an outsider makes the model read a private repository and write it into a public place (the "toxic
agent flow", github/github-mcp-server issue 844). Looking for the same words again would miss a paraphrase, so only the
source counts. The state belongs to the principal, whatever token it comes with, ends after twelve hours, and no tool
can clear it.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from gatelodge_core.auth.principal import CALLER, Principal, local_user

from gatelodge_github.trust.repositories import Facts

KEEP_SECONDS = 12 * 3600
MOST_PRINCIPALS = 1000
MOST_SOURCES = 500


@dataclass(slots=True)
class _State:
    """What one principal has read: repositories, with whether it was what few of their readers see, and until when."""

    sources: OrderedDict[tuple[str, bool], float] = field(default_factory=OrderedDict[tuple[str, bool], float])
    untrusted: float = 0.0


class Taint:
    """What each principal has read."""

    def __init__(self) -> None:
        self._states: OrderedDict[str, _State] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, facts: Facts, *, private: bool = False) -> None:
        """The caller reads something of a repository; before it is read, since a write may race it.

        Args:
            facts: The repository.
            private: Whether it is what not everybody can read who can read the repository, such as an alert.
        """
        if facts.public and not private:
            return
        source = (facts.name.lower(), private)
        with self._lock:
            sources = self._state().sources
            sources[source] = time.monotonic() + KEEP_SECONDS
            sources.move_to_end(source)
            if len(sources) > MOST_SOURCES:
                # The oldest of very many: what remains still says that something private was read.
                sources.popitem(last=False)

    def saw_untrusted(self) -> None:
        """The caller was shown text by people who can't push."""
        with self._lock:
            self._state().untrusted = time.monotonic() + KEEP_SECONDS

    def untrusted(self, principal: Principal) -> bool:
        """Whether a principal was shown such text."""
        with self._lock:
            state = self._states.get(str(principal))
            return state is not None and state.untrusted > time.monotonic()

    def elsewhere(self, principal: Principal, target: Facts | None) -> list[str]:
        """The private repositories that a principal has read and whose readers are others than those of the target.

        Args:
            principal: Who.
            target: Where something is about to be written; None for somewhere new or unknown.

        Returns:
            Their names, the last one read first.
        """
        now = time.monotonic()
        with self._lock:
            state = self._states.get(str(principal))
            found = [source for source, until in state.sources.items() if until > now] if state else []
        own = {(target.name.lower(), False)} if target is not None and not target.public else set[tuple[str, bool]]()
        if target is not None and target.visibility == "private":
            # Who works in a private repository may know of its alerts; a whole enterprise may not.
            own.add((target.name.lower(), True))
        return list(dict.fromkeys(source[0] for source in reversed(found) if source not in own))

    def _state(self) -> _State:
        # Another token of the same caller, with other scopes, is the same caller.
        principal = str(CALLER.get() or local_user())
        state = self._states.setdefault(principal, _State())
        self._states.move_to_end(principal)
        while len(self._states) > MOST_PRINCIPALS:
            self._states.popitem(last=False)
        return state
