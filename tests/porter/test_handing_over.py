"""From the porter to the SDK: nothing is lost, nothing is said twice, and nobody is left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.wire import (
    INFO,
    MODERN,
    MODERN_META,
    PATIENCE,
    REVISIONS,
    Revision,
    Server,
    StdioWire,
    python_module,
)

if sys.platform == "win32":
    pytest.skip("there is no porter on Windows", allow_module_level=True)

FORM: dict[str, Any] = {"elicitation": {"form": {}}}


class Sleeper:
    """A server that loads until it is woken."""

    def __init__(self, base: Path, *arguments: str) -> None:
        self.base = base
        self.root = base / "root"
        self.root.mkdir(exist_ok=True)
        (self.root / "a.txt").write_text("alpha\n", encoding="utf-8")
        self.fifo = base / "wake"
        os.mkfifo(self.fifo)
        command = python_module("tests.porter.waking", str(self.root), "--state-dir", str(base / "state"), *arguments)
        self.command = command
        self.server = Server(command, {"WAKE": str(self.fifo)})

    def wake(self) -> None:
        """Let it finish loading."""
        # Opening waits for the server to get so far.
        with open(self.fifo, "wb"):
            pass

    def porter(self) -> psutil.Process:
        """The porter's process, which stands once something was answered."""
        (found,) = psutil.Process(self.server.process.pid).children()
        return found

    def intents(self) -> list[dict[str, Any]]:
        """What the journal says of calls that were begun."""
        files = sorted((self.base / "state/journal").glob("*.jsonl"))
        records = [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]
        return [record for record in records if record["type"] == "intent"]


@pytest.fixture
def sleeper(tmp_path: Path) -> Generator[Sleeper]:
    made = Sleeper(tmp_path)
    try:
        yield made
    finally:
        if made.server.process.poll() is None:
            made.server.process.kill()
        made.server.end()


def message(number: object, method: str, **params: Any) -> bytes:
    given = {**params, "_meta": MODERN_META}
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": given}).encode() + b"\n"


def call(number: object, path: str = "root/a.txt") -> bytes:
    return message(number, "tools/call", name="read_file", arguments={"path": path})


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_host_is_answered_while_the_server_loads_and_served_after_it(sleeper: Sleeper, revision: Revision) -> None:
    wire = StdioWire(sleeper.server, revision)
    opened = wire.open() or wire.request("server/discover")["result"]
    assert opened["instructions"].startswith("Read, search and edit files")
    for method in ("tools/list", "prompts/list", "resources/list", "resources/templates/list"):
        loading = wire.request(method)["result"]
        assert any(loading[key] for key in ("tools", "prompts", "resources", "resourceTemplates") if key in loading)
    wire.send_call("waits", "read_file", path="root/a.txt")
    listed = wire.request("tools/list")["result"]
    sleeper.wake()
    assert "alpha" in wire.response("waits")["result"]["content"][0]["text"]
    # The same from the server itself; whoever answers says nothing else.
    assert wire.request("tools/list")["result"] == listed
    assert not psutil.Process(sleeper.server.process.pid).children()
    sleeper.server.close_stdin()
    assert sleeper.server.wait() == 0
    assert sleeper.server.nothing_left()
    assert sleeper.server.stderr() == ""
    # As ever: a list is no call, and who calls is what the host said of itself in the first place.
    (intent,) = sleeper.intents()
    assert intent["name"] == "read_file"
    assert intent["protocol"] == revision
    assert intent["claims"] == INFO


