"""A disk that fails in the middle of a change: what was told not to have happened has not happened."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from gatelodge_core.errors import CallError
from gatelodge_filesystem.atomic import Prepared
from gatelodge_filesystem.changes.log import Entry
from gatelodge_filesystem.moving import delete, move
from gatelodge_filesystem.replacing import Change, replace_all
from gatelodge_filesystem.workspace import Workspace

from tests.support.killing import opened, snapshot

NAMES = ("a", "b", "c")


def _new(*_: object) -> bytes:
    return b"new"


def _do(workspace: Workspace, what: str) -> None:
    spot = workspace.spot
    if what == "edit":
        workspace.replace(spot("a"), _new, "", tool="edit_file")
    elif what == "edit several":
        replace_all(workspace, "edit_files", [Change(spot(name), _new, "") for name in NAMES])
    elif what == "delete":
        delete(workspace, [spot(name) for name in NAMES], recursive=False, permanent=False, if_match="", dry_run=False)
    elif what == "move over":
        move(workspace, spot("a"), spot("b"), overwrite=True, if_match="", dry_run=False)
    else:
        workspace.journal.undo(workspace.journal.listing()[0].id, since=False, dry_run=False)


def _fails_at(mark: str, monkeypatch: pytest.MonkeyPatch, then: Callable[[], object] = lambda: None) -> None:
    """From this mark on the disk of an operation is full."""
    noted = Entry.mark

    def full(entry: Entry, found: str, *, durable: bool = False) -> None:
        if found == mark:
            device = os.open("/dev/full", os.O_WRONLY)
            os.dup2(device, entry.fd, inheritable=False)
            os.close(device)
            then()
        noted(entry, found, durable=durable)

    monkeypatch.setattr(Entry, "mark", full)


pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")


@pytest.mark.parametrize("mark", ["+", "F"])
@pytest.mark.parametrize("what", ["edit", "edit several", "delete", "move over", "undo"])
def test_a_change_that_can_not_be_noted_is_taken_back(
    what: str, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name in NAMES:
        (root / name).write_bytes(name.encode())
    workspace = opened(tmp_path)
    replace_all(workspace, "first", [Change(workspace.spot(name), lambda _: b"old", "") for name in NAMES])
    before, listed = snapshot(root), workspace.journal.listing()
    descriptors = len(os.listdir("/proc/self/fd"))
    _fails_at(mark, monkeypatch)
    with pytest.raises(CallError, match="no_space"):
        _do(workspace, what)
    monkeypatch.undo()
    assert snapshot(root) == before
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert workspace.journal.listing() == listed
    _do(workspace, what)
    workspace.journal.undo(workspace.journal.listing()[0].id, since=False, dry_run=False)
    assert snapshot(root) == before
    workspace.close()


def test_what_can_not_be_taken_back_either_is_told_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "root" / "a"
    file.parent.mkdir()
    file.write_bytes(b"old")
    workspace = opened(tmp_path)
    _fails_at("F", monkeypatch, lambda: file.write_bytes(b"of another program"))
    with pytest.raises(CallError, match="partly_changed") as caught:
        _do(workspace, "edit")
    monkeypatch.undo()
    workspace.close()
    again = opened(tmp_path)
    again.settle()
    (kept,) = again.journal.listing()
    assert f"change={kept.id}" in str(caught.value)
    assert file.read_bytes() == b"of another program"
    assert again.journal.blobs.read(kept.steps[0].before.blob) == b"old"
    again.close()


def test_without_descriptors_to_take_back_with_it_is_told_and_settled_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_bytes(b"old")
    workspace = opened(tmp_path)
    before = snapshot(root)
    commit, limits = workspace.writer.commit, resource.getrlimit(resource.RLIMIT_NOFILE)

    def starved(made: Prepared) -> None:
        commit(made)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        os.close(os.open(root, os.O_RDONLY))

    descriptors = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(workspace.writer, "commit", starved)
    try:
        with pytest.raises(CallError, match="partly_changed"):
            _do(workspace, "edit")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert len(os.listdir("/proc/self/fd")) == descriptors
    workspace.close()
    again = opened(tmp_path)
    assert "was complete" in "".join(again.settle())
    again.journal.undo(again.journal.listing()[0].id, since=False, dry_run=False)
    assert snapshot(root) == before
    again.close()


def test_a_change_does_not_fail_for_what_is_tidied_up_after_it(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a").write_bytes(b"old")
    workspace = opened(tmp_path)
    # The first change prunes, and can't look there.
    (tmp_path / "state" / "changes" / "trash").rmdir()
    _do(workspace, "edit")
    assert (tmp_path / "root" / "a").read_bytes() == b"new"
    assert len(workspace.journal.listing()) == 1
    workspace.close()
