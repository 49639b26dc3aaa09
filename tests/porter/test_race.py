"""The race of the eras: some of the runs that `benchmarks.race` makes 500 of, chosen where it is decided."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.race import ORDERS, Order, race
from tests.support.wire import MODERN_META, Message, Server, StdioWire, python_module

SERVERS = {
    "filesystem": ["gatelodge_filesystem", "{folder}"],
    "github": ["gatelodge_github"],
    "postgres": ["gatelodge_postgres", "postgresql://nobody@127.0.0.1:1/none"],
    "websearch": ["gatelodge_websearch"],
    # Without a porter: the transport alone decides.
    "varying": ["tests.support.varying"],
}


def command(server: str, base: Path) -> list[str]:
    (base / "root").mkdir(exist_ok=True)
    name, *rest = [part.format(folder=base / "root") for part in SERVERS[server]]
    return python_module(name, *rest, "--state-dir", str(base / "state"))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("server", "delay"),
    [
        ("filesystem", 0.0),
        ("github", 0.0),
        ("postgres", 0.0),
        ("websearch", 0.0),
        ("varying", 0.0),
        ("filesystem", 0.03),
        ("filesystem", 0.3),
        ("filesystem", 0.8),
        ("filesystem", 1.6),
        ("varying", 1.2),
    ],
)
def test_one_era_is_spoken_whenever_a_host_tries_the_other(
    tmp_path: Path, order: Order, server: str, delay: float
) -> None:
    assert race(command(server, tmp_path), order, delay).problems == ()


@pytest.mark.parametrize("server", ["filesystem", "varying"])
def test_a_question_and_a_handshake_in_one_write_are_told_apart(tmp_path: Path, server: str) -> None:
    """The probe of claude-code#96183: a server that was slow to load found both in its pipe."""
    process = Server(command(server, tmp_path))
    wire = StdioWire(process, "2025-11-25")
    discover: Message = {"jsonrpc": "2.0", "id": "d", "method": "server/discover", "params": {"_meta": MODERN_META}}
    info = {"name": "t", "version": "0"}
    opening = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info}
    initialize: Message = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": opening}
    process.write(json.dumps(discover).encode() + b"\n" + json.dumps(initialize).encode() + b"\n")
    refused, opened = json.loads(process.line()), json.loads(process.line())
    assert (refused["id"], refused["error"]["code"]) == ("d", -32601)
    assert opened["result"]["protocolVersion"] == "2025-11-25"
    wire.notify("notifications/initialized")
    assert wire.request("tools/list")["result"]["tools"]
    wire.close()


@pytest.mark.parametrize("server", ["filesystem", "varying"])
def test_a_handshake_after_an_answered_question_begins_the_connection_anew(tmp_path: Path, server: str) -> None:
    """Whoever answered: of `varying`, and of the others once they are loaded, it is the SDK, which takes its era from it."""
    process = Server(command(server, tmp_path))
    wire = StdioWire(process, "2026-07-28")
    assert "capabilities" in wire.request("server/discover")["result"]
    opening = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
    opened = wire.exchange({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": opening})
    assert opened["result"]["protocolVersion"] == "2025-11-25"
    process.write(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')
    assert wire.exchange({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})["result"]["tools"]
    wire.close()


@pytest.mark.parametrize("server", ["filesystem", "varying"])
def test_after_any_other_request_of_2026_a_handshake_comes_too_late(tmp_path: Path, server: str) -> None:
    process = Server(command(server, tmp_path))
    wire = StdioWire(process, "2026-07-28")
    wire.request("server/discover")
    wire.request("tools/list")
    opening = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}
    refused = wire.exchange({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": opening})["error"]
    assert refused["code"] == -32022
    assert refused["data"]["supported"] == ["2026-07-28"]
    assert wire.request("tools/list")["result"]["tools"]
    wire.close()


@pytest.mark.parametrize("server", ["filesystem", "varying"])
def test_a_ping_before_anything_else_is_answered_and_decides_nothing(tmp_path: Path, server: str) -> None:
    process = Server(command(server, tmp_path))
    wire = StdioWire(process, "2026-07-28")
    assert wire.exchange({"jsonrpc": "2.0", "id": "p", "method": "ping"})["result"] == {}
    assert "capabilities" in wire.request("server/discover")["result"]
    assert wire.request("tools/list")["result"]["tools"]
    wire.close()
