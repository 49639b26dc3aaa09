"""What a caller has read in private: which reads count, against which targets, for how long, and of whom."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator
from pathlib import Path

import anyio
import pytest
from gatelodge_core.auth.principal import CALLER, Principal, local_user
from gatelodge_github.hub import Hub
from gatelodge_github.settings import GithubSettings
from gatelodge_github.trust import taint as module
from gatelodge_github.trust.repositories import Facts
from gatelodge_github.trust.taint import Taint

from tests.github.emulator import PRIVATE, PUBLIC, WIDGET, Emulator
from tests.github.furnishing import SECRET_LINE, Furniture
from tests.github.loopback import Answer, Request, Respond
from tests.github.proxy import Proxy
from tests.github.questions import no
from tests.github.support import credential, server

# What counts as private


def facts(name: str, visibility: str = "private", *, known: bool = True) -> Facts:
    return Facts(name, visibility, "main", push=True, known=known)


@pytest.mark.parametrize(
    ("read", "private", "target", "asked"),
    [
        (facts("a/x", "public"), False, facts("a/x", "public"), False),
        (facts("a/x", "public"), False, None, False),
        (facts("a/x"), False, facts("a/x"), False),
        (facts("A/X"), False, facts("a/x"), False),
        (facts("a/x"), False, facts("a/x", "public"), True),
        (facts("a/x"), False, facts("a/y"), True),
        (facts("a/x"), False, facts("a/x-fork"), True),
        (facts("a/x"), False, None, True),
        (facts("a/x", "internal"), False, facts("a/x", "internal"), False),
        (facts("a/x", "internal"), False, facts("a/y", "internal"), True),
        (facts("a/x", "internal"), False, facts("a/y", "public"), True),
        (facts("a/x", known=False), False, facts("a/y", "public"), True),
        # Alerts and drafts are for fewer than the repository.
        (facts("a/x", "public"), True, facts("a/x", "public"), True),
        (facts("a/x", "internal"), True, facts("a/x", "internal"), True),
        (facts("a/x"), True, facts("a/x"), False),
        (facts("a/x"), True, facts("a/y"), True),
    ],
)
def test_what_was_read_may_go_where_the_same_people_read(
    read: Facts, private: bool, target: Facts | None, asked: bool
) -> None:
    taint = Taint()
    taint.read(read, private=private)
    assert taint.elsewhere(local_user(), target) == ([read.name.lower()] if asked else [])


def test_the_last_source_is_named_first_and_each_once() -> None:
    taint = Taint()
    for name in ("a/one", "a/two", "a/three", "a/one"):
        taint.read(facts(name))
        taint.read(facts(name), private=True)
    assert taint.elsewhere(local_user(), None) == ["a/one", "a/three", "a/two"]


def test_very_many_sources_do_not_wash_anything_clean() -> None:
    taint = Taint()
    for number in range(module.MOST_SOURCES * 2):
        taint.read(facts(f"a/r{number}"))
    assert len(taint.elsewhere(local_user(), facts("a/r0", "public"))) == module.MOST_SOURCES
    assert taint.elsewhere(local_user(), facts("a/r999")) != []


def test_it_ends_after_twelve_hours_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    taint = Taint()
    taint.read(facts("a/x"))
    taint.saw_untrusted()
    clock.now = 12 * 3600 - 1
    assert taint.elsewhere(local_user(), None) == ["a/x"]
    assert taint.untrusted(local_user())
    clock.now += 2
    assert taint.elsewhere(local_user(), None) == []
    assert not taint.untrusted(local_user())


@pytest.mark.anyio
async def test_a_fork_of_a_private_repository_has_other_readers(
    furnished: Furniture, proxy: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    compared = f"/repos/{PUBLIC}/compare/main...feature"
    proxy.serve("GET", rf"/repos/{PRIVATE}/compare/.*", lambda request: proxy.look(request, compared))
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], repo=PRIVATE, says=no) as called:
        await called.text("get_diff", target="main...topic")
        await called.text("create_issue", title="Of the same repository")
        assert await called.label("get_diff", target="main...bob:topic") == "untrusted/private"
        assert "declined" in await called.error("create_issue", title="Of bob's fork")
        assert "(bob/private-repo), and others can read alice/private-repo" in called.questions[0]


# Who


@contextlib.contextmanager
def calling(principal: Principal) -> Generator[None]:
    token = CALLER.set(principal)
    try:
        yield
    finally:
        CALLER.reset(token)


def test_principals_share_nothing_and_another_token_of_the_same_one_is_the_same() -> None:
    taint = Taint()
    reader = Principal("oauth", "eve", frozenset({"github:read"}))
    with calling(reader):
        taint.read(facts("a/x"))
        taint.saw_untrusted()
    for same in (
        reader,
        Principal("oauth", "eve", frozenset({"github:write"})),
        Principal("oauth", "eve", None, ("*",), 5),
    ):
        assert taint.elsewhere(same, None) == ["a/x"]
        assert taint.untrusted(same)
    for other in (Principal("oauth", "eve2"), Principal("key", "eve"), local_user()):
        assert taint.elsewhere(other, None) == []
        assert not taint.untrusted(other)


@pytest.mark.anyio
async def test_two_principals_that_read_at_the_same_time_each_have_their_own(
    furnished: Furniture, proxy: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    settings = GithubSettings.model_validate({"state_dir": str(tmp_path), "api_url": proxy.url, "repo": PUBLIC})
    people = {name: Principal("key", name) for name in ("alice", "carol")}
    accounts = {str(one): credential(emulator.tokens[name]) for name, one in people.items()}
    (tmp_path / "cache").mkdir()
    hub = Hub(settings, credential(""), accounts)
    seen: dict[tuple[str, str], str] = {}

    async def read(who: str, repo: str) -> None:
        CALLER.set(people[who])
        try:
            visit = await hub.open(repo)
            await visit.api.data(f"/repos/{visit.repo}/issues")
            seen[who, repo] = "seen"
        except Exception as error:  # noqa: BLE001 - the error is what is looked at
            seen[who, repo] = type(error).__name__

    async with anyio.create_task_group() as group:
        for _ in range(5):
            for who in people:
                for repo in (PUBLIC, PRIVATE, WIDGET):
                    group.start_soon(read, who, repo)
    # What one may see, the other asked for at the same time and was refused.
    assert [key for key, what in seen.items() if what != "seen"] == [("carol", PRIVATE)]
    assert set(hub.taint.elsewhere(people["alice"], None)) == {PRIVATE, WIDGET}
    assert hub.taint.elsewhere(people["carol"], None) == [WIDGET]
    assert hub.taint.elsewhere(local_user(), None) == []
    hub.close()
    await hub.aclose()


# Races


@pytest.mark.anyio
async def test_a_write_that_races_the_first_private_read_is_asked_about_before_any_of_it_arrives(
    furnished: Furniture, proxy: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    begun, go = threading.Event(), threading.Event()

    def late(request: Request, proper: Respond) -> Answer:
        begun.set()
        assert go.wait(30)
        return proper(request)

    proxy.fault("GET", rf"/repos/{PRIVATE}/contents/.*", late)
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], repo=PUBLIC, says=no) as called:
        async with anyio.create_task_group() as group:

            async def read() -> None:
                assert SECRET_LINE in await called.text("get_file", repo=PRIVATE, path="vault.txt")

            group.start_soon(read)
            assert await anyio.to_thread.run_sync(begun.wait, 30)
            # GitHub has not answered yet; the model could have it by the time that this write is made.
            assert "declined" in await called.error("create_issue", title="Raced")
            go.set()
        assert len(called.questions) == 1
    assert proxy.writes() == []


@pytest.mark.anyio
async def test_a_read_that_fails_half_way_counts_as_read(
    furnished: Furniture, proxy: Proxy, emulator: Emulator, tmp_path: Path
) -> None:
    async with server(tmp_path, proxy.url, emulator.tokens["alice"], repo=PUBLIC, says=no) as called:
        await called.error("get_file", repo=PRIVATE, path="nowhere.txt")
        assert "declined" in await called.error("create_issue", title="x")
