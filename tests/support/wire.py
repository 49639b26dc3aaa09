"""Raw MCP over a real subprocess: every byte is ours, on stdio and HTTP, in the three revisions in use.

No SDK client stands between a test and the wire, so a test sees what a host of any make would see.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from typing import IO, Any, Literal

Revision = Literal["2025-06-18", "2025-11-25", "2026-07-28"]
REVISIONS: tuple[Revision, ...] = ("2025-06-18", "2025-11-25", "2026-07-28")
MODERN: Revision = "2026-07-28"

_KEY = "io.modelcontextprotocol/"
MODERN_META: dict[str, Any] = {f"{_KEY}protocolVersion": MODERN, f"{_KEY}clientCapabilities": {}}
"""The least that a request of 2026-07-28 carries."""
INFO = {"name": "gatelodge-tests", "version": "0"}
PATIENCE = 30.0
"""Seconds after which a missing answer is a failure; far above any real answer."""

Message = dict[str, Any]


class Server:
    """A server process; standard output is read line by line, standard error is kept."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None, **options: Any) -> None:
        self.process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            **options,
        )
        self._out: queue.Queue[bytes | None] = queue.Queue()
        self._err: list[bytes] = []
        self._err_grew = threading.Condition()
        self._threads = [
            threading.Thread(target=self._drain_out, daemon=True),
            threading.Thread(target=self._drain_err, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _drain_out(self) -> None:
        for line in self._pipe(self.process.stdout):
            self._out.put(line)
        self._out.put(None)

    def _drain_err(self) -> None:
        for line in self._pipe(self.process.stderr):
            with self._err_grew:
                self._err.append(line)
                self._err_grew.notify_all()
        with self._err_grew:
            self._err_grew.notify_all()

    @staticmethod
    def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
        assert stream is not None
        return stream

    def write(self, data: bytes) -> None:
        stream = self._pipe(self.process.stdin)
        stream.write(data)
        stream.flush()

    def line(self, timeout: float = PATIENCE) -> bytes:
        """The next line of standard output."""
        found = self._out.get(timeout=timeout)
        assert found is not None, f"the server ended; stderr: {self.stderr()}"
        return found

    def nothing_left(self) -> bool:
        """Whether standard output ended without another line."""
        return self._out.get(timeout=PATIENCE) is None

    def stderr(self) -> str:
        with self._err_grew:
            return b"".join(self._err).decode("utf-8", "replace")

    def wait_for_stderr(self, pattern: str) -> re.Match[str]:
        """The first match of `pattern` on standard error."""
        found: re.Match[str] | None = None

        def seen() -> bool:
            nonlocal found
            found = re.search(pattern, b"".join(self._err).decode("utf-8", "replace"))
            return found is not None or self.process.poll() is not None

        deadline = time.monotonic() + PATIENCE
        with self._err_grew:
            # In steps: the end of the process notifies nobody.
            while not seen() and time.monotonic() < deadline:
                self._err_grew.wait(0.1)
        assert found is not None, f"no {pattern!r} on stderr: {self.stderr()}"
        return found

    def close_stdin(self) -> None:
        self._pipe(self.process.stdin).close()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = PATIENCE) -> int:
        status = self.process.wait(timeout)
        for thread in self._threads:
            thread.join(PATIENCE)
        return status

    def end(self) -> None:
        """End the process by its own pid, if it still runs."""
        with contextlib.suppress(OSError, ValueError):
            self.close_stdin()
        try:
            self.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.wait()
        for stream in (self.process.stdout, self.process.stderr):
            self._pipe(stream).close()


class Wire(ABC):
    """One client connection, speaking one revision."""

    def __init__(self, revision: Revision, capabilities: Mapping[str, Any] | None = None) -> None:
        self.revision: Revision = revision
        self.capabilities = dict(capabilities or {})
        self.notifications: list[Message] = []
        self._ids = itertools.count(1)

    @property
    def modern(self) -> bool:
        return self.revision == MODERN

    def params(self, given: Mapping[str, Any] | None = None) -> Message:
        """Parameters with what this revision's requests carry."""
        params = dict(given or {})
        if self.modern:
            params["_meta"] = {
                f"{_KEY}protocolVersion": self.revision,
                f"{_KEY}clientInfo": INFO,
                f"{_KEY}clientCapabilities": self.capabilities,
                **params.get("_meta", {}),
            }
        return params

    def open(self) -> Message | None:
        """Do the handshake, where the revision has one; its result."""
        if self.modern:
            return None
        result = self.request(
            "initialize",
            {"protocolVersion": self.revision, "capabilities": self.capabilities, "clientInfo": INFO},
        )["result"]
        self.notify("notifications/initialized")
        return result

    def next_id(self) -> int:
        return next(self._ids)

    def request(self, method: str, params: Mapping[str, Any] | None = None) -> Message:
        """Send a request; the whole response message."""
        return self.exchange({"jsonrpc": "2.0", "id": self.next_id(), "method": method, "params": self.params(params)})

    def tool(self, name: str, /, **arguments: Any) -> Message:
        """Call a tool; the result, or a failure if it was a protocol error."""
        response = self.request("tools/call", {"name": name, "arguments": arguments})
        assert "result" in response, response
        return response["result"]

    def text(self, name: str, /, **arguments: Any) -> str:
        """Call a tool that must succeed; its text."""
        result = self.tool(name, **arguments)
        assert not result.get("isError"), result
        return "\n".join(block["text"] for block in result["content"] if block["type"] == "text")

    def error(self, name: str, /, **arguments: Any) -> str:
        """Call a tool that must fail; its text."""
        result = self.tool(name, **arguments)
        assert result.get("isError"), result
        return result["content"][0]["text"]

    def record(self, name: str, /, **arguments: Any) -> Message:
        """Call a tool that must succeed; its structured content."""
        result = self.tool(name, **arguments)
        assert not result.get("isError"), result
        return result["structuredContent"]

    @abstractmethod
    def exchange(self, message: Message) -> Message:
        """Send one request message; its response."""

    @abstractmethod
    def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a notification."""

    @abstractmethod
    def close(self) -> None:
        """End the connection."""


class StdioWire(Wire):
    """A client on a server's standard streams."""

    def __init__(self, server: Server, revision: Revision, capabilities: Mapping[str, Any] | None = None) -> None:
        super().__init__(revision, capabilities)
        self.server = server
        self.asked: list[Message] = []

    def exchange(self, message: Message) -> Message:
        self.server.write(json.dumps(message).encode() + b"\n")
        return self.response(message["id"])

    def send_call(self, request_id: object, name: str, /, **arguments: Any) -> None:
        """Send a tool call and don't wait; it asks for progress under its own id."""
        given = {"name": name, "arguments": arguments, "_meta": {"progressToken": str(request_id)}}
        message = {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": self.params(given)}
        self.server.write(json.dumps(message).encode() + b"\n")

    def response(self, request_id: object) -> Message:
        """The response to `request_id`; what comes before it is kept."""
        while True:
            message = json.loads(self.server.line())
            if "method" in message:
                (self.asked if "id" in message else self.notifications).append(message)
            elif message.get("id") == request_id:
                return message

    def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        message: Message = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = dict(params)
        self.server.write(json.dumps(message).encode() + b"\n")

    def close(self) -> None:
        self.server.end()


class HttpWire(Wire):
    """A client on a server's HTTP endpoint."""

    def __init__(self, url: str, revision: Revision, capabilities: Mapping[str, Any] | None = None) -> None:
        super().__init__(revision, capabilities)
        self.url = url
        found = re.fullmatch(r"http://(\S+):(\d+)(/\S*)", url)
        assert found is not None, url
        self.host, self.port, self.path = found.group(1).strip("[]"), int(found.group(2)), found.group(3)
        self.session = ""

    def headers(self, message: Message) -> dict[str, str]:
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        if self.modern:
            headers |= {"mcp-protocol-version": self.revision, "mcp-method": message["method"]}
            params = message.get("params", {})
            if name := params.get("name") or params.get("uri"):
                headers["mcp-name"] = name
        elif message["method"] != "initialize":
            headers["mcp-protocol-version"] = self.revision
            if self.session:
                headers["mcp-session-id"] = self.session
        return headers

    def post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        """One POST; status, headers, body."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request("POST", self.path, body, dict(headers))
            response = connection.getresponse()
            return response.status, {key.lower(): value for key, value in response.getheaders()}, response.read()

    def exchange(self, message: Message) -> Message:
        _, headers, body = self.post(json.dumps(message).encode(), self.headers(message))
        self.session = headers.get("mcp-session-id", self.session)
        if headers.get("content-type", "").startswith("text/event-stream"):
            found = [
                json.loads(line[5:])
                for line in body.decode().splitlines()
                if line.startswith("data:") and line[5:].strip()
            ]
        else:
            found = [json.loads(body)]
        self.notifications += [item for item in found if "method" in item]
        return next(item for item in found if item.get("id") == message["id"] and "method" not in item)

    def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        message: Message = {"jsonrpc": "2.0", "method": method, "params": self.params(params)}
        self.post(json.dumps(message).encode(), self.headers(message))

    def close(self) -> None:
        """Nothing to end: each exchange has its own connection."""


Transport = Literal["stdio", "http"]
TRANSPORTS: tuple[Transport, ...] = ("stdio", "http")


def python_module(name: str, *arguments: str) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-m", name, *arguments]


@contextlib.contextmanager
def connected(
    command: Sequence[str],
    transport: Transport,
    revision: Revision,
    *,
    capabilities: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
) -> Generator[Wire]:
    """A server process and one client on it, the handshake done."""
    server = Server([*command, *(["--http", "127.0.0.1:0"] if transport == "http" else [])], env)
    try:
        wire: Wire
        if transport == "stdio":
            wire = StdioWire(server, revision, capabilities)
        else:
            url = server.wait_for_stderr(r"listening on (http://\S+)").group(1)
            wire = HttpWire(url, revision, capabilities)
        wire.open()
        yield wire
    finally:
        if transport == "http":
            server.signal(signal.SIGTERM)
        server.end()
