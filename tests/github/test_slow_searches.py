"""A search through a log ends, whatever is searched for and in whatever: in time, or as soon as nobody waits any more."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from gatelodge_core.errors import CallError
from gatelodge_github.logs import Grep, LogReader, Tail

from tests.github import faults
from tests.github.emulator import PUBLIC, Emulator
from tests.github.loopback import Answer
from tests.github.proxy import Proxy
from tests.github.support import server

SLOW = "[xy]*x[xy]{250}[zw]"
"""Knows a state for every 250 characters that it can have seen."""


def hostile(lines: int) -> bytes:
    """Lines in which it meets another state at almost every character."""
    chance = random.Random(5)
    return b"".join(bytes(chance.choices(b"xy", k=1900)) + b"\n" for _ in range(lines))


def test_an_expression_that_takes_too_long_is_given_up_and_says_what_to_do() -> None:
    reader = LogReader(Grep(SLOW, regex=True), seconds=0.2)
    with pytest.raises(CallError) as caught:
        reader.feed(hostile(2000))
    assert caught.value.code == "too_slow"
    assert "plain text" in caught.value.hint


def test_what_is_quick_is_not_given_up_and_finds_all() -> None:
    line = b"a quick line of a log, with nothing odd in it\n"
    reader = LogReader(Grep("q[u]ick .* odd", regex=True, limit=1), seconds=20)
    reader.feed(line * 20_000)
    assert reader.finish().matches == 20_000


def test_a_search_that_nobody_waits_for_ends_at_once() -> None:
    reader = LogReader(Grep(SLOW, regex=True), seconds=600)
    data = hostile(2000)
    ended: list[str] = []

    def search() -> None:
        try:
            reader.feed(data)
        except CallError as error:
            ended.append(error.code)

    thread = threading.Thread(target=search, daemon=True)
    thread.start()
    reader.stop()
    thread.join(30)
    assert ended == ["too_slow"]
    # What doesn't search isn't disturbed.
    tail = LogReader(Tail(1))
    tail.stop()
    tail.feed(b"a\nb\n")
    assert [line.text for line in tail.finish().lines] == ["b"]


@pytest.mark.anyio
async def test_no_thread_goes_on_searching_once_a_call_was_cancelled(
    github: Emulator, proxy: Proxy, elsewhere: Proxy, tmp_path: Path
) -> None:
    log = hostile(2000)
    asked = threading.Event()

    def serve(_: object) -> Answer:
        asked.set()
        return Answer(200, log)

    elsewhere.serve("GET", "/log", serve)
    proxy.fault("GET", r".*/actions/jobs/1/logs", faults.moved(f"{elsewhere.url}/log", 302))
    hosts = [elsewhere.url.removeprefix("http://")]
    limiter = anyio.to_thread.current_default_thread_limiter()
    async with server(tmp_path, proxy.url, github.tokens["alice"], repo=PUBLIC, download_hosts=hosts) as called:
        async with anyio.create_task_group() as group:

            async def call() -> None:
                await called.call("get_job_log", job_id=1, mode="grep", pattern=f"/{SLOW}/")

            group.start_soon(call)
            with anyio.fail_after(30):
                while not (asked.is_set() and limiter.borrowed_tokens):  # noqa: ASYNC110 - threads set no event
                    await anyio.sleep(0.01)
            group.cancel_scope.cancel()
        with anyio.fail_after(10):
            while limiter.borrowed_tokens:  # noqa: ASYNC110 - as above
                await anyio.sleep(0.01)
        # The server still answers.
        assert "visibility" in await called.text("get_repo")
