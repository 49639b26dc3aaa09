"""A server with API keys over HTTP, in a process of its own, and what a client sends it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gatelodge_core.auth.keyfile import KeyFile
from gatelodge_core.auth.keyrecords import Grant, issue

from tests.support.wire import MODERN, MODERN_META, HttpWire, Message, Revision, Server, python_module

PEPPER = "p" * 43
ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
SCOPES = ("toy:destroy",)


@dataclass(frozen=True, slots=True)
class Remote:
    """A running server.

    Args:
        server: Its process.
        base: Its URL without a path.
        state: Its state folder.
        keys: One key for each of its callers, by name.
    """

    server: Server
    base: str
    state: Path
    keys: dict[str, str]

    @property
    def url(self) -> str:
        """Of the endpoint."""
        return f"{self.base}/mcp"

    @property
    def port(self) -> int:
        """On which it listens."""
        return int(self.base.rpartition(":")[2])

    def headers(self, name: str = "alice") -> dict[str, str]:
        """What a caller's requests carry."""
        return {**ACCEPT, "authorization": f"Bearer {self.keys[name]}"}

    def call(self, name: str, arguments: Mapping[str, Any], caller: str = "alice") -> dict[str, Any]:
        """The keyword arguments of a POST that calls a tool in the newest revision."""
        body = {
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": name, "arguments": dict(arguments), "_meta": MODERN_META},
        }  # fmt: skip
        headers = {"mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": name}
        return {"json": body, "headers": {**self.headers(caller), **headers}}


class KeyWire(HttpWire):
    """A client that sends a key."""

    def __init__(self, url: str, revision: Revision, key: str, capabilities: Mapping[str, Any] | None = None) -> None:
        super().__init__(url, revision, capabilities)
        self.key = key

    def headers(self, message: Message) -> dict[str, str]:
        return {**super().headers(message), "authorization": f"Bearer {self.key}"}


def make_keys(folder: Path, names: Sequence[str], scopes: tuple[str, ...] = SCOPES) -> dict[str, str]:
    """A file of keys, and the keys by their holders' names."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = KeyFile(str(folder / "keys.json"), PEPPER)
    made: dict[str, str] = {}
    with file.changing() as keys:
        for name in names:
            made[name], record = issue(Grant(name, scopes), file.pepper, datetime.now(UTC), [key.id for key in keys])
            keys.append(record)
    return made


@contextlib.contextmanager
def remote(
    folder: Path, *arguments: str, callers: Sequence[str] = ("alice", "bob"), env: Mapping[str, str] | None = None
) -> Generator[Remote]:
    """Run the kept toy until the end of the block."""
    state = folder / "state"
    keys = make_keys(state, callers)
    command = python_module("tests.support.kept", "--http", "127.0.0.1:0", "--auth", "keys", *arguments)
    given = {
        "GATELODGE_KEY_PEPPER": PEPPER,
        "GATELODGE_STATE_DIR": str(state),
        "HOME": os.environ["HOME"],
        **(env or {}),
    }
    server = Server([*command, "--keys-file", str(state / "keys.json")], given)
    try:
        base = server.wait_for_stderr(r"listening on (https?://\S+)/mcp").group(1)
        yield Remote(server, base, state, keys)
    finally:
        if server.process.poll() is None:
            server.signal(signal.SIGTERM)
        server.end()
