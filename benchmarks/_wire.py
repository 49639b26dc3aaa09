"""A minimal MCP driver: raw JSON lines over a server's standard streams, with the time and the bytes of each answer.

No SDK stands in the way of the clock, so what is measured is the server. It drives any stdio server, in either
protocol era: ``legacy`` opens with ``initialize`` (2025-11-25), ``modern`` carries its envelope in each request
(2026-07-28). POSIX only: it waits for pipes with select(2).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Literal, Self

import psutil

Era = Literal["legacy", "modern"]

LEGACY_REVISION = "2025-11-25"
MODERN_REVISION = "2026-07-28"
_KEY = "io.modelcontextprotocol/"
_INFO = {"name": "gatelodge-benchmarks", "version": "0"}
_ENVELOPE = {
    f"{_KEY}protocolVersion": MODERN_REVISION,
    f"{_KEY}clientInfo": _INFO,
    f"{_KEY}clientCapabilities": {},
}
_CHUNK = 1 << 20
_METHOD_NOT_FOUND = -32601


class WireError(Exception):
    """The server ended, was too late, or answered with an error."""


@dataclass(frozen=True)
class Answer:
    """One answer.

    Args:
        seconds: From just before the request was written until the last byte of the answer was read.
        size: Bytes of the answer on the wire, with the newline.
        message: The JSON-RPC response.
    """

    seconds: float
    size: int
    message: dict[str, Any]

    @property
    def result(self) -> dict[str, Any]:
        """The result.

        Raises:
            WireError: The answer is an error, of the protocol or of a tool.
        """
        result: dict[str, Any] | None = self.message.get("result")
        if result is None or result.get("isError"):
            raise WireError(f"an error for an answer: {json.dumps(self.message)[:500]}")
        return result

    @property
    def text(self) -> str:
        """The text blocks of a tool's result, joined by newlines; raises as `result` does."""
        return "\n".join(block["text"] for block in self.result["content"] if block["type"] == "text")


class Driver:
    """One server process and one connection to it; a context manager that ends the process.

    Args:
        command: The server's command.
        era: The protocol era to speak.
        environment: The whole environment of the process.
        deadline: Seconds to wait for any one answer.

    Attributes:
        started: `time.perf_counter` just before the process was started.
    """

    def __init__(
        self, command: Sequence[str], era: Era, environment: Mapping[str, str], deadline: float = 120.0
    ) -> None:
        self.era: Era = era
        self._deadline = deadline
        self._next_id = 0
        self._held = bytearray()
        self._scanned = 0
        # A file, not a pipe: a server that writes much there must not come to wait for us.
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        try:
            self.started = time.perf_counter()
            self._process = subprocess.Popen(
                list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr, env=dict(environment)
            )
        except BaseException:
            self._stderr.close()
            raise
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        self._watched = psutil.Process(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> Answer:
        """Do what a host does first, and return the first answer: ``initialize`` or ``server/discover``."""
        if self.era == "modern":
            answer = self.request("server/discover")
        else:
            opening = {"protocolVersion": LEGACY_REVISION, "capabilities": {}, "clientInfo": _INFO}
            answer = self.request("initialize", opening)
            self._send({"jsonrpc": "2.0", "method": "notifications/initialized"}, time.perf_counter() + self._deadline)
        _ = answer.result
        return answer

    def request(self, method: str, params: Mapping[str, Any] | None = None) -> Answer:
        """Send one request and wait for its answer, which may be an error.

        Raises:
            WireError: The server ended, or didn't answer in time.
        """
        return self.pipeline([(method, params or {})], window=1)[0]

    def call(self, tool: str, arguments: Mapping[str, Any]) -> Answer:
        """Call a tool; see `request`."""
        return self.request("tools/call", {"name": tool, "arguments": dict(arguments)})

    def pipeline(self, requests: Sequence[tuple[str, Mapping[str, Any]]], window: int) -> list[Answer]:
        """Send requests with up to `window` of them unanswered; the answers in the order of the requests.

        Raises:
            WireError: As in `request`.
        """
        waiting = deque(enumerate(requests))
        sent: dict[int, tuple[int, float]] = {}
        answers: dict[int, Answer] = {}
        while len(answers) < len(requests):
            while waiting and len(sent) < window:
                index, (method, params) = waiting.popleft()
                self._next_id += 1
                message = {"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": self._params(params)}
                sent[self._next_id] = index, time.perf_counter()
                self._send(message, time.perf_counter() + self._deadline)
            line = self._line(time.perf_counter() + self._deadline)
            arrived = time.perf_counter()
            message = json.loads(line)
            if "method" in message:
                self._answer_server(message)
            elif message.get("id") in sent:
                index, since = sent.pop(message["id"])
                answers[index] = Answer(arrived - since, len(line) + 1, message)
            else:
                raise WireError(f"an answer to nothing that was asked: {line[:200]!r}")
        return [answers[index] for index in range(len(requests))]

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def cpu(self) -> float:
        """Processor seconds of the process so far, with the children it has waited for; the kernel counts in 10 ms."""
        times = self._watched.cpu_times()
        return times.user + times.system + times.children_user + times.children_system

    def rss(self) -> int:
        """Resident bytes of the process and its living children now."""
        total = self._watched.memory_info().rss
        for child in self._watched.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                total += child.memory_info().rss
        return total

    def stderr(self) -> str:
        """What the server has written on standard error so far."""
        # Not by seeking: the server writes through the same file position.
        return os.pread(self._stderr.fileno(), os.fstat(self._stderr.fileno()).st_size, 0).decode("utf-8", "replace")

    def close(self) -> None:
        """End the server as a host does: close its input, wait, and only then use force."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._stderr.close()

    def _params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {**params, "_meta": _ENVELOPE} if self.era == "modern" else dict(params)

    def _answer_server(self, message: dict[str, Any]) -> None:
        """We declare no capabilities: a request of the server's is refused, a notification is let pass."""
        if "id" in message:
            error = {"code": _METHOD_NOT_FOUND, "message": "this client does nothing for servers"}
            refusal = {"jsonrpc": "2.0", "id": message["id"], "error": error}
            self._send(refusal, time.perf_counter() + self._deadline)

    def _send(self, message: Mapping[str, Any], until: float) -> None:
        """Write a message; what the server writes meanwhile is taken in, else both could wait for ever."""
        data = memoryview(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        while data:
            readable, writable, _ = select.select([self._out], [self._in], [], max(0.0, until - time.perf_counter()))
            if writable:
                with contextlib.suppress(BlockingIOError):
                    try:
                        data = data[os.write(self._in, data) :]
                    except BrokenPipeError:
                        raise self._failure("the server no longer reads") from None
            elif readable:
                self._read()
            else:
                raise self._failure("the server took no input in time")

    def _line(self, until: float) -> bytes:
        while (end := self._held.find(b"\n", self._scanned)) < 0:
            self._scanned = len(self._held)
            if not select.select([self._out], [], [], max(0.0, until - time.perf_counter()))[0]:
                raise self._failure(f"no answer within {self._deadline:.0f} s")
            self._read()
        line = bytes(self._held[:end])
        del self._held[: end + 1]
        self._scanned = 0
        return line

    def _read(self) -> None:
        chunk = os.read(self._out, _CHUNK)
        if not chunk:
            raise self._failure("the server ended")
        self._held += chunk

    def _failure(self, what: str) -> WireError:
        return WireError(f"{what}; its standard error: {self.stderr()[-2000:]}")
