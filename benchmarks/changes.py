"""What a change costs with its undo journal, on the disk: edits, deletions, undo, many files at once.

Run: python -m benchmarks.changes [DIRECTORY]. The directory decides which disk is measured; the default is the
temporary directory, which may be a tmpfs, where a sync costs nothing.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from gatelodge_filesystem.edits import Edit, apply
from gatelodge_filesystem.encoding import UTF8
from gatelodge_filesystem.moving import delete, move
from gatelodge_filesystem.replacing import Change, replace_all
from gatelodge_filesystem.roots import RootSpec, pin
from gatelodge_filesystem.workspace import Workspace


def spread(name: str, count: int, action: Callable[[int], object]) -> None:
    """Time an action, and print its median and 99th percentile in ms."""
    times: list[int] = []
    cpu = time.process_time_ns()
    for number in range(count):
        start = time.perf_counter_ns()
        action(number)
        times.append(time.perf_counter_ns() - start)
    cpu = time.process_time_ns() - cpu
    times.sort()
    print(
        f"{name:<40} p50 {times[count // 2] / 1e6:7.2f} ms   p99 {times[count * 99 // 100] / 1e6:7.2f} ms"
        f"   CPU {cpu / count / 1e6:6.2f} ms"
    )


def run(base: Path) -> None:
    """Measure below a folder."""
    root = base / "root"
    root.mkdir()
    workspace = Workspace(
        pin([RootSpec(str(root), writable=True)], allow_broad=False), budget=48_000, state_dir=str(base / "state")
    )
    line = "x" * 79 + "\n"
    for name, lines in (("1k", 13), ("1m", 13_107)):
        (root / name).write_text("count 0\n" + line * lines, encoding="utf-8")

    def edit(name: str) -> Callable[[int], object]:
        spot = workspace.spot(name)

        def act(number: int) -> object:
            edits = [Edit(f"count {number}\n", f"count {number + 1}\n")]
            return workspace.replace(spot, lambda old: apply(old.data, edits, UTF8).data, "", tool="edit_file")

        return act

    spread("edit in 1 KB, fsync, undo entry", 200, edit("1k"))
    spread("edit in 1 MB, fsync, undo entry", 100, edit("1m"))

    ids = [item.id for item in workspace.journal.listing()]
    spread("undo an edit in 1 MB", 50, lambda n: workspace.journal.undo(ids[n], since=False, dry_run=False))
    spots = [workspace.spot(f"many{number}") for number in range(100)]
    for spot in spots:
        (root / spot.rel).write_text("old\n" * 100, encoding="utf-8")
    spread(
        "change 100 files of 400 bytes at once",
        10,
        lambda n: replace_all(workspace, "many", [Change(spot, lambda old: old.data + b"%d\n" % n) for spot in spots]),
    )
    spread("move a file", 100, lambda n: move(
        workspace, workspace.spot("1k" if not n % 2 else "1k2"), workspace.spot("1k2" if not n % 2 else "1k"),
        overwrite=False, if_match="", dry_run=False,
    ))  # fmt: skip
    spread("delete a file into the trash", 100, lambda n: delete(
        workspace, [spots[n]], recursive=False, permanent=False, if_match="", dry_run=False
    ))  # fmt: skip
    spread("list the changes", 20, lambda _: workspace.journal.listing())
    workspace.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as scratch:
        run(Path(scratch))
