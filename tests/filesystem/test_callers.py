"""Several people on one filesystem server: each sees, changes, undoes and hears of what is its own, whatever it tries."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.guard.channel import QUESTION

from tests.support.callers import NAMES, Caller, canary, together
from tests.support.several import Several, several
from tests.support.wire import Message

ROUNDS = 6
PAIR = ("guest", "visitor")
"""Two who have one folder."""
ASKS: dict[str, Any] = {"elicitation": {"form": {}}}


def furnish(base: Path) -> str:
    """Folders for all of them, and the settings."""
    tables: list[str] = []
    for name in NAMES:
        notes = base / "homes" / name / "notes"
        (notes / "sub").mkdir(parents=True)
        (notes / "plan.txt").write_text(f"{canary(name)}plan\n", encoding="utf-8")
        (notes / f"{canary(name)}file.txt").write_text("named\n", encoding="utf-8")
        for number in range(30):
            (notes / "sub" / f"{number:02}.txt").write_text(f"{canary(name)}{number} needle\n", encoding="utf-8")
    for name in NAMES:
        other = NAMES[(NAMES.index(name) + 1) % len(NAMES)]
        notes = base / "homes" / name / "notes"
        (notes / "absolute").symlink_to(base / "homes" / other / "notes")
        (notes / "relative").symlink_to(f"../../{other}/notes/plan.txt")
        tables.append(f'[filesystem.accounts."key:{name}"]\nroots = [{json.dumps(str(notes))}]\n')
    (base / "shared").mkdir()
    (base / "shared" / "for-all.txt").write_text("for all\n", encoding="utf-8")
    (base / "closed").mkdir()
    readers = f'[filesystem.accounts."key:reader"]\nroots = [{json.dumps(str(base / "shared") + ":ro")}]\n'
    pair = [f'[filesystem.accounts."key:{name}"]\nroots = [{json.dumps(str(base / "shared"))}]\n' for name in PAIR]
    return "\n".join([*tables, readers, *pair])


PEOPLE = (*NAMES, "reader", *PAIR)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("callers")


@pytest.fixture(scope="module")
def served(base: Path) -> Generator[Several]:
    with several(base, "filesystem", furnish(base), PEOPLE) as found:
        yield found


def work(caller: Caller) -> None:
    """What somebody does in a day, again and again, each answer looked at."""
    own = canary(caller.name)
    for turn in range(ROUNDS):
        assert f"{own}plan" in caller.text("read_file", path="notes/plan.txt")
        roots = caller.record("list_roots")["roots"]
        assert [root["path"].split("/")[-2] for root in roots] == [caller.name]
        assert f"{own}file.txt" in json.dumps(caller.record("list_directory", path="notes"))
        first = caller.record("find_files", path="notes", globs=["**/*.txt"], limit=10)
        again = caller.record("find_files", path="notes", globs=["**/*.txt"], limit=10, cursor=first["next_cursor"])
        assert not set(first["paths"]) & set(again["paths"])
        assert caller.text("search_text", path="notes", pattern="needle").count(own) >= 20
        made = caller.text("write_file", path=f"notes/made-{turn}.txt", content=f"{own}made {turn}\n")
        change = made.split("change=")[1].split()[0].rstrip(",.]")
        changes = caller.text("list_changes")
        assert change in changes
        assert f"{turn + 1} of {turn + 1} changes" in changes
        diff = caller.request("resources/read", {"uri": f"fs-journal://{change}"})
        assert f"{own}made {turn}" in json.dumps(diff)
        assert f"{own}plan" in json.dumps(caller.request("resources/read", {"uri": "fs://notes/plan.txt"}))
        assert f"{own}file.txt" in json.dumps(completed(caller, "notes", canary(caller.name)[:6]))
        waited = caller.record("wait_for_changes", paths=["notes/sub"], timeout=0)
        assert (
            caller.record("wait_for_changes", paths=["notes/sub"], timeout=0, cursor=waited["cursor"])["changes"] == []
        )
        prompt = caller.request("prompts/get", {"name": "explain_folder", "arguments": {"path": "notes/sub"}})
        assert "notes/sub" in json.dumps(prompt)


def completed(caller: Caller, root: str, value: str) -> list[str]:
    answer = caller.request(
        "completion/complete",
        {
            "ref": {"type": "ref/resource", "uri": "fs://{root}/{+path}"},
            "argument": {"name": "path", "value": value},
            "context": {"arguments": {"root": root}},
        },
    )
    return answer["result"]["completion"]["values"]


def test_eight_people_at_once_never_see_each_others_files(served: Several, base: Path) -> None:
    callers = {name: Caller(served, name) for name in NAMES}
    together({name: lambda caller=caller: work(caller) for name, caller in callers.items()})
    assert sum(len(caller.got) for caller in callers.values()) >= 8 * ROUNDS * 13
    for name, caller in callers.items():
        assert canary(name).encode() in b"".join(caller.got)
        assert caller.foreign() == []
        made = sorted(path.name for path in (base / "homes" / name / "notes").glob("made-*"))
        assert made == [f"made-{turn}.txt" for turn in range(ROUNDS)]


def test_no_path_leads_to_another_persons_files(served: Several, base: Path) -> None:
    thief = Caller(served, "p0")
    victim = base / "homes" / "p1" / "notes"
    before = (victim / "plan.txt").read_text()
    for path in (
        f"{victim}/plan.txt", f"file://{victim}/plan.txt", "notes/../../p1/notes/plan.txt", "../p1/notes/plan.txt",
        "notes/absolute/plan.txt", "notes/relative", f"{base}/homes/p0/notes/../../p1/notes/plan.txt",
        f"{base}/shared/for-all.txt", "shared/for-all.txt", "p1/notes/plan.txt", f"{base}/config.toml",
        f"{served.state}/filesystem", f"{base}/keys/keys.json",
    ):  # fmt: skip
        for tool, arguments in (
            ("read_file", {"path": path}), ("list_directory", {"path": path}), ("search_text", {"path": path, "pattern": "canary"}),
            ("write_file", {"path": f"{path}.new", "content": "x"}), ("edit_file", {"path": path, "edits": [{"old": "canary", "new": "x"}]}),
            ("copy_path", {"source": path, "destination": "notes/stolen"}), ("move_path", {"source": path, "destination": "notes/stolen"}),
            ("copy_path", {"source": "notes/plan.txt", "destination": f"{path}.new"}), ("find_files", {"path": path}),
            ("wait_for_changes", {"paths": [path], "timeout": 0}), ("diff_files", {"old": path, "new": "notes/plan.txt"}),
        ):  # fmt: skip
            if path == "notes/relative" and tool in ("copy_path", "move_path", "write_file", "wait_for_changes"):
                continue  # the link itself is p0's own
            assert thief.tool(tool, **arguments).get("isError"), (tool, path)
        assert "error" in thief.request("resources/read", {"uri": f"fs://notes/{path}"})
        assert "error" in thief.request("resources/read", {"uri": f"file://{path}"})
        assert completed(thief, "notes", path) == []
    assert completed(thief, "shared", "") == []
    assert thief.foreign() == []
    assert b"for all" not in b"".join(thief.got)
    assert (victim / "plan.txt").read_text() == before
    assert not (victim / "plan.txt.new").exists()


def test_no_id_cursor_or_answer_works_for_another_person(served: Several, base: Path) -> None:
    owner, thief = Caller(served, "p2"), Caller(served, "p3")
    made = owner.text("write_file", path="notes/secret.txt", content=f"{canary('p2')}secret\n")
    change = made.split("change=")[1].split()[0].rstrip(",.]")
    for arguments in ({"change": change}, {"change": change, "since": True}, {"change": change, "dry_run": True}):
        assert thief.error("undo_change", **arguments).startswith("no_such_change")
    assert "error" in thief.request("resources/read", {"uri": f"fs-journal://{change}"})
    assert change not in thief.text("list_changes", limit=500)
    answer = thief.request(
        "completion/complete",
        {"ref": {"type": "ref/resource", "uri": "fs-journal://{change}"}, "argument": {"name": "change", "value": ""}},
    )
    assert change not in json.dumps(answer)
    assert (base / "homes" / "p2" / "notes" / "secret.txt").exists()
    # A waiting cursor of another's is one of nobody: it begins anew, in the thief's own folder.
    cursor = owner.record("wait_for_changes", paths=["notes"], timeout=0)["cursor"]
    (base / "homes" / "p2" / "notes" / f"{canary('p2')}heard.txt").write_text("x", encoding="utf-8")
    heard = thief.record("wait_for_changes", paths=["notes"], timeout=1, cursor=cursor)
    assert (heard["changes"], heard["rescan"]) == ([], True)
    told = owner.record("wait_for_changes", paths=["notes"], timeout=20, cursor=cursor)
    assert f"{canary('p2')}heard.txt" in json.dumps(told)
    assert thief.foreign() == []


def asked(caller: Caller, name: str, arguments: Message, answer: Message | None = None) -> Message:
    return caller.request("tools/call", {"name": name, "arguments": arguments, **(answer or {})})


def test_a_yes_of_one_person_does_not_answer_for_another(served: Several, base: Path) -> None:
    owner, thief = Caller(served, "p4", capabilities=ASKS), Caller(served, "p5", capabilities=ASKS)
    for name in ("p4", "p5"):
        (base / "homes" / name / "notes" / "gone.txt").write_text("x", encoding="utf-8")
    arguments = {"paths": ["notes/gone.txt"], "permanent": True}
    question = asked(owner, "delete_path", arguments)["result"]
    assert question["resultType"] == "input_required"
    yes: Message = {
        "requestState": question["requestState"],
        "inputResponses": {QUESTION: {"action": "accept", "content": {}}},
    }
    refused = asked(thief, "delete_path", arguments, yes)
    assert "error" in refused or refused["result"].get("isError"), refused
    assert (base / "homes" / "p5" / "notes" / "gone.txt").exists()
    assert (base / "homes" / "p4" / "notes" / "gone.txt").exists()
    done = asked(owner, "delete_path", arguments, yes)["result"]
    assert not done.get("isError"), done
    assert not (base / "homes" / "p4" / "notes" / "gone.txt").exists()
    assert (base / "homes" / "p5" / "notes" / "gone.txt").exists()


def test_who_may_only_read_is_offered_no_tool_that_changes(served: Several, base: Path) -> None:
    reader = Caller(served, "reader")
    names = {tool["name"] for tool in reader.request("tools/list")["result"]["tools"]}
    assert "read_file" in names
    assert "write_file" not in names
    assert "for all" in reader.text("read_file", path="for-all.txt")
    assert reader.error("write_file", path="new.txt", content="x").startswith("read_only_root")
    assert not (base / "shared" / "new.txt").exists()


def test_two_with_one_folder_share_its_files_but_not_what_they_did(served: Several, base: Path) -> None:
    guest, visitor = Caller(served, "guest"), Caller(served, "visitor")
    made = guest.text("write_file", path="shared/guest.txt", content="of the guest\n")
    change = made.split("change=")[1].split()[0].rstrip(",.]")
    assert "of the guest" in visitor.text("read_file", path="shared/guest.txt")
    assert "[0 of 0 changes]" in visitor.text("list_changes")
    assert visitor.error("undo_change", change=change).startswith("no_such_change")
    # What another did since is a conflict, as with any other program.
    visitor.text("edit_file", path="shared/guest.txt", edits=[{"old": "of the guest", "new": "of both"}])
    assert guest.error("undo_change", change=change).startswith("conflict")
    assert (base / "shared" / "guest.txt").read_text() == "of both\n"


def test_a_file_of_two_people_loses_no_change_of_either(served: Several, base: Path) -> None:
    guest, visitor = Caller(served, "guest"), Caller(served, "visitor")
    (base / "shared" / "count.txt").write_text("start\n", encoding="utf-8")

    def append(caller: Caller) -> None:
        for number in range(10):
            caller.text("write_file", path="shared/count.txt", content=f"{caller.name} {number}\n", mode="append")

    together({caller.name: lambda caller=caller: append(caller) for caller in (guest, visitor)})
    lines = (base / "shared" / "count.txt").read_text().splitlines()
    assert sorted(lines[1:]) == sorted(f"{name} {number}" for name in ("guest", "visitor") for number in range(10))


def test_a_policy_tells_people_apart_whose_roots_have_one_name(tmp_path: Path) -> None:
    config = furnish(tmp_path)
    policy = tmp_path / "policy.toml"
    policy.write_text(
        '[[rule]]\nprincipal = "key:p0"\nsubject = "notes/sub/**"\nthen = "deny"\n'
        '[[rule]]\nprincipal = "key:p0"\ntool = "write_file"\nthen = "deny"\n',
        encoding="utf-8",
    )
    (tmp_path / "homes" / "p0" / "notes" / "way").symlink_to("sub")
    (tmp_path / "homes" / "p1" / "notes" / "way").symlink_to("plan.txt")
    names = ("p0", "p1")
    with several(tmp_path, "filesystem", config, names, "--policy", str(policy)) as found:
        denied, free = Caller(found, "p0"), Caller(found, "p1")
        for path in ("notes/sub/01.txt", "notes/way/01.txt", f"{tmp_path}/homes/p0/notes/sub/01.txt"):
            assert denied.error("read_file", path=path).startswith("denied_by_policy")
        # A link is followed in the caller's own folder: the same words mean another file there.
        assert canary("p1") in free.text("read_file", path="notes/sub/01.txt")
        assert canary("p1") in free.text("read_file", path="notes/way")
        assert canary("p0") in denied.text("read_file", path="notes/plan.txt")
        listed = [{tool["name"] for tool in one.request("tools/list")["result"]["tools"]} for one in (denied, free)]
        assert [("write_file" in names, "edit_file" in names) for names in listed] == [(False, True), (True, True)]
        assert denied.error("write_file", path="notes/x.txt", content="x").startswith("denied_by_policy")
        assert denied.foreign() == free.foreign() == []
