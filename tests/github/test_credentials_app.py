"""An App's tokens: signed by its key, made one at a time, replaced in time, and never hammered for."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from gatelodge_core.errors import CallError
from gatelodge_github.credentials import AppCredential

from tests.github.credential_support import key, public, token
from tests.github.emulator import APP_ID, INSTALLATION_ID, Emulator

START = 1_800_000_000.0
HOUR = 3600.0
EARLY, LATEST, BACK_OFF = 60.0, 20.0, 5.0
"""Seconds, as they are promised; not taken from the code."""
PATIENCE = 20.0


class GitHub:
    """Makes tokens of one hour by a clock that the test sets; may be slow, and may fail."""

    def __init__(self) -> None:
        self.now = START
        self.calls: list[tuple[str, int, float]] = []
        self.life = HOUR
        self.fault: Exception | None = None
        self.slow = False
        self.entered = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.credential = AppCredential("12345", 100, key(), self.exchange, clock=lambda: self.now)

    def exchange(self, statement: str, installation: int, seconds: float) -> dict[str, Any]:
        self.calls.append((statement, installation, seconds))
        number = len(self.calls)
        self.entered.release()
        if self.slow:
            assert self.go.acquire(timeout=PATIENCE)
        if self.fault is not None:
            raise self.fault
        return {
            "token": token("ghs", chr(ord("a") + number)),
            "expires_at": self.at(self.life),
            "permissions": {"contents": "read"},
        }

    def at(self, seconds: float) -> str:
        return datetime.fromtimestamp(self.now + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def ask(self) -> str:
        return self.credential.token(PATIENCE)

    def code(self) -> str:
        with pytest.raises(CallError) as caught:
            self.ask()
        return caught.value.code


@pytest.fixture
def github() -> GitHub:
    return GitHub()


def until(condition: Callable[[], bool]) -> None:
    """Wait, with a bound, for something that a thread does."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit
        threading.Event().wait(0.005)


def idle() -> bool:
    """Whether no token is being made."""
    return not any(thread.name == "github-app-token" for thread in threading.enumerate())


def nth(number: int) -> str:
    return token("ghs", chr(ord("a") + number))


def test_the_statement_is_signed_by_the_key_for_the_app_and_lives_less_than_ten_minutes(github: GitHub) -> None:
    assert github.ask() == nth(1)
    statement, installation, seconds = github.calls[0]
    claims = jwt.decode(
        statement, public(key()), algorithms=["RS256"], options={"verify_exp": False, "verify_iat": False}
    )
    assert claims == {"iss": "12345", "iat": int(START) - 30, "exp": int(START) + 540}
    assert jwt.get_unverified_header(statement)["alg"] == "RS256"
    assert installation == 100
    assert 0 < seconds <= 30


def test_the_emulator_takes_the_statement_and_its_token_opens_what_the_app_may_read(
    github: GitHub, emulator: Emulator
) -> None:
    def post(statement: str, installation: int, seconds: float) -> Mapping[str, Any]:
        path = f"/app/installations/{installation}/access_tokens"
        return call("POST", path, statement, seconds)

    def call(method: str, path: str, bearer: str, seconds: float = 10) -> Any:
        request = urllib.request.Request(emulator.url + path, method=method)
        request.add_header("Authorization", f"Bearer {bearer}")
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return json.load(answer)

    credential = AppCredential(str(APP_ID), INSTALLATION_ID, emulator.app_key)
    with pytest.raises(CallError, match="isn't connected"):
        credential.token(PATIENCE)
    credential.bind(post)
    assert call("GET", "/repos/acme/widget", credential.token(PATIENCE))["full_name"] == "acme/widget"
    assert credential.permissions["contents"] == "write"


def test_a_token_is_kept_until_a_minute_before_its_end(github: GitHub) -> None:
    assert github.credential.permissions == {}
    assert [github.ask() for _ in range(3)] == [nth(1)] * 3
    github.now += HOUR - EARLY - 1
    assert github.ask() == nth(1)
    assert len(github.calls) == 1
    assert github.credential.permissions == {"contents": "read"}


