"""Starting a server as a host would, and saying what came of it: an MCP client with the standard library alone.

It speaks stdio in each revision in use: a handshake up to 2025-11-25, and none since 2026-07-28.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import IO, Any, Literal, cast

from gatelodge_core.cli.children import Children, Inbox, kill, write

Revision = Literal["2025-06-18", "2025-11-25", "2026-07-28"]
REVISIONS: tuple[Revision, ...] = ("2025-06-18", "2025-11-25", "2026-07-28")
USUAL: Revision = "2025-11-25"
MODERN: Revision = "2026-07-28"
PAGES = 50
"""Of a list of tools; no server has more."""
STDERR_BYTES = 16_384
GRACE_SECONDS = 5.0

NO_METHOD = "gatelodge/awake"
"""A method that no server has."""
_KEY = "io.modelcontextprotocol/"


@dataclass(frozen=True, slots=True)
class Probe:
    """What a server did.

    Args:
        revision: The one that was spoken.
        error: Why it can't be used; empty if it can. It quotes nothing that the server wrote.
        answered: Revision that it answered with; empty if it never did.
        first_seconds: From the start to the first answer; 0 if there was none.
        ready_seconds: From the start to an answer that nobody could give in the server's place; 0 if none was asked for.
        server: What it calls itself.
        tools: Its tools, as it lists them.
        noise: How many lines of its standard output were no messages.
        stderr: The end of what it wrote to standard error; it may hold secrets.
        status: Its exit status if it ended by itself before it was told to; negative for a signal.
        lingered: Whether it had to be killed, as it didn't end with its input.
        answers: What it answered to what it was asked besides; the message, result or error.
    """

    revision: Revision
    error: str = ""
    answered: str = ""
    first_seconds: float = 0.0
    ready_seconds: float = 0.0
    server: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tools: tuple[Mapping[str, Any], ...] = ()
    noise: int = 0
    stderr: str = ""
    status: int | None = None
    lingered: bool = False
    answers: tuple[Mapping[str, Any], ...] = ()


Ask = tuple[str, Mapping[str, Any]]
"""A method and its parameters."""


def probe(
    command: Sequence[str],
    environment: Mapping[str, str],
    cwd: str | None = None,
    *,
    revision: Revision = USUAL,
    seconds: float = 30.0,
    awake: bool = False,
    asks: Sequence[Ask] = (),
    children: Children | None = None,
) -> Probe:
    """Start a server, shake hands, list its tools, and end it with all that it started.

    Args:
        command: The program and its arguments; no shell is involved.
        environment: All variables it gets.
        cwd: Where it starts; here if None.
        revision: Which one to speak.
        seconds: How long all of it may take.
        awake: Whether to ask for one thing more that no front can answer from what it knows: ours answers the first
            messages while the server still loads, and that may yet fail.
        asks: Further requests.
        children: Gets the process for as long as it runs.
    """
    answers: list[Mapping[str, Any]] = []
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            cwd=cwd,
            # A group of its own, so that it can be ended with all that it started.
            start_new_session=os.name == "posix",
        )
    except (OSError, ValueError) as error:
        reason = (
            error.strerror if isinstance(error, OSError) and error.strerror else "its name or arguments can't be used"
        )
        return Probe(revision, error=f"it can't be started: {reason}")
    children = children or Children()
    children.add(process)
    talk = _Talk(process, time.monotonic(), seconds)
    try:
        answered, server = talk.greet(revision)
        tools = talk.tools(revision)
        error = "" if tools else "it has no tools"
        if awake:
            talk.wake(revision)
        answers += [talk.answer(method, dict(params), revision) for method, params in asks]
    except _Failed as failure:
        answered, server, tools, error = talk.answered, dict[str, Any](), (), str(failure)
    except BaseException:
        kill(process)
        raise
    lingered = talk.end()
    children.remove(process)
    return Probe(
        revision,
        error=error,
        answered=answered,
        first_seconds=talk.first_seconds,
        ready_seconds=talk.ready_seconds,
        server=server,
        tools=tools,
        noise=talk.noise,
        stderr=talk.stderr(),
        status=talk.status,
        lingered=lingered,
        answers=tuple(answers),
    )


class _Failed(Exception):
    """The server can't be used; the text says why."""


