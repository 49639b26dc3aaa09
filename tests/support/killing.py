"""Kills a process at a chosen moment of its work on files, and looks at what the next start makes of it.

Run as a program of its own, single-threaded, since it forks. The moment is a number of calls into C (every system call
is one), so that a seed gives the same run again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gatelodge_core.errors import CallError
from gatelodge_filesystem.atomic import Current
from gatelodge_filesystem.moving import delete, duplicate, make_folder, move
from gatelodge_filesystem.replacing import Change, replace_all
from gatelodge_filesystem.roots import RootSpec, pin
from gatelodge_filesystem.workspace import Workspace

CALLS = 9000
"""The latest moment; a dozen operations or so."""


def opened(base: Path) -> Workspace:
    """The workspace as a start of the server makes it."""
    roots = pin([RootSpec(str(base / "root"), writable=True)], allow_broad=False)
    return Workspace(roots, budget=48_000, state_dir=str(base / "state"))


def snapshot(root: Path) -> str:
    """A digest of every path with its type, mode and bytes."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        seen = path.lstat()
        data = b""
        if path.is_symlink():
            data = os.fsencode(os.readlink(path))
        elif path.is_file():
            data = path.read_bytes()
        digest.update(f"{path.relative_to(root)}\0{seen.st_mode}\0{hashlib.sha256(data).hexdigest()}\n".encode())
    return digest.hexdigest()


def furnish(root: Path) -> None:
    """Something to work on."""
    for name in ("a", "b", "deep/c", "deep/er/d"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 3000)
    (root / "a").chmod(0o600)
    (root / "deep" / "link").symlink_to("c")


class Worker:
    """Does one operation after another, chosen by chance."""

    def __init__(self, workspace: Workspace, root: Path, chance: random.Random) -> None:
        self.workspace = workspace
        self.root = root
        self.chance = chance
        self.ids: list[str] = []

    def some(self, *, folders: bool = False) -> str:
        """A path that is there."""
        found = [p for p in sorted(self.root.rglob("*")) if folders or (p.is_file() and not p.is_symlink())]
        return str(self.chance.choice(found).relative_to(self.root)) if found else "missing"

    def fresh(self) -> str:
        """A path that is probably not there."""
        return f"{self.chance.choice(['', 'deep/', 'deep/er/'])}n{self.chance.randrange(30)}"

    def content(self, current: Current | None = None) -> bytes:
        """Bytes to write."""
        return b"%d" % self.chance.randrange(10**9) * self.chance.randrange(1, 3000)

    def one(self) -> None:
        """One operation; a refusal is one too."""
        spot = self.workspace.spot
        workspace = self.workspace
        acts: list[Callable[[], object]] = [
            lambda: workspace.create(spot(self.fresh()), self.content()),
            lambda: workspace.replace(spot(self.some()), self.content, "", tool="write_file"),
            lambda: replace_all(workspace, "many", [Change(spot(p), self.content, "") for p in {self.some(), "a", "b"}]),
            lambda: make_folder(workspace, spot(f"{self.fresh()}/x/y"), parents=True),
            lambda: move(workspace, spot(self.some(folders=True)), spot(self.fresh()),
                         overwrite=self.chance.random() < 0.5, if_match="", dry_run=False),
            lambda: move(workspace, spot(self.some()), spot(self.some()), overwrite=True, if_match="", dry_run=False),
            lambda: duplicate(workspace, spot(self.some(folders=True)), spot(self.fresh()),
                              overwrite=self.chance.random() < 0.5, if_match="", dry_run=False),
            lambda: delete(workspace, [spot(p) for p in {self.some(folders=True), self.some()}],
                           recursive=True, permanent=False, if_match="", dry_run=False),
            lambda: workspace.journal.undo(self.chance.choice(self.ids), since=False, dry_run=False),
            lambda: workspace.journal.undo(self.chance.choice(self.ids[-4:]), since=True, dry_run=False),
        ]  # fmt: skip
        act = self.chance.choice(acts if self.ids else acts[:8])
        with contextlib.suppress(CallError):
            act()


def work(base: Path, seed: int, report: int) -> None:
    """The child: operations until the moment comes; each is reported when it is done."""
    chance = random.Random(seed)
    left = chance.randrange(1, CALLS)

    def count(frame: object, event: str, arg: object) -> None:
        del frame, arg
        nonlocal left
        if event == "c_call":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    workspace = opened(base)
    worker = Worker(workspace, base / "root", chance)
    while True:
        sys.setprofile(count)
        worker.one()
        sys.setprofile(None)
        known = [operation.id for operation in workspace.journal.listing()]
        if len(known) > len(worker.ids):
            worker.ids = known[::-1]
            line = json.dumps([known[0], snapshot(base / "root")]) + "\n"
            os.write(report, line.encode())


def check(condition: object, what: str, seed: int) -> None:
    """Fail with the seed."""
    if not condition:
        raise SystemExit(f"seed {seed}: {what}")


def settled(base: Path, seed: int, reported: list[tuple[str, str]], initial: str) -> dict[str, int]:
    """Start anew after a kill, and look at everything."""
    root = base / "root"
    workspace = opened(base)
    lines = workspace.settle()
    leftovers = [
        str(p) for p in base.rglob("*") if p.name.startswith((".gatelodge-", "new-")) or p.name.endswith(".new")
    ]
    check(not leftovers, f"temporaries were left: {leftovers}", seed)
    check(not os.listdir(base / "state" / "pending"), "records of writes were left", seed)
    known = [operation.id for operation in workspace.journal.listing()]
    check(not [item for item in workspace.journal.listing() if item.state != "finished"], f"partial: {lines}", seed)
    check([name for name, _ in reported] == known[::-1][: len(reported)], "a reported operation is unknown", seed)
    check(len(known) - len(reported) in (0, 1), "more operations than were begun", seed)
    now = snapshot(root)
    last = reported[-1][1] if reported else initial
    unreported = len(known) > len(reported)
    if unreported:
        workspace.journal.undo(known[0], since=False, dry_run=False)
        check(snapshot(root) == last, f"the unreported operation isn't wholly there, {lines}", seed)
    else:
        check(now == last, f"an operation is there in part, {lines}", seed)
    if reported and seed % 2:
        workspace.journal.undo(reported[0][0], since=True, dry_run=False)
        check(snapshot(root) == initial, "not everything was undone to the byte", seed)
    else:
        for number in reversed(range(len(reported))):
            workspace.journal.undo(reported[number][0], since=False, dry_run=False)
            before = reported[number - 1][1] if number else initial
            check(snapshot(root) == before, f"operation {number} was not undone to the byte", seed)
    workspace.close()
    return {"settled": len(lines), "complete": int(unreported), "operations": len(reported)}


def one_round(base: Path, seed: int) -> dict[str, int]:
    """One killing."""
    (base / "root").mkdir(parents=True)
    furnish(base / "root")
    initial = snapshot(base / "root")
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            work(base, seed, writing)
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading, "rb") as source:
        reported = [(str(name), str(digest)) for name, digest in map(json.loads, source)]
    _, status = os.waitpid(child, 0)
    check(os.WIFSIGNALED(status), "the worker failed by itself", seed)
    return settled(base, seed, reported, initial)


def run(base: Path, first: int, rounds: int) -> dict[str, Any]:
    """Many killings, and what they fell on."""
    totals: dict[str, int] = {"rounds": rounds, "settled": 0, "complete": 0, "operations": 0}
    for seed in range(first, first + rounds):
        found = one_round(base / str(seed), seed)
        for key, value in found.items():
            totals[key] += value
    return totals


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))  # noqa: T201 - its answer
