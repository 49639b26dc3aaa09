"""A furnished GitHub for a whole module of tests; at the end all that went through it is held to GitHub's descriptions."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Generator
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

EMULATED = (
    Gap("*", "/network_count", "the emulator counts no forks of forks"),
    Gap("*", "/subscribers_count", "nor subscribers"),
    *(
        Gap("*", f"/owner/{name}", "it tells less of an organisation than of a user")
        for name in (
            "followers_url", "following_url", "gists_url", "gravatar_id", "organizations_url", "received_events_url",
            "starred_url", "subscriptions_url",
        )
    ),
    Gap("*", "/user/role_name", "the mended permission has the emulator's user"),
    *(
        Gap("*", f"{where}/{name}", "a pull request shown as an issue has the fields that it shares")
        for where in ("", "/*")
        for name in ("events_url", "labels_url")
    ),
)  # fmt: skip
"""What the emulator, mended, answers otherwise than GitHub."""


@dataclass
class Bed:
    """GitHub with what is in it; `call` arranges something as a user.

    Args:
        emulator: Behind the proxy.
        proxy: Where the server goes.
        furniture: Where things are.
    """

    emulator: Emulator
    proxy: Proxy
    furniture: Furniture
    seen: list[Exchange] = field(default_factory=list[Exchange])

    def call(self, method: str, path: str, body: Any = None, *, login: str = "alice") -> Any:
        return self.emulator.call(method, path, body, login=login)

    def fresh(self) -> None:
        """Count from here, with no faults; what went through before is still held to the descriptions."""
        self.seen += self.proxy.exchanges
        self.proxy.forget()
        self.proxy.heal()

    def problems(self) -> list[str]:
        self.fresh()
        return problems_of(self.seen, gaps=Gaps(EMULATED))

    @contextlib.asynccontextmanager
    async def server(self, folder: Path, login: str = "alice", **settings: Any) -> AsyncGenerator[Called]:
        """The server before it; nothing has been counted when it starts."""
        self.fresh()
        given: dict[str, Any] = {"repo": PUBLIC, "writes_per_minute": 80, **settings}
        async with server(folder, self.proxy.url, self.emulator.tokens[login], **given) as called:
            yield called


def bedded(emulator: Emulator) -> Generator[Bed]:
    """For a fixture of the scope of a module."""
    emulator.reset()
    furniture = furnish(emulator)
    with before(emulator) as proxy:
        made = Bed(emulator, proxy, furniture)
        yield made
        problems = made.problems()
        assert not problems, problems


def paths(bed: Bed) -> list[str]:
    """What was asked for, in short."""
    return [f"{one.method} {one.path.removeprefix(f'/repos/{PUBLIC}')}" for one in bed.proxy.requests]
