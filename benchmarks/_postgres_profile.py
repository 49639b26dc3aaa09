"""Where the processor time of a point query goes in our server: its own process, under cProfile, over stdio.

cProfile makes each Python call dearer, so read shares, not times; what runs in other threads is not in it. A coroutine counts as called each time it goes on.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks._contenders import Contender, Live
from benchmarks._postgres_operations import first_query, points

TOP = 30
PACKAGES = 20
Function = tuple[str, int, str]
"""File, line and name; the file of a function in C is ``~``."""
Entry = tuple[int, int, float, float, dict[Function, tuple[int, int, float, float]]]
"""Calls that are no recursion, calls, own seconds, seconds with what it calls, and the same by caller."""
_PACKAGE = f"{os.sep}site-packages{os.sep}"


def serve(out: str, arguments: Sequence[str]) -> None:
    """The profiled server: the first SIGUSR1 begins the profile, the second one writes it."""
    profiler = cProfile.Profile()
    signals = [profiler.enable, lambda: (profiler.disable(), profiler.dump_stats(out))]

    def on_signal(*_: object) -> None:
        if signals:
            signals.pop(0)()

    signal.signal(signal.SIGUSR1, on_signal)
    from gatelodge_postgres.__main__ import main  # noqa: PLC0415 - the server's, not the benchmark's

    sys.argv = ["gatelodge-postgres", *arguments]
    main()


def report(contender: Contender, env: Mapping[str, str], calls: int, window: int, *, bound: bool) -> str:
    """Profile point queries on our server.

    Args:
        contender: Ours; its command's first word is the script, which is replaced.
        env: The server's environment.
        calls: How many queries.
        window: How many are under way.
        bound: Whether the ids are parameters.
    """
    with tempfile.TemporaryDirectory(prefix="gatelodge-profile-") as folder:
        out = Path(folder) / "profile"
        command = (sys.executable, "-m", "benchmarks._postgres_profile", str(out), *contender.command[1:])
        # The walls would keep the profile from being written.
        profiled = Contender(contender.label, "gatelodge", (*command, "--sandbox", "off"), contender.era)
        live = Live(profiled, {**env, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)})
        try:
            run = points(live, calls, window, bound=bound)
            assert run is not None
            run()
            before = live.driver.cpu()
            run()
            plain = live.driver.cpu() - before
            os.kill(live.driver.pid, signal.SIGUSR1)
            live.driver.call(*first_query("gatelodge"))
            before = live.driver.cpu()
            run()
            slowed = live.driver.cpu() - before
            os.kill(live.driver.pid, signal.SIGUSR1)
            # The signal's handler runs before the next line of Python, so the file is there by this answer.
            live.driver.call(*first_query("gatelodge"))
            stats = pstats.Stats(str(out))
        finally:
            live.driver.close()
    what = f"{contender.label}, {'one statement with parameters' if bound else 'varying literals'}, {window} under way"
    head = f"{what}: {plain / calls * 1e6:.0f} µs of CPU per query, {slowed / calls * 1e6:.0f} µs under the profiler\n"
    return "\n".join([head, _packages(stats), "", *_functions(stats, calls)])


def _packages(stats: pstats.Stats) -> str:
    """Own time by package; a function in C counts to whoever calls it."""
    own: defaultdict[str, float] = defaultdict(float)
    for (file, _, _), (_, _, taken, _, callers) in _entries(stats).items():
        if file != "~":
            own[_package(file)] += taken
        for (calling, _, _), (_, _, part, _) in callers.items() if file == "~" else ():
            own[_package(calling)] += part
    whole = sum(own.values())
    top = sorted(own.items(), key=lambda item: -item[1])[:PACKAGES]
    return "\n".join(["own time by package", *(f"{taken / whole:7.1%}  {name}" for name, taken in top)])


def _package(file: str) -> str:
    if file == "~":
        return "C, called by C"
    for mark in (_PACKAGE, f"{os.sep}src{os.sep}"):
        if mark in file:
            parts = Path(file.rpartition(mark)[2]).parts
            return ".".join(parts[:2]).removesuffix(".py") if parts[0].startswith("gatelodge") else parts[0]
    path = Path(file)
    return f"standard library: {path.parent.name if path.parent.name in ('asyncio', 'json') else path.stem}"


def _functions(stats: pstats.Stats, calls: int) -> list[str]:
    entries = _entries(stats)
    whole = sum(entry[2] for entry in entries.values())
    lines: list[str] = []
    for title, most, weight in (("own time", TOP, _own), ("time with what it calls", 2 * TOP, _total)):
        lines += [f"top by {title}", f"{'whole':>7} {'own':>7} {'calls/query':>12}  function"]
        for (file, line, name), entry in sorted(entries.items(), key=weight, reverse=True)[:most]:
            place = "" if file == "~" else f" ({'/'.join(Path(file).parts[-3:])}:{line})"
            lines.append(
                f"{entry[3] / whole:7.1%} {entry[2] / whole:7.1%} {entry[1] / calls:12.2f}  {name.strip('<>')}{place}"
            )
        lines.append("")
    return lines


def _own(item: tuple[Function, Entry]) -> float:
    return item[1][2]


def _total(item: tuple[Function, Entry]) -> float:
    return item[1][3]


def _entries(stats: pstats.Stats) -> dict[Function, Entry]:
    """All but waiting in the loop's selector, which is not work."""
    found: dict[Function, Entry] = vars(stats)["stats"]
    return {key: entry for key, entry in found.items() if "poll" not in key[2]}


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2:])
