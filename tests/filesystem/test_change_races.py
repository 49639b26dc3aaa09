"""Folders and links swapped under every tool that changes something: nothing outside changes, nothing inside is lost."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from gatelodge_core.errors import CallError
from gatelodge_filesystem.encoding import etag
from gatelodge_filesystem.moving import delete, duplicate, make_folder, move
from gatelodge_filesystem.replacing import Change, replace_all
from gatelodge_filesystem.roots import RootSpec, pin
from gatelodge_filesystem.workspace import Spot, Workspace

ATTACK = """
import os, sys
from gatelodge_core.sandbox._syscalls import RENAME_EXCHANGE, renameat2
folder = os.open(sys.argv[1], os.O_RDONLY)
sys.stdout.write("go\\n"); sys.stdout.flush()
while True:
    renameat2(folder, "door", folder, "inside", RENAME_EXCHANGE)
"""
RENAMES = """
import os, sys
sys.stdout.write("go\\n"); sys.stdout.flush()
number = 0
while True:
    number += 1
    path = sys.argv[1]
    with open(path + ".new", "w") as target:
        target.write(f"foreign {number}")
    os.rename(path + ".new", path)
    sum(range(150000))
"""


@contextmanager
def attacker(script: str, path: Path) -> Generator[None]:
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Generator[Workspace]:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "inside").mkdir(parents=True)
    outside.mkdir()
    for number in range(5):
        (root / "inside" / f"f{number}").write_bytes(b"mine %d" % number)
        (outside / f"f{number}").write_bytes(b"outside %d" % number)
    (root / "door").symlink_to(outside)
    made = Workspace(
        pin([RootSpec(str(root), writable=True)], allow_broad=False), budget=48_000, state_dir=str(tmp_path / "state")
    )
    yield made
    made.close()


@pytest.mark.skipif(sys.platform != "linux", reason="exchanges names")
def test_a_folder_that_is_swapped_with_a_link_out_leads_no_change_outside(workspace: Workspace, tmp_path: Path) -> None:
    outside = {path.name: (path.read_bytes(), path.stat().st_ino) for path in (tmp_path / "outside").iterdir()}
    spot = workspace.spot
    chance = random.Random(5)

    def path(folder: str = "") -> Spot:
        return spot(f"{folder or chance.choice(('door', 'inside'))}/f{chance.randrange(9)}")

    acts: dict[str, Callable[[], object]] = {
        "create": lambda: workspace.create(path(), b"new"),
        "replace": lambda: workspace.replace(path(), lambda old: old.data + b"+", "", tool="write_file"),
        "replace all": lambda: replace_all(workspace, "t", [Change(path(), lambda old: old.data + b"+")]),
        "move": lambda: move(workspace, path(), path(), overwrite=True, if_match="", dry_run=False),
        "copy": lambda: duplicate(workspace, path(), path(), overwrite=True, if_match="", dry_run=False),
        "copy folder": lambda: duplicate(
            workspace, spot("inside"), spot(f"c{chance.randrange(10**9)}"), overwrite=False, if_match="", dry_run=False
        ),
        "delete": lambda: delete(workspace, [path()], recursive=True, permanent=False, if_match="", dry_run=False),
        "make": lambda: make_folder(workspace, spot(f"door/d{chance.randrange(10**9)}/e"), parents=True),
        "undo": lambda: workspace.journal.undo(
            chance.choice(workspace.journal.listing()).id, since=False, dry_run=False
        ),
    }
    done: Counter[str] = Counter()
    with attacker(ATTACK, tmp_path / "root"):
        for number in range(30_000):
            # On a busy machine some act may get through late.
            if number >= 1200 and set(done) == set(acts):
                break
            name = list(acts)[number % len(acts)]
            try:
                acts[name]()
            except (CallError, IndexError):
                continue
            done[name] += 1
    assert set(done) == set(acts), "some tool never got through: the test shows nothing of it"
    now = {path.name: (path.read_bytes(), path.stat().st_ino) for path in (tmp_path / "outside").iterdir()}
    assert now == outside
    assert list((tmp_path / "root").rglob(".gatelodge-*.tmp")) == []


@pytest.mark.skipif(sys.platform != "linux", reason="exchanges names")
def test_versions_of_another_program_are_never_lost_by_moves_and_deletions(
    workspace: Workspace, tmp_path: Path
) -> None:
    """What a move or a deletion took is where the journal says, whole, and comes back by an undo."""
    target = tmp_path / "root" / "shared"
    target.write_bytes(b"foreign 0")
    spot = workspace.spot
    outcomes: Counter[str] = Counter()
    with attacker(RENAMES, target):
        for _ in range(400):
            try:
                made = delete(workspace, [spot("shared")], recursive=False, permanent=False, if_match="", dry_run=False)
            except CallError as error:
                outcomes[error.code] += 1
                continue
            outcomes["deleted"] += 1
            change = made[0][1].change
            assert change is not None
            (step,) = change.steps
            kept = workspace.journal.performer.bytes_at(step.target)
            assert etag(kept) == step.before.etag
            assert kept.startswith(b"foreign ")
    assert outcomes["deleted"] > 0
    assert outcomes["not_found"] + outcomes["conflict"] > 0
    trash = tmp_path / "state" / "changes" / "trash"
    assert len(os.listdir(trash)) == outcomes["deleted"]
    assert not target.exists() or target.read_bytes().startswith(b"foreign ")
