"""Clients of one credential, each for one call at a time.

PyGithub is not thread-safe (PyGithub issue 2052: a shared client gave one request the answer of another). So a call takes
a client, uses it in a worker thread, and gives it back when the answer is read to its end. A client whose call was
cancelled, failed or ran out of time is cut and dropped, never used again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import anyio
import anyio.to_thread
from gatelodge_core.errors import CallError

T = TypeVar("T")

SIZE = 4


class Cuttable(Protocol):
    """What a pool holds."""

    def abort(self) -> None:
        """Cut its connections, from any thread."""
        ...

    def close(self) -> None:
        """Close what is idle."""
        ...


C = TypeVar("C", bound=Cuttable)


class Threads:
    """Bounds the worker threads of all pools.

    A thread whose call was given up ends at once, as a rule: its socket is cut. One that is waiting for something else
    goes on for some seconds; if there are too many of these, nothing new is begun.

    Args:
        most: Threads at work, and as many again that are left to end.
    """

    def __init__(self, most: int) -> None:
        self.limiter = anyio.CapacityLimiter(most)
        self._most, self._left = most, 0
        self._lock = threading.Lock()

    def check(self) -> None:
        """Refuse to begin.

        Raises:
            CallError: `busy`.
        """
        with self._lock:
            if self._left >= self._most:
                raise CallError("busy", "Too many requests that were given up haven't ended.", "Try again in 30 s.")

    def leave(self, change: int) -> None:
        """One more was left to end, or has ended (-1)."""
        with self._lock:
            self._left += change

    @property
    def left(self) -> int:
        """How many are left to end."""
        with self._lock:
            return self._left


class Pool(Generic[C]):
    """Some clients, made when they are needed.

    Args:
        make: Makes one, in a worker thread.
        threads: Bounds the worker threads of all pools.
        size: Clients at once.
    """

    def __init__(self, make: Callable[[], C], threads: Threads, size: int = SIZE) -> None:
        self.threads = threads
        self._make = make
        self._places = anyio.Semaphore(size)
        self._idle: list[C] = []
        self._closed = False

    async def run(self, work: Callable[[C], T]) -> T:
        """Do something with a client of one's own. Cancelling stops it at once.

        Raises:
            CallError: `busy`.
            Exception: Whatever `work` raises; the client is then dropped.
        """
        async with self._places:
            self.threads.check()
            loan = _Loan(self._idle.pop() if self._idle else None, self.threads)

            def do() -> T:
                with loan:
                    return work(loan.begin(self._make))

            try:
                result = await anyio.to_thread.run_sync(do, limiter=self.threads.limiter, abandon_on_cancel=True)
            except BaseException:
                loan.drop()
                raise
            self._back(loan.client)
            return result

    def _back(self, client: C | None) -> None:
        if client is None:
            return
        if self._closed:
            client.close()
        else:
            self._idle.append(client)

    @property
    def idle(self) -> int:
        """How many clients wait to be used."""
        return len(self._idle)

    @property
    def free(self) -> int:
        """How many calls could begin at once."""
        return self._places.value

    def close(self) -> None:
        """Close what is idle, and from now on whatever comes back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()


class _Loan(Generic[C]):
    """The client of one call, between the thread that uses it and the task that may give it up.

    Whoever is last closes it: the thread, if it still runs when the task gives up; else the task.
    """

    def __init__(self, client: C | None, threads: Threads) -> None:
        self.client = client
        self._threads = threads
        self._running = self._dropped = False
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        """The thread begins."""
        with self._lock:
            if self._dropped:
                raise Dropped
            self._running = True

    def begin(self, make: Callable[[], C]) -> C:
        """The client, made if there is none."""
        client = make() if self.client is None else self.client
        with self._lock:
            self.client = client
            if self._dropped:
                raise Dropped
        return client

    def __exit__(self, *_: object) -> None:
        """The thread ends."""
        with self._lock:
            self._running = False
            if not self._dropped:
                return
        self._threads.leave(-1)
        self._close()

    def drop(self) -> None:
        """The task gives it up."""
        with self._lock:
            self._dropped = True
            if self._running:
                self._threads.leave(1)
                if self.client is not None:
                    self.client.abort()
                return
        self._close()

    def _close(self) -> None:
        if self.client is not None:
            self.client.close()


class Dropped(Exception):
    """In the thread of a call that was given up meanwhile; nobody waits for it."""
