"""The porter as a process: forked before anything heavy is imported, gone before the sandbox closes.

It holds the host's streams alone until `Porter.leave`; then it tells what it knows through a pipe, and ends. If the server
ends first, it sees the pipe close, says what it has promised to say, and ends too. POSIX only.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from gatelodge_core.guard.wire import MAX_MESSAGE_BYTES
from gatelodge_core.launch.descriptors import Wire, pollable
from gatelodge_core.launch.porter.desk import Desk, Left
from gatelodge_core.launch.porter.eras import Era
from gatelodge_core.launch.porter.surface import Answers
from gatelodge_core.launch.splitting import LineSplitter

CHUNK = 64 * 1024
MAX_UNSENT_BYTES = 1024 * 1024
"""What the host has not read yet may have so many bytes; then nothing more is read from it."""
LAST_WORDS_SECONDS = 1.0
"""How long a host may take to read what was answered, when the server ends without ever having served."""
_LEAVE = b"."


class Handover(NamedTuple):
    """Where the porter stopped.

    Args:
        era: What the connection speaks.
        left: What the SDK has to be given, in order.
        held: What has arrived of a line that has not ended.
        dropping: Whether the rest of a line over the cap is still to come.
        unsent: Answers that the host has not taken yet.
        closed: Whether the host reads no more.
    """

    era: Era = Era.OPEN
    left: Sequence[Left] = ()
    held: bytes = b""
    dropping: bool = False
    unsent: bytes = b""
    closed: bool = False


class Porter:
    """The process that stands at the gate; made by `stand`."""

    def __init__(self, pid: int, control: int, report: int) -> None:
        self._pid = pid
        self._control = control
        self._report = report
        self._here = True

    def leave(self) -> Handover:
        """Have it end, and take over from it. Call it once, before confinement.

        Raises:
            RuntimeError: It ended before, and with it what it had read.
        """
        with contextlib.suppress(BrokenPipeError):
            os.write(self._control, _LEAVE)
        found = bytearray()
        while chunk := os.read(self._report, CHUNK):
            found += chunk
        self._gone()
        return _handover(bytes(found))

    def dismiss(self) -> None:
        """Have it end without taking over, if it hasn't: the server won't serve."""
        if self._here:
            self._gone()

    def _gone(self) -> None:
        self._here = False
        os.close(self._control)
        os.close(self._report)
        os.waitpid(self._pid, 0)


def possible(wire: Wire | None = None) -> bool:
    """Whether a porter can hold the host's streams: both can be waited for, and a process can be forked.

    Args:
        wire: Where they are; descriptors 0 and 1 unless given.
    """
    incoming, outgoing = wire or (0, 1)
    try:
        return hasattr(os, "fork") and sys.platform != "win32" and pollable(incoming) and pollable(outgoing)
    except OSError:
        return False


def stand(wire: Wire, answers: Answers) -> Porter | None:
    """Fork the porter; None if there can be no further process.

    Args:
        wire: The host's streams; nobody else may touch them until `Porter.leave`.
        answers: What it may answer.
    """
    told, control = os.pipe()
    report, telling = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        for descriptor in (told, control, report, telling):
            os.close(descriptor)
        return None
    if pid == 0:
        os.close(control)
        os.close(report)
        _run(_Standing(wire, answers), told, telling)
    os.close(told)
    os.close(telling)
    return Porter(pid, control, report)


def _run(standing: _Standing, told: int, telling: int) -> NoReturn:
    """The whole life of the forked process. It returns to nobody: there is a server's code above it."""
    try:
        # What a terminal sends to both is for the server to judge; it ends this process by its own end.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if standing.serve(told):
            standing.report(telling)
        else:
            standing.last_words()
    except BaseException as error:  # noqa: BLE001 - whatever it is, the server's code must not run on in here
        # Its type alone: what was read may be private.
        os.write(2, f"gatelodge: the first messages could not be taken: {type(error).__name__}\n".encode())
        os._exit(1)
    os._exit(0)


class _Standing:
    """The streams, and the desk between them."""

    def __init__(self, wire: Wire, answers: Answers) -> None:
        self._wire = wire
        self._desk = Desk(answers, MAX_MESSAGE_BYTES)
        self._splitter = LineSplitter(MAX_MESSAGE_BYTES)
        self._unsent = bytearray()
        self._ended = False
        self._closed = False
        # As asyncio has them later; a write must never hold up the leaving.
        os.set_blocking(wire.incoming, False)
        os.set_blocking(wire.outgoing, False)

    def serve(self, told: int) -> bool:
        """Serve until the server says so; False if it has ended."""
        while True:
            reading = not (self._ended or self._desk.full or len(self._unsent) > MAX_UNSENT_BYTES)
            wanted = [told, self._wire.incoming] if reading else [told]
            readable, writable, _ = select.select(wanted, [self._wire.outgoing] if self._unsent else [], [])
            if told in readable:
                return bool(os.read(told, 1))
            if writable:
                self._send()
            if self._wire.incoming in readable:
                self._receive()

    def _receive(self) -> None:
        try:
            chunk = os.read(self._wire.incoming, CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        self._ended = not chunk
        lines = self._splitter.feed(chunk) if chunk else self._splitter.end()
        for answer in self._desk.take(lines):
            self._unsent += answer + b"\n"
        self._send()

    def _send(self) -> None:
        if self._closed:
            self._unsent.clear()
        try:
            while self._unsent:
                del self._unsent[: os.write(self._wire.outgoing, self._unsent)]
        except BlockingIOError:
            return
        except OSError:
            # The host has gone; the server finds out by itself.
            self._closed = True
            self._unsent.clear()

    def last_words(self) -> None:
        """Let the host have what it was promised, for a while."""
        until = time.monotonic() + LAST_WORDS_SECONDS
        while self._unsent and (left := until - time.monotonic()) > 0:
            if select.select([], [self._wire.outgoing], [], left)[1]:
                self._send()

    def report(self, telling: int) -> None:
        """Tell all there is to know: a line of JSON, and then the bytes that it gives the lengths of."""
        left, held = self._desk.left, self._splitter.held
        head: dict[str, Any] = {
            "era": self._desk.era.value,
            "left": [[len(item.line), item.answered] for item in left],
            "held": len(held),
            "dropping": self._splitter.dropping,
            "unsent": len(self._unsent),
            "closed": self._closed,
        }
        data = memoryview(
            b"".join([json.dumps(head).encode(), b"\n", *(item.line for item in left), held, bytes(self._unsent)])
        )
        while data:
            data = data[os.write(telling, data) :]


def _handover(data: bytes) -> Handover:
    head, newline, rest = data.partition(b"\n")
    if not newline:
        raise RuntimeError("the process that took the host's first messages has ended, and they are lost")
    told = json.loads(head)
    at = 0

    def part(length: int) -> bytes:
        nonlocal at
        at += length
        return rest[at - length : at]

    left = [Left(part(length), answered) for length, answered in told["left"]]
    return Handover(Era(told["era"]), left, part(told["held"]), told["dropping"], part(told["unsent"]), told["closed"])
