"""Who is turned away at the door leaves a trace in the journal, bounded, without the credential, and verified like the rest."""

from __future__ import annotations

import http.client
import json
import signal
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from gatelodge_core.audit.verify import verify
from gatelodge_core.auth.turned import MOST, OTHERS, TurnedAway
from gatelodge_core.launch.proxies import Proxied
from starlette.types import Message, Receive, Scope, Send

from tests.support.remote import KeyWire, Remote, remote
from tests.support.wire import MODERN, PATIENCE, Server, python_module


def records(running: Remote) -> list[dict[str, Any]]:
    """What the journal has of the door."""
    lines = [line for path in (running.state / "journal").glob("*.jsonl") for line in path.read_text().splitlines()]
    return [record for record in map(json.loads, lines) if record.get("kind") == "door"]


def post(running: Remote, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=PATIENCE)
    try:
        connection.request("POST", "/mcp", b"{}", {"content-type": "application/json", **headers})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def test_the_first_of_a_kind_is_recorded_at_once_and_the_rest_as_a_number_at_the_end(tmp_path: Path) -> None:
    wrong = "glk_abcdefgh_" + "z" * 43
    with remote(tmp_path) as running:
        assert [post(running) for _ in range(5)] == [401] * 5
        assert [post(running, authorization=f"Bearer {wrong}") for _ in range(300)] == [401] * 300
        end = time.monotonic() + PATIENCE
        while len(records(running)) < 2:
            assert time.monotonic() < end
            time.sleep(0.05)
        state = running.state
    found = records(running)
    kinds = [(record["reason"], record["transport"], record.get("count", 1)) for record in found]
    assert sorted(kinds) == [
        ("turned_away (invalid_token)", "http 127.0.0.1", 1),
        ("turned_away (invalid_token)", "http 127.0.0.1", 299),
        ("turned_away (no_credential)", "http 127.0.0.1", 1),
        ("turned_away (no_credential)", "http 127.0.0.1", 4),
    ]
    assert all(record["decision"] == "deny" and record["principal"] == {} for record in found)
    text = "".join(path.read_text() for path in (state / "journal").glob("*.jsonl"))
    assert wrong not in text
    assert wrong[13:30] not in text
    assert verify(str(state / "journal")).ok


def test_a_foreign_host_or_origin_leaves_a_trace_with_and_without_a_door(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    command = python_module("gatelodge_filesystem", str(tmp_path / "notes"), "--http", "127.0.0.1:0")
    open_server = Server([*command, "--state-dir", str(tmp_path / "open" / "state")])
    try:
        base = open_server.wait_for_stderr(r"listening on (http://\S+)/mcp").group(1)
        with remote(tmp_path / "shut") as shut:
            for running in (shut, Remote(open_server, base, tmp_path / "open" / "state", {})):
                assert [post(running, origin="https://evil.example") for _ in range(3)] == [403] * 3
                assert [post(running, host="evil.example") for _ in range(2)] == [421] * 2
        open_server.signal(signal.SIGTERM)
        open_server.wait()
    finally:
        open_server.end()
    for state in (shut.state, tmp_path / "open" / "state"):
        found = records(Remote(open_server, base, state, {}))
        kinds = [(record["reason"], record["transport"], record.get("count", 1)) for record in found]
        assert sorted(kinds) == [
            ("turned_away (foreign_host)", "http 127.0.0.1", 1),
            ("turned_away (foreign_host)", "http 127.0.0.1", 1),
            ("turned_away (foreign_origin)", "http 127.0.0.1", 1),
            ("turned_away (foreign_origin)", "http 127.0.0.1", 2),
        ]
        # What others write into a request is not taken into the journal.
        assert "evil.example" not in json.dumps(found)
        assert verify(str(state / "journal")).ok


@pytest.mark.anyio
async def test_who_comes_past_the_proxy_is_told_of() -> None:
    told: list[tuple[str, str, int]] = []
    turned = TurnedAway(lambda reason, address, count, _: told.append((reason, address, count)))
    statuses: list[int] = []

    async def inside(_: Scope, __: Receive, ___: Send) -> None:
        raise AssertionError("it came in")

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> Message:
        return {"type": "http.request"}

    app = Proxied(inside, ["10.0.0.2"], direct=False, turned=turned)
    for address in ("203.0.113.7", "::ffff:203.0.113.7", "no address"):
        await app({"type": "http", "path": "/mcp", "client": (address, 1), "headers": []}, receive, send)
    turned.settle()
    assert statuses == [403] * 3
    assert told == [
        ("past_the_proxy", "203.0.113.7", 1),
        ("past_the_proxy", "", 1),
        ("past_the_proxy", "203.0.113.7", 1),
    ]


def test_a_call_tells_its_address(tmp_path: Path) -> None:
    with remote(tmp_path) as running:
        KeyWire(running.url, MODERN, running.keys["alice"]).text("echo_text", text="x")
        state = running.state
    lines = [json.loads(line) for path in (state / "journal").glob("*.jsonl") for line in path.read_text().splitlines()]
    (call,) = [record for record in lines if record["type"] == "intent"]
    assert call["transport"] == "http 127.0.0.1"


class Told:
    """What was written down."""

    def __init__(self) -> None:
        self.records: list[tuple[str, str, int]] = []
        self.second = anyio.Event()

    def __call__(self, reason: str, address: str, count: int, _: object) -> None:
        self.records.append((reason, address, count))
        if len(self.records) == 2:
            self.second.set()


@pytest.mark.anyio
async def test_a_flood_from_everywhere_is_a_bounded_number_of_records() -> None:
    told = Told()
    turned = TurnedAway(told)
    for number in range(10_000):
        turned.note("invalid_token" if number % 2 else "no_credential", f"2001:db8::{number:x}")
    assert len(told.records) == MOST
    turned.settle()
    assert sorted(told.records[MOST:]) == [("invalid_token", OTHERS, 4990), ("no_credential", OTHERS, 4990)]
    turned.note("invalid_token", "203.0.113.9")
    assert told.records[-1] == ("invalid_token", "203.0.113.9", 1)
    turned.settle()
    assert sum(count for _, _, count in told.records) == 10_001


@pytest.mark.anyio
async def test_the_numbers_are_written_when_the_minute_is_over() -> None:
    told = Told()
    turned = TurnedAway(told, seconds=0.05)
    for _ in range(3):
        turned.note("no_credential", "203.0.113.9")
    with anyio.fail_after(PATIENCE):
        await told.second.wait()
    assert told.records == [("no_credential", "203.0.113.9", 1), ("no_credential", "203.0.113.9", 2)]
