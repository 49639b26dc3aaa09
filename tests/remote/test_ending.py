"""How a server over HTTP ends: told by a signal, with calls in flight, watched by a balancer, or killed."""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from gatelodge_core.audit.verify import verify
from gatelodge_core.launch.http import HttpOptions, application

from tests.support import toy as toy_module
from tests.support.remote import Remote, remote

CALLS = 100


async def flood(place: Remote, seconds: float, send: Callable[[], None]) -> list[tuple[str, str]]:
    """Make many calls of one length at once, run `send` when they are in flight; how each ended, and its text."""
    ended: list[tuple[str, str]] = []
    begun = anyio.Event()
    running = 0

    async def call(client: httpx2.AsyncClient) -> None:
        nonlocal running
        given = place.call("wait_long", {"seconds": seconds})
        given["json"]["params"]["_meta"] = {**given["json"]["params"]["_meta"], "progressToken": "p"}
        text = ""
        try:
            async with client.stream("POST", place.url, **given) as answer:
                async for line in answer.aiter_lines():
                    if '"progress":1' in line:
                        running += 1
                        if running == CALLS:
                            begun.set()
                    text += line
            ended.append((str(answer.status_code), text))
        except httpx2.TransportError as error:
            ended.append((type(error).__name__, text))

    limits = httpx2.Limits(max_connections=CALLS)
    async with httpx2.AsyncClient(timeout=60, limits=limits) as client, anyio.create_task_group() as group:
        for _ in range(CALLS):
            group.start_soon(call, client)
        with anyio.fail_after(60):
            await begun.wait()
        send()
    return ended


def journal(place: Remote) -> list[dict[str, Any]]:
    """All records; the journal verifies."""
    folder = place.state / "journal"
    report = verify(str(folder))
    assert report.ok, report.defects
    files = sorted(path for path in folder.rglob("*.jsonl") if path.is_file())
    return [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]


def lines(place: Remote) -> list[dict[str, Any]]:
    """The records of a journal that is being written."""
    text = "".join(path.read_text(encoding="utf-8") for path in (place.state / "journal").rglob("*.jsonl"))
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def test_a_signal_lets_a_hundred_calls_end(tmp_path: Path) -> None:
    with remote(tmp_path, "--calls-at-once", "200") as place:
        ended = anyio.run(flood, place, 3.0, lambda: place.server.signal(signal.SIGTERM))
        assert place.server.wait(30) == 0
        assert [status for status, text in ended if "waited" in text] == ["200"] * CALLS
        records = journal(place)
    outcomes = [record for record in records if record.get("type") == "outcome"]
    assert len(outcomes) == CALLS
    assert {record["status"] for record in outcomes} == {"ok"}


def test_calls_that_outlast_the_drain_are_cut_and_journalled_as_such(tmp_path: Path) -> None:
    with remote(tmp_path, "--calls-at-once", "200", "--drain-seconds", "1") as place:
        ended = anyio.run(flood, place, 50.0, lambda: place.server.signal(signal.SIGTERM))
        assert place.server.wait(20) == 0
        assert len(ended) == CALLS
        assert not [text for _, text in ended if "waited" in text]
        records = journal(place)
    outcomes = [record for record in records if record.get("type") == "outcome"]
    assert len(outcomes) == CALLS
    assert {record["status"] for record in outcomes} == {"cancelled"}


@pytest.mark.parametrize("again", [False, True], ids=["at the end of the drain", "by a second signal"])
def test_a_call_that_is_cut_before_it_said_anything_is_told_so(tmp_path: Path, again: bool) -> None:
    seconds = "60" if again else "1"
    with remote(tmp_path, "--drain-seconds", seconds, "--log-level", "info") as place:

        async def cut() -> list[httpx2.Response]:
            got: list[httpx2.Response] = []

            async def call(client: httpx2.AsyncClient) -> None:
                got.append(await client.post(place.url, **place.call("wait_long", {"seconds": 50})))

            async with httpx2.AsyncClient(timeout=60) as client, anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(call, client)
                with anyio.fail_after(30):
                    while sum(record.get("type") == "intent" for record in lines(place)) < 3:  # noqa: ASYNC110 - only the server knows
                        await anyio.sleep(0.05)
                place.server.signal(signal.SIGTERM)
                if again:
                    await anyio.to_thread.run_sync(place.server.wait_for_stderr, "ending on SIGTERM")
                    place.server.signal(signal.SIGTERM)
            return got

        got = anyio.run(cut)
        assert place.server.wait(20) == 0
        assert [answer.status_code for answer in got] == [503] * 3
        for answer in got:
            assert "may have been done" in answer.json()["error"]
            # Nothing invites to repeat what may have been done.
            assert "retry-after" not in answer.headers
        assert "Exception in ASGI application" not in place.server.stderr()
        journal(place)


