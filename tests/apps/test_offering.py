"""Views are for hosts that say they show them: those get them over every transport and revision, nobody else sees a trace."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.apps.words import EXTENSION, MIME_TYPE, SHOWN

from tests.apps.hosting import SHOWS_VIEWS, page_of
from tests.support.planted import BASE32, some
from tests.support.wire import (
    REVISIONS,
    HttpWire,
    Message,
    Revision,
    Server,
    StdioWire,
    Transport,
    Wire,
    connected,
    python_module,
)

DIFF = "ui://gatelodge-filesystem/diff.html"
LINES = "".join(f"line {number}\n" for number in range(1, 41))
EDITS = [{"old": "line 3\n", "new": "Line three\n"}, {"old": "line 30\n", "new": ""}]


def command(base: Path, *more: str) -> list[str]:
    root = base / "root"
    root.mkdir(exist_ok=True)
    (root / "lines.txt").write_text(LINES, encoding="utf-8")
    return python_module("gatelodge_filesystem", str(root), "--state-dir", str(base / "state"), *more)


@pytest.fixture(scope="module")
def showing(transport: Transport, revision: Revision, tmp_path_factory: pytest.TempPathFactory) -> Generator[Wire]:
    """A client that shows views."""
    base = tmp_path_factory.mktemp("showing")
    with connected(command(base), transport, revision, capabilities=SHOWS_VIEWS) as wire:
        yield wire


def preview(wire: Wire, **more: Any) -> Message:
    return wire.tool("edit_file", path="root/lines.txt", edits=EDITS, dry_run=True, **more)


def everything(wire: Wire) -> Message:
    """All that a host learns before and in a call."""
    found = {name: wire.request(name)["result"] for name in ("tools/list", "prompts/list", "resources/list")}
    found["templates"] = wire.request("resources/templates/list")["result"]
    found["opening"] = opening(wire)
    return {**found, "preview": preview(wire)}


def opening(wire: Wire) -> Message:
    if wire.modern:
        return wire.request("server/discover")["result"]
    params = {"protocolVersion": wire.revision, "capabilities": wire.capabilities, "clientInfo": {"name": "t", "version": "0"}}  # fmt: skip
    return wire.request("initialize", params)["result"]


SHOWS_NONE: list[dict[str, Any]] = [
    {},
    {"extensions": {}},
    {"extensions": {EXTENSION: {}}},
    {"extensions": {EXTENSION: {"mimeTypes": ["text/html"]}}},
    {"extensions": {EXTENSION: {"mimeTypes": MIME_TYPE}}},
    {"experimental": {EXTENSION: {"mimeTypes": [MIME_TYPE]}}},
]


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, str]]:
    """Two servers on the same files: one with views, one with views off."""
    base = tmp_path_factory.mktemp("addresses")
    with (
        connected(command(base), "http", "2026-07-28") as on,
        connected(command(base, "--no-apps"), "http", "2026-07-28") as off,
    ):
        assert isinstance(on, HttpWire)
        assert isinstance(off, HttpWire)
        yield on.url, off.url


def client(url: str, revision: Revision, capabilities: Mapping[str, Any]) -> HttpWire:
    wire = HttpWire(url, revision, capabilities)
    wire.open()
    return wire


@pytest.mark.parametrize("capabilities", SHOWS_NONE)
def test_a_host_that_shows_no_views_gets_what_a_server_without_views_gives(
    addresses: tuple[str, str], revision: Revision, capabilities: Mapping[str, Any]
) -> None:
    on, off = (everything(client(url, revision, capabilities)) for url in addresses)
    assert on == off
    assert EXTENSION not in json.dumps(on["opening"]["capabilities"])
    assert "ui://" not in json.dumps(on)


def test_a_host_that_shows_views_is_told_of_them_in_the_handshake(showing: Wire) -> None:
    assert opening(showing)["capabilities"]["extensions"] == {EXTENSION: {"mimeTypes": [MIME_TYPE]}}


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_very_first_answer_tells_of_views_whoever_gives_it(tmp_path: Path, revision: Revision) -> None:
    wire = StdioWire(Server(command(tmp_path)), revision, SHOWS_VIEWS)
    try:
        found = wire.open() or wire.request("server/discover")["result"]
        assert EXTENSION in found["capabilities"]["extensions"]
        named = {
            tool["name"] for tool in wire.request("tools/list")["result"]["tools"] if "ui" in tool.get("_meta", {})
        }
        assert named == {"edit_file", "write_file"}
    finally:
        wire.close()


def test_a_tool_names_its_view_and_the_view_is_a_resource(showing: Wire) -> None:
    tools = {tool["name"]: tool for tool in showing.request("tools/list")["result"]["tools"]}
    named = {name: tool["_meta"]["ui"] for name, tool in tools.items() if "ui" in tool.get("_meta", {})}
    named_view = {"resourceUri": DIFF, "visibility": ["model", "app"]}
    assert named == {"edit_file": named_view, "write_file": named_view}
    listed = {item["uri"]: item for item in showing.request("resources/list")["result"]["resources"]}
    assert listed[DIFF]["mimeType"] == MIME_TYPE
    content = page_of(showing, "edit_file")
    assert (content["uri"], content["mimeType"]) == (DIFF, MIME_TYPE)
    assert content["text"].startswith("<!doctype html>")
    assert content["_meta"]["ui"]["csp"] == {"connectDomains": [], "resourceDomains": []}


def test_a_view_gets_data_beside_a_result_that_is_otherwise_the_same(showing: Wire, addresses: tuple[str, str]) -> None:
    other = preview(client(addresses[1], showing.revision, SHOWS_VIEWS))
    result = preview(showing)
    data = result["_meta"].pop(SHOWN)
    assert result == other
    assert data["kind"] == "diff"
    assert [hunk["edits"] for hunk in data["hunks"]] == [
        [{"start_line": 3, "end_line": 3, "old": "line 3\n", "new": "Line three\n"}],
        [{"start_line": 30, "end_line": 30, "old": "line 30\n", "new": ""}],
    ]
    assert (data["whole"], data["left"], data["done"]) == ("", 0, False)


def test_a_failed_call_has_nothing_for_a_view(showing: Wire) -> None:
    result = showing.tool("edit_file", path="root/lines.txt", edits=[{"old": "nowhere", "new": ""}], dry_run=True)
    assert result["isError"]
    assert SHOWN not in result["_meta"]


def test_with_views_off_there_is_no_view_to_read(addresses: tuple[str, str], revision: Revision) -> None:
    wire = client(addresses[1], revision, SHOWS_VIEWS)
    missing = -32602 if wire.modern else -32002
    assert wire.request("resources/read", {"uri": DIFF})["error"]["code"] == missing
    assert "ui://" not in json.dumps(everything(wire))


def test_reference_names_have_no_views_since_those_would_call_our_own(tmp_path: Path) -> None:
    started = command(tmp_path, "--compat", "reference")
    with connected(started, "stdio", "2025-11-25", capabilities=SHOWS_VIEWS) as wire:
        assert "ui://" not in json.dumps(wire.request("tools/list")["result"])


def test_a_read_only_server_has_no_view_of_changes(tmp_path: Path) -> None:
    with connected(command(tmp_path, "--read-only"), "stdio", "2025-11-25", capabilities=SHOWS_VIEWS) as wire:
        assert "ui://" not in json.dumps(wire.request("resources/list")["result"])


def test_reading_a_view_is_in_the_journal_as_any_resource(tmp_path: Path) -> None:
    with connected(command(tmp_path), "stdio", "2025-11-25", capabilities=SHOWS_VIEWS) as wire:
        label = wire.request("resources/read", {"uri": DIFF})["result"]["_meta"]["ifc"]
    assert label == {"integrity": "trusted", "confidentiality": "public"}
    lines = [line for path in (tmp_path / "state").rglob("*.jsonl") for line in path.read_text().splitlines()]
    assert [line for line in lines if DIFF in line]


def test_policy_holds_for_views_and_for_the_tools_that_have_one(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(
        '[[rule]]\ntool = "diff_view"\nthen = "deny"\n[[rule]]\ntool = "write_file"\nthen = "deny"\n', encoding="utf-8"
    )
    started = command(tmp_path, "--policy", str(policy))
    with connected(started, "stdio", "2025-11-25", capabilities=SHOWS_VIEWS) as wire:
        assert "denied_by_policy" in wire.request("resources/read", {"uri": DIFF})["error"]["message"]
        assert "write_file" not in {tool["name"] for tool in wire.request("tools/list")["result"]["tools"]}


def test_secrets_are_masked_and_hidden_characters_shown_in_what_a_view_gets(tmp_path: Path) -> None:
    started = command(tmp_path)
    secret = "AKIA" + some(BASE32, 16)
    (tmp_path / "root/lines.txt").write_text(f"before\n{secret}\nevil\u202etxt\nafter\n", encoding="utf-8")
    with connected(started, "stdio", "2025-11-25", capabilities=SHOWS_VIEWS) as wire:
        edits = [{"old": "before\n", "new": "BEFORE\n"}, {"old": "evil\u202etxt\n", "new": "good\u202etxt\n"}]
        data = wire.tool("edit_file", path="root/lines.txt", edits=edits, dry_run=True)["_meta"][SHOWN]
    told = json.dumps(data, ensure_ascii=False)
    assert secret not in told
    assert "\u202e" not in told
    assert "⟦U+202E⟧" in told
    (hunk,) = data["hunks"]
    # By this the view sees that the edits are not what the server made.
    assert sum(len(edit["old"]) + len(edit["new"]) for edit in hunk["edits"]) > hunk["characters"]


def test_what_a_view_gets_is_never_what_makes_a_result_too_large(tmp_path: Path) -> None:
    started = command(tmp_path, "--result-bytes", "20000")
    (tmp_path / "root/lines.txt").write_text("x" * 5000 + "\n", encoding="utf-8")
    with connected(started, "stdio", "2026-07-28", capabilities=SHOWS_VIEWS) as wire:
        edits = [{"old": "x" * 5000, "new": "y" * 4000}]
        result = wire.tool("edit_file", path="root/lines.txt", edits=edits, dry_run=True)
    assert not result.get("isError")
    assert SHOWN not in result["_meta"]
