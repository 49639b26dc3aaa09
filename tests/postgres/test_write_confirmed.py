"""A change through the whole server: previewed by the model, agreed to by the person, in each of the three ways."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.postgres.seed import Home
from tests.postgres.writing import ask, do, prepare, token_of
from tests.support.wire import MODERN, Message, Revision, StdioWire, Wire, connected, python_module

FORM: dict[str, Any] = {"elicitation": {"form": {}}}
SQL = "UPDATE w.item SET price = price + $1 WHERE id <= 2"
CHANGE: dict[str, Any] = {"sql": SQL, "params": ["5"]}
POLICY = """
[[rule]]
subject = "default/w.log"
then = "deny"
reason = "The log is nobody's."
"""
SEEN = ("UPDATE of 2 rows on database default", SQL, '$1 = "5"', '~ id="1": price "10" -> "15"', "app_writer")


class House:
    """A database to change, and the state of one server."""

    def __init__(self, home: Home, base: Path) -> None:
        self.home = home
        self.state = base / "state"
        self.policy = base / "policy.toml"
        self.policy.write_text(POLICY)
        prepare(home, "CREATE TABLE w.log (note text); CREATE VIEW w.logged AS SELECT note FROM w.log; GRANT SELECT ON w.logged TO gatelodge_ro")  # fmt: skip

    def connected(
        self, revision: Revision = MODERN, capabilities: dict[str, Any] | None = None, *more: str
    ) -> AbstractContextManager[Wire]:
        command = python_module(
            "gatelodge_postgres", "--state-dir", str(self.state), "--policy", str(self.policy), "--allow-write", *more
        )
        env = {
            "GATELODGE_POSTGRES_URL": self.home.url(),
            "GATELODGE_POSTGRES_WRITE_URL": self.home.url("app_writer"),
        }
        return connected(command, "stdio", revision, capabilities=capabilities, env=env)

    def approve(self, code: str, answer: str) -> str:
        command = [sys.executable, "-m", "gatelodge_core.cli.__main__", "approve", code, answer, "--state-dir", str(self.state)]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    @property
    def prices(self) -> list[int]:
        return [price for (price,) in ask(self.home, "SELECT price::int FROM w.item WHERE id <= 2 ORDER BY id")]


@pytest.fixture
def house(system_home: Home, tmp_path: Path) -> House:
    return House(system_home, tmp_path)


def call(wire: Wire, name: str, arguments: Message, **more: Any) -> Message:
    return wire.request("tools/call", {"name": name, "arguments": arguments, **more})


def test_a_host_of_2026_confirms_in_a_sealed_round_trip(house: House) -> None:
    with house.connected(MODERN, FORM) as wire:
        preview = wire.text("preview_change", **CHANGE)
        arguments: Message = {"change_token": token_of(preview)}
        asked = call(wire, "apply_change", arguments)["result"]
        assert asked["resultType"] == "input_required"
        (key,) = asked["inputRequests"]
        message = asked["inputRequests"][key]["params"]["message"]
        assert all(part in message for part in SEEN), message
        assert house.prices == [10, 20]
        yes: Message = {
            "requestState": asked["requestState"],
            "inputResponses": {key: {"action": "accept", "content": {}}},
        }
        # The yes to one change is none to another.
        other = {"change_token": token_of(wire.text("preview_change", sql="DELETE FROM w.item WHERE id = 1"))}
        assert call(wire, "apply_change", other, **yes)["error"]["code"] == -32602
        done = call(wire, "apply_change", arguments, **yes)["result"]
        assert not done.get("isError"), done
        assert "committed: UPDATE of 2 rows" in done["content"][0]["text"]
        assert house.prices == [15, 25]
        replayed = call(wire, "apply_change", arguments, **yes)["result"]
        assert "already_answered" in replayed["content"][0]["text"]
        again = call(wire, "apply_change", arguments)["result"]
        (key,) = again["inputRequests"]
        assert "nothing would be done" in again["inputRequests"][key]["params"]["message"]
        third = call(wire, "apply_change", other)["result"]
        no = {"requestState": third["requestState"], "inputResponses": {key: {"action": "decline"}}}
        assert "declined" in call(wire, "apply_change", other, **no)["result"]["content"][0]["text"]
    assert house.prices == [15, 25]


@pytest.mark.parametrize("action", ["accept", "decline"])
def test_a_host_of_2025_is_asked_while_the_call_waits(house: House, action: str) -> None:
    with house.connected("2025-06-18", {"elicitation": {}}) as wire:
        assert isinstance(wire, StdioWire)
        token = token_of(wire.text("preview_change", **CHANGE))
        wire.send_call("apply", "apply_change", change_token=token)
        question = json.loads(wire.server.line())
        assert question["method"] == "elicitation/create"
        assert all(part in question["params"]["message"] for part in SEEN)
        assert house.prices == [10, 20]
        # The rows change while the person thinks, but not their number.
        do(house.home, "UPDATE w.item SET price = 11 WHERE id = 1")
        result: Message = {"action": action, "content": {}} if action == "accept" else {"action": action}
        wire.server.write(json.dumps({"jsonrpc": "2.0", "id": question["id"], "result": result}).encode() + b"\n")
        answer = wire.response("apply")["result"]
        assert bool(answer.get("isError")) is (action != "accept")
    assert house.prices == ([16, 25] if action == "accept" else [11, 20])


def test_a_host_that_cannot_ask_is_given_a_code_for_the_person(house: House) -> None:
    with house.connected() as wire:
        token = token_of(wire.text("preview_change", **CHANGE))
        refused = wire.error("apply_change", change_token=token)
        assert "approval_required" in refused
        code = refused.split("gatelodge approve ")[1].split(" ")[0]
        assert house.prices == [10, 20]
        shown = house.approve(code, "--yes")
        assert all(part in shown for part in SEEN), shown
        # The approval is for this change alone.
        other = token_of(wire.text("preview_change", sql="DELETE FROM w.item WHERE id = 1"))
        assert "approval_required" in wire.error("apply_change", change_token=other)
        assert "committed" in wire.text("apply_change", change_token=token)
        assert house.prices == [15, 25]
        assert "approval_required" in wire.error("apply_change", change_token=token)


def test_a_yes_to_numbers_that_no_longer_hold_changes_nothing(house: House) -> None:
    with house.connected() as wire:
        token = token_of(wire.text("preview_change", **CHANGE))
        code = wire.error("apply_change", change_token=token).split("gatelodge approve ")[1].split(" ")[0]
        house.approve(code, "--yes")
        do(house.home, "DELETE FROM w.item WHERE id = 2")
        assert "changed_since_preview: rolled back" in wire.error("apply_change", change_token=token)
    assert house.prices == [10]


def test_the_policy_sees_what_a_change_touches(house: House) -> None:
    with house.connected() as wire:
        for name, arguments in (
            ("preview_change", {"sql": "INSERT INTO w.log VALUES ('x')"}),
            ("preview_change", {"sql": "UPDATE w.item SET name = l.note FROM w.log l WHERE id = 1"}),
            ("preview_change", {"sql": "DROP TABLE w.log CASCADE"}),
            ("run_query", {"sql": "SELECT * FROM w.log"}),
            ("run_query", {"sql": "SELECT * FROM w.logged"}),
        ):
            assert "denied_by_policy: The log is nobody's." in wire.error(name, **arguments)
        assert "rows: shown 1" in wire.text("run_query", sql="SELECT max(id) FROM w.item")


def test_the_tools_say_what_they_do_and_are_there_by_the_switch_alone(house: House) -> None:
    with house.connected() as wire:
        tools = {tool["name"]: tool for tool in wire.request("tools/list")["result"]["tools"]}
    hints = {name: tools[name]["annotations"] for name in ("preview_change", "apply_change")}
    preview, apply = hints["preview_change"], hints["apply_change"]
    assert (preview["readOnlyHint"], preview["destructiveHint"]) == (False, False)
    assert (apply["readOnlyHint"], apply["destructiveHint"]) == (False, True)
    assert "connection" not in tools["preview_change"]["inputSchema"]["properties"]
    # A part of every conversation, so that it stays small.
    assert sum(len(json.dumps(tools[name], separators=(",", ":"))) for name in hints) < 2200
    with house.connected(MODERN, None, "--read-only") as wire:
        names = {tool["name"] for tool in wire.request("tools/list")["result"]["tools"]}
    assert not names & set(hints)
