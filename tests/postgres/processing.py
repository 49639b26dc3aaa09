"""The server as a process of its own over stdio, and what can be seen of processes."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import psutil

from tests.support.wire import MODERN, Revision, Server, StdioWire, python_module

PATIENCE = 20.0
_COUNT = itertools.count(1)


@contextlib.contextmanager
def process(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None, revision: Revision = MODERN
) -> Generator[StdioWire]:
    """A server and a client on it. Its home is in `folder`, and its sandbox is whole, or it doesn't start."""
    state = folder / f"state{next(_COUNT)}"
    home = folder / "home"
    home.mkdir(exist_ok=True)
    command = python_module("gatelodge_postgres", "--state-dir", str(state), "--require-sandbox", *arguments)
    server = Server(command, {"HOME": str(home), **(env or {})})
    try:
        wire = StdioWire(server, revision)
        wire.open()
        yield wire
    finally:
        server.end()


def sandbox(folder: Path) -> str:
    """The level of confinement that the newest journal in `folder` says was reached."""
    journals = sorted(folder.glob("state*/**/*.jsonl"), key=lambda path: path.stat().st_mtime)
    assert journals, list(folder.rglob("*"))
    with journals[-1].open() as lines:
        return json.dumps(json.loads(next(lines)))


def until(seen: Callable[[], object], seconds: float = PATIENCE) -> float:
    """Wait for something outside this process that tells nobody; the seconds it took."""
    begun = time.monotonic()
    while not seen():
        if time.monotonic() - begun > seconds:
            raise AssertionError(f"not within {seconds:g} s")
        time.sleep(0.02)
    return time.monotonic() - begun


def children(pid: int) -> list[psutil.Process]:
    """All processes below one."""
    return psutil.Process(pid).children(recursive=True)


def gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)
