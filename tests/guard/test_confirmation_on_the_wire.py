"""Confirmation with real hosts' messages: three ways, and every way to cheat."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.support.wire import MODERN, HttpWire, Message, Revision, StdioWire, Transport, Wire, connected

POLICY = """
[[rule]]
tool = "edit_file"
then = "confirm"
reason = "Edits are looked at first."
[[rule]]
subject = "notes/private/**"
then = "deny"
reason = "Private notes stay private."
[[rule]]
tool = "write_file"
then = "deny"
"""
FORM: dict[str, Any] = {"elicitation": {"form": {}}}
EDIT: dict[str, Any] = {"path": "notes/a.txt", "edits": [{"old": "one", "new": "ONE"}]}


class House:
    """A folder with a policy over it."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.notes = base / "notes"
        (self.notes / "private").mkdir(parents=True)
        (self.notes / "private" / "diary.txt").write_text("one canary\n", encoding="utf-8")
        (self.notes / "shortcut").symlink_to("private")
        (base / "policy.toml").write_text(POLICY, encoding="utf-8")
        self.reset()

    def reset(self) -> None:
        (self.notes / "a.txt").write_text("one\n", encoding="utf-8")

    @property
    def text(self) -> str:
        return (self.notes / "a.txt").read_text(encoding="utf-8")

    @property
    def command(self) -> list[str]:
        base = str(self.base)
        return [
            sys.executable,
            "-m",
            "gatelodge_filesystem",
            str(self.notes),
            "--state-dir",
            f"{base}/state",
            "--policy",
            f"{base}/policy.toml",
        ]

    def approve(self, code: str, *answer: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "gatelodge_core.cli.__main__",
            "approve",
            code,
            *answer,
            "--state-dir",
            f"{self.base}/state",
        ]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False
        )


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def mute(house: House, transport: Transport, revision: Revision) -> Generator[Wire]:
    """A client that can't ask."""
    with connected(house.command, transport, revision) as wire:
        yield wire


def test_a_host_that_cannot_ask_is_given_a_code_and_the_person_sees_the_diff(house: House, mute: Wire) -> None:
    refused = mute.error("edit_file", **EDIT)
    assert "approval_required" in refused
    assert "Edits are looked at first." in refused
    assert house.text == "one\n"
    code = refused.split("gatelodge approve ")[1].split(" ")[0]
    # Without a terminal nobody can be asked: nothing is answered.
    assert house.approve(code).returncode == 2
    declined = house.approve(code, "--no")
    assert "  | It changes. Asked because: Edits are looked at first.\n" in declined.stdout
    assert "  | -one\n  | +ONE\n" in declined.stdout
    assert "Declined" in declined.stdout
    assert "declined" in mute.error("edit_file", **EDIT)
    code = mute.error("edit_file", **EDIT).split("gatelodge approve ")[1].split(" ")[0]
    assert house.approve(code, "--yes").returncode == 0
    # Another edit is another call.
    assert "approval_required" in mute.error("edit_file", path="notes/a.txt", edits=[{"old": "one", "new": "TWO"}])
    assert "edited" in mute.text("edit_file", **EDIT)
    assert house.text == "ONE\n"
    house.reset()
    assert "approval_required" in mute.error("edit_file", **EDIT)
    assert house.approve(code, "--yes").returncode == 1


def ask_modern(wire: Wire, arguments: Message, **more: Any) -> Message:
    return wire.request("tools/call", {"name": "edit_file", "arguments": arguments, **more})


