"""Asking the issuer about each token, over real HTTP: what is believed, remembered, and what happens when it is gone."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Generator

import anyio
import anyio.to_thread
import pytest
from gatelodge_core.auth.claims import Rules
from gatelodge_core.auth.introspection import MAX_PENDING, STRANGERS_AT_ONCE, Introspection
from gatelodge_core.auth.model import Unauthenticated
from gatelodge_core.auth.oauth import OAuth, build
from gatelodge_core.auth.principal import Principal
from gatelodge_core.settings import LodgeSettings
from pydantic import SecretStr

from tests.auth.issuer import Answer, Asked, FakeIssuer, issuing
from tests.auth.mint import RESOURCE

PATH = "/introspect"


@pytest.fixture
def issuer() -> Generator[FakeIssuer]:
    with issuing() as made:
        made.tokens["opaque"] = said(made)
        yield made


def said(issuer: FakeIssuer, **changes: object) -> dict[str, object]:
    """What the issuer says of a good token, with changes; a change to None leaves it out."""
    usual = {
        "active": True, "iss": issuer.name, "aud": RESOURCE, "sub": "alice", "client_id": "desk", "token_type": "Bearer",
        "scope": "files:read files:write", "exp": int(time.time()) + 600,
    }  # fmt: skip
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def settings(issuer: FakeIssuer, **more: object) -> LodgeSettings:
    return LodgeSettings.model_validate(
        {
            "oauth_issuer": issuer.name,
            "oauth_introspection_url": issuer.origin + PATH,
            "oauth_client_id": "desk",
            "oauth_client_secret": SecretStr("open sesame"),
            **more,
        }
    )


def with_judge(issuer: FakeIssuer, work: Callable[[OAuth], Awaitable[None]], **more: object) -> None:
    async def run() -> None:
        judge = build(settings(issuer, **more), RESOURCE)
        try:
            with anyio.fail_after(60):
                await work(judge)
        finally:
            await judge.aclose()

    anyio.run(run)


async def refused(judge: OAuth | Introspection, token: str, address: str = "192.0.2.1") -> Unauthenticated:
    with pytest.raises(Unauthenticated) as caught:
        await judge.authenticate(token, address)
    return caught.value


@pytest.mark.parametrize("url", ["", "discover"])
def test_an_active_token_is_let_in_and_remembered(issuer: FakeIssuer, url: str) -> None:
    async def work(judge: OAuth) -> None:
        found = [await judge.authenticate("opaque") for _ in range(3)]
        assert found == 3 * [Principal("oauth", f"{issuer.name}|alice|desk", frozenset({"files:read", "files:write"}))]
        assert issuer.times(PATH) == 1
        (asked,) = [asked for asked in issuer.asked if asked.path == PATH]
        assert (asked.method, asked.form) == ("POST", {"token": ["opaque"], "token_type_hint": ["access_token"]})

    with_judge(issuer, work, **({"oauth_introspection_url": url} if url else {}))


REFUSED: dict[str, dict[str, object]] = {
    "not active": {"active": False},
    "for another": {"aud": "https://other.example"},
    "for nobody in particular": {"aud": None},
    "of another issuer": {"iss": "https://evil.example"},
    "expired, whatever active says": {"exp": 1_000_000},
    "not valid yet": {"nbf": 2**40},
    "about nobody": {"sub": None},
    "to be proved": {"token_type": "DPoP"},
    "bound to a key": {"cnf": {"jkt": "x"}},
    "a refresh token": {"token_type": "refresh_token"},
    "an id token": {"token_use": "id"},
    "with a name that hides something": {"sub": "ali\u200bce"},
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_issuer_says_is_held_to_the_same_rules(issuer: FakeIssuer, name: str) -> None:
    issuer.tokens["opaque"] = said(issuer, **REFUSED[name])

    async def work(judge: OAuth) -> None:
        for _ in range(3):
            error = await refused(judge, "opaque")
            assert (error.error, error.unavailable) == ("invalid_token", 0)
        assert issuer.times(PATH) == 1

    with_judge(issuer, work)


def test_the_issuer_may_leave_out_its_name_and_the_end(issuer: FakeIssuer) -> None:
    issuer.tokens["opaque"] = said(issuer, iss=None, exp=None)

    async def work(judge: OAuth) -> None:
        assert (await judge.authenticate("opaque")).subject == f"{issuer.name}|alice|desk"

    with_judge(issuer, work)


def test_what_the_issuer_says_is_null_it_leaves_out(issuer: FakeIssuer) -> None:
    """Servers that write down what they know not, as null, are many; it opens nothing that leaving it out does not."""
    nothing = dict.fromkeys(("iss", "exp", "nbf", "iat", "jti", "azp", "scp", "nonce", "token_type", "cnf", "username"))
    issuer.tokens["opaque"] = {**said(issuer), **nothing}
    issuer.tokens["scopeless"] = {**said(issuer), "scope": None, "client_id": None}
    for name in ("aud", "sub", "active"):
        issuer.tokens[f"no {name}"] = {**said(issuer), name: None}

    async def work(judge: OAuth) -> None:
        assert (await judge.authenticate("opaque")).subject == f"{issuer.name}|alice|desk"
        assert (await judge.authenticate("scopeless")) == Principal("oauth", f"{issuer.name}|alice|", frozenset())
        assert "not for this server" in (await refused(judge, "no aud")).description
        assert "names nobody" in (await refused(judge, "no sub")).description
        assert (await refused(judge, "no active")).unavailable > 0

    with_judge(issuer, work)


def test_a_token_that_looks_signed_is_asked_about_as_well(issuer: FakeIssuer) -> None:
    token = issuer.token(RESOURCE)

    async def work(judge: OAuth) -> None:
        assert "not, or no more, valid" in (await refused(judge, token)).description
        assert issuer.times(PATH) == 1

    with_judge(issuer, work)


BROKEN: dict[str, Answer] = {
    "an error": Answer(b'{"error": "server_error"}', 500),
    "our secret is wrong": Answer(b'{"error": "invalid_client"}', 401),
    "too many questions": Answer(b"", 429),
    "a redirect": Answer(b"", 307, {"location": "/elsewhere"}),
    "no JSON": Answer(b"<html>"),
    "a list": Answer(b"[]"),
    "active as a text": Answer(b'{"active": "true"}'),
    "active as a number": Answer(b'{"active": 1}'),
    "nothing about active": Answer(b'{"sub": "alice"}'),
    "active twice": Answer(b'{"active": false, "active": true}'),
    "too much": Answer(json.dumps({"active": True, "x": "x" * 600_000}).encode()),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_answer_that_is_none_lets_nobody_in_and_is_not_held_against_the_token(issuer: FakeIssuer, name: str) -> None:
    issuer.answers[PATH], usual = BROKEN[name], issuer.answers[PATH]

    async def work(judge: OAuth) -> None:
        error = await refused(judge, "opaque")
        assert error.unavailable > 0
        assert len(judge.ready()) == 1
        issuer.answers[PATH] = usual
        await ready(judge)
        await judge.authenticate("opaque")
        assert issuer.times("/elsewhere") == 0

    with_judge(issuer, work)


def test_a_token_that_the_issuer_stumbles_over_stands_in_nobody_elses_way(issuer: FakeIssuer) -> None:
    """Who has no token could else shut out all who do, once a second."""
    usual = issuer.introspect
    answers = {"stumble": Answer(b"", 500), "weird": Answer(b'{"error": "unsupported_token_type"}', 400), "odd": Answer(b"[]")}  # fmt: skip
    issuer.answers[PATH] = lambda asked: answers.get(asked.form["token"][0]) or usual(asked)

    async def work(judge: OAuth) -> None:
        await ready(judge)
        metadata = len(issuer.asked)
        assert (await refused(judge, "stumble")).unavailable > 0
        assert (await refused(judge, "odd")).unavailable > 0
        assert (await refused(judge, "weird")).unavailable == 0
        assert (await refused(judge, "weird")).unavailable == 0
        await judge.authenticate("opaque")
        assert judge.ready() == []
        assert len(issuer.asked) == metadata + 4

    with_judge(issuer, work, oauth_introspection_url="discover")


def test_an_issuer_that_stumbles_over_every_token_is_found_out(issuer: FakeIssuer) -> None:
    async def work(judge: OAuth) -> None:
        await ready(judge)
        issuer.answers[PATH] = Answer(b"", 500)
        await refused(judge, "opaque")
        with anyio.fail_after(20):
            while not judge.ready():  # noqa: ASYNC110 - as a balancer does
                await anyio.sleep(0.05)

    with_judge(issuer, work)


async def ready(judge: OAuth) -> None:
    """Ask, as a balancer does, until it is ready."""
    with anyio.fail_after(20):
        while judge.ready():  # noqa: ASYNC110 - as a balancer does
            await anyio.sleep(0.05)


def test_it_is_ready_once_the_issuer_has_answered_a_question(issuer: FakeIssuer) -> None:
    async def work(judge: OAuth) -> None:
        assert len(judge.ready()) == 1
        await ready(judge)
        # Probed once, with a token that never was.
        (asked,) = [asked for asked in issuer.asked if asked.path == PATH]
        assert len(asked.form["token"][0]) > 40

    with_judge(issuer, work)


def test_an_issuer_that_is_gone_is_not_asked_by_everybody(issuer: FakeIssuer) -> None:
    clock = time.time()
    asked: list[str] = []

    async def ask(token: str) -> dict[str, object]:
        asked.append(token)
        raise OSError("gone")

    async def run() -> None:
        judge = Introspection(ask, rules(issuer), now=lambda: clock)
        for count in range(200):
            assert (await refused(judge, f"token {count}")).unavailable > 0
        assert len(asked) == 1

    anyio.run(run)


def rules(issuer: FakeIssuer) -> Rules:
    return Rules(issuer.name, RESOURCE)


def test_many_who_bring_one_token_ask_one_question(issuer: FakeIssuer) -> None:
    async def work(judge: OAuth) -> None:
        issuer.free.clear()
        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(judge.authenticate, "opaque")
            await anyio.to_thread.run_sync(issuer.wait_for, PATH, 1)
            issuer.free.set()
        assert issuer.times(PATH) == 1

    with_judge(issuer, work)


def test_questions_are_bounded_in_number(issuer: FakeIssuer) -> None:
    running, most = 0, 0
    go = anyio.Event()

    async def ask(token: str) -> dict[str, object]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1
        return {"active": False, "token": token}

    async def run() -> None:
        judge = Introspection(ask, rules(issuer))
        async with anyio.create_task_group() as group:
            for count in range(MAX_PENDING):
                group.start_soon(refused, judge, f"token {count}", f"198.51.100.{count}")
            await anyio.wait_all_tasks_blocked()
            assert (await refused(judge, "one more", "203.0.113.1")).unavailable > 0
            go.set()
        assert most == STRANGERS_AT_ONCE

    anyio.run(run)


def test_the_memory_of_a_yes_is_a_minute_and_of_a_no_ten_seconds(issuer: FakeIssuer) -> None:
    clock = [time.time()]
    asked: list[str] = []

    async def ask(token: str) -> dict[str, object]:
        asked.append(token)
        return dict(issuer.tokens.get(token, {"active": False}))

    async def times(judge: Introspection, token: str, later: float) -> int:
        clock[0] += later
        asked.clear()
        with contextlib.suppress(Unauthenticated):
            await judge.authenticate(token)
        return len(asked)

    async def run() -> None:
        judge = Introspection(ask, rules(issuer), now=lambda: clock[0])
        assert [await times(judge, "opaque", later) for later in (0, 59, 2)] == [1, 0, 1]
        assert [await times(judge, "nonsense", later) for later in (0, 9, 2)] == [1, 0, 1]
        # Never beyond the token's own end.
        issuer.tokens["short"] = said(issuer, exp=int(clock[0]) + 5)
        assert [await times(judge, "short", later) for later in (0, 4, 2)] == [1, 0, 1]

    anyio.run(run)


def test_a_token_that_was_taken_back_is_told_from_one_whose_time_is_over(issuer: FakeIssuer) -> None:
    clock = [time.time()]

    async def ask(token: str) -> dict[str, object]:
        return dict(issuer.tokens.get(token, {"active": False}))

    async def run() -> None:
        judge = Introspection(ask, rules(issuer), now=lambda: clock[0])
        issuer.tokens |= {"short": said(issuer, exp=int(clock[0]) + 100), "long": said(issuer, exp=int(clock[0]) + 900)}
        for token in ("short", "long"):
            await judge.authenticate(token)
        issuer.tokens.clear()
        clock[0] += 200
        assert [(await refused(judge, token)).withdrawn for token in ("short", "long", "made up")] == [
            False,
            True,
            True,
        ]

    anyio.run(run)


def test_the_id_of_a_token_that_cannot_be_read_is_kept_nowhere(issuer: FakeIssuer) -> None:
    """Some issuers' opaque tokens are their own ids."""
    issuer.tokens["opaque"] = said(issuer, jti="opaque")
    names: list[str] = []

    async def revoked(name: str) -> bool:
        names.append(name)
        return False

    async def ask(token: str) -> dict[str, object]:
        return dict(issuer.tokens[token])

    async def run() -> None:
        found = await Introspection(ask, rules(issuer), revoked=revoked).authenticate("opaque")
        assert "opaque" not in repr(found)
        assert names == [f"oauth:{issuer.name}|alice", f"oauth:{issuer.name}|alice|desk"]

    anyio.run(run)


