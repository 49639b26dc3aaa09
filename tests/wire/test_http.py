"""The HTTP endpoint: who may knock, what a body may be, sessions, and how it ends."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import anyio
import httpx2
import pytest
from gatelodge_core.errors import SettingsError
from gatelodge_core.launch.exposure import split_address
from gatelodge_core.launch.front import Doors
from gatelodge_core.launch.http import HttpOptions, application

from tests.support import toy as toy_module
from tests.support.wire import INFO, MODERN, HttpWire, Message, Server, connected, python_module

CALL: Message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}


@pytest.fixture(scope="module")
def wire() -> Generator[HttpWire]:
    with connected(python_module("tests.support.toy"), "http", MODERN) as made:
        assert isinstance(made, HttpWire)
        yield made


def echo(wire: HttpWire) -> tuple[bytes, dict[str, str]]:
    message = {**CALL, "params": wire.params({"name": "echo_text", "arguments": {"text": "hi"}})}
    return json.dumps(message).encode(), wire.headers(message)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "127.0.0.1@evil.example", "localhost/x"]
)
def test_a_foreign_host_header_is_turned_away(wire: HttpWire, host: str) -> None:
    body, headers = echo(wire)
    for path in ("/mcp", "/livez", "/readyz", "/elsewhere"):
        wire_path, wire.path = wire.path, path
        try:
            assert wire.post(body, {**headers, "host": host})[0] == 421
        finally:
            wire.path = wire_path


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1.evil.example", "file://", ""]
)
def test_a_foreign_origin_is_turned_away(wire: HttpWire, origin: str) -> None:
    body, headers = echo(wire)
    assert wire.post(body, {**headers, "origin": origin})[0] == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]:9"])
def test_loopback_names_are_let_in_with_any_port(wire: HttpWire, host: str) -> None:
    body, headers = echo(wire)
    status, _, answer = wire.post(body, {**headers, "host": host, "origin": "http://localhost:5173"})
    assert (status, json.loads(answer)["result"]["content"][0]["text"]) == (200, "hi")


def test_two_host_headers_are_turned_away(wire: HttpWire) -> None:
    body, headers = echo(wire)
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    with socket.create_connection((wire.host, wire.port), timeout=10) as raw:
        raw.sendall(
            f"POST /mcp HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n{lines}content-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        assert raw.recv(100).split(b" ")[1] in (b"400", b"421")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{bad", -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}', -32700),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b"[" * 100 + b"]" * 100 + b"}", -32700),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600),
        (b"", -32700),
    ],
)
def test_a_malformed_body_is_refused_with_its_code(wire: HttpWire, body: bytes, code: int) -> None:
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    status, _, answer = wire.post(body, headers)
    assert (status, json.loads(answer)["error"]["code"]) == (400, code)


def test_a_body_nested_too_deep_is_answered_under_its_id(wire: HttpWire) -> None:
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    deep = "[" * 100 + "]" * 100
    status, _, answer = wire.post(f'{{"method":"ping","params":{deep},"jsonrpc":"2.0","id":"deep"}}'.encode(), headers)
    assert (status, json.loads(answer)["id"], json.loads(answer)["error"]["code"]) == (400, "deep", -32700)


def test_a_body_over_the_cap_is_refused(wire: HttpWire) -> None:
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    try:
        status = wire.post(b" " * (5 * 1024 * 1024), headers)[0]
    except (BrokenPipeError, ConnectionResetError):
        return  # refused before all of it was sent
    assert status == 413


def test_headers_that_disagree_with_the_body_are_refused(wire: HttpWire) -> None:
    body, headers = echo(wire)
    for name, value in (("mcp-name", "drop_item"), ("mcp-method", "tools/list")):
        status, _, answer = wire.post(body, {**headers, name: value})
        assert (status, json.loads(answer)["error"]["code"]) == (400, -32020)


@pytest.mark.parametrize("arguments", [(), ("--stateless",)])
def test_a_request_of_2026_that_does_not_say_so_in_its_head_is_refused(arguments: tuple[str, ...]) -> None:
    """Else a proxy that goes by the header, and we, would see two requests (specification, transports)."""
    with connected(python_module("tests.support.toy", *arguments), "http", MODERN) as opened:
        assert isinstance(opened, HttpWire)
        body, headers = echo(opened)
        said = headers.pop("mcp-protocol-version")
        for version in (None, "", "2025-03-26", "2025-11-25", "2099-01-01"):
            other = {**headers, **({} if version is None else {"mcp-protocol-version": version})}
            status, _, answer = opened.post(body, other)
            error = json.loads(answer)
            assert (status, error["error"]["code"], error["id"]) == (400, -32020, json.loads(body)["id"]), version
        assert opened.post(body, {**headers, "mcp-protocol-version": said})[0] == 200


def test_health_answers_without_detail(wire: HttpWire) -> None:
    for path, answer in (("/livez", {"status": "ok"}), ("/readyz", {"status": "ok"})):
        connection = http.client.HTTPConnection(wire.host, wire.port, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            assert (response.status, json.loads(response.read())) == (200, answer)


def test_other_paths_are_not_found(wire: HttpWire) -> None:
    connection = http.client.HTTPConnection(wire.host, wire.port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", "/admin")
        assert connection.getresponse().status == 404


def test_both_eras_are_served_on_one_endpoint(wire: HttpWire) -> None:
    legacy = HttpWire(f"http://{wire.host}:{wire.port}/mcp", "2025-06-18")
    opened = legacy.open()
    assert opened is not None
    assert opened["protocolVersion"] == "2025-06-18"
    assert legacy.session
    assert legacy.text("echo_text", text="old") == "old"
    assert wire.text("echo_text", text="new") == "new"


def initialize(url: str) -> tuple[int, str]:
    wire = HttpWire(url, "2025-11-25")
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": INFO}
    message: Message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    status, headers, _ = wire.post(json.dumps(message).encode(), wire.headers(message))
    return status, headers.get("mcp-session-id", "")


def test_legacy_sessions_are_bounded_and_modern_calls_go_on() -> None:
    with connected(python_module("tests.support.toy", "--max-sessions", "3"), "http", MODERN) as wire:
        assert isinstance(wire, HttpWire)
        url = f"http://{wire.host}:{wire.port}/mcp"
        statuses = [initialize(url)[0] for _ in range(5)]
        assert statuses == [200, 200, 200, 503, 503]
        assert wire.text("echo_text", text="still") == "still"


def test_stateless_keeps_no_sessions() -> None:
    with connected(python_module("tests.support.toy", "--stateless"), "http", "2025-11-25") as wire:
        assert isinstance(wire, HttpWire)
        assert wire.session == ""
        assert wire.text("echo_text", text="no session") == "no session"


def start(*arguments: str) -> tuple[Server, HttpWire]:
    server = Server(python_module("tests.support.toy", "--http", "127.0.0.1:0", *arguments))
    url = server.wait_for_stderr(r"listening on (http://\S+)").group(1)
    return server, HttpWire(url, MODERN)


def test_a_signal_lets_calls_in_flight_end_and_runs_the_teardown(tmp_path: Path) -> None:
    trace, note = tmp_path / "trace", tmp_path / "cancelled"
    server, wire = start("--trace", str(trace))
    message = {
        **CALL,
        "params": wire.params(
            {"name": "wait_long", "arguments": {"seconds": 1.0, "note": str(note)}, "_meta": {"progressToken": "p"}}
        ),
    }
    connection = http.client.HTTPConnection(wire.host, wire.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("POST", wire.path, json.dumps(message).encode(), wire.headers(message))
        response = connection.getresponse()
        first = response.readline()  # the call runs
        assert first.strip()
        server.signal(signal.SIGTERM)
        rest = response.read()
    assert b'"waited"' in rest
    assert server.wait() == 0
    assert not note.exists()
    assert trace.read_text(encoding="utf-8") == "begin\nend\n"
    server.end()


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    server, wire = start()
    message = {
        **CALL,
        "params": wire.params({"name": "wait_long", "arguments": {"seconds": 600}, "_meta": {"progressToken": "p"}}),
    }
    connection = http.client.HTTPConnection(wire.host, wire.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("POST", wire.path, json.dumps(message).encode(), wire.headers(message))
        assert connection.getresponse().readline().strip()
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGINT)
        # The two may arrive as one; a third makes sure.
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(2)
        if server.process.poll() is None:
            server.signal(signal.SIGTERM)
        assert server.wait(10) == 0
    server.end()


def test_a_client_that_leaves_cancels_its_call(tmp_path: Path) -> None:
    note = tmp_path / "cancelled"
    with connected(python_module("tests.support.toy"), "http", MODERN) as wire:
        assert isinstance(wire, HttpWire)
        message = {
            **CALL,
            "params": wire.params(
                {"name": "wait_long", "arguments": {"note": str(note)}, "_meta": {"progressToken": "p"}}
            ),
        }
        connection = http.client.HTTPConnection(wire.host, wire.port, timeout=30)
        connection.request("POST", wire.path, json.dumps(message).encode(), wire.headers(message))
        connection.getresponse().readline()
        assert connection.sock is not None
        connection.sock.shutdown(socket.SHUT_RDWR)
        connection.close()
        # Calls are served in turn by one loop: a few of them give the cancellation its time.
        for _ in range(200):
            wire.text("echo_text", text="x")
            if note.exists():
                break
        assert note.exists()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"])
def test_listening_off_loopback_is_refused_until_callers_are_authenticated(address: str) -> None:
    done = subprocess.run(
        python_module("tests.support.toy", "--http", address), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "loopback" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000", "example.org:80"])
def test_an_address_that_is_none_is_refused_with_an_example(address: str) -> None:
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1"):
        split_address(address)


def test_a_port_in_use_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            python_module("tests.support.toy", "--http", f"127.0.0.1:{port}"),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert "can't listen there" in done.stderr


def test_host_and_origin_are_checked_even_when_bound_to_every_address() -> None:
    async def probe() -> list[int]:
        lodge = toy_module.build(toy_module.ToySettings())
        front = application(lodge.lowlevel, HttpOptions("0.0.0.0:0"), "0.0.0.0", list)
        transport = httpx2.ASGITransport(app=front)
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return [
                (await client.get("/livez", headers=headers)).status_code
                for headers in ({}, {"host": "evil.example"}, {"host": "0.0.0.0"}, {"origin": "http://evil.example"})
            ]

    assert anyio.run(probe) == [200, 421, 421, 403]


def test_readiness_turns_when_shutdown_begins() -> None:
    async def probe() -> list[int]:
        lodge = toy_module.build(toy_module.ToySettings())
        reasons: list[str] = []
        front = application(lodge.lowlevel, HttpOptions("127.0.0.1:0"), "127.0.0.1", lambda: reasons)
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=front), base_url="http://127.0.0.1") as client:
            seen = [(await client.get("/readyz")).status_code]
            reasons.append("the journal can't be written")
            seen.append((await client.get("/readyz")).status_code)
            reasons.clear()
            front.draining = True
            seen.append((await client.get("/readyz")).status_code)
            seen.append((await client.get("/livez")).status_code)
            return seen

    assert anyio.run(probe) == [200, 503, 503, 200]


@pytest.mark.parametrize(
    ("header", "admitted"),
    [
        ("good.example", True),
        ("good.example:8443", True),
        ("GOOD.example", True),
        ("good.example.", False),
        ("xgood.example", False),
        ("good.example#", False),
        ("[good.example", False),
    ],
)
def test_the_list_of_hosts_is_matched_whole(header: str, admitted: bool) -> None:
    assert Doors(frozenset({"good.example"})).admits_host(header.lower()) is admitted


def test_only_loopback_listens(wire: HttpWire) -> None:
    if sys.platform != "linux":
        pytest.skip("reads /proc/net")
    import psutil

    addresses = [item.laddr for item in psutil.net_connections("tcp") if item.status == "LISTEN"]
    assert {address[0] for address in addresses if address and address[1] == wire.port} == {"127.0.0.1"}
