"""Heads of requests that two readers could take for two things, or that a strict reader must take as they are meant."""

from __future__ import annotations

import gzip
import json
import logging
import re
import socket
from collections.abc import Generator

import httpx2
import pytest
from gatelodge_core.launch.web import SELDOM_SECONDS, Seldom

from tests.support.remote import Remote, remote

PAGE = "https://app.example"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Generator[Remote]:
    names = ("--allowed-hosts", "tools.example.com", "--allowed-origins", PAGE, "--metrics", "on")
    with remote(tmp_path_factory.mktemp("heads"), *names) as made:
        yield made


def status(place: Remote, **headers: str) -> int:
    """Of a call with some headers set."""
    call = place.call("echo_text", {"text": "hi"})
    given = {**call["headers"], **{name.replace("_", "-"): value for name, value in headers.items()}}
    with httpx2.Client() as client:
        return client.post(place.url, json=call["json"], headers=given).status_code


@pytest.mark.parametrize("host", ["Tools.Example.COM", "LOCALHOST:8000", "TOOLS.example.com:443"])
def test_a_host_means_the_same_in_capitals(place: Remote, host: str) -> None:
    assert status(place, host=host) == 200


def test_an_origin_means_the_same_in_capitals(place: Remote) -> None:
    assert status(place, origin="https://APP.example") == 200
    assert status(place, origin="http://LocalHost:5173") == 200


@pytest.mark.parametrize(
    "origin",
    ["http://localhost?", "http://user@localhost", "http://localhost/", "http://localhost#", "HTTPS://localhost"],
)
def test_what_is_no_origin_is_refused_everywhere(place: Remote, origin: str) -> None:
    assert status(place, origin=origin) == 403
    with httpx2.Client() as client:
        assert client.get(f"{place.base}/livez", headers={"origin": origin}).status_code == 403


@pytest.mark.parametrize("encoding", ["gzip", "identity, gzip", "br", "x"])
def test_a_body_that_is_called_packed_is_refused(place: Remote, encoding: str) -> None:
    call = place.call("echo_text", {"text": "hi"})
    packed = gzip.compress(json.dumps(call["json"]).encode())
    with httpx2.Client() as client:
        for body in (packed, json.dumps(call["json"]).encode()):
            headers = {**call["headers"], "content-encoding": encoding}
            assert client.post(place.url, content=body, headers=headers).status_code == 415
    assert status(place, content_encoding="identity") == 200


def test_an_initialize_that_is_refused_leaves_no_session(place: Remote) -> None:
    bad: dict[str, object] = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}
    with httpx2.Client() as client:
        for _ in range(40):
            answer = client.post(place.url, json=bad, headers=place.headers())
            assert answer.status_code == 200
            assert "error" in answer.text
        shown = client.get(f"{place.base}/metrics", headers=place.headers()).text
    assert re.search(r'gatelodge_sessions\{transport="http"\} 0$', shown, re.MULTILINE)


def test_strangers_can_not_fill_the_log(place: Remote) -> None:
    before = len(place.server.stderr().splitlines())
    nonsense = (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /mcp HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    )
    for number in range(200):
        with socket.create_connection(("127.0.0.1", place.port), timeout=10) as connection:
            connection.sendall(nonsense[number % 2])
            assert connection.recv(1000)
    assert len(place.server.stderr().splitlines()) - before <= 10
    assert "uvicorn[standard]" not in place.server.stderr()


def test_a_warning_that_comes_often_is_logged_once_a_minute_with_its_number_and_an_error_always() -> None:
    now = 0.0
    seldom = Seldom(lambda: now)

    def logged(text: str, level: int = logging.WARNING) -> str:
        # Each text is that of a line of its own.
        record = logging.LogRecord("uvicorn.error", level, "file.py", len(text), text, None, None)
        return record.getMessage() if seldom.filter(record) else ""

    assert [logged("Invalid") for _ in range(4)] == ["Invalid", "", "", ""]
    assert logged("Another one") == "Another one"
    assert [logged("Invalid", logging.ERROR) for _ in range(2)] == ["Invalid"] * 2
    now = SELDOM_SECONDS
    assert logged("Invalid") == "Invalid (3 more like it since the last time)"
    now = 2 * SELDOM_SECONDS
    assert logged("Invalid") == "Invalid"
