"""Work on foreign bytes in processes of its own, which may crash, hang or be taken over.

A confined server can start no program. So a small process, the zygote, is started before; for each task it forks a
copy of itself that has neither files nor sockets but the one the bytes come by, and that is killed at a deadline. It
ends when the server does, however that ends. POSIX only.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from typing import Literal

from gatelodge_core.errors import GatelodgeError

HEAD = 8
"""Bytes before an answer that say how long it is: one that was cut isn't taken for whole."""
_PIECE = 256 * 1024
_AT_ONCE = 2
_GRACE = 2.0
"""Seconds the zygote has to end a late worker before we stop waiting for it."""

Reason = Literal["absent", "busy", "crashed", "late", "large"]


class WorkerError(GatelodgeError):
    """A task has no answer.

    Args:
        reason: There is no zygote (`absent`); it takes no more (`busy`); the worker ended without an answer, by a
            crash or a limit (`crashed`); it was killed at the deadline (`late`); the answer is too large (`large`).
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"the worker's task failed: {reason}")
        self.reason: Reason = reason


class Workers:
    """Does one kind of work, each task in a process of its own.

    Args:
        work: ``module:function``; it takes and gives bytes. The module is loaded in the zygote with the first task.
        memory_mb: Address space of a worker.
        seconds: After which a worker is killed.
        confined: Whether the zygote and its workers are confined by the kernel.
    """

    def __init__(self, work: str, *, memory_mb: int, seconds: float, confined: bool = True) -> None:
        self._command = [work, str(memory_mb), str(seconds), "confined" if confined else "open"]
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._turns: asyncio.Semaphore | None = None

    def start(self) -> None:
        """Start the zygote, before this process is confined; later it is started by the first task, if it still can be.

        Raises:
            OSError: No process can be started.
        """
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "gatelodge_core.sandbox._zygote", str(theirs.fileno()), *self._command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Nothing of ours goes along: neither descriptors nor variables, nor the terminal's signals.
                env={name: os.environ[name] for name in ("LANG", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        self._control = ours

    @property
    def process_id(self) -> int:
        """Of the zygote; 0 if there is none."""
        return self._process.pid if self._process is not None else 0

    async def run(self, data: bytes, max_answer: int) -> bytes:
        """Do the work on some bytes. Cancelling kills the worker.

        Args:
            data: The bytes.
            max_answer: Bytes of the answer.

        Raises:
            WorkerError: There is no answer.
        """
        if self._turns is None:
            self._turns = asyncio.Semaphore(_AT_ONCE)
        async with self._turns:
            return await self._run(data, max_answer)

    async def _run(self, data: bytes, max_answer: int) -> bytes:
        ours, theirs = socket.socketpair()
        with ours:
            ours.setblocking(False)
            with theirs:
                self._hand_over(theirs)
            begun = time.monotonic()
            try:
                async with asyncio.timeout(self._seconds + _GRACE):
                    return await _exchanged(ours, data, max_answer)
            except TimeoutError:
                raise WorkerError("late") from None
            except (OSError, EOFError):
                late = time.monotonic() - begun >= self._seconds
                raise WorkerError("late" if late else "crashed") from None

    def _hand_over(self, end: socket.socket) -> None:
        """Give the zygote its end of a task's connection.

        Raises:
            WorkerError: `absent` or `busy`.
        """
        for again in (True, False):
            try:
                if self._control is None:
                    self.start()
                assert self._control is not None
                socket.send_fds(self._control, [b"w"], [end.fileno()])
            except BlockingIOError:
                raise WorkerError("busy") from None
            except OSError:
                # It was killed, by whomever. A confined process can't start another.
                self.close()
                if not again:
                    raise WorkerError("absent") from None
            else:
                return

    def close(self) -> None:
        """End the zygote and its workers."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                # Landlock may refuse us signals to it; then it is init's.
                with contextlib.suppress(OSError):
                    self._process.kill()
                    self._process.wait(_GRACE)
            self._process = None


async def _exchanged(end: socket.socket, data: bytes, max_answer: int) -> bytes:
    """Send the bytes, read the answer.

    Raises:
        OSError, EOFError: The worker is gone.
        WorkerError: `large`.
    """
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(end, data)
    end.shutdown(socket.SHUT_WR)
    read = bytearray()
    wanted = HEAD
    while len(read) < wanted:
        piece = await loop.sock_recv(end, _PIECE)
        if not piece:
            raise EOFError
        read += piece
        if wanted == HEAD and len(read) >= HEAD:
            wanted += int.from_bytes(read[:HEAD], "big")
            if wanted - HEAD > max_answer:
                raise WorkerError("large")
    return bytes(read[HEAD:wanted])