def test_the_sdk_knows_the_host_that_it_never_saw(sleeper: Sleeper) -> None:
    wire = StdioWire(sleeper.server, "2025-06-18", FORM)
    wire.open()
    wire.send_call("gone", "delete_path", paths=["root/a.txt"], permanent=True)
    wire.request("ping")
    sleeper.wake()
    asked = json.loads(sleeper.server.line())
    while asked.get("method") != "elicitation/create":
        asked = json.loads(sleeper.server.line())
    schema = asked["params"]["requestedSchema"]["properties"]
    answer = {"action": "accept", "content": dict.fromkeys(schema, True)}
    sleeper.server.write(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": answer}).encode() + b"\n")
    assert not wire.response("gone")["result"].get("isError")
    assert not (sleeper.root / "a.txt").exists()


def test_a_call_that_is_cancelled_while_the_server_loads_is_never_begun(sleeper: Sleeper) -> None:
    server = sleeper.server
    server.write(call(1) + call(2))
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    server.write(json.dumps(cancel).encode() + b"\n" + message(3, "tools/list"))
    assert json.loads(server.line())["id"] == 3
    sleeper.wake()
    assert json.loads(server.line())["id"] == 2
    server.close_stdin()
    assert server.wait() == 0
    assert server.nothing_left()
    assert [intent["request"] for intent in sleeper.intents()] == [2]


def test_half_a_message_is_completed_after_the_hand_over(sleeper: Sleeper) -> None:
    whole = call(2)
    sleeper.server.write(message(1, "tools/list") + whole[:50])
    assert json.loads(sleeper.server.line())["id"] == 1
    sleeper.wake()
    sleeper.server.write(whole[50:])
    assert json.loads(sleeper.server.line())["id"] == 2


def test_the_rest_of_a_line_over_the_cap_is_dropped_by_whoever_reads_it(sleeper: Sleeper) -> None:
    server = sleeper.server
    server.write(b'{"jsonrpc":"2.0","id":1,"method":"' + b"x" * (5 * 1024 * 1024))
    refused = json.loads(server.line())
    assert (refused["id"], refused["error"]["code"]) == (None, -32600)
    sleeper.wake()
    server.write(b"y" * 100_000 + b'"}\n' + call(2))
    assert json.loads(server.line())["id"] == 2


def test_malformed_lines_are_answered_while_the_server_loads(sleeper: Sleeper) -> None:
    server = sleeper.server
    server.write(b'{bad\n[]\n\n{"jsonrpc":"2.0","id":1,"id":1,"method":"ping"}\n' + message(9, "server/discover"))
    answers = [json.loads(server.line()) for _ in range(4)]
    assert [answer.get("error", {}).get("code") for answer in answers] == [-32700, -32600, -32700, None]


def test_what_was_asked_before_the_end_of_input_is_answered_after_the_loading(sleeper: Sleeper) -> None:
    server = sleeper.server
    server.write(call(1) + message(2, "tools/list") + call(3).rstrip(b"\n"))
    assert json.loads(server.line())["id"] == 2
    server.close_stdin()
    sleeper.wake()
    assert sorted(json.loads(server.line())["id"] for _ in range(2)) == [1, 3]
    assert server.wait() == 0
    assert server.nothing_left()


def test_ids_in_flight_are_refused_across_the_hand_over(sleeper: Sleeper) -> None:
    server = sleeper.server
    server.write(call(1) + call("1") + message(2, "tools/list"))
    assert json.loads(server.line())["id"] == 2
    sleeper.wake()
    answers = {json.loads(line)["id"]: json.loads(line) for line in (server.line(), server.line())}
    assert "in flight" in answers["1"]["error"]["message"]
    assert "result" in answers[1]


def test_after_2026_a_handshake_is_refused_though_the_sdk_saw_nothing_yet(sleeper: Sleeper) -> None:
    server = sleeper.server
    server.write(message(1, "tools/list"))
    assert "result" in json.loads(server.line())
    sleeper.wake()
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "0"}}
    server.write(json.dumps({"jsonrpc": "2.0", "id": 2, "method": "initialize", "params": params}).encode() + b"\n")
    refused = json.loads(server.line())
    assert (refused["id"], refused["error"]["code"]) == (2, -32022)
    server.write(call(3))
    assert "result" in json.loads(server.line())


def test_a_host_that_reads_late_gets_every_answer_whole(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/a.txt").write_text("alpha\n", encoding="utf-8")
    os.mkfifo(tmp_path / "wake")
    command = python_module("tests.porter.waking", str(tmp_path / "root"), "--state-dir", str(tmp_path / "state"))
    host = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "WAKE": str(tmp_path / "wake")}
    )
    assert host.stdin is not None
    assert host.stdout is not None
    with host:
        # More than any pipe holds, and more than the porter keeps.
        host.stdin.write(b"".join(message(number, "tools/list") for number in range(100)) + call("last"))
        host.stdin.flush()
        with open(tmp_path / "wake", "wb"):
            pass
        host.stdin.close()
        answers = [json.loads(line) for line in host.stdout]
    assert [answer["id"] for answer in answers] == [*range(100), "last"]
    assert all(answer["result"] for answer in answers)
    assert host.returncode == 0