def test_thirty_two_callers_wait_for_one_exchange(github: GitHub) -> None:
    github.slow = True
    with ThreadPoolExecutor(32) as threads:
        asked = [threads.submit(github.ask) for _ in range(32)]
        assert github.entered.acquire(timeout=PATIENCE)
        github.go.release(32)
        assert {future.result(PATIENCE) for future in asked} == {nth(1)}
    assert len(github.calls) == 1


def test_the_old_token_is_used_while_a_new_one_is_made(github: GitHub) -> None:
    github.ask()
    github.slow = True
    github.now += HOUR - EARLY + 1
    with ThreadPoolExecutor(8) as threads:
        assert {future.result(PATIENCE) for future in [threads.submit(github.ask) for _ in range(32)]} == {nth(1)}
    assert github.entered.acquire(timeout=PATIENCE)
    github.go.release()
    until(lambda: github.ask() == nth(2))
    assert len(github.calls) == 2


def test_a_token_in_its_last_twenty_seconds_is_not_used_any_more(github: GitHub) -> None:
    github.ask()
    github.slow = True
    github.now += HOUR - LATEST
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(github.ask) for _ in range(8)]
        github.go.release(8)
        assert {future.result(PATIENCE) for future in asked} == {nth(2)}
    assert len(github.calls) == 2


def test_under_load_no_token_is_handed_out_that_has_less_than_twenty_seconds(github: GitHub) -> None:
    """Sixteen threads ask without pause while an hour and a half pass, ten seconds at a time."""
    ends: dict[str, float] = {}

    def noted(statement: str, installation: int, seconds: float) -> Mapping[str, Any]:
        now = github.now
        answer = github.exchange(statement, installation, seconds)
        ends[answer["token"]] = now + HOUR
        return answer

    github.credential.bind(noted)
    stop, late, seen = threading.Event(), list[str](), set[str]()

    def work() -> None:
        while not stop.is_set():
            before = github.now
            found = github.ask()
            seen.add(found)
            # The clock may be set on while the token is on its way; it was good when it was asked for.
            if ends[found] - before <= LATEST:
                late.append(found)

    with ThreadPoolExecutor(16) as threads:
        asked = [threads.submit(work) for _ in range(16)]
        for _ in range(540):
            github.now += 10
            github.ask()
        stop.set()
        for future in asked:
            future.result(PATIENCE)
    assert late == []
    assert len(seen) == len(github.calls) == 2


def test_who_has_little_time_gets_an_error_and_spoils_nothing_for_the_others(github: GitHub) -> None:
    github.slow = True
    with pytest.raises(CallError) as caught:
        github.credential.token(0.01)
    assert caught.value.code == "timeout"
    with ThreadPoolExecutor(1) as threads:
        patient: Future[str] = threads.submit(github.ask)
        with pytest.raises(CallError):
            github.credential.token(-1)
        github.go.release()
        assert patient.result(PATIENCE) == nth(1)
    assert len(github.calls) == 1
    assert github.calls[0][2] >= 10


def test_a_failure_is_told_to_all_who_wait_and_not_tried_again_at_once(github: GitHub) -> None:
    github.slow, github.fault = True, CallError("not_found", "GitHub knows no such installation.", "Check the number.")
    with ThreadPoolExecutor(16) as threads:
        asked = [threads.submit(github.ask) for _ in range(16)]
        assert github.entered.acquire(timeout=PATIENCE)
        github.go.release(64)
        errors = [future.exception(PATIENCE) for future in asked]
    assert {str(error) for error in errors} == {"not_found: GitHub knows no such installation. Check the number."}
    assert len({id(error) for error in errors}) == 16
    github.now += BACK_OFF - 0.1
    assert github.code() == "not_found"
    assert len(github.calls) == 1
    github.now += 0.2
    github.fault = None
    assert github.ask() == nth(2)


def test_a_failure_while_the_old_token_is_good_is_nobodys_trouble(github: GitHub) -> None:
    github.ask()
    github.fault = CallError("unreachable", "x")
    github.now += HOUR - EARLY + 1
    assert github.ask() == nth(1)
    until(idle)
    assert [github.ask() for _ in range(5)] == [nth(1)] * 5
    assert len(github.calls) == 2
    github.now += EARLY - LATEST
    assert github.code() == "unreachable"
    assert len(github.calls) == 3


