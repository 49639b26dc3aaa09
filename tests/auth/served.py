"""The confined toy behind a whole keeper, which takes tokens of an issuer on loopback; and clients that send them."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.auth.issuer import FakeIssuer
from tests.support.wire import PATIENCE, HttpWire, Message, Revision, Server, python_module

RESOURCE = "http://127.0.0.1/tools/toy"
"""What tokens are for; a proxy would show the server there."""


class BearerWire(HttpWire):
    """A client that sends a token, or whatever else it is given."""

    def __init__(self, url: str, revision: Revision, token: str, capabilities: Mapping[str, Any] | None = None) -> None:
        super().__init__(url, revision, capabilities)
        self.token = token

    def headers(self, message: Message) -> dict[str, str]:
        headers = super().headers(message)
        return {**headers, "authorization": f"Bearer {self.token}"} if self.token else headers

    def send(self, method: str, params: Mapping[str, Any]) -> tuple[int, dict[str, str], bytes]:
        """One request; status, headers and body as they came."""
        message: Message = {"jsonrpc": "2.0", "id": self.next_id(), "method": method, "params": self.params(params)}
        return self.post(json.dumps(message).encode(), self.headers(message))

    def call(self, name: str, /, **arguments: object) -> tuple[int, dict[str, str], bytes]:
        """One call of a tool; status, headers and body as they came."""
        return self.send("tools/call", {"name": name, "arguments": arguments})


@dataclass(frozen=True)
class Served:
    """A server that runs.

    Args:
        server: Its process.
        url: Of its endpoint.
        state: Its state folder.
        issuer: Whose tokens it takes.
    """

    server: Server
    url: str
    state: Path
    issuer: FakeIssuer

    def wire(self, revision: Revision, token: str, capabilities: Mapping[str, Any] | None = None) -> BearerWire:
        """A client, the handshake done."""
        wire = BearerWire(self.url, revision, token, capabilities)
        wire.open()
        return wire

    def token(self, **changes: object) -> str:
        """A good token with all scopes, but for changes."""
        return self.issuer.token(RESOURCE, **{"scope": "toy:destroy", **changes})

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Any request."""
        wire = HttpWire(self.url, "2026-07-28")
        connection = http.client.HTTPConnection(wire.host, wire.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()

    def journal(self) -> str:
        """All that was recorded."""
        return "".join(path.read_text("utf-8") for path in (self.state / "journal").glob("*.jsonl"))


@contextlib.contextmanager
def serving(
    folder: Path, issuer: FakeIssuer, *arguments: str, auth: str = "oauth", env: Mapping[str, str] | None = None
) -> Generator[Served]:
    """Run the server until the end of the block."""
    state = folder / "state"
    command = python_module(
        "tests.support.kept", "--http", "127.0.0.1:0", "--auth", auth, "--public-url", RESOURCE,
        "--oauth-issuer", issuer.name, "--state-dir", str(state), "--log-level", "debug", *arguments,
    )  # fmt: skip
    server = Server(command, env)
    try:
        url = server.wait_for_stderr(r"listening on (http://\S+)").group(1)
        yield Served(server, url, state, issuer)
    finally:
        if server.process.poll() is None:
            server.signal(signal.SIGTERM)
        server.end()
