"""The one process of ours outside the confinement: it runs configured password commands and keeps ssh tunnels.

``python -m gatelodge_postgres.connect.helper`` reads a line of JSON that says all it may ever start, and then requests
that name a database by its number; each is answered by a line. When its standard input ends, since the server ended
however that came about, it ends what it started and itself. It needs the standard library alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
from typing import Any, TypedDict, cast

PASSWORD_SECONDS = 10.0
PASSWORD_BYTES = 16_384
TUNNEL_SECONDS = 20.0
"""The longest that a tunnel may take to open."""
PROBE_SECONDS = 0.05
FIRST_PAUSE, LONGEST_PAUSE, STEADY = 0.5, 30.0, 60.0
"""Seconds until a tunnel that broke is opened again; doubled up to the longest, unless it had held steadily."""
END_SECONDS = 1.0
AT_ONCE = 16
"""Password commands that run at once."""
_TAIL = 2000
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_LISTENING = "0A"
"""The state in /proc/net/tcp."""


class Way(TypedDict):
    """What may be started for one database; an empty list is nothing.

    Args:
        password: The command that prints the password.
        ssh: The command that holds the tunnel.
        ports: Where the tunnel listens.
    """

    password: list[str]
    ssh: list[str]
    ports: list[int]


class Failed(Exception):
    """What the server is told; never anything that a password command printed."""


class Started:
    """A command as a process that leads a group of its own, which ends with the block.

    Args:
        command: Its arguments; no shell sees them.
        stdout: Whether its output, rather than its errors, is read.
    """

    def __init__(self, command: list[str], *, stdout: bool) -> None:
        self._command = command
        self._stdout = stdout

    async def __aenter__(self) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader]:
        pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        self._process = process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=nothing,
            stdout=pipe if self._stdout else nothing,
            stderr=nothing if self._stdout else pipe,
            start_new_session=True,
            preexec_fn=_bind,
        )
        stream = process.stdout or process.stderr
        assert stream is not None
        return process, stream

    async def __aexit__(self, *_: object) -> None:
        process = self._process
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.returncode is not None:
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), END_SECONDS)


def _bind() -> None:
    """In the child, before it becomes the command: end when the helper does, even if that is killed."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


async def password(command: list[str]) -> str:
    """What a password command prints, without the end of the line.

    Raises:
        Failed: It did not end well or in time, or printed what can be no password.
    """
    try:
        async with asyncio.timeout(PASSWORD_SECONDS), Started(command, stdout=True) as (process, stream):
            found = bytearray()
            while part := await stream.read(PASSWORD_BYTES):
                found += part
                if len(found) > PASSWORD_BYTES:
                    raise Failed("password_command printed too much for a password")
            status = await process.wait()
    except TimeoutError:
        raise Failed(f"password_command took more than {PASSWORD_SECONDS:g} s") from None
    except OSError as error:
        raise Failed(f"password_command can't be started: {error.strerror}") from None
    if status:
        raise Failed(f"password_command failed with status {status}")
    try:
        text = found.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise Failed("password_command printed what is no UTF-8 text") from None
    if not text or "\0" in text or "\n" in text:
        raise Failed("password_command must print one line, the password")
    return text


class Tunnel:
    """One ssh process: started when first asked for, and again whenever it ends.

    Args:
        command: Starts it.
        ports: Where it will listen.
    """

    def __init__(self, command: list[str], ports: list[int]) -> None:
        self._command = command
        self._ports = ports
        self._keeping: asyncio.Task[None] | None = None
        self._open = False
        self._wanted = asyncio.Event()
        self._changed = asyncio.Condition()
        self._tries = 0
        self._said = ""

    async def opened(self) -> str:
        """Wait until it is open; what ssh said since this was last asked.

        Raises:
            Failed: ssh ended, or it took too long.
        """
        tries = self._tries
        own = _own_listeners()
        if self._open and own is not None and not own.issuperset(self._ports):
            # It has ended, and we are about to be told; the next try is what counts.
            self._open, tries = False, tries + 1
        self._wanted.set()
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep())
        try:
            async with asyncio.timeout(TUNNEL_SECONDS), self._changed:
                await self._changed.wait_for(lambda: self._open or self._tries > tries)
        except TimeoutError:
            raise Failed(f"ssh opened no tunnel within {TUNNEL_SECONDS:g} s") from None
        if not self._open:
            raise Failed(f"ssh: {self._said}")
        said, self._said = self._said, ""
        return f"ssh: {said}" if said else ""

    async def end(self) -> None:
        """End ssh, for good."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})

    async def _keep(self) -> None:
        """Run ssh for as long as the helper lives."""
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        while True:
            begun = loop.time()
            self._wanted.clear()
            try:
                await self._run()
            except OSError as error:
                self._said = f"can't be started: {error.strerror}"
            self._tries += 1
            await self._tell(open_now=False)
            steady = loop.time() - begun > STEADY
            # Whoever needs it need not wait for the whole pause, but can't make us try without any.
            await asyncio.sleep(FIRST_PAUSE)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), 0 if steady else pause)
            pause = FIRST_PAUSE if steady else min(2 * pause, LONGEST_PAUSE)

    async def _run(self) -> None:
        """Run ssh until it ends; the last that it said stays known."""
        async with Started(self._command, stdout=False) as (process, stream):
            looking = asyncio.create_task(self._look(process))
            try:
                self._said, heard = "", b""
                while part := await stream.read(_TAIL):
                    heard = (heard + part)[-_TAIL:]
                    self._said = _last_line(heard)
                status = await process.wait()
                self._said = self._said or f"ended with status {status}"
            finally:
                looking.cancel()

    async def _look(self, process: asyncio.subprocess.Process) -> None:
        """Tell once it listens on all ports."""
        while not all([await _listens(port) for port in self._ports]):  # noqa: ASYNC110 - nothing else tells it
            await asyncio.sleep(PROBE_SECONDS)
        if process.returncode is None:
            await self._tell(open_now=True)

    async def _tell(self, *, open_now: bool) -> None:
        async with self._changed:
            self._open = open_now
            self._changed.notify_all()


async def _listens(port: int) -> bool:
    """Whether a process of this user listens on a port of 127.0.0.1; where that can't be asked, whether any does."""
    own = _own_listeners()
    if own is not None:
        return port in own
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _own_listeners() -> set[int] | None:
    """Ports of 127.0.0.1 that processes of this user listen on; None where the system doesn't say."""
    try:
        with open("/proc/net/tcp", encoding="ascii") as table:
            rows = [line.split() for line in table][1:]
    except OSError:
        return None
    local = f"{int.from_bytes(socket.inet_aton('127.0.0.1'), sys.byteorder):08X}"
    found = [row[1].split(":") for row in rows if row[3] == _LISTENING and row[7] == str(os.geteuid())]
    return {int(port, 16) for address, port in found if address == local}


def _last_line(heard: bytes) -> str:
    """The last line with anything in it, as printable text."""
    lines = heard.decode("utf-8", "replace").splitlines()
    texts = ["".join(letter for letter in line if letter.isprintable()).strip() for line in lines]
    return next((text[-300:] for text in reversed(texts) if text), "")


class Helper:
    """Answers requests.

    Args:
        ways: What may be started, by the database's number.
    """

    def __init__(self, ways: list[Way]) -> None:
        self._ways = ways
        self._tunnels = [Tunnel(way["ssh"], way["ports"]) for way in ways]
        self._few = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, requests: asyncio.StreamReader) -> None:
        """Answer until there are no more requests."""
        while line := await requests.readline():
            task = asyncio.create_task(self._answer(json.loads(line)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *(tunnel.end() for tunnel in self._tunnels), return_exceptions=True)

    async def _answer(self, request: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"id": request["id"]}
        number = int(request["database"])
        try:
            if request["ask"] == "password":
                async with self._few:
                    answer["password"] = await password(self._ways[number]["password"])
            else:
                answer["said"] = await self._tunnels[number].opened()
        except Failed as error:
            answer["error"] = str(error)
        # Short, and the server always reads.
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


async def main() -> None:
    """Serve the process that started this one."""
    loop = asyncio.get_running_loop()
    requests = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    serving = asyncio.create_task(Helper(cast("list[Way]", json.loads(await requests.readline()))).serve(requests))
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, requests.feed_eof)
    await serving


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        asyncio.run(main())
