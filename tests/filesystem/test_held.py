"""What another process holds for too long is waited for no longer than told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from gatelodge_core.errors import CallError
from gatelodge_filesystem.changes import log
from gatelodge_filesystem.workspace import Workspace

from tests.support.killing import opened, snapshot

fcntl = pytest.importorskip("fcntl")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a file."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_bytes(b"old")
    return root


@pytest.fixture
def workspace(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """That folder, opened by a server that waits for little."""
    assert root.exists()
    monkeypatch.setattr(log, "WAIT_SECONDS", 0.05)
    return opened(tmp_path)


def test_a_change_waits_no_longer_than_told_for_a_pruning_that_never_ends(
    tmp_path: Path, root: Path, workspace: Workspace
) -> None:
    before = snapshot(root)
    # As a server holds it that was stopped (SIGSTOP), or sleeps with its laptop's lid, in the middle of pruning.
    other = os.open(tmp_path / "state" / "changes" / "gate.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(CallError, match="busy"):
        workspace.replace(workspace.spot("a"), lambda _: b"new", "", tool="edit_file")
    assert snapshot(root) == before
    os.close(other)
    workspace.replace(workspace.spot("a"), lambda _: b"new", "", tool="edit_file")
    workspace.close()


def test_a_change_is_made_though_nothing_can_be_pruned_after_it(
    tmp_path: Path, root: Path, workspace: Workspace
) -> None:
    # Another server is in the midst of a change, and stopped.
    other = os.open(tmp_path / "state" / "changes" / "gate.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(other, fcntl.LOCK_SH)
    # The first change of a workspace that has not settled prunes.
    workspace.replace(workspace.spot("a"), lambda _: b"new", "", tool="edit_file")
    assert (root / "a").read_bytes() == b"new"
    assert len(workspace.journal.listing()) == 1
    workspace.close()
    again = opened(tmp_path)
    assert again.settle() == []
    again.close()
    os.close(other)