def test_made_up_tokens_do_not_push_out_the_good_ones(issuer: FakeIssuer) -> None:
    asked: list[str] = []

    async def ask(token: str) -> dict[str, object]:
        asked.append(token)
        return dict(issuer.tokens.get(token, {"active": False}))

    async def run() -> None:
        judge = Introspection(ask, rules(issuer))
        await judge.authenticate("opaque")
        for count in range(10_000):
            await refused(judge, f"made up {count}")
        asked.clear()
        await judge.authenticate("opaque")
        assert asked == []

    anyio.run(run)


def test_a_revoked_caller_is_refused_whatever_the_issuer_says(issuer: FakeIssuer) -> None:
    async def revoked(name: str) -> bool:
        return name == f"oauth:{issuer.name}|alice"

    async def ask(token: str) -> dict[str, object]:
        return dict(issuer.tokens[token])

    async def run() -> None:
        error = await refused(Introspection(ask, rules(issuer), revoked=revoked), "opaque")
        assert error.description == "the token was revoked"

    anyio.run(run)


def test_neither_the_secret_nor_the_token_is_in_what_goes_wrong(
    issuer: FakeIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")

    def echo(asked: Asked) -> Answer:
        return Answer(json.dumps({"form": asked.form, "secret": asked.headers["authorization"]}).encode(), 400)

    issuer.answers[PATH] = echo

    async def work(judge: OAuth) -> None:
        error = await refused(judge, "t0ken-of-alice")
        for text in (str(error), error.description, caplog.text):
            assert "t0ken-of-alice" not in text
            assert "sesame" not in text
            assert "ZGVzaz" not in text

    with_judge(issuer, work)
    assert "status 400" in caplog.text
