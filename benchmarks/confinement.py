"""What confinement by the kernel costs: at the start of a server, and at each open; with and without it in one run.

    python -m benchmarks.confinement           about half a minute

Linux only. Each sample is a process of its own, since nobody leaves confinement.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks._contenders import environment
from benchmarks._table import Cell, Sample, markdown

OPENS = 20_000
_CHILD = "--child"


def child(confined: bool, root: str, state: str) -> dict[str, float | str]:
    """Load the filesystem server, confine this process or not, and open files; seconds of each step."""
    import gatelodge_filesystem.server  # noqa: PLC0415 - the state in which a server confines itself
    from gatelodge_core.sandbox.jail import Jail  # noqa: PLC0415

    assert gatelodge_filesystem.server
    gc.disable()  # as it is while a server starts
    found: dict[str, float | str] = {"level": "none"}
    started, spent = time.perf_counter(), time.process_time()
    if confined:
        from gatelodge_core.sandbox import profiles  # noqa: PLC0415 - its import is part of the cost
        from gatelodge_core.sandbox.kernel import confine  # noqa: PLC0415

        imported = time.perf_counter()
        found["level"] = confine(profiles.filesystem([], [root], state)).summary()
        found["confine"] = time.perf_counter() - imported
    found["start"], found["cpu"] = time.perf_counter() - started, time.process_time() - spent
    path = os.path.join(root, "a", "b", "c", "d", "e", "file")
    with Jail.pin(root, writable=False) as jail:
        found["open"] = _timed(lambda: os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        found["jail"] = _timed(lambda: jail.open_file("a/b/c/d/e/file"))
    found["getppid"] = _timed(os.getppid, close=False)
    return found


def _timed(step: Callable[[], int], *, close: bool = True) -> float:
    for _ in range(OPENS // 10):
        held = step()
        if close:
            os.close(held)
    started = time.perf_counter()
    for _ in range(OPENS):
        held = step()
        if close:
            os.close(held)
    return time.perf_counter() - started


def run(confined: bool, root: Path, state: Path, env: dict[str, str]) -> dict[str, float | str]:
    """One process; what it told."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.confinement", _CHILD, str(int(confined)), str(root), str(state)],
        env=env,
        timeout=120,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == [_CHILD]:
        print(json.dumps(child(given[1] == "1", given[2], given[3])))
        return 0
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.confinement", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--rounds", type=int, default=15, help="processes of each kind (15)")
    rounds = parser.parse_args(given).rounds
    cells: dict[tuple[str, str], Cell] = {}
    level = ""
    with tempfile.TemporaryDirectory(prefix="gatelodge-confinement-") as scratch:
        base = Path(scratch).resolve()
        home, root, state = base / "home", base / "root", base / "state"
        for folder in (home, root / "a" / "b" / "c" / "d" / "e", state):
            folder.mkdir(parents=True)
        (root / "a" / "b" / "c" / "d" / "e" / "file").write_bytes(b"x")
        env = environment(home)
        run(True, root, state, env)  # fills the bytecode cache
        for turn in range(rounds):
            for confined in (False, True) if turn % 2 else (True, False):
                told = run(confined, root, state, env)
                label = "confined" if confined else "free"
                level = str(told["level"]) if confined else level
                marks = [
                    ("start: import and confine", "start", 1),
                    ("start: confine alone", "confine", 1),
                    ("open and close, depth 6", "open", OPENS),
                    ("jail open and close, depth 6", "jail", OPENS),
                    ("getppid (filter alone)", "getppid", OPENS),
                ]
                for name, key, calls in marks:
                    if key in told:
                        cell = cells.setdefault((name, label), Cell(name, label))
                        cpu = float(told["cpu"]) if key == "start" else None
                        cell.add(Sample(float(told[key]), calls=calls, cpu=cpu))
    ordered = sorted(cells.values(), key=lambda cell: (cell.operation, cell.label))
    print(f"Level: {level}\n")
    print(markdown(ordered))
    print(f"\nMicroseconds, medians: {_differences(cells, statistics.median)}")
    # On a machine that others use, the least is what the operation itself takes.
    print(f"Microseconds, least:   {_differences(cells, min)}")
    return 0


def _differences(cells: dict[tuple[str, str], Cell], pick: Callable[[list[float]], float]) -> str:
    """What is added to each operation, in microseconds."""
    lines: list[str] = []
    for name, label in cells:
        if label == "confined" and (name, "free") in cells:
            held, free = (
                1e6 * pick([sample.seconds / sample.calls for sample in cells[name, kind].samples])
                for kind in ("confined", "free")
            )
            lines.append(f"{name} {free:.2f} -> {held:.2f} ({held - free:+.2f})")
    return "; ".join(lines)


if __name__ == "__main__":
    sys.exit(main())