def test_a_host_on_a_socket_is_served_as_one_on_pipes(tmp_path: Path) -> None:
    """Node's child processes have sockets for their standard streams."""
    (tmp_path / "root").mkdir()
    ours, theirs = socket.socketpair()
    command = python_module("gatelodge_filesystem", str(tmp_path / "root"), "--state-dir", str(tmp_path / "state"))
    with ours, subprocess.Popen(command, stdin=theirs.fileno(), stdout=theirs.fileno()) as host:
        theirs.close()
        ours.settimeout(PATIENCE)
        # More answers than a socket holds, before one is read.
        asked = [message(number, "tools/list") for number in range(30)]
        ours.sendall(b"".join(asked) + message("last", "tools/call", name="list_roots", arguments={}))
        with ours.makefile("rb") as answers:
            found = [json.loads(answers.readline()) for _ in range(31)]
            assert sorted(str(answer["id"]) for answer in found) == sorted([*map(str, range(30)), "last"])
            assert all("result" in answer for answer in found)
            ours.shutdown(socket.SHUT_WR)
            assert answers.readline() == b""
    assert host.returncode == 0


def test_settings_that_cant_be_used_are_told_as_ever_and_what_was_answered_stays(tmp_path: Path) -> None:
    server = Server(
        python_module("gatelodge_filesystem", str(tmp_path / "missing"), "--state-dir", str(tmp_path / "state"))
    )
    server.write(message(1, "server/discover"))
    assert json.loads(server.line())["id"] == 1
    assert server.wait() == 2
    assert "missing: can't be a root" in server.stderr()
    assert server.nothing_left()
    server.end()


def test_what_the_porter_cant_read_is_told_by_the_settings_alone(tmp_path: Path) -> None:
    server = Server(python_module("gatelodge_filesystem", str(tmp_path), "--toolz", "x"))
    server.write(message(1, "server/discover"))
    assert server.nothing_left()
    assert server.wait() == 2
    assert "--toolz" in server.stderr()
    server.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_that_is_ended_while_it_loads_leaves_nobody_behind(sleeper: Sleeper, number: signal.Signals) -> None:
    sleeper.server.write(message(1, "tools/list"))
    sleeper.server.line()
    sleeper.server.signal(number)
    assert sleeper.server.wait() == -number
    # The porter holds the other end of this for as long as it lives.
    assert sleeper.server.nothing_left()


def test_a_server_whose_porter_was_killed_says_so_and_ends(sleeper: Sleeper) -> None:
    sleeper.server.write(message(1, "tools/list") + call(2))
    sleeper.server.line()
    sleeper.porter().kill()
    sleeper.wake()
    assert sleeper.server.wait() == 1
    assert "the host's first messages" in sleeper.server.stderr()


def test_an_interrupt_of_the_terminal_does_not_end_the_porter_alone(sleeper: Sleeper) -> None:
    sleeper.server.write(message(1, "tools/list"))
    sleeper.server.line()
    sleeper.porter().send_signal(signal.SIGINT)
    sleeper.server.write(message(2, "tools/list"))
    assert json.loads(sleeper.server.line())["id"] == 2


def test_a_host_that_left_while_the_server_loads_ends_it_quietly(sleeper: Sleeper) -> None:
    server = sleeper.server
    assert server.process.stdout is not None
    server.write(message(1, "tools/list"))
    server.line()
    server.close_stdin()
    sleeper.wake()
    assert server.wait() == 0
    assert server.stderr() == ""


def test_the_serving_process_has_one_thread_and_no_child_when_it_serves(sleeper: Sleeper) -> None:
    wire = StdioWire(sleeper.server, MODERN)
    wire.request("server/discover")
    process = psutil.Process(sleeper.server.process.pid)
    assert process.num_threads() == 1
    sleeper.wake()
    assert "alpha" in wire.text("read_file", path="root/a.txt")
    assert process.children() == []


def test_help_and_version_go_to_standard_output() -> None:
    for argument, text in (("--help", "usage: gatelodge-filesystem"), ("--version", "gatelodge-filesystem 0")):
        command = python_module("gatelodge_filesystem", argument)
        done = subprocess.run(command, stdin=subprocess.PIPE, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.startswith(text)
