"""Work in processes apart: what they can't reach, how they end, and that the next task works.

The work is `eval`, so that each test says what a parser that was taken over would do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator

import anyio.lowlevel
import psutil
import pytest
from gatelodge_core.sandbox import _landlock
from gatelodge_core.sandbox.workers import WorkerError, Workers

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="there is no fork"),
]
confined = pytest.mark.skipif(
    sys.platform != "linux" or not _landlock.abi(), reason="this kernel has no Landlock to confine with"
)
OS = "__import__('sys').modules['os']"
HANG = b"all(iter(lambda: 1, 0))"


@contextlib.asynccontextmanager
async def evaluating(seconds: float = 20, **given: bool) -> AsyncGenerator[Workers]:
    workers = Workers("builtins:eval", memory_mb=256, seconds=seconds, **given)
    try:
        yield workers
    finally:
        workers.close()


async def idle(workers: Workers) -> None:
    """Wait until the worker of the task before is gone, too."""
    while psutil.Process(workers.process_id).children():
        await anyio.lowlevel.checkpoint()


async def at_work(workers: Workers) -> list[int]:
    """The processes of workers, once there are any."""
    while True:
        found = [child.pid for child in psutil.Process(workers.process_id).children()]
        if found:
            return found
        await anyio.lowlevel.checkpoint()


async def fails(workers: Workers, code: bytes | str) -> str:
    with pytest.raises(WorkerError) as caught:
        await workers.run(code.encode() if isinstance(code, str) else code, 1000)
    return caught.value.reason


def gone(pid: int) -> bool:
    """Whether a process has ended, after waiting for it."""
    try:
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            process.wait(20)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        # Nobody waits for an orphan in some containers.
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


async def test_a_worker_gives_its_answer_and_knows_nothing_of_the_task_before() -> None:
    async with evaluating() as workers:
        assert await workers.run(b"b'x' * 100000", 100_000) == b"x" * 100_000
        assert await workers.run(b"globals().update(seen=1) or b''", 10) == b""
        assert await workers.run(b"str('seen' in globals()).encode()", 10) == b"False"


@pytest.mark.parametrize(
    "code",
    [
        f"{OS}.kill({OS}.getpid(), 11)",
        f"{OS}._exit(0)",
        f"{OS}.abort()",
        "1 / 0",
        "bytearray(1 << 32)",
        "'no bytes'",
        "(lambda f: f(f))(lambda f: f(f))",
    ],
)
async def test_a_worker_that_ends_early_is_an_error_and_the_next_one_works(code: str) -> None:
    async with evaluating() as workers:
        assert await fails(workers, code) == "crashed"
        assert await workers.run(b"b'fine'", 10) == b"fine"


async def test_an_answer_that_is_too_long_is_refused_before_it_is_read() -> None:
    async with evaluating() as workers:
        assert await fails(workers, "b'x' * 100000000") == "large"
        assert await workers.run(b"b'fine'", 10) == b"fine"


async def test_a_worker_that_hangs_is_killed_at_the_deadline_and_others_go_on() -> None:
    async with evaluating(seconds=0.5) as workers:
        await workers.run(b"b''", 10)
        late, fine = await asyncio.gather(fails(workers, HANG), workers.run(b"b'fine'", 10))
        assert (late, fine) == ("late", b"fine")
        await idle(workers)
        assert await workers.run(b"b'fine'", 10) == b"fine"


async def test_a_worker_cannot_outlive_its_deadline_by_ignoring_signals() -> None:
    async with evaluating(seconds=0.5) as workers:
        deaf = "[m['signal'].signal(n, m['signal'].SIG_IGN) for m in [__import__('sys').modules] for n in (14, 15, 2)]"
        assert await fails(workers, f"{deaf} and {HANG.decode()}") == "late"


async def test_cancelling_a_task_kills_its_worker() -> None:
    async with evaluating() as workers:
        await workers.run(b"b''", 10)
        await idle(workers)
        task = asyncio.create_task(workers.run(HANG, 10))
        children = await at_work(workers)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert all(gone(child) for child in children)


async def test_closing_ends_the_zygote_and_its_workers() -> None:
    async with evaluating() as workers:
        await workers.run(b"b''", 10)
        await idle(workers)
        task = asyncio.create_task(workers.run(HANG, 10))
        children = await at_work(workers)
        zygote = workers.process_id
        workers.close()
        assert gone(zygote)
        assert all(gone(child) for child in children)
        with pytest.raises(WorkerError):
            await task


async def test_a_zygote_that_was_killed_is_started_anew() -> None:
    async with evaluating() as workers:
        await workers.run(b"b''", 10)
        before = workers.process_id
        os.kill(before, signal.SIGKILL)
        assert gone(before)
        assert await workers.run(b"b'fine'", 10) == b"fine"
        assert workers.process_id != before


def test_killing_the_server_ends_the_zygote_and_a_worker_that_hangs() -> None:
    program = (
        "import asyncio, psutil\n"
        "from gatelodge_core.sandbox.workers import Workers\n"
        "async def main():\n"
        "    workers = Workers('builtins:eval', memory_mb=256, seconds=600)\n"
        "    await workers.run(b\"b''\", 10)\n"
        "    while psutil.Process(workers.process_id).children():\n"
        "        await asyncio.sleep(0)\n"
        f"    task = asyncio.create_task(workers.run({HANG!r}, 10))\n"
        "    while not (children := psutil.Process(workers.process_id).children()):\n"
        "        await asyncio.sleep(0)\n"
        "    print([workers.process_id, children[0].pid], flush=True)\n"
        "    await task\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        pids = json.loads(server.stdout.readline())
        server.kill()
        assert all(gone(pid) for pid in pids)


@confined
@pytest.mark.parametrize(
    "deed",
    [
        "open('/etc/passwd', 'rb').read()",
        f"open({OS}.__file__, 'rb').read()",
        f"str({OS}.listdir('/')).encode()",
        f"str({OS}.listdir('/tmp')).encode()",
        "open('/tmp/gatelodge-canary', 'wb').close() or b'made'",
        f"str({OS}.fork()).encode()",
        f"{OS}.execv('/bin/true', ['true'])",
        "str(__import__('sys').modules['socket'].socket()).encode()",
        "str(__import__('sys').modules['socket'].socket(2, 2)).encode()",
        pytest.param(
            f"str({OS}.kill({OS}.getppid(), 9)).encode()",
            marks=pytest.mark.skipif(_landlock.abi() < 6, reason="this Landlock has no scopes"),
        ),
        f"str({OS}.kill(SERVER, 0)).encode()",
        f"open('/proc/' + str({OS}.getppid()) + '/mem', 'rb').read(1)",
    ],
)
async def test_a_worker_reaches_neither_files_nor_network_nor_processes(deed: str) -> None:
    async with evaluating() as workers:
        assert await fails(workers, deed.replace("SERVER", str(os.getpid()))) == "crashed"
        assert not os.path.exists("/tmp/gatelodge-canary")  # noqa: ASYNC240 - nothing else runs here
        assert await workers.run(b"b'fine'", 10) == b"fine"


async def test_without_confinement_the_same_deeds_succeed_so_the_test_can_see() -> None:
    async with evaluating(confined=False) as workers:
        assert await workers.run(f"open({OS}.__file__, 'rb').read(4)".encode(), 4)
        assert await workers.run(f"str({OS}.kill({OS}.getppid(), 0)).encode()".encode(), 10) == b"None"


async def test_a_worker_holds_no_descriptor_and_no_variable_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATELODGE_TEST_SECRET", "canary")
    held, other = os.pipe()
    os.set_inheritable(held, True)
    try:
        async with evaluating(confined=False) as workers:
            count = f"str([n for n in range(256) if not {OS}.closerange(256, 257) and EXISTS(n)]).encode()"
            exists = f"(lambda n: {OS}.path.exists('/dev/fd/' + str(n)))"
            seen = json.loads(await workers.run(count.replace("EXISTS", exists).encode(), 1000))
            # The standard three, the connection, and the pipe that tells that it lives.
            assert len(seen) <= 5
            assert b"canary" not in await workers.run(f"str(dict({OS}.environ)).encode()".encode(), 10_000)
    finally:
        os.close(held)
        os.close(other)


async def test_what_cannot_be_started_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    async with evaluating() as workers:
        assert await fails(workers, b"b''") == "absent"
