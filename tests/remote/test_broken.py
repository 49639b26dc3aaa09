"""Requests that break off, or break the rules of HTTP on the way: nothing of them is carried out, and they leave little in the log."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Generator

import httpx2
import pytest

from tests.support.remote import Remote, remote

LEGACY = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Generator[Remote]:
    with remote(tmp_path_factory.mktemp("broken")) as made:
        yield made


def head(
    place: Remote, length: str, *, known: bool = True, version: str = "1.1", session: str = "", key: str = ""
) -> bytes:
    """Of a call of `put_item`, with a header that says how long its body is; in a session of 2025 if one is given."""
    headers = {**place.call("put_item", {})["headers"], "host": "localhost"}
    if session:
        headers = {**place.headers(), "host": "localhost", "mcp-session-id": session}
    if not known:
        del headers["authorization"]
    elif key:
        headers["authorization"] = f"Bearer {key}"
    lines = [f"POST /mcp HTTP/{version}", *(f"{name}: {value}" for name, value in headers.items()), length]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def opened(place: Remote) -> str:
    """A session of 2025."""
    first: dict[str, object] = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": LEGACY}
    with httpx2.Client(timeout=20) as client:
        return client.post(place.url, json=first, headers=place.headers()).headers["mcp-session-id"]


def body(place: Remote, key: str) -> bytes:
    """That puts an item."""
    return json.dumps(place.call("put_item", {"key": key, "value": "x"})["json"]).encode()


def exchanged(place: Remote, *parts: bytes) -> bytes:
    """All that comes back, where the server ends the connection; each part but the first is sent after an answer."""
    found = b""
    with socket.create_connection(("127.0.0.1", place.port), timeout=20) as raw:
        for number, part in enumerate(parts):
            if number:
                found += raw.recv(65536)
            raw.sendall(part)
        while more := raw.recv(65536):
            found += more
    return found


def items(place: Remote) -> str:
    """What was put so far."""
    with httpx2.Client() as client:
        return client.post(place.url, **place.call("list_items", {"limit": 100})).text


CHUNKED = "transfer-encoding: chunked"


@pytest.mark.parametrize("era", ["2025", "2026"])
@pytest.mark.parametrize("how", ["a chunk without an end", "a chunk without a size", "cut", "cut in chunks"])
def test_a_call_whose_body_never_became_whole_is_not_made(place: Remote, how: str, era: str) -> None:
    key = f"key-{how.replace(' ', '-')}-{era}"
    session = opened(place) if era == "2025" else ""
    text = body(place, key)
    chunk = b"%x\r\n%b" % (len(text), text)
    length, sent = {
        "a chunk without an end": (CHUNKED, chunk + b"XX0\r\n\r\n"),
        "a chunk without a size": (CHUNKED, chunk + b"\r\nZZ\r\n"),
        "cut": (f"content-length: {len(text) + 1}", text),
        "cut in chunks": (CHUNKED, chunk + b"\r\n"),
    }[how]
    before = intents(place)
    with socket.create_connection(("127.0.0.1", place.port), timeout=20) as raw:
        raw.sendall(head(place, length, session=session) + sent)
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(65536):
            pass
    found = items(place)
    assert "alpha" in found
    assert key not in found
    # Nor was it begun: what was asked isn't known.
    assert intents(place) == before + 1


def intents(place: Remote) -> int:
    """How many calls were begun, by the journal."""
    files = [file.read_text() for file in place.state.rglob("*.jsonl")]
    return sum(text.count('"type":"intent"') for text in files)


@pytest.mark.parametrize("known", [True, False])
def test_nonsense_after_the_head_leaves_no_trace_in_the_log(place: Remote, *, known: bool) -> None:
    before = len(place.server.stderr().splitlines())
    for _ in range(5):
        # With the head, and after the answer to it.
        answer = exchanged(place, head(place, CHUNKED, known=known) + b"ZZ\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ")
        if not known:
            answer = exchanged(place, head(place, CHUNKED, known=False), b"ZZ\r\n")
            assert answer.startswith(b"HTTP/1.1 401 ")
            assert answer.count(b"HTTP/1.1") == 1
    assert len(place.server.stderr().splitlines()) - before <= 2
    assert "Traceback" not in place.server.stderr()


@pytest.mark.parametrize("method", ["CONNECT", "POST", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_health_is_read_and_nothing_else(place: Remote, path: str, method: str) -> None:
    request = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode()
    answer = exchanged(place, request)
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nallow: GET, HEAD\r\n" in answer
    assert "Traceback" not in place.server.stderr()
    assert exchanged(place, request.replace(method.encode(), b"HEAD", 1)).startswith(b"HTTP/1.1 200 ")


def test_a_stream_is_opened_anew_by_whoever_wants_to_resume_one(place: Remote) -> None:
    headers = {**place.headers(), "mcp-session-id": opened(place), "last-event-id": "7"}
    with httpx2.Client(timeout=20) as client:
        with client.stream("GET", place.url, headers=headers) as stream:
            assert stream.status_code == 200
            assert stream.headers["content-type"].startswith("text/event-stream")
        # Nor is it a way to another's.
        headers["authorization"] = place.headers("bob")["authorization"]
        with client.stream("GET", place.url, headers=headers) as stream:
            assert stream.status_code == 404
    assert not re.search(r"ERROR|Traceback", place.server.stderr())


@pytest.mark.parametrize(
    ("version", "length", "status"),
    [("1.0", CHUNKED, b"400"), ("2.0", "content-length: 0", b"505"), ("0.9", "content-length: 0", b"505")],
)
def test_a_head_that_its_version_does_not_allow_is_refused_and_the_connection_ended(
    place: Remote, version: str, length: str, status: bytes
) -> None:
    text = body(place, f"key-{version}")
    whole = head(place, length, version=version) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(text), text)
    answer = exchanged(place, whole)
    assert answer.split(b" ")[1] == status
    assert answer.count(b"\r\n\r\n") == 1
    assert f"key-{version}" not in items(place)


@pytest.mark.parametrize(
    "host",
    [
        *("[::1]x", "local\thost", "localhost:80:90", "localhost:-1", "localhost:a", "localhost:\xb2"),
        "[::1",
        "localhost.",
    ],
)
def test_what_is_no_host_is_refused_everywhere(place: Remote, host: str) -> None:
    for path in ("/livez", "/mcp"):
        answer = exchanged(place, f"GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n".encode("latin-1"))
        assert answer.split(b" ")[1] == b"421"
    # Strangers choose how often they come: none of the SDK's warnings.
    assert "Invalid Host" not in place.server.stderr()


@pytest.mark.parametrize("space", ["\xa0", "\x85"])
def test_a_space_that_is_none_in_http_is_part_of_the_key(place: Remote, space: str) -> None:
    key = place.keys["alice"]
    for given in (key + space, space + key):
        sent = head(place, "connection: close\r\ncontent-length: 2", key=given) + b"{}"
        assert exchanged(place, sent).startswith(b"HTTP/1.1 401 ")
