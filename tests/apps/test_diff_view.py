"""The diff of a preview: hunks are accepted through the host by the real server, which judges each call as any other."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.apps.fixtures import content, host
from tests.apps.hostile import BIDI, MARKUP
from tests.apps.hosting import SHOWS_VIEWS, Host, page_of, result_with
from tests.browser.finding import needs_chromium
from tests.browser.fixtures import browser, page
from tests.support.planted import BASE32, some
from tests.support.wire import Message, Revision, StdioWire, Wire, connected, python_module

__all__ = ["browser", "host", "page"]
pytestmark = needs_chromium

NAME = "root/poem.txt"
LINES = [f"line {number}\n" for number in range(1, 41)]
EDITS = [
    {"old": "line 3\n", "new": "line three\nand a half\n"},
    {"old": "line 20\n", "new": ""},
    {"old": "line 38\n", "new": "line thirty-eight\n"},
]


@contextmanager
def serving(
    base: Path, revision: Revision = "2026-07-28", policy: str = "", more: Mapping[str, Any] | None = None
) -> Generator[Wire]:
    root = base / "root"
    root.mkdir()
    (root / "poem.txt").write_text("".join(LINES), encoding="utf-8")
    (base / "policy.toml").write_text(policy, encoding="utf-8")
    started = python_module("gatelodge_filesystem", str(root), "--state-dir", str(base / "state"), "--policy", str(base / "policy.toml"))  # fmt: skip
    with connected(started, "stdio", revision, capabilities={**SHOWS_VIEWS, **(more or {})}) as wire:
        yield wire


def preview(host: Host, wire: Wire, edits: list[dict[str, str]] | None = None, **more: Any) -> None:
    arguments = {"path": NAME, "edits": edits or EDITS, "dry_run": True}
    result = wire.tool("edit_file", **arguments)
    host.mount(page_of(wire, "edit_file"), **more)
    host.give(result, arguments)


def text(base: Path) -> str:
    return (base / "root/poem.txt").read_text(encoding="utf-8")


def with_lines(changes: Mapping[int, str]) -> str:
    return "".join(changes.get(number, line) for number, line in enumerate(LINES, 1))


def accept(host: Host) -> None:
    host.click(".acts .main")


def untick(host: Host, *places: int) -> None:
    for place in places:
        host.inside(f"document.querySelectorAll('.hunk input')[{place}].click()")


def alert(host: Host) -> str:
    host.see("document.getElementById('said').role === 'alert'")
    return host.text("#said")


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_hunks_are_accepted_in_turn_and_the_last_of_them_is_undone(
    host: Host, tmp_path: Path, revision: Revision
) -> None:
    with serving(tmp_path, revision) as wire:
        preview(host, wire)
        assert host.texts(".hunk strong, .hunk label") == ["Change 1, line 3", "Change 2, line 20", "Change 3, line 38"]
        assert host.text(".acts .main") == "Accept all 3 changes"
        untick(host, 0, 2)
        assert host.text(".acts .main") == "Accept 1 change"
        accept(host)
        call = host.pass_on(wire)
        assert call["name"] == "edit_file"
        assert call["arguments"]["edits"] == [{"start_line": 20, "end_line": 20, "old": "line 20\n", "new": ""}]
        host.see("document.querySelector('[data-state=done]') !== null")
        assert text(tmp_path) == with_lines({20: ""})
        # Whoever works by keyboard is still inside of the change.
        host.see("document.activeElement.closest('#view') !== null")
        # What is left is at other lines by now, and of another version.
        untick(host, 0, 1)
        accept(host)
        second = host.pass_on(wire)["arguments"]
        assert [edit["start_line"] for edit in second["edits"]] == [3, 37]
        assert second["if_match"] != call["arguments"]["if_match"]
        host.see("document.querySelectorAll('[data-state=done]').length === 3")
        assert text(tmp_path) == with_lines({3: "line three\nand a half\n", 20: "", 38: "line thirty-eight\n"})
        host.inside("[...document.querySelectorAll('.acts button')].find(one => one.textContent === 'Undo').click()")
        assert host.pass_on(wire)["name"] == "undo_change"
        host.see("document.getElementById('said').textContent.includes('undone')")
        assert text(tmp_path) == with_lines({20: ""})


def test_a_file_that_changed_meanwhile_is_not_touched_and_that_is_told(host: Host, tmp_path: Path) -> None:
    with serving(tmp_path) as wire:
        preview(host, wire)
        changed = "somebody else\n" + text(tmp_path)
        (tmp_path / "root/poem.txt").write_text(changed, encoding="utf-8")
        accept(host)
        host.pass_on(wire)
        assert alert(host).startswith("Nothing was changed.")
        assert "stale_etag" in host.text("#said")
        assert text(tmp_path) == changed
        # It can be tried again: nothing is taken for done.
        assert host.text(".acts .main") == "Accept all 3 changes"


def test_a_change_that_the_policy_wants_confirmed_waits_for_the_person(host: Host, tmp_path: Path) -> None:
    policy = '[[rule]]\ntool = "edit_file"\nthen = "confirm"\n'
    with serving(tmp_path, "2025-11-25", policy) as wire:
        arguments = {"path": NAME, "edits": EDITS, "dry_run": True}
        assert wire.tool("edit_file", **arguments)["isError"]
        # The preview itself waits too; what the view has is from a time when it did not.
        host.mount(page_of(wire, "edit_file"))
        host.give(previewed(tmp_path), arguments)
        accept(host)
        host.pass_on(wire)
        assert "gatelodge approve" in alert(host)
        assert text(tmp_path) == "".join(LINES)


@pytest.mark.parametrize("action", ["accept", "decline"])
def test_the_persons_answer_to_the_servers_question_decides(host: Host, tmp_path: Path, action: str) -> None:
    policy = '[[rule]]\ntool = "edit_file"\nthen = "confirm"\n'
    with serving(tmp_path, "2025-11-25", policy, {"elicitation": {}}) as wire:
        assert isinstance(wire, StdioWire)
        host.mount(page_of(wire, "edit_file"))
        host.give(previewed(tmp_path), {"path": NAME, "edits": EDITS, "dry_run": True})
        untick(host, 0, 2)
        accept(host)
        call = host.asked()
        request = {"jsonrpc": "2.0", "id": "view", "method": "tools/call", "params": call["params"]}
        wire.server.write(json.dumps(request).encode() + b"\n")
        question = json.loads(wire.server.line())
        assert question["method"] == "elicitation/create"
        # What is asked is what the person chose in the view, and no more.
        assert "-line 20" in question["params"]["message"]
        assert "line three" not in question["params"]["message"]
        said = {"jsonrpc": "2.0", "id": question["id"], "result": {"action": action}}
        wire.server.write(json.dumps(said).encode() + b"\n")
        host.answer(call, {"result": wire.response("view")["result"]})
        if action == "accept":
            host.see("document.querySelectorAll('[data-state=done]').length === 1")
            assert text(tmp_path) == with_lines({20: ""})
        else:
            assert alert(host).startswith("Nothing was changed.")
            assert text(tmp_path) == "".join(LINES)


def previewed(base: Path) -> Message:
    """A preview of the same file by a server without a policy."""
    started = python_module("gatelodge_filesystem", str(base / "root"), "--state-dir", str(base / "other"))
    with connected(started, "stdio", "2025-11-25", capabilities=SHOWS_VIEWS) as wire:
        return wire.tool("edit_file", path=NAME, edits=EDITS, dry_run=True)


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"code": -32000, "message": "the person declined <b>this</b>"}},
        {"result": {"isError": True, "content": [{"type": "text", "text": "denied_by_policy: <b>no</b>"}]}},
    ],
)
def test_a_declined_call_is_told_and_nothing_is_taken_for_done(host: Host, answer: Message) -> None:
    host.mount(content("diff_view"))
    host.give(diff())
    accept(host)
    assert host.text(".acts .main") == "Asking…"
    assert host.inside("document.querySelector('.acts .main').disabled")
    host.answer(host.asked(), answer)
    assert "<b>" in alert(host)
    assert host.inside("document.querySelectorAll('[data-state=done]').length") == 0
    assert host.text(".acts .main") == "Accept 1 change"


def diff(old: str = "old\n", new: str = "new\n", **more: Any) -> Message:
    edits = [{"start_line": 1, "end_line": 1, "old": old, "new": new}]
    lines = [["-", 1, 0, old.rstrip("\n")], ["+", 0, 1, new.rstrip("\n")]]
    hunk = {"lines": lines, "edits": edits, "characters": len(old) + len(new)}
    told: Message = {"kind": "diff", "path": "root/x", "done": False, "base": "e1", "etag": "e2", "change": "", "added": 1, "removed": 1, "notes": [], "left": 0, "whole": ""}  # fmt: skip
    return result_with({**told, "hunks": [hunk], **more})


def test_a_hunk_with_something_masked_or_hidden_is_shown_and_never_sent(host: Host, tmp_path: Path) -> None:
    secret = "AKIA" + some(BASE32, 16)
    with serving(tmp_path) as wire:
        edits = [{"old": "line 3\n", "new": f"key {secret}\n"}, {"old": "line 20\n", "new": f"evil{BIDI}\n"}, EDITS[2]]
        preview(host, wire, edits)
        assert host.inside("[...document.querySelectorAll('.hunk')].map(one => one.dataset.state)") == [
            "fixed",
            "fixed",
            "open",
        ]
        assert secret not in host.text()
        assert BIDI not in host.text()
        assert "cannot be accepted alone" in host.texts(".hunk header")[0]
        accept(host)
        host.pass_on(wire)
        host.see("document.querySelectorAll('[data-state=done]').length === 1")
        assert text(tmp_path) == with_lines({38: "line thirty-eight\n"})


def test_a_change_that_was_made_is_shown_and_can_be_undone(host: Host, tmp_path: Path) -> None:
    with serving(tmp_path) as wire:
        arguments = {"path": NAME, "edits": EDITS}
        result = wire.tool("edit_file", **arguments)
        host.mount(page_of(wire, "edit_file"))
        host.give(result, arguments)
        assert host.inside("document.querySelectorAll('input').length") == 0
        assert host.text(".tag") == "changed"
        host.inside("document.querySelector('.acts button').click()")
        host.pass_on(wire)
        host.see("document.getElementById('said').textContent.includes('undone')")
        assert text(tmp_path) == "".join(LINES)


def test_a_host_that_passes_no_calls_on_shows_the_change_and_offers_nothing(host: Host) -> None:
    host.mount(content("diff_view"), able={})
    host.give(diff())
    assert host.inside("document.querySelectorAll('input, .acts').length") == 0
    assert "passes no calls on" in host.text()


def test_what_can_only_be_made_whole_says_why(host: Host) -> None:
    host.mount(content("diff_view"))
    host.give(diff(whole="it changes line ends or bytes that no edit of text can tell"))
    assert host.inside("document.querySelectorAll('input').length") == 0
    assert "It can only be made whole, since it changes line ends" in host.text()


def test_code_and_paths_are_text_whatever_they_say(host: Host) -> None:
    host.mount(content("diff_view"))
    for words in (*MARKUP, f"a{BIDI}b"):
        host.give(diff(old=f"{words}\n", path=words, notes=[words]))
        assert host.texts(".minus .code") == [words.replace(BIDI, "⟦U+202E⟧")]
    assert host.inside("document.querySelectorAll('#view img, #view script, #view svg, #view iframe').length") == 0


def test_added_and_removed_lines_are_told_without_colour(host: Host) -> None:
    host.mount(content("diff_view"))
    host.give(diff())
    assert host.inside("[...document.querySelectorAll('.sign .sr')].map(one => one.textContent)") == [
        "removed",
        "added",
    ]
    roles = host.accessible()
    assert {("checkbox", "Change 1, line 1"), ("button", "Accept 1 change"), ("region", "Change 1, line 1")} <= roles


def test_hunks_are_chosen_by_keyboard(host: Host) -> None:
    host.mount(content("diff_view"))
    host.give(diff())
    host.inside("document.querySelector('.hunk input').focus()")
    host.page.press(" ")
    host.see("document.querySelector('.acts .main').disabled")
    host.page.press(" ")
    host.see("!document.querySelector('.acts .main').disabled")


def test_on_a_phone_long_lines_scroll_in_their_own_box(host: Host) -> None:
    host.page.viewport(320, 700, touch=True)
    host.mount(content("diff_view"))
    host.give(diff(old="x" * 500 + "\n", path="root/" + "y" * 200))
    assert host.inside(
        "[document.documentElement.scrollWidth, document.querySelector('.lines').scrollWidth > 320]"
    ) == [320, True]


def test_what_the_view_sends_is_what_the_preview_had(host: Host) -> None:
    host.mount(content("diff_view"))
    host.give(diff())
    accept(host)
    sent = host.asked()["params"]
    edit = {"start_line": 1, "end_line": 1, "old": "old\n", "new": "new\n"}
    assert sent == {"name": "edit_file", "arguments": {"path": "root/x", "edits": [edit], "if_match": "e1"}}
    assert json.dumps(sent).isascii()