@pytest.mark.parametrize("transport", ["stdio", "http"], indirect=True)
def test_a_host_of_2026_confirms_in_a_sealed_round_trip(house: House, transport: Transport) -> None:
    with connected(house.command, transport, MODERN, capabilities=FORM) as wire:
        asked = ask_modern(wire, EDIT)["result"]
        assert asked["resultType"] == "input_required"
        (key,) = asked["inputRequests"]
        assert "-one\n+ONE\n" in asked["inputRequests"][key]["params"]["message"]
        yes: Message = {
            "requestState": asked["requestState"],
            "inputResponses": {key: {"action": "accept", "content": {}}},
        }
        other = {**EDIT, "edits": [{"old": "one", "new": "EVIL"}]}
        # The answer to one call is no answer to another, nor with a changed state.
        for cheat in (
            ask_modern(wire, other, **yes),
            ask_modern(wire, EDIT, **{**yes, "requestState": yes["requestState"][:-2] + "AA"}),
            ask_modern(wire, EDIT, **{**yes, "requestState": "gatelodge-confirm:" + "0" * 32}),
        ):
            assert cheat["error"]["code"] == -32602
        assert house.text == "one\n"
        done = ask_modern(wire, EDIT, **yes)["result"]
        assert not done.get("isError"), done
        assert house.text == "ONE\n"
        house.reset()
        replayed = ask_modern(wire, EDIT, **yes)["result"]
        assert "already_answered" in replayed["content"][0]["text"]
        assert house.text == "one\n"
        again = ask_modern(wire, EDIT)["result"]
        no = {"requestState": again["requestState"], "inputResponses": {key: {"action": "decline"}}}
        assert "declined" in ask_modern(wire, EDIT, **no)["result"]["content"][0]["text"]
        # Without an answer it is a no.
        third = ask_modern(wire, EDIT)["result"]
        silent = ask_modern(wire, EDIT, requestState=third["requestState"])
        assert "ONE" not in house.text, silent


def test_an_answer_is_no_answer_for_another_server_process(house: House) -> None:
    with connected(house.command, "stdio", MODERN, capabilities=FORM) as first:
        asked = ask_modern(first, EDIT)["result"]
    (key,) = asked["inputRequests"]
    with connected(house.command, "stdio", MODERN, capabilities=FORM) as second:
        yes: Message = {
            "requestState": asked["requestState"],
            "inputResponses": {key: {"action": "accept", "content": {}}},
        }
        assert ask_modern(second, EDIT, **yes)["error"]["code"] == -32602
    assert house.text == "one\n"


@pytest.mark.parametrize("legacy", ["2025-06-18", "2025-11-25"])
@pytest.mark.parametrize("action", ["accept", "decline", "cancel"])
def test_a_host_of_2025_is_asked_while_the_call_waits(house: House, legacy: Revision, action: str) -> None:
    with connected(house.command, "stdio", legacy, capabilities={"elicitation": {}}) as wire:
        assert isinstance(wire, StdioWire)
        wire.send_call("edit", "edit_file", **EDIT)
        question = json.loads(wire.server.line())
        assert question["method"] == "elicitation/create"
        assert "-one\n+ONE\n" in question["params"]["message"]
        assert house.text == "one\n"
        result: Message = {"action": action, "content": {}} if action == "accept" else {"action": action}
        wire.server.write(json.dumps({"jsonrpc": "2.0", "id": question["id"], "result": result}).encode() + b"\n")
        answer = wire.response("edit")["result"]
        assert bool(answer.get("isError")) is (action != "accept")
        assert house.text == ("ONE\n" if action == "accept" else "one\n")


@pytest.mark.parametrize(
    "answer",
    [{"result": {}}, {"result": {"action": "yes"}}, {"result": {"action": "accept", "content": []}},
     {"error": {"code": -1, "message": "no"}}],
)  # fmt: skip
def test_an_answer_of_a_host_of_2025_that_is_none_is_a_no(house: House, answer: Message) -> None:
    with connected(house.command, "stdio", "2025-11-25", capabilities={"elicitation": {}}) as wire:
        assert isinstance(wire, StdioWire)
        wire.send_call("edit", "edit_file", **EDIT)
        question = json.loads(wire.server.line())
        wire.server.write(json.dumps({"jsonrpc": "2.0", "id": question["id"], **answer}).encode() + b"\n")
        said = wire.response("edit")
        # Not an error of parameters: those of the call were good.
        assert said.get("result", {}).get("isError"), said
        assert "declined" in said["result"]["content"][0]["text"]
        assert house.text == "one\n"


def test_a_client_that_only_opens_links_is_not_asked(house: House) -> None:
    with connected(house.command, "stdio", MODERN, capabilities={"elicitation": {"url": {}}}) as wire:
        assert "approval_required" in wire.error("edit_file", **EDIT)


