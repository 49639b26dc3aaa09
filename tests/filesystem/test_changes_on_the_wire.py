"""Changing, finding and undoing as a host calls them, over each transport and protocol revision."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.wire import MODERN, Revision, Transport, Wire, connected

POLICY = """
[[rule]]
subject = "notes/private/**"
then = "deny"
reason = "Private notes stay private."
[[rule]]
subject = "notes/scratch/**"
tool = "delete_path"
then = "allow"
"""


class Desk:
    """A client on a server with a writable root."""

    def __init__(self, wire: Wire, base: Path) -> None:
        self.wire = wire
        self.base = base
        self.notes = base / "notes"

    def put(self, name: str, text: str) -> Path:
        path = self.notes / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def change(self, tool: str, **arguments: object) -> str:
        found = re.search(r"change=(\w+)", self.wire.text(tool, **arguments))
        assert found is not None
        return found.group(1)


def command(base: Path, *more: str) -> list[str]:
    (base / "notes" / "private").mkdir(parents=True, exist_ok=True)
    (base / "notes" / "private" / "diary").write_text("canary\n", encoding="utf-8")
    (base / "policy.toml").write_text(POLICY, encoding="utf-8")
    return [
        sys.executable, "-m", "gatelodge_filesystem", str(base / "notes"),
        "--state-dir", str(base / "state"), "--policy", str(base / "policy.toml"), *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def desk(transport: Transport, revision: Revision, tmp_path_factory: pytest.TempPathFactory) -> Generator[Desk]:
    base = tmp_path_factory.mktemp("desk")
    with connected(command(base), transport, revision) as wire:
        yield Desk(wire, base)


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Generator[Desk]:
    base = tmp_path_factory.mktemp("one")
    with connected(command(base, "--tools", "apply_patch"), "stdio", MODERN) as wire:
        yield Desk(wire, base)


def test_a_change_answers_with_its_id_and_is_undone_by_it(desk: Desk) -> None:
    path = desk.put("w/plan.txt", "one\ntwo\n")
    first = desk.change("edit_file", path="notes/w/plan.txt", edits=[{"start_line": 2, "old": "two", "new": "TWO"}])
    desk.change("write_file", path="notes/w/plan.txt", content="three\n", mode="append")
    moved = desk.change("move_path", source="notes/w", destination="notes/v")
    assert (desk.notes / "v" / "plan.txt").read_text(encoding="utf-8") == "one\nTWO\nthree\n"
    assert moved in desk.wire.text("list_changes", path="notes/v")
    assert "conflict" in desk.wire.error("undo_change", change=first)
    uri = f"fs-journal://{first}"
    content = desk.wire.request("resources/read", {"uri": uri})["result"]["contents"][0]
    assert "-two\n+TWO\n" in content["text"]
    undone = desk.change("undo_change", change=first, since=True)
    assert path.read_text(encoding="utf-8") == "one\ntwo\n"
    desk.change("undo_change", change=undone)
    assert (desk.notes / "v" / "plan.txt").read_text(encoding="utf-8") == "one\nTWO\nthree\n"


def test_a_change_that_is_not_kept_is_a_resource_that_is_not_there(desk: Desk) -> None:
    uri = "fs-journal://c0000000"
    error = desk.wire.request("resources/read", {"uri": uri})["error"]
    assert (error["code"], error["data"]) == (-32602 if desk.wire.modern else -32002, {"uri": uri})
    assert "no_such_change" in error["message"]


def test_a_replacement_in_many_files_is_looked_at_first_then_made_whole(desk: Desk) -> None:
    paths = [desk.put(f"many/{name}", f"old {name} old\n") for name in "abc"]
    listed = desk.wire.text("replace_in_files", pattern="old", replacement="new", path="notes/many")
    assert "would replace 6 occurrences in 3 files" in listed
    assert all("old" in path.read_text(encoding="utf-8") for path in paths)
    ids = re.findall(r"^([0-9a-f]{10}) line 1", listed, re.MULTILINE)
    plan = re.search(r"if_match=(\w+)", listed)
    assert plan is not None
    arguments = {"pattern": "old", "replacement": "new", "path": "notes/many", "dry_run": False}
    assert "unexpected_count" in desk.wire.error("replace_in_files", **arguments, expected_count=5)
    some = desk.change("replace_in_files", **arguments, occurrences=[ids[0], ids[5]], if_match=plan.group(1))
    assert [path.read_text(encoding="utf-8") for path in paths] == ["new a old\n", "old b old\n", "old c new\n"]
    # The ids and the plan are of versions that are gone.
    assert "stale_etag" in desk.wire.error("replace_in_files", **arguments, occurrences=ids[:1])
    assert "stale_etag" in desk.wire.error("replace_in_files", **arguments, if_match=plan.group(1))
    desk.change("replace_in_files", **arguments, expected_count=4, globs=["*"])
    assert [path.read_text(encoding="utf-8") for path in paths] == [f"new {name} new\n" for name in "abc"]
    desk.change("undo_change", change=some, since=True)
    assert [path.read_text(encoding="utf-8") for path in paths] == [f"old {name} old\n" for name in "abc"]
    one_file = desk.wire.text("replace_in_files", pattern="old", replacement="x", path="notes/many/a")
    assert "2 occurrences in 1 files" in one_file


def test_a_deletion_asks_first_and_shows_what_it_would_delete(desk: Desk) -> None:
    desk.put("gone/deep/file", "precious\n")
    refused = desk.wire.error("delete_path", paths=["notes/gone"], recursive=True)
    assert "approval_required" in refused
    assert (desk.notes / "gone").exists()
    code = refused.split("gatelodge approve ")[1].split(" ")[0]
    approve = [
        sys.executable, "-m", "gatelodge_core.cli.__main__", "approve", code, "--yes",
        "--state-dir", str(desk.base / "state"),
    ]  # fmt: skip
    shown = subprocess.run(approve, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "would be moved to the trash, folder with 1 files and 1 folders, 9 bytes" in shown
    change = desk.change("delete_path", paths=["notes/gone"], recursive=True)
    assert not (desk.notes / "gone").exists()
    desk.change("undo_change", change=change)
    assert (desk.notes / "gone" / "deep" / "file").read_text(encoding="utf-8") == "precious\n"


def test_rules_hold_for_both_ends_of_a_move_for_links_and_for_undo(one: Desk) -> None:
    one.put("a.txt", "a\n")
    (one.notes / "shortcut").symlink_to("private")
    for tool, arguments in (
        ("move_path", {"source": "notes/a.txt", "destination": "notes/private/a.txt"}),
        ("move_path", {"source": "notes/private/diary", "destination": "notes/diary"}),
        ("move_path", {"source": "notes/private", "destination": "notes/public"}),
        ("copy_path", {"source": "notes/shortcut/diary", "destination": "notes/diary"}),
        ("copy_path", {"source": "notes", "destination": "notes/all"}),
        ("create_directory", {"path": "notes/shortcut/x"}),
        ("delete_path", {"paths": ["notes/a.txt", "notes/shortcut/diary"]}),
        ("replace_in_files", {"pattern": "canary", "replacement": "x", "path": "notes"}),
        ("list_changes", {}),
        ("apply_patch", {"patch": "--- a/private/diary\n+++ b/private/diary\n@@ -1 +1 @@\n-canary\n+x\n"}),
    ):
        assert "denied_by_policy" in one.wire.error(tool, **arguments), tool
    made = one.change("create_directory", path="notes/scratch/deep")
    assert "scratch" in one.wire.text("list_changes", path="notes/scratch")
    assert "moved to the trash" in one.wire.text("delete_path", paths=["notes/scratch/deep"])
    assert "conflict" in one.wire.error("undo_change", change=made)
    assert (one.notes / "private" / "diary").read_text(encoding="utf-8") == "canary\n"
    assert "denied_by_policy" in one.wire.error("undo_change", change="unknown")


def test_a_patch_changes_all_its_files_or_none(one: Desk) -> None:
    one.put("p/a", "one\ntwo\n")
    patch = "--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n one\n-two\n+TWO\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+made\n"
    assert "would change notes/p/a, notes/p/new" in one.wire.text(
        "apply_patch", patch=patch, path="notes/p", dry_run=True
    )
    assert not (one.notes / "p" / "new").exists()
    change = one.change("apply_patch", patch=patch, path="notes/p")
    assert (one.notes / "p" / "a").read_text(encoding="utf-8") == "one\nTWO\n"
    assert (one.notes / "p" / "new").read_text(encoding="utf-8") == "made\n"
    one.change("undo_change", change=change)
    assert sorted(os.listdir(one.notes / "p")) == ["a"]
    one.put("p/new", "in the way")
    assert "exists" in one.wire.error("apply_patch", patch=patch, path="notes/p")
    assert (one.notes / "p" / "a").read_text(encoding="utf-8") == "one\ntwo\n"


def test_a_patch_that_git_wrote_is_applied_whole_or_not_at_all(one: Desk) -> None:
    """By git itself: names of all kinds, with its prefixes and without, an empty file."""
    place = one.notes / "git"
    (place / "a").mkdir(parents=True)
    names = ["f", "a/f", "na\xefve.txt"]
    for name in names:
        (place / name).write_text("one\n", encoding="utf-8")

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *words],
            cwd=place, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "x")
    for name in names:
        (place / name).write_text(f"{name}\n", encoding="utf-8")
    (place / "empty").write_text("", encoding="utf-8")
    for prefixes in ([], ["--no-prefix"]):
        git("add", "--all")
        patch = git("diff", "--cached", *prefixes)
        git("stash", "--quiet")
        assert (place / "a" / "f").read_text(encoding="utf-8") == "one\n"
        assert not (place / "empty").exists()
        one.change("apply_patch", patch=patch, path="notes/git")
        assert {name: (place / name).read_text(encoding="utf-8") for name in names} == {
            name: f"{name}\n" for name in names
        }
        assert (place / "empty").read_bytes() == b""
        git("checkout", "--quiet", ".")
        (place / "empty").unlink()
        git("stash", "pop", "--quiet")


def test_a_patch_makes_folders_and_programs_as_git_does(one: Desk) -> None:
    one.put("grown/old", "one\n")
    patch = (
        "--- a/old\n+++ b/old\n@@ -1 +1 @@\n-one\n+two\n"
        "diff --git a/bin/deep/run b/bin/deep/run\nnew file mode 100755\n--- /dev/null\n+++ b/bin/deep/run\n"
        "@@ -0,0 +1 @@\n+#!/bin/sh\n"
        "--- /dev/null\n+++ b/bin/plain\n@@ -0,0 +1 @@\n+text\n"
        "diff --git a/empty.sh b/empty.sh\nnew file mode 100755\n"
    )
    place = one.notes / "grown"
    assert "notes/grown/bin/deep/run" in one.wire.text("apply_patch", patch=patch, path="notes/grown", dry_run=True)
    assert os.listdir(place) == ["old"]
    change = one.change("apply_patch", patch=patch, path="notes/grown")
    assert (place / "bin" / "deep" / "run").read_text(encoding="utf-8") == "#!/bin/sh\n"
    assert (place / "bin" / "plain").read_text(encoding="utf-8") == "text\n"
    assert [os.access(place / name, os.X_OK) for name in ("bin/deep/run", "bin/plain", "empty.sh")] == [
        True, False, True,
    ]  # fmt: skip
    one.change("undo_change", change=change)
    assert os.listdir(place) == ["old"]
    assert (place / "old").read_text(encoding="utf-8") == "one\n"
    made = "--- /dev/null\n+++ b/{}\n@@ -0,0 +1 @@\n+x\n"
    for name, code in (
        ("new/.env", "protected"), ("new/.ssh/id", "protected"), ("old/x", "not_a_directory"),
        ("new/../../x", "bad_name"), ("new/.gatelodge-x/y", "reserved"), ("new/" + "n" * 256, "bad_name"),
    ):  # fmt: skip
        for dry_run in (True, False):
            found = one.wire.error("apply_patch", patch=made.format(name), path="notes/grown", dry_run=dry_run)
            assert found.startswith(code), name
    both = made.format("new/a") + made.format("new/a/b")
    assert "internal_error" not in one.wire.error("apply_patch", patch=both, path="notes/grown")
    assert os.listdir(place) == ["old"]


def test_optional_tools_are_offered_only_when_they_were_asked_for(one: Desk, tmp_path: Path) -> None:
    names = [tool["name"] for tool in one.wire.request("tools/list")["result"]["tools"]]
    assert "apply_patch" in names
    with connected(command(tmp_path / "usual"), "stdio", MODERN) as wire:
        assert "apply_patch" not in [tool["name"] for tool in wire.request("tools/list")["result"]["tools"]]
    wrong = subprocess.run(
        command(tmp_path / "wrong", "--tools", "format_disk"), capture_output=True, text=True, timeout=60, check=False
    )
    assert wrong.returncode == 2
    assert "'format_disk' is not one of: archive, apply_patch" in wrong.stderr


def test_a_read_only_server_still_tells_what_was_changed(one: Desk) -> None:
    with connected(command(one.base, "--read-only"), "stdio", MODERN) as wire:
        names = {tool["name"] for tool in wire.request("tools/list")["result"]["tools"]}
        assert "list_changes" in names
        assert not names & {"undo_change", "move_path", "copy_path", "delete_path", "create_directory"}


def test_the_newest_changes_complete_the_uri_of_the_journal(tmp_path: Path) -> None:
    (tmp_path / "free").mkdir()
    start = [sys.executable, "-m", "gatelodge_filesystem", str(tmp_path / "free"), "--state-dir", str(tmp_path / "s")]
    with connected(start, "stdio", MODERN) as wire:
        change = Desk(wire, tmp_path).change("write_file", path="free/c.txt", content="")
        params = {
            "ref": {"type": "ref/resource", "uri": "fs-journal://{change}"},
            "argument": {"name": "change", "value": change[:6]},
        }
        found = wire.request("completion/complete", params)
        assert found["result"]["completion"]["values"] == [change]
