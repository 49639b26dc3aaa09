"""The zygote: forks a confined worker for each connection it is handed. See `workers`.

    python -I -m gatelodge_core.sandbox._zygote DESCRIPTOR MODULE:FUNCTION MEMORY_MB SECONDS confined|open

Until the first task only the standard library's sockets are loaded. It reads no foreign byte itself.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_JOBS = 8
_PR_SET_PDEATHSIG = 1
_HEAD = 8  # as in `workers`, which would load asyncio


class _Job(NamedTuple):
    """A worker at work.

    Args:
        pid: Its process.
        end: Our copy of its end of the connection: it tells when the server lets go.
        alive: A pipe that ends when the worker does.
        deadline: When it is killed.
    """

    pid: int
    end: socket.socket
    alive: int
    deadline: float


class _Zygote:
    def __init__(
        self, control: socket.socket, work: Callable[[bytes], bytes], seconds: float, *, confined: bool
    ) -> None:
        self._control = control
        self._work = work
        self._seconds = seconds
        self._confined = confined
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._jobs: dict[int, _Job] = {}
        """By each of its two descriptors."""

    def run(self, first: socket.socket) -> None:
        """Work until the server lets go of the control connection."""
        self._begin(first)
        while True:
            left = min((job.deadline for job in self._jobs.values()), default=None)
            wait = None if left is None else max(0.0, left - time.monotonic()) * 1000 + 1
            told = [descriptor for descriptor, _ in self._poll.poll(wait)]
            now = time.monotonic()
            over = [job for job in self._jobs.values() if job.deadline <= now]
            over += [self._jobs[descriptor] for descriptor in told if descriptor in self._jobs]
            for job in {job.pid: job for job in over}.values():
                self._end(job)
            # At last: a new task takes the descriptors of one that has ended.
            if self._control.fileno() in told:
                end = _received(self._control)
                if end is None:
                    return
                self._begin(end)

    def close(self) -> None:
        """Kill whatever works."""
        for job in {job.pid: job for job in self._jobs.values()}.values():
            self._end(job)

    def _begin(self, end: socket.socket) -> None:
        if len(self._jobs) >= 2 * _MAX_JOBS:
            end.close()
            return
        alive, held = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._child(end, alive)
        os.close(held)
        job = _Job(pid, end, alive, time.monotonic() + self._seconds)
        self._jobs |= {end.fileno(): job, alive: job}
        # Without POLLIN only the end of both directions is told.
        self._poll.register(end, 0)
        self._poll.register(alive, 0)

    def _end(self, job: _Job) -> None:
        for descriptor in (job.end.fileno(), job.alive):
            self._poll.unregister(descriptor)
            del self._jobs[descriptor]
        # It isn't waited for yet, so its number is nobody else's.
        os.kill(job.pid, signal.SIGKILL)
        os.waitpid(job.pid, 0)
        os.close(job.alive)
        job.end.close()

    def _child(self, end: socket.socket, alive: int) -> NoReturn:
        status = 1
        try:
            parent = os.getppid()
            _die_with_parent()
            if os.getppid() == parent:
                for descriptor in (alive, self._control.fileno(), *self._jobs):
                    os.close(descriptor)
                # Should the zygote be gone too, the kernel ends us.
                signal.setitimer(signal.ITIMER_REAL, self._seconds + 1)
                if self._confined:
                    _renounce()
                answer = self._work(_all(end))
                end.sendall(len(answer).to_bytes(_HEAD, "big") + answer)
                end.shutdown(socket.SHUT_WR)
                status = 0
        finally:
            # Neither handlers nor buffers of the zygote are ours; a crash ends without a word.
            os._exit(status)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        from gatelodge_core.sandbox._libc import prctl  # noqa: PLC0415 - loaded by then

        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _renounce() -> None:
    if sys.platform == "linux":
        from gatelodge_core.sandbox.kernel import renounce  # noqa: PLC0415 - loaded by then

        renounce()


def _all(end: socket.socket) -> bytes:
    read = bytearray()
    while piece := end.recv(256 * 1024):
        read += piece
    return bytes(read)


def _received(control: socket.socket) -> socket.socket | None:
    """A task's connection; None when the server is gone."""
    data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
    if not data or not descriptors:
        return None
    return socket.socket(fileno=descriptors[0])


def main(arguments: list[str]) -> None:
    """Wait for the first task, load what it needs, confine this process, and work."""
    descriptor, work, memory, seconds, level = arguments
    control = socket.socket(fileno=int(descriptor))
    os.set_inheritable(control.fileno(), False)
    first = _received(control)
    if first is None:
        return
    import gc  # noqa: PLC0415 - from here on there is a task
    import importlib  # noqa: PLC0415

    from gatelodge_core.sandbox._rlimits import Bounds  # noqa: PLC0415

    module, _, name = work.partition(":")
    function = getattr(importlib.import_module(module), name)
    bounds = Bounds(address_space=int(memory) * 1024 * 1024, descriptors=64, file_bytes=1)
    if level == "confined":
        from gatelodge_core.sandbox.kernel import confine  # noqa: PLC0415
        from gatelodge_core.sandbox.profiles import Profile  # noqa: PLC0415

        confine(Profile("worker", forks=True, bounds=bounds))
    else:
        from gatelodge_core.sandbox._rlimits import enter  # noqa: PLC0415

        enter(bounds)
    # Copies share the pages of what is there now.
    gc.freeze()
    zygote = _Zygote(control, function, float(seconds), confined=level == "confined")
    try:
        zygote.run(first)
    finally:
        zygote.close()


if __name__ == "__main__":
    main(sys.argv[1:])
