"""The toxic flow from outside the process: over each transport and protocol revision, with hosts that ask and that can't."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.github.emulator import PRIVATE, PUBLIC, Emulator
from tests.github.furnishing import SECRET_LINE, Furniture
from tests.github.proxy import Proxy
from tests.support.wire import MODERN, Message, Revision, StdioWire, Transport, Wire, connected, python_module

# On the wire


@contextlib.contextmanager
def host(
    wired: tuple[Proxy, Furniture],
    emulator: Emulator,
    folder: Path,
    transport: Transport,
    revision: Revision,
    **given: Any,
) -> Generator[Wire]:
    flags = ["--api-url", wired[0].url, "--repo", PUBLIC, "--state-dir", str(folder / "state")]
    env = {"GITHUB_TOKEN": emulator.tokens["alice"]}
    with connected(python_module("gatelodge_github", *flags), transport, revision, env=env, **given) as wire:
        yield wire


def lured(wire: Wire, furniture: Furniture) -> dict[str, Any]:
    """The model reads what the outsider wrote, and the private file; then the comment that it wants to write."""
    outside = wire.tool("get_issue", number=furniture.outside)
    assert outside["_meta"]["ifc"] == {"integrity": "untrusted", "confidentiality": "public"}
    vault = wire.tool("get_file", repo=PRIVATE, path="vault.txt")
    assert vault["_meta"]["ifc"] == {"integrity": "trusted", "confidentiality": "private"}
    assert SECRET_LINE in vault["content"][0]["text"]
    return {"number": furniture.outside, "body": f"It says: {SECRET_LINE}"}


def test_over_each_transport_and_revision_a_host_that_cannot_ask_parks_the_write_until_the_person_approves(
    wired: tuple[Proxy, Furniture], emulator: Emulator, tmp_path: Path, transport: Transport, revision: Revision
) -> None:
    proxy, furniture = wired
    proxy.forget()
    with host(wired, emulator, tmp_path, transport, revision) as wire:
        # Before anything private was read, nothing is asked.
        wire.text("add_comment", number=furniture.issue, body="Hello.")
        assert len(proxy.writes()) == 1
        comment = lured(wire, furniture)
        refused = wire.error("add_comment", **comment)
        assert "approval_required" in refused
        assert PRIVATE in refused
        assert f"{PUBLIC} (public)" in refused
        assert SECRET_LINE not in refused
        assert len(proxy.writes()) == 1
        code = refused.partition("gatelodge approve ")[2].partition(" ")[0]
        command = [sys.executable, "-m", "gatelodge_core.cli.__main__", "approve", code, "--yes"]
        done = subprocess.run(
            [*command, "--state-dir", f"{tmp_path}/state"], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        wire.text("add_comment", **comment)
        assert [one.json() for one in proxy.writes()][1:] == [{"body": comment["body"]}]
        assert "approval_required" in wire.error("add_comment", **comment)
    assert len(proxy.writes()) == 2


@pytest.mark.parametrize("revision", [MODERN], indirect=True)
def test_a_host_of_2026_shows_source_target_and_text_and_a_no_sends_nothing(
    wired: tuple[Proxy, Furniture], emulator: Emulator, tmp_path: Path, transport: Transport, revision: Revision
) -> None:
    proxy, furniture = wired
    proxy.forget()
    with host(wired, emulator, tmp_path, transport, revision, capabilities={"elicitation": {"form": {}}}) as wire:
        comment = lured(wire, furniture)

        def ask(**more: Any) -> Message:
            return wire.request("tools/call", {"name": "add_comment", "arguments": comment, **more})["result"]

        asked = ask()
        (key,) = asked["inputRequests"]
        message = asked["inputRequests"][key]["params"]["message"]
        for part in (PRIVATE, f"{PUBLIC} (everybody can read it)", comment["body"]):
            assert part in message
        refused = ask(requestState=asked["requestState"], inputResponses={key: {"action": "decline"}})
        assert refused["content"][0]["text"].startswith("declined")
        assert proxy.writes() == []
        again = ask()
        yes: Message = {
            "requestState": again["requestState"],
            "inputResponses": {key: {"action": "accept", "content": {}}},
        }
        assert not ask(**yes).get("isError")
        assert "already_answered" in ask(**yes)["content"][0]["text"]
    assert len(proxy.writes()) == 1


@pytest.mark.parametrize("legacy", ["2025-06-18", "2025-11-25"])
def test_a_host_of_2025_is_asked_while_the_call_waits(
    wired: tuple[Proxy, Furniture], emulator: Emulator, tmp_path: Path, legacy: Revision
) -> None:
    proxy, furniture = wired
    proxy.forget()
    with host(wired, emulator, tmp_path, "stdio", legacy, capabilities={"elicitation": {}}) as wire:
        assert isinstance(wire, StdioWire)
        comment = lured(wire, furniture)
        for action, writes in (("decline", 0), ("cancel", 0), ("accept", 1)):
            wire.send_call(action, "add_comment", **comment)
            question = json.loads(wire.server.line())
            assert question["method"] == "elicitation/create"
            assert PRIVATE in question["params"]["message"]
            assert comment["body"] in question["params"]["message"]
            result: Message = {"action": action, **({"content": {}} if action == "accept" else {})}
            wire.server.write(json.dumps({"jsonrpc": "2.0", "id": question["id"], "result": result}).encode() + b"\n")
            assert bool(wire.response(action)["result"].get("isError")) is (action != "accept")
            assert len(proxy.writes()) == writes


def test_the_journal_has_the_refusal_and_never_the_text(
    wired: tuple[Proxy, Furniture], emulator: Emulator, tmp_path: Path
) -> None:
    with host(wired, emulator, tmp_path, "stdio", MODERN) as wire:
        wire.error("add_comment", **lured(wire, wired[1]))
    (path,) = (tmp_path / "state" / "journal").glob("*.jsonl")
    written = path.read_text(encoding="utf-8")
    refusals = [one for one in map(json.loads, written.splitlines()) if one["type"] == "refusal"]
    assert [one["reason"].split()[0] for one in refusals] == ["approval_required"]
    assert SECRET_LINE not in written
    assert not re.search(emulator.tokens["alice"], written)