def test_a_clock_that_is_set_back_does_not_stretch_the_pause(github: GitHub) -> None:
    github.fault = CallError("unreachable", "x")
    assert github.code() == "unreachable"
    github.now -= 86_400
    github.fault = None
    assert github.ask() == nth(2)


def test_a_refused_token_is_replaced_at_once(github: GitHub) -> None:
    first = github.ask()
    github.credential.refused("another")
    assert github.ask() == first
    github.credential.refused(first)
    assert github.ask() == nth(2)
    # Others hear of the old one's refusal late.
    github.credential.refused(first)
    assert github.ask() == nth(2)
    assert len(github.calls) == 2


def test_an_app_whose_tokens_are_all_refused_does_not_make_more_and_more(github: GitHub) -> None:
    github.credential.refused(github.ask())
    github.credential.refused(github.ask())
    for _ in range(10):
        assert github.code() == "token_refused"
    assert len(github.calls) == 2
    github.now += BACK_OFF
    assert github.ask() == nth(3)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"token": "", "expires_at": "2999-01-01T00:00:00Z"},
        {"token": "two words", "expires_at": "2999-01-01T00:00:00Z"},
        {"token": ["x"], "expires_at": "2999-01-01T00:00:00Z"},
        {"token": "ghs_x"},
        {"token": "ghs_x", "expires_at": "soon"},
        {"token": "ghs_x", "expires_at": 32503680000},
        {"token": "ghs_x", "expires_at": "2999-01-01T00:00:00"},
        {"token": "ghs_x", "expires_at": "2001-01-01T00:00:00Z"},
        {"token": "ghs_x", "expires_at": datetime.fromtimestamp(START + LATEST, UTC).isoformat()},
    ],
)
def test_an_answer_that_is_no_use_is_an_error_and_not_asked_for_again_at_once(
    github: GitHub, answer: dict[str, Any]
) -> None:
    asked: list[str] = []

    def odd(statement: str, *_: object) -> dict[str, Any]:
        asked.append(statement)
        return answer

    github.credential.bind(odd)
    assert [github.code(), github.code()] == ["app_token_failed"] * 2
    assert len(asked) == 1


def test_odd_permissions_are_left_out(github: GitHub) -> None:
    odd: dict[object, object] = {"issues": "write", "x": 1, 2: "y"}

    def exchange(*_: object) -> dict[str, Any]:
        return {"token": "ghs_x", "expires_at": github.at(HOUR), "permissions": odd}

    github.credential.bind(exchange)
    github.ask()
    assert github.credential.permissions == {"issues": "write"}
    github.credential.permissions["admin"] = "write"
    assert github.credential.permissions == {"issues": "write"}


def test_a_clock_that_is_slow_does_not_make_tokens_live_longer_than_an_hour(github: GitHub) -> None:
    github.life = 3 * HOUR
    github.ask()
    github.now += HOUR - LATEST
    assert github.ask() == nth(2)


def test_an_exchange_that_breaks_is_an_error_and_not_the_end(github: GitHub, caplog: pytest.LogCaptureFixture) -> None:
    github.fault = ZeroDivisionError("at the heart")
    assert github.code() == "app_token_failed"
    assert "ZeroDivisionError in exchange, line " in caplog.text
    assert "at the heart" not in caplog.text
    github.fault = None
    github.now += BACK_OFF
    assert github.ask() == nth(2)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_leaves_without_a_word_does_not_block_those_who_wait(github: GitHub) -> None:
    def leave(*_: object) -> dict[str, Any]:
        raise SystemExit

    github.credential.bind(leave)
    assert github.code() == "app_token_failed"
    # The warning that is ignored comes with the thread's end, which must not be another test's.
    until(idle)


def test_where_no_thread_can_be_started_the_next_call_may_try_again(
    github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr("gatelodge_github.credentials.app.Thread.start", full)
        with pytest.raises(RuntimeError):
            github.ask()
    assert github.ask() == nth(1)
