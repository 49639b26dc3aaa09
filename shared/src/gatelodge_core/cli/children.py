"""Processes of somebody else's: their output is taken in bounded, and all of them can be ended at once."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from collections import deque
from typing import IO

LINE_BYTES = 32 * 1024 * 1024
"""Of a line; a longer one comes in pieces."""
WAITING_BYTES = 4 * 1024 * 1024
"""Of lines that nobody has taken yet; from there on the writer waits, as it would for any slow reader."""


class Children:
    """Processes that run on trial."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self.stopped = False

    def add(self, process: subprocess.Popen[bytes]) -> None:
        """Take one in; it is ended at once if all were."""
        with self._lock:
            self._running.add(process)
            stopped = self.stopped
        if stopped:
            kill(process)

    def remove(self, process: subprocess.Popen[bytes]) -> None:
        """One has ended."""
        with self._lock:
            self._running.discard(process)

    def stop(self) -> None:
        """End all, and each that is yet to come."""
        with self._lock:
            self.stopped = True
            running = list(self._running)
        for process in running:
            kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and its group, which outlives it if it left others behind."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


class Inbox:
    """The lines of a pipe, read by a thread of its own.

    Args:
        pipe: The pipe's end, which is closed when it has ended. It is read by its descriptor: a buffered stream can't
            be closed while a thread waits in it.
    """

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._change = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._ended = self._closed = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def next(self, until: float) -> bytes | None:
        """The next line; None if there will be none.

        Raises:
            TimeoutError: There was none until then, by the monotonic clock.
        """
        with self._change:
            # Even if lines are waiting: one who writes without end must not be listened to without end.
            left = until - time.monotonic()
            if left <= 0 or not self._change.wait_for(lambda: bool(self._lines) or self._ended, left):
                raise TimeoutError
            if not self._lines:
                return None
            line = self._lines.popleft()
            self._bytes -= len(line)
            self._change.notify_all()
            return line

    def close(self, seconds: float) -> bool:
        """Take no more; whether the pipe has ended within that time. Else its reader goes on waiting for that."""
        with self._change:
            self._closed = True
            self._lines.clear()
            self._change.notify_all()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _read(self) -> None:
        begun = bytearray()
        with self._pipe, contextlib.suppress(OSError, ValueError):
            while data := os.read(self._pipe.fileno(), 65_536):
                *whole, rest = data.split(b"\n")
                for piece in whole:
                    self._put(bytes(begun) + piece + b"\n")
                    begun.clear()
                begun += rest
                if len(begun) >= LINE_BYTES:
                    self._put(bytes(begun))
                    begun.clear()
        if begun:
            self._put(bytes(begun))
        with self._change:
            self._ended = True
            self._change.notify_all()

    def _put(self, line: bytes) -> None:
        with self._change:
            self._change.wait_for(lambda: self._bytes < WAITING_BYTES or self._closed)
            if not self._closed:
                self._lines.append(line)
                self._bytes += len(line)
                self._change.notify_all()


def write(descriptor: int, data: bytes, until: float) -> None:
    """Write all of it into a pipe.

    Raises:
        TimeoutError: It isn't read, until then, by the monotonic clock.
        OSError: There is nobody to read it.
    """
    if os.name != "posix":
        os.write(descriptor, data)
        return
    os.set_blocking(descriptor, False)
    left = memoryview(data)
    while left:
        _, ready, _ = select.select([], [descriptor], [], max(until - time.monotonic(), 0))
        if not ready:
            raise TimeoutError
        with contextlib.suppress(BlockingIOError):
            left = left[os.write(descriptor, left) :]