@pytest.mark.parametrize(
    "path",
    [
        "notes/private/diary.txt",
        "notes/shortcut/diary.txt",
        "{notes}/private/diary.txt",
        "notes/x/../private/diary.txt",
        "file://{notes}/shortcut/diary.txt",
    ],
)
def test_a_denied_path_is_denied_by_every_name_and_way(house: House, path: str) -> None:
    (house.notes / "x").mkdir()
    asked = path.replace("{notes}", str(house.notes))
    with connected(house.command, "stdio", MODERN) as wire:
        answers = [
            wire.error("read_file", path=asked),
            wire.error("get_file_info", paths=["notes/a.txt", asked]),
            wire.error("search_text", path="notes", pattern="canary"),
            wire.error("list_directory", path="notes/private"),
            wire.error("find_files", path="notes"),
            wire.error("edit_file", path=asked, edits=[{"old": "one", "new": "x"}]),
        ]
        uri = (
            asked if asked.startswith("file:") else f"fs://{asked}" if not asked.startswith("/") else f"file://{asked}"
        )
        resource = wire.request("resources/read", {"uri": uri})
        completion = wire.request(
            "completion/complete",
            {
                "ref": {"type": "ref/resource", "uri": "fs://{root}/{+path}"},
                "argument": {"name": "path", "value": "private/"},
                "context": {"arguments": {"root": "notes"}},
            },
        )
    assert all("denied_by_policy: Private notes stay private." in answer for answer in answers), answers
    assert "denied_by_policy" in resource["error"]["message"]
    assert "diary" not in json.dumps([answers, completion])


@pytest.mark.parametrize("several", [False, True], ids=["one root", "several"])
@pytest.mark.parametrize(
    ("uri", "value", "chosen"),
    [
        ("fs://{root}/{+path}", "private/", {"root": "notes"}),
        ("fs://{root}/{+path}", "shortcut/d", {"root": "notes"}),
        ("file:///{+path}", "{notes}/private/", {}),
        ("file:///{+path}", "{notes}/shortcut/", {}),
    ],
)
def test_no_completion_looks_into_what_is_denied(
    house: House, several: bool, uri: str, value: str, chosen: dict[str, str]
) -> None:
    (house.base / "other").mkdir()
    (house.base / "other" / "open.txt").write_text("", encoding="utf-8")
    command = house.command
    command.insert(4, str(house.base / "other"))

    def complete(value: str, chosen: dict[str, str], **more: str) -> str:
        params = {
            "ref": {"type": "ref/resource", "uri": uri, **more},
            "argument": {"name": "path", "value": value.replace("{notes}", str(house.notes).lstrip("/"))},
            "context": {"arguments": chosen},
        }
        return json.dumps(wire.request("completion/complete", params))

    with connected(command if several else house.command, "stdio", MODERN) as wire:
        assert "denied_by_policy" in complete(value, chosen)
        # Judged by what is completed, not by another name beside it.
        assert "diary" not in complete(value, chosen, name="list_roots")
        if several:
            allowed = str(house.base / "other").lstrip("/") + "/" if uri.startswith("file") else ""
            assert "open.txt" in complete(allowed, {"root": "other"})


def test_what_is_denied_below_a_folder_goes_into_no_archive_and_comes_out_of_none(house: House) -> None:
    archive = house.notes / "made.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("private/diary.txt", "another")
    with connected([*house.command, "--tools", "archive"], "stdio", MODERN) as wire:
        denied = [
            wire.error("create_archive", folder="notes", path="notes/new.zip"),
            wire.error("create_archive", folder="notes/private", path="notes/new.zip"),
            wire.error("extract_archive", path="notes/made.zip", folder="notes"),
        ]
    assert all("denied_by_policy: Private notes stay private." in said for said in denied), denied
    assert (house.notes / "private" / "diary.txt").read_text(encoding="utf-8") == "one canary\n"
    assert not (house.notes / "new.zip").exists()


@pytest.mark.parametrize("folder", ["notes", "file://{notes}", "{notes}", ""])
def test_a_patch_is_judged_by_the_files_that_it_changes(house: House, folder: str) -> None:
    (house.notes / "#d").mkdir()
    path = folder.replace("{notes}", str(house.notes))
    with connected([*house.command, "--tools", "apply_patch"], "stdio", MODERN) as wire:
        for inside in (
            "private/diary.txt",
            "#d/../private/diary.txt",
            "x/%2e%2e/private/diary.txt",
            "shortcut/diary.txt",
        ):
            name = inside if folder else f"notes/{inside}"
            patch = f"--- {name}\n+++ {name}\n@@ -1 +1 @@\n-one canary\n+gone\n"
            said = wire.error("apply_patch", path=path, patch=patch)
            assert "denied_by_policy" in said or "no_folder" in said or "not_found" in said, said
    assert (house.notes / "private" / "diary.txt").read_text(encoding="utf-8") == "one canary\n"


