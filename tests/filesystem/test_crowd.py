"""Many callers at once: each has its part of threads and watches, and all together stay within what the process may map."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import anyio
import pytest
from gatelodge_core.errors import CallError
from gatelodge_filesystem.changes.log import Limits
from gatelodge_filesystem.crowd import EACH, LEAST, TIMES, WATCHES, Crowd, Kind, Places
from gatelodge_filesystem.roots import RootSpec, pin
from gatelodge_filesystem.workspace import Workspace

CALLERS = 6


@pytest.fixture
def crowd() -> Crowd:
    return Crowd(CALLERS)


@pytest.fixture
def workspaces(crowd: Crowd, tmp_path: Path) -> list[Workspace]:
    made: list[Workspace] = []
    for number in range(CALLERS):
        root = tmp_path / f"root{number}"
        for folder in range(WATCHES // CALLERS + 2):
            (root / f"f{folder}").mkdir(parents=True)
        roots = pin([RootSpec(str(root), writable=True)], allow_broad=False)
        state = str(tmp_path / f"state{number}")
        made.append(Workspace(roots, budget=10_000, state_dir=state, kept=Limits(), crowd=crowd))
    return made


@pytest.mark.parametrize("kind", ["read", "write"])
def test_threads_of_all_callers_are_bounded_and_a_busy_caller_leaves_room(
    workspaces: list[Workspace], kind: Kind
) -> None:
    lock, go = threading.Lock(), threading.Event()
    running: Counter[int] = Counter()
    most: Counter[str] = Counter()
    came = threading.Semaphore(0)

    def work(number: int) -> None:
        with lock:
            running[number] += 1
            most["one"] = max(most["one"], running[number])
            most["all"] = max(most["all"], running.total())
        came.release()
        go.wait(30)
        with lock:
            running[number] -= 1

    async def call(number: int) -> None:
        if kind == "read":
            await workspaces[number].read(lambda _: work(number))
        else:
            await workspaces[number].change(lambda: work(number))

    async def conversation() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(EACH[kind] * 3):
                group.start_soon(call, 0)
            for _ in range(EACH[kind]):
                await anyio.to_thread.run_sync(came.acquire)
            # One caller has all it may, and waits for more; the next gets in all the same.
            group.start_soon(call, 1)
            await anyio.to_thread.run_sync(came.acquire)
            assert dict(running) == {0: EACH[kind], 1: 1}
            for number in range(2, CALLERS):
                for _ in range(EACH[kind]):
                    group.start_soon(call, number)
            while running.total() < EACH[kind] * TIMES:
                await anyio.to_thread.run_sync(came.acquire)
            go.set()

    anyio.run(conversation)
    assert most == {"one": EACH[kind], "all": EACH[kind] * TIMES}
    assert running.total() == 0


def test_watches_of_one_caller_end_at_its_part_and_leave_anothers(workspaces: list[Workspace], crowd: Crowd) -> None:
    async def fill(workspace: Workspace) -> int:
        for count in range(WATCHES + 1):
            try:
                await workspace.watcher.watch(workspace.roots[0], f"f{count}", lambda _: None, recursive=False)
            except CallError:
                return count
        raise AssertionError("there was no end")

    async def conversation() -> None:
        try:
            assert [await fill(workspace) for workspace in workspaces] == [WATCHES // CALLERS] * CALLERS
        finally:
            for workspace in workspaces:
                workspace.close()
        # All were given back.
        for _ in range(WATCHES):
            crowd.watches.take()

    anyio.run(conversation)


def test_many_callers_have_a_part_each_until_there_is_none() -> None:
    assert (Crowd(1).part, Crowd(4).part, Crowd(1000).part) == (WATCHES, WATCHES // 4, LEAST)
    places = Places(2)
    places.take()
    places.take()
    with pytest.raises(CallError, match="too_many_watches"):
        places.take()
    places.give_back()
    places.take()
