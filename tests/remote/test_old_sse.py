"""The HTTP+SSE transport of 2024-11-05: with a real client of it, and with everything a client could try."""

from __future__ import annotations

import json
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from gatelodge_core.audit.verify import verify
from mcp.client.session import ClientSession
from mcp.client.sse import sse_client
from mcp_types import TextContent

from tests.support.remote import Remote, remote

MAX_SESSIONS = 8


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Generator[Remote]:
    arguments = ("--legacy-sse", "--max-sessions", str(MAX_SESSIONS))
    with remote(tmp_path_factory.mktemp("sse"), *arguments, callers=("alice", "bob", "carol")) as made:
        yield made


class Stream:
    """An open event stream, driven by hand."""

    def __init__(self, client: httpx2.Client, place: Remote, caller: str = "alice") -> None:
        self.place, self.caller, self.client = place, caller, client
        self._context = client.stream("GET", f"{place.base}/sse", headers=place.headers(caller), timeout=20)
        self.response = self._context.__enter__()
        self.lines = self.response.iter_lines() if self.response.status_code == 200 else iter(())
        self.path = self.data() if self.response.status_code == 200 else ""

    def data(self) -> str:
        return next(line for line in self.lines if line.startswith("data:")).removeprefix("data:").strip()

    def post(self, message: dict[str, Any] | bytes, caller: str = "", path: str = "") -> int:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        headers = self.place.headers(caller or self.caller)
        return self.client.post(f"{self.place.base}{path or self.path}", content=body, headers=headers).status_code

    def open(self) -> None:
        params = {"protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
        assert self.post({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}) == 202
        assert json.loads(self.data())["result"]["protocolVersion"] == "2024-11-05"
        assert self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}) == 202

    def call(self, name: str, request_id: int = 1, caller: str = "", **arguments: Any) -> int:
        params = {"name": name, "arguments": arguments}
        message = {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}
        return self.post(message, caller)

    def close(self) -> None:
        self._context.__exit__(None, None, None)


