"""For tests of what only reads: the content is put in once a module, and all that goes over the wire is held to GitHub."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.github.behind import before
from tests.github.contract import Gap, Gaps
from tests.github.emulator import PUBLIC, Emulator
from tests.github.exchanges import problems_of
from tests.github.furnishing import Furniture, furnish
from tests.github.proxy import Exchange, Proxy
from tests.github.support import Called, server

_SEARCH = ("repositories", "issues", "commits", "users")
GAPS = Gaps(
    [
        Gap("GET /repos/{owner}/{repo}", "/network_count", "the emulator leaves it out"),
        Gap("GET /repos/{owner}/{repo}", "/subscribers_count", "the emulator leaves it out"),
        Gap("GET /repos/{owner}/{repo}", "/owner/*", "an organisation lacks what it shares with users"),
        *(
            Gap("GET /repos/{owner}/{repo}/issues", f"/*/{name}", "of pull requests")
            for name in ("events_url", "labels_url")
        ),
        Gap("GET /repos/{owner}/{repo}/collaborators/{username}/permission", "/user/role_name", "left out"),
        Gap("GET /repos/{owner}/{repo}/commits/{ref}/check-runs", "/check_runs/*/output/annotations_url", "left out"),
        *(Gap(f"GET /search/{kind}", "/items/*/score", "the emulator leaves it out") for kind in _SEARCH),
        Gap("GET /search/issues", "/search_type", "newer than the emulator"),
        *(
            Gap("GET /search/issues", f"/items/*/{name}", "it gives pull requests instead of their issues")
            for name in ("events_url", "labels_url", "repository_url")
        ),
        Gap("GET /search/commits", "/items/*/commit/comment_count", "the emulator leaves it out"),
        Gap("GET /search/commits", "/items/*/commit/tree", "the emulator leaves it out"),
    ]
)
"""What the emulator answers otherwise than GitHub, on the routes of reading."""


@dataclass(frozen=True, slots=True)
class Bed:
    """The emulator with its content behind a proxy that is this test's own.

    Args:
        emulator: Changed by none of these tests.
        content: Where things are.
        proxy: Before it.
    """

    emulator: Emulator
    content: Furniture
    proxy: Proxy
    _seen: list[Exchange] = field(default_factory=list[Exchange])

    def server(self, folder: Path, login: str = "alice", **settings: Any) -> AbstractAsyncContextManager[Called]:
        """The server with somebody's token; its default repository is `PUBLIC`."""
        given: dict[str, Any] = {"repo": PUBLIC, **settings}
        return server(folder, self.proxy.url, self.emulator.tokens[login], **given)

    def targets(self, path: str = ".*") -> list[str]:
        """What was asked for since the last `forget`."""
        return [request.target for request in self.proxy.sent("GET", path)]

    def forget(self) -> None:
        """What came so far; it is judged in the end all the same."""
        self._seen.extend(self.proxy.exchanges)
        self.proxy.forget()

    def judged(self) -> None:
        """Nothing was written, and requests and answers are as GitHub describes them."""
        self.forget()
        assert [exchange.request.target for exchange in self._seen if exchange.request.method != "GET"] == []
        problems = problems_of(self._seen, gaps=GAPS)
        assert not problems, "\n".join(problems)


def filled(emulator: Emulator) -> Furniture:
    """The emulator with the content, for a whole module; its tests must not reset it."""
    emulator.reset()
    return furnish(emulator)


@contextlib.contextmanager
def held(emulator: Emulator, content: Furniture) -> Generator[Bed]:
    """A bed whose exchanges are judged at the end."""
    with before(emulator) as proxy:
        made = Bed(emulator, content, proxy)
        yield made
    made.judged()
