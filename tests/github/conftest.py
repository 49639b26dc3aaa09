"""The GitHub that the tests talk to.

- `emulator` (session): a stateful GitHub in a child process, with the seed of ``emulator.py``; `emulator.call(...)`
  arranges something as a user, `emulator.tokens["mallory"]` is a token, `emulator.app_key` the App's key.
- `github` (function): the emulator, reset for this test (3 ms). `furnished` (function): reset, and filled with the content
  of ``furnishing.py`` (0.1 s).
- `proxy` (function): GitHub's manners and our faults before `github`: give `proxy.url` to what is tested.
      proxy.fault("POST", r".*/issues", faults.lost_after_commit(), times=1)
      proxy.serve("GET", r"/repos/alice/public-repo/actions/runs", lambda request: {"total_count": 0, "workflow_runs": []})
      proxy.graphql(lambda document, variables: {"data": {...}})
      proxy.sent("POST"), proxy.writes(), proxy.counted(), proxy.exchanges, proxy.manners.spend(token)
- `ghes` (function): the same behind ``/api/v3``. `elsewhere` (function): a second host, empty, for logs.
- `recordings` (session): skips without them; then `with replaying(find(r"/repos/.*", 301)) as replay` gives GitHub's own answers.
- ``install.py`` fetches all of it; without it tests are skipped, and fail in CI.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.github import emulator as emulators
from tests.github.behind import before
from tests.github.emulator import PUBLIC, Emulator, Unavailable
from tests.github.furnishing import Furniture, furnish
from tests.github.leftovers import leaks
from tests.github.outsiders import Planted, plant, serve
from tests.github.proxy import Proxy, proxying
from tests.github.questions import no
from tests.github.reading import Bed, filled, held
from tests.github.recordings import absence
from tests.github.support import Called, server

T = TypeVar("T")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test fails if a token is in anything that it leaves behind."""
    report = yield
    if call.when == "teardown" and report.outcome == "passed":
        folder = item.funcargs.get("tmp_path") if isinstance(item, pytest.Function) else None
        if found := leaks(report.sections, folder if isinstance(folder, Path) else None):
            report.outcome = "failed"
            report.longrepr = f"a token is in: {', '.join(found)}"
    return report


def had(opening: AbstractContextManager[T]) -> Generator[T]:
    """What a context manager gives, or a skip that says why; in CI nothing may be missing."""
    with contextlib.ExitStack() as stack:
        try:
            got = stack.enter_context(opening)
        except Unavailable as error:
            if os.environ.get("CI") == "true":
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield got


@pytest.fixture(scope="session")
def emulator() -> Generator[Emulator]:
    """The emulator of this worker, in whatever state the last test left it."""
    yield from had(emulators.running())


@pytest.fixture
def github(emulator: Emulator) -> Emulator:
    """The emulator with the seed alone."""
    emulator.reset()
    return emulator


@pytest.fixture
def proxy(emulator: Emulator) -> Generator[Proxy]:
    """GitHub's manners and a test's faults, before the emulator as it is."""
    with before(emulator) as made:
        yield made


@pytest.fixture
def ghes(emulator: Emulator) -> Generator[Proxy]:
    """The same as a GitHub Enterprise Server has it: behind ``/api/v3``."""
    with before(emulator, prefix="/api/v3") as made:
        yield made


@pytest.fixture(scope="session")
def recordings() -> None:
    """Goes no further without the recordings."""
    if reason := absence():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


@pytest.fixture
def elsewhere() -> Generator[Proxy]:
    """A second host, which serves nothing yet."""
    with proxying(None) as made:
        yield made


@pytest.fixture
def furnished(github: Emulator) -> Furniture:
    """The emulator with the seed and the content, and where things are in it; takes 0.1 s."""
    return furnish(github)


@pytest.fixture(scope="module")
def content(emulator: Emulator) -> Furniture:
    """The same once a module, whose tests must not reset the emulator."""
    return filled(emulator)


@pytest.fixture(scope="module")
def planted(emulator: Emulator) -> Planted:
    """The content with what outsiders wrote into it, once a module, whose tests must not reset the emulator."""
    emulator.reset()
    return plant(emulator, furnish(emulator))


@pytest.fixture
def beds(emulator: Emulator, planted: Planted) -> Generator[tuple[Proxy, Proxy]]:
    """What stands before the planted emulator, and the second host, which has its logs."""
    with before(emulator) as proxy, proxying(None) as elsewhere:
        serve(proxy, elsewhere, planted)
        yield proxy, elsewhere


@pytest.fixture
def bed(emulator: Emulator, content: Furniture) -> Generator[Bed]:
    """For a test that only reads: all that went over the wire is held to GitHub's description at the end."""
    with held(emulator, content) as made:
        yield made


@pytest.fixture
async def called(content: Furniture, proxy: Proxy, emulator: Emulator, tmp_path: Path) -> AsyncGenerator[Called]:
    """The server with alice's credential, her repository as the default one, and a person who says no."""
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], repo=PUBLIC, says=no) as made:
        yield made


@pytest.fixture(scope="module")
def wired(emulator: Emulator) -> Generator[tuple[Proxy, Furniture]]:
    """A furnished GitHub and what stands before it, for servers in processes of their own; one for a module."""
    emulator.reset()
    furniture = furnish(emulator)
    with before(emulator) as proxy:
        yield proxy, furniture