def test_a_real_old_client_lists_and_calls(place: Remote) -> None:
    async def dance() -> str:
        headers = {"authorization": f"Bearer {place.keys['alice']}"}
        async with (
            sse_client(f"{place.base}/sse", headers=headers) as (read, write),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = [tool.name for tool in (await session.list_tools()).tools]
            assert "echo_text" in tools
            result = await session.call_tool("echo_text", {"text": "old but well"})
            first = result.content[0]
            assert isinstance(first, TextContent)
            return first.text

    assert "old but well" in anyio.run(dance)


def test_nobody_gets_a_stream_without_a_key(place: Remote) -> None:
    with httpx2.Client() as client:
        for headers in ({}, {"authorization": "Bearer glk_nobody"}):
            assert client.get(f"{place.base}/sse", headers=headers).status_code == 401
            path = f"{place.base}/messages?session_id={'0' * 32}"
            assert client.post(path, json={}, headers=headers).status_code == 401
        assert client.get(f"{place.base}/sse", headers={**place.headers(), "host": "evil.example"}).status_code == 421
        assert (
            client.get(f"{place.base}/sse", headers={**place.headers(), "origin": "http://evil.example"}).status_code
            == 403
        )


def test_a_message_goes_into_the_stream_of_its_own_caller_alone(place: Remote) -> None:
    with httpx2.Client() as client:
        mine = Stream(client, place, "alice")
        mine.open()
        assert mine.call("echo_text", 7, caller="bob", text="from bob") == 404
        assert mine.call("echo_text", 8, text="from alice") == 202
        answer = json.loads(mine.data())
        assert answer["id"] == 8
        assert mine.post({"jsonrpc": "2.0", "id": 1, "method": "ping"}, path=f"/messages?session_id={'0' * 32}") == 404
        assert mine.post({"jsonrpc": "2.0", "id": 1, "method": "ping"}, path="/messages") == 400
        assert mine.post({"jsonrpc": "2.0", "id": 1, "method": "ping"}, path="/messages/../mcp") in (400, 404, 406)
        mine.close()


@pytest.mark.parametrize(
    "body",
    [b"{bad", b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}', b"[]", b'{"jsonrpc":"2.0","id":true,"method":"ping"}'],
)  # fmt: skip
def test_a_malformed_message_is_refused_and_the_stream_goes_on(place: Remote, body: bytes) -> None:
    with httpx2.Client() as client:
        mine = Stream(client, place, "carol")
        mine.open()
        assert mine.post(body) == 400
        assert mine.call("echo_text", text="still here") == 202
        assert "still here" in mine.data()
        mine.close()


def test_streams_are_bounded_for_each_caller_and_come_free_again(place: Remote) -> None:
    with httpx2.Client(limits=httpx2.Limits(max_connections=50)) as client:
        held = [Stream(client, place, "bob") for _ in range(4)]
        assert [item.response.status_code for item in held] == [200, 200, 503, 503]
        other = Stream(client, place, "alice")
        assert other.response.status_code == 200
        for item in (*held, other):
            item.close()
        # The server sees them leave in its own time.
        statuses: list[int] = []
        while 200 not in statuses and len(statuses) < 500:
            again = Stream(client, place, "bob")
            again.close()
            statuses.append(again.response.status_code)
        assert statuses[-1] == 200


def test_the_journal_has_the_caller_of_each_message(tmp_path: Path) -> None:
    with remote(tmp_path, "--legacy-sse") as place, httpx2.Client() as client:
        streams = [Stream(client, place, name) for name in ("alice", "bob")]
        for stream in streams:
            stream.open()
            assert stream.call("echo_text", text="hi") == 202
            assert "hi" in stream.data()
        for stream in streams:
            stream.close()
    journals = list((place.state / "journal").glob("*"))
    text = "".join(path.read_text(encoding="utf-8") for path in journals if path.is_file())
    for name in ("alice", "bob"):
        assert f'"subject":"{name}"' in text
    assert verify(str(place.state / "journal")).ok


def test_a_client_can_neither_fill_the_log_nor_write_lines_of_its_own_into_it(place: Remote) -> None:
    before = len(place.server.stderr().splitlines())
    with httpx2.Client() as client:
        for number in range(30):
            address = f"{place.base}/messages?session_id={number}%0a2026-01-01%20WARNING%20forged%0dforged"
            answer = client.post(address, json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers=place.headers())
            assert answer.status_code == 400
    lines = place.server.stderr().splitlines()
    assert 1 <= len(lines) - before <= 4
    assert any("forged" in line for line in lines)
    assert not any(line.startswith(("2026-01-01", "forged")) for line in lines)


def test_the_old_endpoints_are_not_there_unless_they_are_asked_for(tmp_path: Path) -> None:
    with remote(tmp_path) as place, httpx2.Client() as client:
        assert client.get(f"{place.base}/sse", headers=place.headers()).status_code == 404
        assert (
            client.post(
                f"{place.base}/messages", json={"jsonrpc": "2.0", "method": "x"}, headers=place.headers()
            ).status_code
            == 404
        )


def test_a_signal_ends_idle_streams_at_once_and_others_after_their_answers(tmp_path: Path) -> None:
    with remote(tmp_path, "--legacy-sse") as place, httpx2.Client() as client:
        idle, waiting = Stream(client, place, "alice"), Stream(client, place, "bob")
        for stream in (idle, waiting):
            stream.open()
        assert waiting.call("wait_long", 5, seconds=1.5) == 202
        place.server.signal(signal.SIGTERM)
        # Both streams end as the protocol has it, not by a broken connection.
        assert [line for line in idle.lines if line.startswith("data:")] == []
        rest = [json.loads(line[5:]) for line in waiting.lines if line.startswith("data:")]
        assert [item["id"] for item in rest if "id" in item] == [5]
        assert place.server.wait(20) == 0


def test_an_id_in_flight_is_refused_and_the_first_request_goes_on(tmp_path: Path) -> None:
    with remote(tmp_path, "--legacy-sse") as place, httpx2.Client() as client:
        stream = Stream(client, place)
        stream.open()
        assert stream.call("wait_long", 5, seconds=1.5) == 202
        for again in (5, "5"):
            params = {"name": "echo_text", "arguments": {"text": "second"}}
            message = {"jsonrpc": "2.0", "id": again, "method": "tools/call", "params": params}
            assert stream.post(message) == 202
            refused = json.loads(stream.data())
            assert (refused["id"], refused["error"]["code"]) == (again, -32600)
            assert "still in flight" in refused["error"]["message"]
        place.server.signal(signal.SIGTERM)
        # The first one is waited for, and answered as if there had been no other.
        rest = [json.loads(line[5:]) for line in stream.lines if line.startswith("data:")]
        assert [(item["id"], "result" in item) for item in rest if "id" in item] == [(5, True)]
        assert place.server.wait(20) == 0


def test_a_cancelled_request_is_not_answered_and_its_id_is_free_again(place: Remote) -> None:
    with httpx2.Client() as client:
        stream = Stream(client, place, "carol")
        stream.open()
        assert stream.call("wait_long", 5, seconds=30) == 202
        cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}}
        assert stream.post(cancelled) == 202
        assert stream.call("echo_text", 5, text="anew") == 202
        answer = json.loads(stream.data())
        assert (answer["id"], "anew" in json.dumps(answer)) == (5, True)
        stream.close()


