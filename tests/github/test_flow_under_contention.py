"""The toxic flow while calls overlap: what was asked for counts from before it is read, whatever becomes of the call."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.github.emulator import PRIVATE, PUBLIC, Emulator
from tests.github.furnishing import Furniture
from tests.github.loopback import Answer, Request, Respond
from tests.github.proxy import Proxy
from tests.support.wire import (
    PATIENCE,
    HttpWire,
    Message,
    Revision,
    StdioWire,
    Transport,
    Wire,
    connected,
    python_module,
)

VAULT = {"name": "get_file", "arguments": {"repo": PRIVATE, "path": "vault.txt"}}


class Held:
    """A fault: GitHub has the request, and its answer is held back until the test lets it go."""

    def __init__(self) -> None:
        self.came, self.let = threading.Event(), threading.Event()

    def act(self, request: Request, proper: Respond) -> Answer:
        answer = proper(request)
        self.came.set()
        assert self.let.wait(PATIENCE)
        return answer


@pytest.fixture
def wire(
    wired: tuple[Proxy, Furniture], emulator: Emulator, tmp_path: Path, transport: Transport, revision: Revision
) -> Generator[Wire]:
    proxy = wired[0]
    proxy.forget()
    flags = ["--api-url", proxy.url, "--repo", PUBLIC, "--state-dir", str(tmp_path / "state")]
    env = {"GITHUB_TOKEN": emulator.tokens["alice"]}
    with connected(python_module("gatelodge_github", *flags), transport, revision, env=env) as made:
        yield made
    proxy.heal()


@pytest.fixture
def held(wired: tuple[Proxy, Furniture]) -> Generator[Held]:
    """The contents of private files are held back."""
    held = Held()
    wired[0].fault("GET", rf"/repos/{PRIVATE}/contents/.*", held.act)
    yield held
    held.let.set()


@contextlib.contextmanager
def begun(wire: Wire, held: Held) -> Generator[None]:
    """A read that GitHub has begun to answer; given up at the end."""
    message: Message = {"jsonrpc": "2.0", "id": "vault", "method": "tools/call", "params": wire.params(VAULT)}
    if isinstance(wire, StdioWire):
        wire.server.write(json.dumps(message).encode() + b"\n")
        assert held.came.wait(PATIENCE)
        yield
        wire.notify("notifications/cancelled", {"requestId": "vault"})
        return
    assert isinstance(wire, HttpWire)
    connection = http.client.HTTPConnection(wire.host, wire.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("POST", wire.path, json.dumps(message).encode(), wire.headers(message))
        assert held.came.wait(PATIENCE)
        yield
        if not wire.modern:
            # To leave gives up a call of 2026-07-28 alone.
            wire.notify("notifications/cancelled", {"requestId": "vault"})


def test_a_write_beside_a_private_read_that_is_not_answered_yet_is_asked_about(
    wired: tuple[Proxy, Furniture], wire: Wire, held: Held
) -> None:
    proxy, furniture = wired
    with begun(wire, held):
        assert "approval_required" in wire.error("add_comment", number=furniture.issue, body="What I know by now.")
        assert proxy.writes() == []


def test_a_private_read_that_was_given_up_counts_as_read(
    wired: tuple[Proxy, Furniture], wire: Wire, held: Held
) -> None:
    proxy, furniture = wired
    with begun(wire, held):
        pass
    assert "approval_required" in wire.error("add_comment", number=furniture.issue, body="What I know by now.")
    held.let.set()
    assert "approval_required" in wire.error("add_comment", number=furniture.issue, body="And a while after.")
    assert proxy.writes() == []


@pytest.mark.parametrize("transport", ["http"], indirect=True)
def test_of_many_reads_and_writes_at_once_no_write_that_follows_a_read_is_made_unasked(
    wired: tuple[Proxy, Furniture], wire: Wire
) -> None:
    proxy, furniture = wired
    read = threading.Event()

    def reader() -> None:
        wire.request("tools/call", VAULT)
        read.set()

    def writer(number: int) -> None:
        after = read.is_set()
        body = f"{'after' if after else 'before'} {number}"
        wire.request("tools/call", {"name": "add_comment", "arguments": {"number": furniture.issue, "body": body}})

    def writing(first: int) -> None:
        for number in range(first, first + 6):
            writer(number)

    with ThreadPoolExecutor(5) as pool:
        pending = [pool.submit(writing, 100 * worker) for worker in range(4)]
        pending.append(pool.submit(reader))
        for one in pending:
            one.result(PATIENCE)
    writer(1000)
    assert not [one for one in proxy.writes() if one.json()["body"].startswith("after")]
