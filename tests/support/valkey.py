"""A real Valkey or Redis on loopback, in a process of its own, that can be stopped, killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from pathlib import Path

import pytest
from gatelodge_core.store.address import parsed
from gatelodge_core.store.shared import SharedStore

from tests.support.wire import PATIENCE

PROGRAM = shutil.which("valkey-server") or shutil.which("redis-server") or ""


class Valkey:
    """The server; it keeps what it knows in a file that is written before it answers.

    Args:
        folder: For that file and the log.
        keeps: Whether it knows after a restart what it knew before.
        options: More of its options.
    """

    def __init__(self, folder: Path, *options: str, keeps: bool = True) -> None:
        if not PROGRAM:
            if os.environ.get("CI"):
                pytest.fail("neither valkey-server nor redis-server is installed")
            pytest.skip("needs valkey-server or redis-server")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, self.free_port()
        self._options = [*("--appendonly", "yes" if keeps else "no", "--save", ""), *options]
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @staticmethod
    def free_port() -> int:
        """A port that nobody listens on."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port: int = taken.getsockname()[1]
            return port

    def start(self) -> None:
        """Start, and wait until it listens."""
        command = [PROGRAM, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), *self._options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._listening), 1):
                return
            assert self.process.poll() is None, "it did not start"
            time.sleep(0.02)
        raise AssertionError("it does not listen")

    @property
    def _listening(self) -> int:
        if "--tls-port" in self._options:
            return int(self._options[self._options.index("--tls-port") + 1])
        return self.port

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(PATIENCE)

    def freeze(self) -> None:
        """Let it hang: connections stay open, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)

    @contextlib.asynccontextmanager
    async def opened(self, deadline: float = 2.0) -> AsyncGenerator[SharedStore]:
        """One client, as a replica has it; patient, since the tests' machine may be busy."""
        store = SharedStore(parsed(self.url), deadline=deadline)
        async with store.life():
            yield store


async def eventually(holds: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = holds()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.02)


@contextlib.contextmanager
def valkey(folder: Path, *options: str, keeps: bool = True) -> Generator[Valkey]:
    """Run one until the end of the block."""
    server = Valkey(folder, *options, keeps=keeps)
    try:
        yield server
    finally:
        server.thaw()
        server.kill()