def test_a_stream_whose_request_was_cancelled_has_nothing_to_wait_for(tmp_path: Path) -> None:
    """Else a server that ends would hold it for as long as calls may go on."""
    with remote(tmp_path, "--legacy-sse", "--drain-seconds", "60") as place, httpx2.Client() as client:
        stream = Stream(client, place)
        stream.open()
        assert stream.call("wait_long", 5, seconds=30) == 202
        cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}}
        assert stream.post(cancelled) == 202
        # The cancellation has arrived.
        assert stream.call("echo_text", 6, text="x") == 202
        assert json.loads(stream.data())["id"] == 6
        place.server.signal(signal.SIGTERM)
        assert [line for line in stream.lines if line.startswith("data:")] == []
        assert place.server.wait(20) == 0


@pytest.mark.parametrize("request_id", [-1, 0, 2**53 - 1, "", "x" * 1024, "7\x00 \U0001f600", "__proto__"])
def test_an_odd_id_comes_back_as_it_was(place: Remote, request_id: int | str) -> None:
    with httpx2.Client() as client:
        stream = Stream(client, place, "carol")
        stream.open()
        assert stream.post({"jsonrpc": "2.0", "id": request_id, "method": "ping"}) == 202
        assert json.loads(stream.data()) == {"jsonrpc": "2.0", "id": request_id, "result": {}}
        stream.close()


@pytest.mark.parametrize("request_id", [2**53, "x" * 1025, 1.5, None, [], {}, False])
def test_an_id_that_is_none_is_refused_and_the_stream_goes_on(place: Remote, request_id: object) -> None:
    with httpx2.Client() as client:
        stream = Stream(client, place, "carol")
        stream.open()
        assert stream.post({"jsonrpc": "2.0", "id": request_id, "method": "ping"}) == 400
        assert stream.post({"jsonrpc": "2.0", "id": 1, "method": "ping"}) == 202
        assert json.loads(stream.data())["id"] == 1
        stream.close()


def test_over_a_limit_the_answer_comes_on_the_stream_as_all_others_do(tmp_path: Path) -> None:
    arguments = ("--legacy-sse", "--calls-per-second", "0.01", "--call-burst", "1")
    with remote(tmp_path, *arguments) as place, httpx2.Client() as client:
        stream = Stream(client, place)
        stream.open()
        for number in range(1, 6):
            assert stream.call("echo_text", number, text="x") == 202
            answer = json.loads(stream.data())
            assert answer["id"] == number
            assert ("error" in answer) is (number > 1)
        stream.close()
