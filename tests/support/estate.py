"""Three real replicas on one real store, behind a proxy that gives each connection to the next of them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
from gatelodge_core.auth.keyfile import KeyFile
from gatelodge_core.auth.keyrecords import Grant, issue
from gatelodge_core.guard.channel import QUESTION

from tests.support.remote import ACCEPT, PEPPER
from tests.support.valkey import Valkey, valkey
from tests.support.wire import MODERN, MODERN_META, PATIENCE, Message, Server, python_module

STATE_KEY = "s" * 40
YES: dict[str, Any] = {"inputResponses": {QUESTION: {"action": "accept", "content": {}}}}
"""What the answer to a question carries."""
ASKS: dict[str, Any] = {"elicitation": {"form": {}}}
SERVER = "tests.support.replica"


class Replicas:
    """The replicas.

    Args:
        folder: For all that they keep.
        store: The store.
        callers: Their holders of keys, with a number of calls a minute each; 0 for none of their own.
        arguments: More flags.
        env: More of the environment.
    """

    def __init__(
        self,
        folder: Path,
        store: Valkey,
        callers: Mapping[str, int],
        *arguments: str,
        number: int = 3,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.state, self.store = folder / "state", store
        self.state.mkdir(mode=0o700, parents=True)
        self.file = KeyFile(str(self.state / "keys.json"), PEPPER)
        self.keys: dict[str, str] = {}
        self.ids: dict[str, str] = {}
        with self.file.changing() as keys:
            for name, per_minute in callers.items():
                grant = Grant(name, ("toy:destroy",), None, per_minute)
                self.keys[name], record = issue(grant, self.file.pepper, datetime.now(UTC), [key.id for key in keys])
                self.ids[name] = record.id
                keys.append(record)
        self.env = {
            "GATELODGE_KEY_PEPPER": PEPPER,
            "GATELODGE_STATE_DIR": str(self.state),
            "GATELODGE_STORE_URL": store.url,
            "GATELODGE_STATE_KEY": STATE_KEY,
            **(env or {}),
        }
        self._command = python_module(
            SERVER, "--auth", "keys", "--stateless", "--state-dir", str(self.state), *arguments
        )
        self.ports = [Valkey.free_port() for _ in range(number)]
        self.servers: list[Server] = [self._start(port) for port in self.ports]
        for server in self.servers:
            server.wait_for_stderr(r"listening on http")

    def _start(self, port: int) -> Server:
        return Server([*self._command, "--http", f"127.0.0.1:{port}"], self.env)

    def kill(self, number: int) -> None:
        """End one at once."""
        self.servers[number].signal(signal.SIGKILL)
        self.servers[number].process.wait(PATIENCE)
        self.servers[number].end()

    def start(self, number: int) -> None:
        """Start it again; it is not waited for."""
        self.servers[number] = self._start(self.ports[number])

    def end(self) -> None:
        """End all of them."""
        for server in self.servers:
            if server.process.poll() is None:
                server.signal(signal.SIGTERM)
        for server in self.servers:
            server.end()

    def lines(self) -> list[str]:
        """What was done, by all."""
        path = self.state / "ledger"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@contextlib.contextmanager
def replicas(
    folder: Path, callers: Mapping[str, int], *arguments: str, number: int = 3, env: Mapping[str, str] | None = None
) -> Generator[Replicas]:
    """Run them and their store until the end of the block."""
    with valkey(folder / "store") as store:
        made = Replicas(folder, store, callers, *arguments, number=number, env=env)
        try:
            yield made
        finally:
            made.end()


@contextlib.asynccontextmanager
async def balanced(ports: Sequence[int]) -> AsyncGenerator[str]:
    """A proxy; each connection goes to the next port that takes it. Gives the URL of the endpoint."""
    turn, open_ = 0, set[asyncio.StreamWriter]()
    serving = set[asyncio.Task[None]]()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.add(writer)
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        open_.discard(writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turn
        if (task := asyncio.current_task()) is not None:
            serving.add(task)
            task.add_done_callback(serving.discard)
        for _ in ports:
            turn += 1
            try:
                there = await asyncio.open_connection("127.0.0.1", ports[turn % len(ports)])
            except OSError:
                continue
            await asyncio.gather(pump(reader, there[1]), pump(there[0], writer))
            return
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/mcp"
    finally:
        server.close()
        # Cancelled, they would complain (Python 3.11); so they are brought to their end.
        for writer in list(open_):
            writer.close()
        if serving:
            await asyncio.wait(serving)


@dataclass
class Answer:
    """What came back.

    Args:
        status: Of HTTP; 0 if the connection broke.
        body: The JSON of it.
    """

    status: int
    body: Message = field(default_factory=dict[str, Any])

    @property
    def result(self) -> Message:
        found: Message = self.body.get("result", {})
        return found

    @property
    def text(self) -> str:
        """Of a tool's result, or an error's message."""
        found = self.result.get("content") or [{"text": self.body.get("error", "")}]
        first = found[0]["text"]
        return str(first.get("message", "")) if isinstance(first, dict) else str(first)  # pyright: ignore[reportUnknownMemberType,reportUnknownArgumentType] - JSON

    @property
    def made(self) -> bool:
        """Whether a tool ran and answered."""
        return self.status == 200 and "content" in self.result and not self.result.get("isError")


class Host:
    """A caller's client, of the newest revision; each request is a connection of its own.

    Args:
        client: Sends.
        url: Of the endpoint.
        key: The caller's.
    """

    def __init__(self, client: httpx2.AsyncClient, url: str, key: str) -> None:
        self._client, self._url, self._key = client, url, key

    async def call(self, name: str, arguments: Mapping[str, Any], *, asks: bool = False, **params: Any) -> Answer:
        """Call a tool.

        Args:
            name: Its name.
            arguments: Its arguments.
            asks: Whether the client can put a question to the person.
            params: More of the message, such as the answer to a question.
        """
        meta = {**MODERN_META, **({"io.modelcontextprotocol/clientCapabilities": ASKS} if asks else {})}
        return await self.send(
            "tools/call", {"name": name, "arguments": dict(arguments), "_meta": meta, **params}, name
        )

    async def send(self, method: str, params: Mapping[str, Any], name: str = "") -> Answer:
        """Send a request."""
        headers = {**ACCEPT, "authorization": f"Bearer {self._key}", "mcp-protocol-version": MODERN,
                   "mcp-method": method, "connection": "close", **({"mcp-name": name} if name else {})}  # fmt: skip
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": dict(params)}
        try:
            found = await self._client.post(self._url, json=body, headers=headers)
        except httpx2.TransportError:
            return Answer(0)
        with contextlib.suppress(ValueError):
            return Answer(found.status_code, found.json())
        return Answer(found.status_code)