def test_streams_that_are_cut_fill_no_log(tmp_path: Path) -> None:
    with remote(tmp_path, "--calls-at-once", "200", "--drain-seconds", "1") as place:
        anyio.run(flood, place, 50.0, lambda: place.server.signal(signal.SIGTERM))
        assert place.server.wait(20) == 0
        assert "Traceback" not in place.server.stderr()
        assert len(place.server.stderr().splitlines()) < 20


def test_a_second_signal_does_not_wait_for_calls(tmp_path: Path) -> None:
    with remote(tmp_path, "--calls-at-once", "200", "--log-level", "info") as place:

        def twice() -> None:
            place.server.signal(signal.SIGTERM)
            place.server.wait_for_stderr("ending on SIGTERM")
            place.server.signal(signal.SIGINT)

        ended = anyio.run(flood, place, 50.0, twice)
        assert place.server.wait(15) == 0
        assert not [text for _, text in ended if "waited" in text]
        journal(place)


def test_a_killed_server_leaves_a_journal_that_verifies(tmp_path: Path) -> None:
    with remote(tmp_path, "--calls-at-once", "200") as place:
        anyio.run(flood, place, 50.0, place.server.process.kill)
        place.server.wait(15)
        records = journal(place)
    # Each call that ran had been recorded before it did.
    assert sum(record.get("type") == "intent" for record in records) == CALLS


def test_a_balancer_that_watches_is_told_before_connections_are_refused(tmp_path: Path) -> None:
    with remote(tmp_path, "--log-level", "info", "--legacy-sse") as place, httpx2.Client() as client:
        assert client.get(f"{place.base}/readyz").status_code == 200
        place.server.signal(signal.SIGTERM)
        place.server.wait_for_stderr("ending on SIGTERM")
        assert client.get(f"{place.base}/readyz").status_code == 503
        assert client.get(f"{place.base}/livez").status_code == 200
        for path in ("/mcp", "/sse"):
            # A stream that is opened anew would only hold up the end.
            assert client.get(f"{place.base}{path}", headers=place.headers()).status_code == 503
        # What was on its way meanwhile is served.
        assert client.post(place.url, **place.call("echo_text", {"text": "hi"})).status_code == 200
        assert place.server.wait(20) == 0


def test_no_new_call_is_taken_on_a_kept_connection_once_the_drain_has_begun(tmp_path: Path) -> None:
    with remote(tmp_path) as place:

        async def attack() -> list[int]:
            statuses: list[int] = []
            async with httpx2.AsyncClient(timeout=30) as client, anyio.create_task_group() as group:
                began, refused = anyio.Event(), anyio.Event()

                async def wait() -> None:
                    given = place.call("wait_long", {"seconds": 2})
                    given["json"]["params"]["_meta"] = {**given["json"]["params"]["_meta"], "progressToken": "p"}
                    async with client.stream("POST", place.url, **given) as answer:
                        async for _ in answer.aiter_lines():
                            began.set()
                        statuses.append(answer.status_code)
                    # It was cut off while this one still ran.
                    assert refused.is_set()

                group.start_soon(wait)
                await began.wait()
                # Opened before the end, kept, and used again after it has begun.
                await client.post(place.url, **place.call("echo_text", {"text": "hi"}))
                place.server.signal(signal.SIGTERM)
                with anyio.fail_after(20):
                    while await answered(client, place):
                        pass
                refused.set()
            return statuses

        assert anyio.run(attack) == [200]
        assert place.server.wait(20) == 0


async def answered(client: httpx2.AsyncClient, place: Remote) -> bool:
    """Whether a call still gets an answer."""
    try:
        return (await client.post(place.url, **place.call("echo_text", {"text": "hi"}))).status_code == 200
    except httpx2.TransportError:
        return False


def test_a_stream_that_waits_for_news_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with remote(tmp_path) as place, httpx2.Client(timeout=30) as client:
        params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
        message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
        opened = client.post(place.url, json=message, headers=place.headers())
        session = {**place.headers(), "mcp-session-id": opened.headers["mcp-session-id"]}
        client.post(place.url, json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=session)
        with client.stream("GET", place.url, headers=session) as stream:
            assert stream.status_code == 200
            began = time.monotonic()
            place.server.signal(signal.SIGTERM)
            assert list(stream.iter_lines()) == []
        assert place.server.wait(20) == 0
        # Far from the 25 seconds that calls get.
        assert time.monotonic() - began < 20


def test_why_a_server_is_not_ready_is_logged_once_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async def probe() -> list[str]:
        reasons: list[str] = []
        lodge = toy_module.build(toy_module.ToySettings())
        front = application(lodge.lowlevel, HttpOptions("127.0.0.1:0"), "127.0.0.1", lambda: reasons)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=front), base_url="http://127.0.0.1") as client:
            reasons.append("the journal at /var/secret can't be written")
            bodies = [(await client.get("/readyz")).text for _ in range(5)]
            reasons.clear()
            bodies.append((await client.get("/readyz")).text)
            return bodies

    bodies = anyio.run(probe)
    assert not [body for body in bodies if "secret" in body]
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["not ready: the journal at /var/secret can't be written", "ready again"]
