"""The stdio transport: hostile bytes, noise, signals, ends, and many calls at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.wire import MODERN, MODERN_META, Message, Revision, Server, StdioWire, connected, python_module


@pytest.fixture(scope="module")
def wire(revision: Revision) -> Generator[StdioWire]:
    """One server for the tests that must leave it serving."""
    with connected(python_module("tests.support.toy"), "stdio", revision) as made:
        assert isinstance(made, StdioWire)
        yield made


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{bad", -32700),
        (b"\xff\xfe", -32700),
        (b'{"jsonrpc":"2.0","id":-9,"id":-9,"method":"ping"}', -32700),
        (b'{"jsonrpc":"2.0","id":-9,"method":"ping","params":{"x":NaN}}', -32700),
        (b'{"jsonrpc":"2.0","id":-9,"method":"ping","params":{"x":1e999}}', -32700),
        (b'{"jsonrpc":"2.0","id":-9,"method":"ping","params":{"x":9007199254740993}}', -32700),
        (b'{"jsonrpc":"2.0","id":-9,"method":"ping","params":{"x":"\\ud800"}}', -32700),
        (b'{"jsonrpc":"2.0","id":-9,"method":"ping","params":' + b'{"a":' * 3000 + b"1" + b"}" * 3001, -32700),
        (b"[]", -32600),
        (b'[{"jsonrpc":"2.0","id":-9,"method":"ping"}]', -32600),
        (b'"hello"', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1.0,"method":"ping"}', -32600),
        (b'{"jsonrpc":"1.0","id":-9,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":-9,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":-9,"method":"ping","params":[1]}', -32600),
        (b'{"jsonrpc":"2.0","id":-9}', -32600),
    ],
)
def test_a_malformed_line_is_answered_and_the_next_one_served(wire: StdioWire, line: bytes, code: int) -> None:
    wire.server.write(line + b"\n")
    answer = json.loads(wire.server.line())
    assert answer["error"]["code"] == code
    assert "hello" not in json.dumps(answer)
    assert wire.text("echo_text", text="next") == "next"


def test_a_request_nested_too_deep_is_answered_under_its_id_on_either_side_of_it(wire: StdioWire) -> None:
    deep = '{"a":' * 3000 + "1" + "}" * 3000
    for line in (
        f'{{"jsonrpc":"2.0","id":"deep","method":"ping","params":{deep}}}',
        f'{{"method":"ping","params":{deep},"jsonrpc":"2.0","id":"deep"}}',
    ):
        wire.server.write(line.encode() + b"\n")
        assert wire.response("deep")["error"]["code"] == -32700


def test_an_ill_formed_answer_of_the_host_is_refused_under_no_id_of_its_own_requests(wire: StdioWire) -> None:
    wire.server.write(b'{"jsonrpc":"2.0","id":5,"error":{"code":"x","message":3}}\n')
    refused = json.loads(wire.server.line())
    assert (refused["id"], refused["error"]["code"]) == (None, -32600)


def test_a_byte_order_mark_before_the_first_message_is_left_out(revision: Revision) -> None:
    server = Server(python_module("tests.support.toy"))
    try:
        server.write(b"\xef\xbb\xbf")
        wire = StdioWire(server, revision)
        wire.open()
        assert wire.text("echo_text", text="marked") == "marked"
    finally:
        server.end()


def test_a_line_over_the_cap_is_refused_once_and_the_next_one_served(wire: StdioWire) -> None:
    wire.server.write(b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * (9 * 1024 * 1024) + b'"}\n')
    answer = json.loads(wire.server.line())
    assert answer["error"]["code"] == -32600
    assert "4194304 bytes" in answer["error"]["message"]
    assert wire.text("echo_text", text="next") == "next"


def test_blank_lines_and_carriage_returns_are_ignored(wire: StdioWire) -> None:
    wire.server.write(b"\n\r\n  \n")
    assert wire.text("echo_text", text="next") == "next"


def test_an_id_in_flight_is_refused_in_either_spelling(wire: StdioWire) -> None:
    wire.send_call(77, "block_thread", seconds=3.0)
    wire.send_call("77", "wait_long", seconds=5)
    second = wire.response("77")
    assert second["error"]["code"] == -32600
    assert "in flight" in second["error"]["message"]
    assert wire.response(77)["result"]["content"][0]["text"] == "held"


def test_what_the_server_and_its_children_print_never_reaches_the_host(wire: StdioWire) -> None:
    assert wire.text("print_noise") == "quiet"
    assert wire.text("read_stdin") == "''"
    assert wire.text("echo_text", text="clean") == "clean"
    wire.server.wait_for_stderr("noise from below")
    wire.server.wait_for_stderr("noise from a child")


def test_tools_that_hold_every_worker_thread_do_not_hold_the_transport(wire: StdioWire) -> None:
    for number in range(60):
        wire.send_call(1000 + number, "block_thread", seconds=1.5)
    # Answered before any of the sixty: with the transport on the same threads it would come after the first forty.
    wire.send_call("now", "echo_text", text="now")
    assert json.loads(wire.server.line())["id"] == "now"
    rest = [json.loads(wire.server.line()) for _ in range(60)]
    assert sorted(answer["id"] for answer in rest) == list(range(1000, 1060))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_with_its_teardown_run(
    tmp_path: Path, revision: Revision, number: signal.Signals
) -> None:
    trace = tmp_path / "trace"
    server = Server(python_module("tests.support.toy", "--trace", str(trace)))
    wire = StdioWire(server, revision)
    wire.open()
    note = tmp_path / "cancelled"
    wire.send_call(50, "wait_long", note=str(note))
    assert json.loads(server.line())["method"] == "notifications/progress"
    server.signal(number)
    assert server.wait() == 0
    assert trace.read_text(encoding="utf-8") == "begin\nend\n"
    assert note.exists()
    assert "Traceback" not in server.stderr()
    server.end()


def test_the_end_of_input_ends_the_server_after_what_was_asked_is_answered(tmp_path: Path, revision: Revision) -> None:
    trace = tmp_path / "trace"
    server = Server(python_module("tests.support.toy", "--trace", str(trace)))
    wire = StdioWire(server, revision)
    wire.open()
    for number in range(5):
        wire.send_call(f"last-{number}", "block_thread", seconds=0.1)
    server.close_stdin()
    answers = [json.loads(server.line()) for _ in range(5)]
    assert sorted(answer["id"] for answer in answers) == [f"last-{number}" for number in range(5)]
    assert all(answer["result"]["content"][0]["text"] == "held" for answer in answers)
    assert server.nothing_left()
    assert server.wait() == 0
    assert trace.read_text(encoding="utf-8") == "begin\nend\n"
    server.end()


def test_the_end_of_input_does_not_wait_for_a_call_without_end(tmp_path: Path, revision: Revision) -> None:
    server = Server(python_module("tests.support.toy"))
    wire = StdioWire(server, revision)
    wire.open()
    wire.send_call(5, "wait_long", seconds=600)
    server.close_stdin()
    assert server.wait(20) == 0
    assert "Traceback" not in server.stderr()
    server.end()


def test_a_cancelled_call_stops_and_is_not_answered(wire: StdioWire, tmp_path: Path) -> None:
    note = tmp_path / "cancelled"
    wire.send_call(60, "wait_long", note=str(note))
    assert json.loads(wire.server.line())["params"]["progress"] == 1
    assert json.loads(wire.server.line())["params"]["progress"] == 2
    wire.notify("notifications/cancelled", {"requestId": 60})
    assert wire.text("echo_text", text="after") == "after"
    assert note.exists()
    # The id is free again.
    wire.send_call(60, "echo_text", text="x")
    again = wire.response(60)
    assert again["result"]["content"][0]["text"] == "x"


def test_a_host_that_stops_listening_ends_the_server_quietly(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    server = subprocess.Popen(
        python_module("tests.support.toy", "--trace", str(trace)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    assert server.stderr is not None
    message: Message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": MODERN_META}}
    server.stdin.write(json.dumps(message).encode() + b"\n")
    server.stdin.flush()
    server.stdout.readline()
    server.stdout.close()
    for number in range(2, 5):
        try:
            server.stdin.write(json.dumps({**message, "id": number}).encode() + b"\n")
            server.stdin.flush()
        except BrokenPipeError:
            break
    assert server.wait(20) == 0
    errors = server.stderr.read().decode()
    server.stderr.close()
    server.stdin.close()
    assert "Traceback" not in errors
    assert trace.read_text(encoding="utf-8") == "begin\nend\n"


def test_input_from_a_file_is_served_too(tmp_path: Path) -> None:
    script = tmp_path / "script"
    messages: list[Message] = [
        {
            "jsonrpc": "2.0",
            "id": n,
            "method": "tools/call",
            "params": {"name": "echo_text", "arguments": {"text": str(n)}, "_meta": MODERN_META},
        }
        for n in range(3)
    ]
    script.write_text("\n".join(json.dumps(message) for message in messages), encoding="utf-8")
    with script.open("rb") as source:
        command = python_module("tests.support.toy")
        done = subprocess.run(command, stdin=source, capture_output=True, timeout=60, check=True)
    answers = sorted((json.loads(line) for line in done.stdout.splitlines()), key=lambda item: item["id"])
    assert [answer["result"]["content"][0]["text"] for answer in answers] == ["0", "1", "2"]


def test_a_big_answer_reaches_a_slow_reader_whole(wire: StdioWire) -> None:
    text = wire.text("echo_text", text="x" * 1000, times=5000)
    assert len(text) == 5_000_000


def test_a_process_of_one_thread_serves_stdio() -> None:
    if sys.platform != "linux":
        pytest.skip("counts threads in /proc")
    server = Server(python_module("tests.support.toy"))
    wire = StdioWire(server, MODERN)
    wire.text("echo_text", text="x")
    assert len(os.listdir(f"/proc/{server.process.pid}/task")) == 1
    server.end()