def test_a_tool_the_policy_always_denies_is_not_listed_nor_run(house: House) -> None:
    with connected(house.command, "stdio", MODERN) as wire:
        names = [tool["name"] for tool in wire.request("tools/list")["result"]["tools"]]
        assert "write_file" not in names
        assert "edit_file" in names
        assert "denied_by_policy" in wire.error("write_file", path="notes/new", content="")
    assert not (house.notes / "new").exists()


def test_refusals_are_in_the_journal_with_their_rule(house: House) -> None:
    with connected(house.command, "stdio", MODERN) as wire:
        wire.error("read_file", path="notes/private/diary.txt")
        wire.error("edit_file", **EDIT)
        wire.text("read_file", path="notes/a.txt")
    (path,) = (house.base / "state" / "journal").glob("*.jsonl")
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    kinds = [(record["type"], record.get("decision")) for record in records[1:-1]]
    assert kinds == [("refusal", "deny"), ("refusal", "confirm"), ("intent", "allow"), ("outcome", None)]
    assert "line 6" in records[1]["rule"]
    assert [record.get("reason", "").split()[0] for record in records[1:3]] == ["denied_by_policy", "approval_required"]
    assert records[2]["confirm"] == {"answer": "parked"}
    assert records[-1]["type"] == "close"
    done = subprocess.run(
        [sys.executable, "-m", "gatelodge_core.cli.__main__", "audit", "verify", "--state-dir", f"{house.base}/state"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_a_policy_that_contradicts_itself_stops_the_server(house: House) -> None:
    (house.base / "policy.toml").write_text('[[rule]]\nthen = "allow"\n[[rule]]\nthen = "deny"\n', encoding="utf-8")
    done = subprocess.run(
        house.command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "line 3: contradicts line 1" in done.stderr


def test_over_the_rate_http_says_429_and_when_to_come_back(house: House) -> None:
    command = [*house.command, "--call-burst", "3", "--calls-per-second", "0.5"]
    with connected(command, "http", MODERN) as wire:
        assert isinstance(wire, HttpWire)
        for _ in range(3):
            wire.record("list_roots")
        message: Message = {
            "jsonrpc": "2.0",
            "id": 9,
            "method": "tools/call",
            "params": wire.params({"name": "list_roots", "arguments": {}}),
        }
        status, headers, body = wire.post(json.dumps(message).encode(), wire.headers(message))
    error = json.loads(body)["error"]
    assert status == 429
    assert headers["retry-after"] == "2"
    assert error["message"].startswith("over_limit: too many calls. Try again in")
    assert 0 < error["data"]["retry_after_ms"] <= 2000


def test_policy_show_and_test_say_the_rule(house: House) -> None:
    def policy(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [
            sys.executable,
            "-m",
            "gatelodge_core.cli.__main__",
            "policy",
            "--policy",
            f"{house.base}/policy.toml",
            *arguments,
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    shown = policy("show").stdout
    assert "edit_file" in shown
    assert "rule on line 2" in shown
    assert "Private notes stay private." in shown
    assert policy("test", "read_file", "path=notes/a.txt").returncode == 0
    denied = policy("test", "read_file", "path=notes/private/x")
    assert (denied.returncode, denied.stdout.split(":")[0]) == (1, "deny")
    assert policy("test", "no_such_tool").returncode == 2


def test_calls_refused_for_a_mask_count_against_the_rate(house: House) -> None:
    command = [*house.command, "--call-burst", "3", "--calls-per-second", "0.01"]
    masked = {**EDIT, "edits": [{"old": "one", "new": "[redacted: github token]"}]}
    with connected(command, "stdio", MODERN) as wire:
        for _ in range(3):
            assert "masked_text" in wire.error("edit_file", **masked)
        answer = wire.request("tools/call", {"name": "edit_file", "arguments": masked})
    assert answer["error"]["message"].startswith("over_limit")
