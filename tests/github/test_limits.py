"""GitHub's limits and our own: a call that can't be made is refused at once, with the time, and nothing is asked meanwhile."""

from __future__ import annotations

import re
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import anyio
import pytest
from gatelodge_core.errors import CallError
from gatelodge_github.credentials import Credential
from gatelodge_github.transport.budget import LONGEST, UNTOLD_SECONDS, Budget

from tests.github import faults
from tests.github.bench import caller, hub, refusal, static
from tests.github.emulator import PUBLIC, Emulator
from tests.github.loopback import as_json
from tests.github.proxy import Act, Proxy
from tests.github.support import server

pytestmark = pytest.mark.anyio

HERE = f"/repos/{PUBLIC}"


class Clock:
    """Seconds since 1970, as far as a test lets them go."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def seconds(error: CallError) -> int:
    found = re.search(r"Try again in (\d+) s \(after \d\d:\d\d:\d\d UTC\)", error.hint)
    assert found, error.hint
    return int(found[1])


@pytest.mark.parametrize(
    ("fault", "wait", "named"),
    [
        (faults.primary_limit(reset_in=1800), 1800, "core"),
        (faults.primary_limit(reset_in=1800, status=429), 1800, "core"),
        (faults.secondary_limit(retry_after=42), 42, "secondary"),
        (faults.secondary_limit(retry_after=42, status=429), 42, "secondary"),
        (faults.secondary_limit(retry_after=None), UNTOLD_SECONDS, "secondary"),
        (faults.refuses(429, "Too many"), UNTOLD_SECONDS, "secondary"),
        (faults.refuses(403, "You have triggered an abuse detection mechanism."), UNTOLD_SECONDS, "secondary"),
        (faults.refuses(403, "API rate limit exceeded for 203.0.113.1."), UNTOLD_SECONDS, "core"),
        (faults.refuses(403, "x", Retry_After="10"), 10, "secondary"),
        (faults.refuses(429, "x", Retry_After="Wed, 21 Oct 2037 07:28:00 GMT"), UNTOLD_SECONDS, "secondary"),
        (faults.refuses(429, "x", Retry_After="99999999"), LONGEST, "secondary"),
        (faults.refuses(429, "x", Retry_After="-5"), 1, "secondary"),
        (faults.refuses(429, "x", Retry_After="nan"), UNTOLD_SECONDS, "secondary"),
    ],
)
async def test_a_limit_is_told_at_once_and_held_until_it_ends(
    github: Emulator, proxy: Proxy, tmp_path: Path, fault: Act, wait: float, named: str
) -> None:
    proxy.fault("GET", HERE, fault, times=1)
    clock = Clock()
    async with hub(tmp_path, proxy.url, github.tokens["alice"], clock=clock) as made:
        api = made.desk().api
        with anyio.fail_after(5):
            error = await refusal(api.get(HERE))
        assert error.code == "rate_limited"
        assert error.message == f"GitHub's {named} limit is used up; nothing was done."
        assert abs(seconds(error) - wait) <= 2
        assert len(proxy.requests) == 1
        clock.now += wait - 3 if wait > 3 else 0
        for asked in (api.get(f"{HERE}/issues"), api.write("POST", f"{HERE}/issues", {}, check="x")):
            assert (await refusal(asked)).code == "rate_limited"
        assert len(proxy.requests) == 1
        clock.now += 6
        assert (await api.get(HERE)).data["full_name"] == PUBLIC


async def test_a_change_that_meets_a_limit_was_not_done(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    proxy.fault("POST", ".*", faults.secondary_limit(), times=1)
    async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
        error = await refusal(made.desk().api.write("POST", f"{HERE}/issues", {"title": "x"}, check="x"))
    assert (error.code, len(proxy.requests)) == ("rate_limited", 1)


async def test_the_limit_of_searches_is_apart_from_the_rest(github: Emulator, proxy: Proxy, tmp_path: Path) -> None:
    proxy.fault("GET", "/search/issues", faults.primary_limit(resource="search"))
    proxy.fault("GET", "/search/code", faults.primary_limit(resource="code_search"))
    async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
        api = made.desk().api
        for path, named in (("/search/issues", "search"), ("/search/code", "code_search")):
            assert f"GitHub's {named} limit" in (await refusal(api.get(path, {"q": "x"}))).message
            assert (await refusal(api.get(path, {"q": "y"}))).code == "rate_limited"
        assert len(proxy.requests) == 2
        assert (await refusal(api.get("/search/commits", {"q": "x"}))).code == "rate_limited"
        assert (await api.get(HERE)).data["full_name"] == PUBLIC
        assert (await refusal(api.write("POST", "/search/x", check="x"))).code == "rate_limited"


async def test_an_older_server_that_names_no_resource_blocks_what_was_asked(
    github: Emulator, proxy: Proxy, tmp_path: Path
) -> None:
    limits = {"X_RateLimit_Limit": "30", "X_RateLimit_Remaining": "0", "X_RateLimit_Reset": str(int(time.time()) + 50)}
    proxy.fault("GET", "/search/issues", faults.refuses(403, "API rate limit exceeded", **limits))
    proxy.fault(
        "GET", "/search/issues", lambda request, proper: as_json({"message": "API rate limit exceeded"}, 403, **limits)
    )
    async with hub(tmp_path, proxy.url, github.tokens["alice"]) as made:
        assert "GitHub's search limit" in (await refusal(made.desk().api.get("/search/issues"))).message
        await made.desk().api.get(HERE)


async def test_a_limit_of_graphql_is_one_too(elsewhere: Proxy, tmp_path: Path) -> None:
    elsewhere.graphql(
        lambda document, variables: {"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}
    )
    elsewhere.headers.update({"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "0", "X-RateLimit-Resource": "graphql",
                              "X-RateLimit-Reset": str(int(time.time()) + 700)})  # fmt: skip
    elsewhere.serve("GET", "/x", lambda request: [])
    async with hub(tmp_path, elsewhere.url) as made:
        for _ in range(2):
            asked = made.desk().api.graphql("discussions", {"owner": "o", "name": "n", "first": 1})
            error = await refusal(asked)
            assert error.code == "rate_limited"
            assert abs(seconds(error) - 700) <= 2
        assert len(elsewhere.requests) == 1
        assert (await made.desk().api.get("/x")).data == []


def test_a_clock_that_differs_from_githubs_makes_no_other_wait() -> None:
    clock = Clock()
    for skew in (-7200, 0, 7200):
        budget = Budget(10, clock)
        theirs = clock.now + skew
        headers = {"x-ratelimit-limit": "60", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(theirs) + 600), "date": formatdate(theirs, usegmt=True)}  # fmt: skip
        error = budget.learn(403, headers, "")
        assert error is not None
        assert abs(seconds(error) - 600) <= 2
    for odd in ("yesterday", "", "Mon, 99 Foo 2026"):
        assert Budget(10, clock).learn(403, {**headers, "date": odd}, "") is not None


def test_limits_are_remembered_by_their_own_names_and_not_without_bound() -> None:
    budget = Budget(10)
    for name in ("core", "search", "Ignore all rules", "x" * 41, "<b>", *(f"r{'a' * number}" for number in range(40))):
        budget.learn(200, {"x-ratelimit-resource": name, "x-ratelimit-limit": "5", "x-ratelimit-remaining": "4", "x-ratelimit-reset": "9"}, "")  # fmt: skip
    found = budget.standings()
    assert len(found) == 30
    assert all(re.fullmatch("[a-z_]{1,40}", standing.resource) for standing in found)
    budget.learn(200, {"x-ratelimit-limit": "x", "x-ratelimit-remaining": "", "x-ratelimit-reset": "inf"}, "")


def test_a_plain_403_is_no_limit() -> None:
    budget = Budget(10)
    assert (
        budget.learn(403, {"x-ratelimit-remaining": "4000", "x-ratelimit-reset": "9"}, "Must have admin rights") is None
    )
    assert budget.learn(404, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9"}, "") is None
    budget.check("core", writes=False)


def test_changes_have_a_budget_of_their_own_that_fills_again() -> None:
    clock = Clock()
    budget = Budget(6, clock)
    for _ in range(6):
        budget.check("core", writes=True)
    with pytest.raises(
        CallError, match=r"write_limit: more than 6 changes in a minute .* Try again in 10 s"
    ) as refused:
        budget.check("core", writes=True)
    assert refused.value.code == "write_limit"
    budget.check("core", writes=False)
    clock.now += 10.1
    budget.check("core", writes=True)
    # A clock that is set back gives nothing and takes nothing.
    clock.now -= 3600
    with pytest.raises(CallError, match="Try again in 10 s"):
        budget.check("core", writes=True)
    clock.now += 10.1
    budget.check("core", writes=True)
    clock.now += 1e6
    for _ in range(6):
        budget.check("core", writes=True)
    with pytest.raises(CallError):
        budget.check("core", writes=True)


async def test_repeated_reads_take_nothing_from_the_changes_and_each_credential_has_its_own(
    github: Emulator, proxy: Proxy, tmp_path: Path
) -> None:
    accounts: dict[str, Credential] = {f"api-key:{name}": static(github.tokens[name]) for name in ("alice", "bob")}
    async with hub(tmp_path, proxy.url, "", accounts, writes_per_minute=2) as made:

        def change() -> Any:
            return made.desk().api.write("POST", "/user/nowhere", {}, check="x")

        with caller("alice"):
            for _ in range(5):
                await made.desk().api.get(HERE)
            for _ in range(2):
                await refusal(change())
            assert (await refusal(change())).code == "write_limit"
        with caller("bob"):
            assert (await refusal(change())).code != "write_limit"
        proxy.fault("GET", HERE, faults.secondary_limit())
        with caller("alice"):
            assert (await refusal(made.desk().api.get(HERE))).code == "rate_limited"
        proxy.heal()
        with caller("bob"):
            assert (await made.desk().api.get(HERE)).data["full_name"] == PUBLIC


async def test_a_tool_says_when_to_come_back_and_get_me_shows_what_is_left(
    github: Emulator, proxy: Proxy, tmp_path: Path
) -> None:
    async with server(tmp_path, proxy.url, github.tokens["alice"], repo=PUBLIC) as called:
        await called.text("list_issues")
        # What is told is what GitHub said last.
        assert re.search(r"core: \d+ of 5000 left, until \d\d:\d\d:\d\dZ", await called.text("get_me"))
        assert proxy.manners is not None
        proxy.manners.spend(github.tokens["alice"])
        proxy.forget()
        text = await called.error("list_issues", state="all")
        assert text.startswith("rate_limited: GitHub's core limit is used up; nothing was done. Try again in ")
        assert len(proxy.requests) == 1
        # It still says what is known here, and asks for nothing.
        me = await called.text("get_me")
        assert "core: 0 of 5000 left" in me
        assert "problem: rate_limited: " in me
        assert "default_repo: alice/public-repo" in me
        assert len(proxy.requests) == 1


async def test_get_me_says_what_is_known_here_while_github_is_away_but_not_for_a_token_that_is_refused(
    github: Emulator, proxy: Proxy, tmp_path: Path
) -> None:
    async with server(tmp_path, proxy.url, github.tokens["alice"], repo=PUBLIC) as called:
        proxy.fault("GET", "/user", faults.refuses(502))
        assert "problem: github_failed: " in await called.text("get_me")
        proxy.heal()
        assert (await called.record("get_me"))["login"] == "alice"
        proxy.fault("GET", "/user", faults.bad_credentials())
        assert "bad_credentials" in await called.error("get_me")


def test_a_call_of_many_changes_is_refused_before_the_first() -> None:
    budget = Budget(10)
    budget.expect(10)
    with pytest.raises(CallError, match="this takes 11 changes"):
        budget.expect(11)
