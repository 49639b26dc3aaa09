"""The undo journal: every change can be taken back exactly, or is refused with what stands in the way."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.place import CrossDevice, rename_noreplace
from gatelodge_filesystem.changes.log import Limits
from gatelodge_filesystem.encoding import etag
from gatelodge_filesystem.roots import RootSpec, pin
from gatelodge_filesystem.tools.moving import copy_path, create_directory, delete_path, move_path
from gatelodge_filesystem.tools.undoing import change_diff, list_changes, undo_change
from gatelodge_filesystem.tools.writing import edit_file, write_file
from gatelodge_filesystem.workspace import Workspace


@dataclass
class Bench:
    """A workspace with one writable root and one that is read-only."""

    base: Path
    workspace: Workspace

    @property
    def root(self) -> Path:
        return self.base / "root"

    def call(self, tool: Callable[..., Awaitable[str]], *paths: str, **arguments: object) -> str:
        async def run() -> str:
            return await tool(self.workspace, *paths, **arguments)

        return anyio.run(run)

    def change(self, tool: Callable[..., Awaitable[str]], *paths: str, **arguments: object) -> str:
        """Call, and give the id of the change."""
        found = re.search(r"change=(\w+)", self.call(tool, *paths, **arguments))
        assert found is not None
        return found.group(1)

    def refused(self, tool: Callable[..., Awaitable[str]], *paths: str, **arguments: object) -> str:
        with pytest.raises(CallError) as caught:
            self.call(tool, *paths, **arguments)
        return str(caught.value)

    def overwrite(self, path: str, content: str) -> str:
        present = etag((self.base / path).read_bytes())
        return self.change(write_file, path, content=content, mode="overwrite", if_match=present)

    def snapshot(self) -> dict[str, tuple[str, int, bytes]]:
        """Every path in the root with its type, mode and bytes."""
        found: dict[str, tuple[str, int, bytes]] = {}
        for path in sorted(self.root.rglob("*")):
            seen = path.lstat()
            rel = str(path.relative_to(self.root))
            if rel.split("/", maxsplit=1)[0] == ".gatelodge-trash":
                continue
            data = os.fsencode(os.readlink(path)) if path.is_symlink() else b"" if path.is_dir() else path.read_bytes()
            found[rel] = (stat.filemode(seen.st_mode)[0], stat.S_IMODE(seen.st_mode), data)
        return found


def opened(base: Path, limits: Limits | None = None) -> Workspace:
    specs = [RootSpec(str(base / "root"), writable=True), RootSpec(str(base / "fixed"), writable=False)]
    workspace = Workspace(
        pin(specs, allow_broad=False), budget=48_000, state_dir=str(base / "state"), kept=limits or Limits()
    )
    workspace.settle()
    return workspace


@pytest.fixture
def bench(tmp_path: Path) -> Generator[Bench]:
    (tmp_path / "root" / "sub").mkdir(parents=True)
    (tmp_path / "root" / "a.txt").write_bytes(b"one\r\ntwo\n")
    (tmp_path / "root" / "sub" / "b.txt").write_bytes(b"bee\n")
    (tmp_path / "root" / "sub" / "link").symlink_to("b.txt")
    (tmp_path / "fixed").mkdir()
    (tmp_path / "fixed" / "given").write_bytes(b"given")
    workspace = opened(tmp_path)
    yield Bench(tmp_path, workspace)
    assert os.listdir(tmp_path / "state" / "pending") == []
    assert not list(tmp_path.rglob(".gatelodge-*.tmp"))
    workspace.close()


CHANGES: dict[str, Callable[[Bench], str]] = {
    "create": lambda bench: bench.change(write_file, "root/new", content="x"),
    "overwrite": lambda bench: bench.overwrite("root/a.txt", "all new"),
    "edit": lambda bench: bench.change(edit_file, "root/a.txt", edits=[{"old": "one", "new": "ONE"}]),
    "make folders": lambda bench: bench.change(create_directory, "root/x/y/z"),
    "move a file": lambda bench: bench.change(move_path, "root/a.txt", "root/sub/a2"),
    "move a folder": lambda bench: bench.change(move_path, "root/sub", "root/moved"),
    "move a link": lambda bench: bench.change(move_path, "root/sub/link", "root/link"),
    "move over a file": lambda bench: bench.change(move_path, "root/a.txt", "root/sub/b.txt", overwrite=True),
    "copy a file": lambda bench: bench.change(copy_path, "root/a.txt", "root/c"),
    "copy a folder": lambda bench: bench.change(copy_path, "root/sub", "root/copy"),
    "copy a link": lambda bench: bench.change(copy_path, "root/sub/link", "root/sub/link2"),
    "copy over a file": lambda bench: bench.change(copy_path, "root/a.txt", "root/sub/b.txt", overwrite=True),
    "copy from a read-only root": lambda bench: bench.change(copy_path, "fixed/given", "root/given"),
    "delete a file": lambda bench: bench.change(delete_path, paths=["root/a.txt"]),
    "delete a link": lambda bench: bench.change(delete_path, paths=["root/sub/link"]),
    "delete several": lambda bench: bench.change(delete_path, paths=["root/a.txt", "root/sub"], recursive=True),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_undone_and_redone_exactly(bench: Bench, name: str) -> None:
    (bench.root / "a.txt").chmod(0o640)
    os.utime(bench.root / "a.txt", ns=(10**18, 10**18))
    before = bench.snapshot()
    change = CHANGES[name](bench)
    after = bench.snapshot()
    assert after != before
    assert change in bench.call(list_changes)
    undone = bench.change(undo_change, change)
    assert bench.snapshot() == before
    assert (bench.root / "a.txt").stat().st_mtime_ns == 10**18
    assert f"undone by {undone}" in bench.call(list_changes)
    assert "conflict" in bench.refused(undo_change, change)
    redone = bench.change(undo_change, undone)
    assert bench.snapshot() == after
    bench.change(undo_change, redone)
    assert bench.snapshot() == before


def test_everything_since_a_change_is_undone_at_once_and_that_too(bench: Bench) -> None:
    before = bench.snapshot()
    first = bench.change(edit_file, "root/sub/b.txt", edits=[{"old": "bee", "new": "BEE"}])
    bench.change(move_path, "root/sub", "root/elsewhere")
    bench.change(edit_file, "root/elsewhere/b.txt", edits=[{"old": "BEE", "new": "buzz"}])
    bench.change(copy_path, "root/elsewhere", "root/copied")
    bench.change(edit_file, "root/copied/b.txt", edits=[{"old": "buzz", "new": "hum"}])
    bench.change(create_directory, "root/d")
    bench.change(write_file, "root/d/x", content="inside")
    bench.change(delete_path, paths=["root/elsewhere"], recursive=True)
    bench.change(write_file, "root/elsewhere", content="a file of the same name")
    after = bench.snapshot()
    assert "would undo" in bench.call(undo_change, first, since=True, dry_run=True)
    assert bench.snapshot() == after
    undone = bench.change(undo_change, first, since=True)
    assert bench.snapshot() == before
    bench.change(undo_change, undone)
    assert bench.snapshot() == after
    # Since the first, over the undo and the redo of everything.
    bench.change(undo_change, first, since=True)
    assert bench.snapshot() == before


def test_a_file_that_changed_since_is_a_conflict_that_names_it_and_the_later_change(bench: Bench) -> None:
    first = bench.change(edit_file, "root/a.txt", edits=[{"old": "one", "new": "ONE"}])
    second = bench.change(edit_file, "root/a.txt", edits=[{"old": "two", "new": "TWO"}])
    refused = bench.refused(undo_change, first)
    assert f"root/a.txt has changed since (by {second})" in refused
    (bench.root / "a.txt").write_bytes(b"by hand")
    assert "root/a.txt has changed since." in bench.refused(undo_change, second)
    assert (bench.root / "a.txt").read_bytes() == b"by hand"


def test_one_conflict_keeps_all_of_it_from_being_undone(bench: Bench) -> None:
    first = bench.change(edit_file, "root/a.txt", edits=[{"old": "one", "new": "ONE"}])
    bench.change(delete_path, paths=["root/sub/b.txt"])
    bench.change(copy_path, "root/a.txt", "root/c")
    (bench.root / "sub" / "b.txt").write_bytes(b"a new one")
    (bench.root / "c").write_bytes(b"changed")
    before = bench.snapshot()
    refused = bench.refused(undo_change, first, since=True)
    assert "root/sub/b.txt is taken by something else" in refused
    assert "root/c has changed since" in refused
    assert bench.snapshot() == before


def test_a_new_folder_that_was_filled_since_is_not_taken_away(bench: Bench) -> None:
    change = bench.change(create_directory, "root/d/e")
    (bench.root / "d" / "e" / "mine").write_bytes(b"mine")
    assert "root/d has changed since" in bench.refused(undo_change, change)
    copied = bench.change(copy_path, "root/sub", "root/copy")
    (bench.root / "copy" / "b.txt").write_bytes(b"edited")
    assert "root/copy has changed since" in bench.refused(undo_change, copied)


def test_a_permanent_deletion_is_not_in_the_list_and_leaves_nothing_in_the_trash(bench: Bench) -> None:
    text = bench.call(delete_path, paths=["root/sub"], recursive=True, permanent=True)
    assert "deleted for good" in text
    assert "change=" not in text
    assert os.listdir(bench.base / "state" / "changes" / "trash") == []
    assert "0 of 0" in bench.call(list_changes)


def test_wrong_versions_full_folders_and_taken_names_are_refused(bench: Bench) -> None:
    before = bench.snapshot()
    assert "stale_etag" in bench.refused(delete_path, paths=["root/a.txt"], if_match="0-0")
    assert "stale_etag" in bench.refused(move_path, "root/a.txt", "root/x", if_match="0-0")
    assert "stale_etag" in bench.refused(copy_path, "root/a.txt", "root/sub/b.txt", overwrite=True, if_match="0-0")
    assert "not_empty" in bench.refused(delete_path, paths=["root/sub"])
    assert "overlapping_paths" in bench.refused(delete_path, paths=["root/sub", "root/sub/b.txt"], recursive=True)
    assert "exists" in bench.refused(move_path, "root/a.txt", "root/sub/b.txt")
    assert "exists" in bench.refused(move_path, "root/a.txt", "root/sub", overwrite=True)
    assert "exists" in bench.refused(copy_path, "root/sub", "root/a.txt", overwrite=True)
    assert "into_itself" in bench.refused(move_path, "root/sub", "root/sub/deep")
    assert "into_itself" in bench.refused(copy_path, "root/sub", "root/sub/deep")
    assert "same_path" in bench.refused(move_path, "root/a.txt", "root/./a.txt")
    assert "read_only_root" in bench.refused(move_path, "fixed/given", "root/x")
    assert "read_only_root" in bench.refused(copy_path, "root/a.txt", "fixed/x")
    assert "read_only_root" in bench.refused(delete_path, paths=["fixed/given"])
    assert "read_only_root" in bench.refused(create_directory, "fixed/x")
    assert "not_found" in bench.refused(delete_path, paths=["root/gone"])
    assert "not_found" in bench.refused(move_path, "root/a.txt", "root/gone/x")
    assert "not_found" in bench.refused(create_directory, "root/p/q", parents=False)
    assert "not_a_directory" in bench.refused(create_directory, "root/a.txt/q")
    assert "bad_name" in bench.refused(delete_path, paths=["root"], recursive=True)
    assert "reserved" in bench.refused(write_file, "root/.gatelodge-trash/x", content="")
    assert "no_such_change" in bench.refused(undo_change, "0" * 15)
    assert "no_such_change" in bench.refused(undo_change, "../../x")
    assert bench.snapshot() == before


def test_what_would_happen_is_told_without_happening(bench: Bench) -> None:
    before = bench.snapshot()
    assert "would be moved to the trash, folder with 2 files" in bench.call(
        delete_path, paths=["root/sub"], recursive=True, dry_run=True
    )
    assert "over a file of 4 bytes" in bench.call(
        move_path, "root/a.txt", "root/sub/b.txt", overwrite=True, dry_run=True
    )
    assert "would be copied" in bench.call(copy_path, "root/sub", "root/new", dry_run=True)
    assert bench.snapshot() == before
    assert "0 of 0" in bench.call(list_changes)


def test_pipes_are_moved_and_deleted_but_never_opened(bench: Bench) -> None:
    os.mkfifo(bench.root / "pipe")
    assert "is_special_file" in bench.refused(copy_path, "root/pipe", "root/pipe2")
    change = bench.change(move_path, "root/pipe", "root/sub/pipe")
    bench.change(undo_change, change)
    bench.change(delete_path, paths=["root/pipe"])
    assert not (bench.root / "pipe").exists()


def test_the_diff_of_a_change_is_a_resource_and_stays_after_later_edits(bench: Bench) -> None:
    first = bench.change(edit_file, "root/a.txt", edits=[{"old": "two", "new": "TWO"}])
    bench.change(edit_file, "root/a.txt", edits=[{"old": "TWO", "new": "three"}])
    text = bench.call(change_diff, first)
    assert "-two" in text
    assert "+TWO" in text
    assert "remove root/a.txt (file" in bench.call(change_diff, bench.change(delete_path, paths=["root/a.txt"]))


def test_the_order_of_changes_outlives_a_clock_that_was_put_back(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bench.snapshot()
    with monkeypatch.context() as ahead:
        now = time.time_ns()
        ahead.setattr(time, "time_ns", lambda: now + 86_400 * 10**9)
        first = bench.overwrite("root/a.txt", "in a day")
    bench.workspace.close()
    bench.workspace = opened(tmp_path)
    second = bench.overwrite("root/a.txt", "now")
    assert [kept.id for kept in bench.workspace.journal.listing()] == [second, first]
    bench.change(undo_change, first, since=True)
    assert bench.snapshot() == before


def test_the_list_is_narrowed_and_paged(bench: Bench) -> None:
    ids = [bench.change(write_file, f"root/sub/n{number}", content="") for number in range(5)]
    bench.change(write_file, "root/other", content="")
    text = bench.call(list_changes, "root/sub", limit=2)
    assert text.startswith("[2 of 5 changes, MORE: repeat with before=")
    found = re.findall(r"^(\w+) 2", text, re.MULTILINE)
    assert found == ids[:2:-1]
    text = bench.call(list_changes, "root/sub", limit=5, before=found[-1])
    assert re.findall(r"^(\w+) 2", text, re.MULTILINE) == ids[2::-1]


def test_the_journal_is_private_and_holds_no_more_than_its_limits(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "fixed").mkdir()
    workspace = opened(tmp_path, Limits(size=30_000, age=3600))
    bench = Bench(tmp_path, workspace)
    (tmp_path / "root" / "f").write_bytes(b"0" * 9000)
    for number in range(1, 8):
        bench.overwrite("root/f", str(number) * 9000)
    (tmp_path / "root" / "big").write_bytes(b"b" * 100_000)
    big = bench.change(delete_path, paths=["root/big"])
    workspace.journal.prune()
    # Alone over the limit, but the newest: a deletion is never for good by itself.
    assert [item.id for item in workspace.journal.listing()] == [big]
    assert os.listdir(tmp_path / "state" / "changes" / "versions") == []
    bench.change(undo_change, big)
    assert (tmp_path / "root" / "big").read_bytes() == b"b" * 100_000
    for path in (tmp_path / "state" / "changes").rglob("*"):
        if "trash" not in path.parts:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
    workspace.close()


def test_what_is_too_old_is_forgotten_with_its_trash(bench: Bench, tmp_path: Path) -> None:
    bench.change(delete_path, paths=["root/a.txt"])
    bench.overwrite("root/sub/b.txt", "new")
    workspace = opened(tmp_path, Limits(age=-1))
    assert len(workspace.journal.listing()) == 1
    assert os.listdir(tmp_path / "state" / "changes" / "trash") == []
    workspace.close()


def test_a_rename_that_cannot_leave_its_file_system_copies_and_uses_the_roots_own_trash(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = rename_noreplace

    def side(fd: int) -> str:
        path = os.readlink(f"/proc/self/fd/{fd}")
        far = path.startswith(str(bench.root / "sub"))
        return "state" if path.startswith(str(bench.base / "state")) else "far" if far else "near"

    def bordered(source_fd: int, source: str, target_fd: int, target: str) -> None:
        if side(source_fd) != side(target_fd):
            raise CrossDevice("on another file system")
        real(source_fd, source, target_fd, target)

    monkeypatch.setattr("gatelodge_filesystem.changes.perform.rename_noreplace", bordered)
    before = bench.snapshot()
    moved = bench.change(move_path, "root/a.txt", "root/sub/a2")
    assert (bench.root / "sub" / "a2").read_bytes() == b"one\r\ntwo\n"
    assert not (bench.root / "a.txt").exists()
    assert len(os.listdir(bench.root / ".gatelodge-trash")) == 1
    assert stat.S_IMODE((bench.root / ".gatelodge-trash").stat().st_mode) == 0o700
    deleted = bench.change(delete_path, paths=["root/sub/b.txt"])
    assert len(os.listdir(bench.root / "sub" / ".gatelodge-trash")) == 1
    bench.change(undo_change, deleted)
    bench.change(undo_change, moved)
    after = bench.snapshot()
    assert [after[name] for name in before] == list(before.values())
    assert {name for name in after if ".gatelodge-trash" not in name} == set(before)


def test_another_programs_version_that_slips_in_is_given_its_name_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = rename_noreplace
    slipped: list[bool] = []

    def slow(source_fd: int, source: str, target_fd: int, target: str) -> None:
        if not slipped:
            slipped.append(True)
            (bench.root / "other").write_bytes(b"foreign")
            os.rename(bench.root / "other", bench.root / "a.txt")
        real(source_fd, source, target_fd, target)

    monkeypatch.setattr("gatelodge_filesystem.changes.perform.rename_noreplace", slow)
    assert "conflict" in bench.refused(delete_path, paths=["root/a.txt"])
    assert (bench.root / "a.txt").read_bytes() == b"foreign"
    assert "0 of 0" in bench.call(list_changes)


def test_a_large_file_is_moved_deleted_and_overwritten_by_its_etag_alone(bench: Bench) -> None:
    large = bench.root / "large"
    with large.open("wb") as file:
        file.truncate(64 * 1024 * 1024 + 1)
    (bench.root / "small").write_bytes(b"small")
    tag = etag(large.read_bytes())
    stale = f"{'0' * 16}-4000001"
    assert bench.refused(move_path, "root/large", "root/moved", if_match=stale).startswith("stale_etag")
    bench.change(move_path, "root/large", "root/moved", if_match=tag)
    copied = {"overwrite": True, "if_match": stale}
    assert tag in bench.refused(copy_path, "root/small", "root/moved", **copied)
    bench.call(copy_path, "root/small", "root/moved", overwrite=True, if_match=tag, dry_run=True)
    assert bench.refused(delete_path, paths=["root/moved"], if_match=stale).startswith("stale_etag")
    bench.change(delete_path, paths=["root/moved"], if_match=tag)
    with (bench.root / "huge").open("wb") as file:
        file.truncate(256 * 1024 * 1024 + 1)
    assert "leave out if_match" in bench.refused(move_path, "root/huge", "root/moved", if_match=tag)
    (bench.root / "folder").mkdir()
    assert "Leave out if_match" in bench.refused(move_path, "root/folder", "root/moved", if_match=tag)


def test_a_folder_is_moved_however_deep_it_is(bench: Bench) -> None:
    deep = bench.root / "deep"
    deep.mkdir()
    for _ in range(400):
        deep /= "d"
        deep.mkdir()
    (deep / "file").write_bytes(b"here")
    said = bench.call(move_path, "root/deep", "root/away")
    assert "folder with 1 files and 400 folders, 4 bytes" in said
    assert Path(str(deep).replace("/deep/", "/away/"), "file").read_bytes() == b"here"


def test_a_link_is_copied_over_a_file_as_a_link(bench: Bench) -> None:
    (bench.base / "outside").write_bytes(b"canary")
    (bench.root / "link").symlink_to("nowhere")
    (bench.root / "out").symlink_to(bench.base / "outside")
    for name in ("link", "out"):
        (bench.root / "taken").write_bytes(b"old")
        change = bench.change(copy_path, f"root/{name}", "root/taken", overwrite=True)
        assert os.readlink(bench.root / "taken") == os.readlink(bench.root / name)
        bench.call(undo_change, change)
        assert not (bench.root / "taken").is_symlink()
        assert (bench.root / "taken").read_bytes() == b"old"
