"""Requests that break off, or break the rules of HTTP on the way: nothing of them is carried out, and they leave little in the log."""

from __future__ import annotations

import json
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