class _Talk:
    """A conversation with a process."""

    def __init__(self, process: subprocess.Popen[bytes], started: float, seconds: float) -> None:
        self.answered = ""
        self.first_seconds = 0.0
        self.ready_seconds = 0.0
        self.noise = 0
        self.status: int | None = None
        self._process, self._started, self._seconds = process, started, seconds
        self._ids = 0
        self._inbox = Inbox(_pipe(process.stdout))
        self._err = bytearray()
        self._reader = threading.Thread(target=self._read_err, args=(_pipe(process.stderr),), daemon=True)
        self._reader.start()

    def greet(self, revision: Revision) -> tuple[str, Mapping[str, Any]]:
        """Open the connection; the revision that was agreed, and what the server calls itself."""
        if revision == MODERN:
            result = self._ask("server/discover", {}, revision)
            supported = result.get("supportedVersions")
            if not isinstance(supported, list) or revision not in supported:
                raise _Failed(f"it doesn't speak {revision}")
            self.answered = revision
        else:
            info = {"name": "gatelodge-probe", "version": version("gatelodge-core")}
            params = {"protocolVersion": revision, "capabilities": {}, "clientInfo": info}
            result = self._ask("initialize", params, revision)
            self.answered = str(result.get("protocolVersion", ""))
            if self.answered not in REVISIONS:
                raise _Failed("it answered with another revision than those in use")
            self._send({"method": "notifications/initialized"})
        meta = result.get("_meta")
        told = cast("dict[str, Any]", meta).get(f"{_KEY}serverInfo") if isinstance(meta, dict) else None
        server = result.get("serverInfo", told)
        return self.answered, cast("dict[str, Any]", server) if isinstance(server, dict) else {}

    def tools(self, revision: Revision) -> tuple[Mapping[str, Any], ...]:
        """All tools, page by page."""
        found: list[Mapping[str, Any]] = []
        cursor: object = None
        for _ in range(PAGES):
            result = self._ask("tools/list", {} if cursor is None else {"cursor": cursor}, revision)
            tools = result.get("tools")
            if not isinstance(tools, list):
                raise _Failed("its list of tools isn't one")
            found += [cast("dict[str, Any]", tool) for tool in cast("list[object]", tools) if isinstance(tool, dict)]
            cursor = result.get("nextCursor")
            if not cursor:
                return tuple(found)
        raise _Failed("its list of tools never ends")

    def wake(self, revision: Revision) -> None:
        """Ask for a method that doesn't exist, and take any answer."""
        self.answer(NO_METHOD, {}, revision)
        self.ready_seconds = time.monotonic() - self._started

    def stderr(self) -> str:
        """The end of what it wrote there."""
        return self._err.decode("utf-8", "replace")

    def end(self) -> bool:
        """Close its input, wait, and end what is left; whether that was needed."""
        with contextlib.suppress(OSError):
            _pipe(self._process.stdin).close()
        lingered = False
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            lingered = True
        kill(self._process)
        self._process.wait()
        out = self._inbox.close(GRACE_SECONDS)
        self._reader.join(GRACE_SECONDS if out else 0)
        # Whatever left its group and kept a pipe is let be, as a host would; the readers wait for it.
        return lingered or not out or self._reader.is_alive()

    def _ask(self, method: str, params: dict[str, Any], revision: Revision) -> dict[str, Any]:
        """The result of a request."""
        message = self.answer(method, params, revision)
        error, result = message.get("error"), message.get("result")
        if isinstance(error, dict):
            raise _Failed(f"it answered {method} with the error {cast('dict[str, Any]', error).get('code')}")
        if not isinstance(result, dict):
            raise _Failed(f"its answer to {method} has no result")
        return cast("dict[str, Any]", result)

    def answer(self, method: str, params: dict[str, Any], revision: Revision) -> dict[str, Any]:
        """The answer to a request, whatever it is."""
        self._ids += 1
        if revision == MODERN:
            info = {"name": "gatelodge-probe", "version": version("gatelodge-core")}
            meta = {f"{_KEY}protocolVersion": revision, f"{_KEY}clientInfo": info, f"{_KEY}clientCapabilities": {}}
            params = {**params, "_meta": meta}
        self._send({"id": self._ids, "method": method, "params": params})
        while True:
            message = self._next(method)
            if message.get("id") == self._ids and "method" not in message:
                self.first_seconds = self.first_seconds or time.monotonic() - self._started
                return message
            self._refuse(message)

    def _refuse(self, message: Mapping[str, Any]) -> None:
        """Answer a request of the server's, so that it doesn't wait."""
        if "method" in message and "id" in message:
            pong = message["method"] == "ping"
            answer: dict[str, Any] = {"result": {}} if pong else {"error": {"code": -32601, "message": "not here"}}
            self._send({"id": message["id"], **answer})

    def _send(self, message: Mapping[str, Any]) -> None:
        data = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        try:
            write(_pipe(self._process.stdin).fileno(), data, self._started + self._seconds)
        except TimeoutError:
            raise _Failed(f"it didn't read what it was sent within {self._seconds:g} s") from None
        except (OSError, ValueError):
            pass  # a server that ended is told of when its answer is missing

    def _next(self, method: str) -> dict[str, Any]:
        """The next message; lines that are none are counted."""
        while True:
            try:
                line = self._inbox.next(self._started + self._seconds)
            except TimeoutError:
                what = "wasn't ready" if method == NO_METHOD else f"didn't answer {method}"
                raise _Failed(f"it {what} within {self._seconds:g} s") from None
            if line is None:
                raise _Failed(self._ended(method))
            if not line.strip():
                continue
            try:
                message: Any = json.loads(line)
            except (ValueError, RecursionError):
                message = None
            if isinstance(message, dict) and cast("dict[str, Any]", message).get("jsonrpc") == "2.0":
                return cast("dict[str, Any]", message)
            self.noise += 1

    def _ended(self, method: str) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.status = self._process.wait(GRACE_SECONDS)
        how = "closed its output" if self.status is None else f"ended with exit status {self.status}"
        return f"it {how} before it {'was ready' if method == NO_METHOD else f'answered {method}'}"

    def _read_err(self, pipe: IO[bytes]) -> None:
        with pipe, contextlib.suppress(OSError):
            while data := os.read(pipe.fileno(), 65_536):
                self._err += data
                del self._err[:-STDERR_BYTES]


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream
