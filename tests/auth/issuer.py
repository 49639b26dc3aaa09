"""An authorization server as a resource server sees it, on loopback: metadata, keys, introspection; and it can misbehave."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from tests.auth.mint import Json, claims, header, jwk, key_set, rsa_key, sign


@dataclass
class Asked:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, list[str]]


@dataclass
class Answer:
    """What is answered."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that don't trust us, or leave, are part of the tests."""


class FakeIssuer:
    """The server.

    Args:
        path: Of the issuer: its tenant.
        context: For TLS; plain HTTP without.
    """

    def __init__(self, path: str = "", context: ssl.SSLContext | None = None) -> None:
        self.asked: list[Asked] = []
        self.answers: dict[str, Answer | Callable[[Asked], Answer]] = {}
        self.free = threading.Event()
        """Cleared, every request waits."""
        self.free.set()
        self.grew = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.serve(self)

            def do_POST(self) -> None:
                outer.serve(self)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's signature
                del format, args

        self.server = _Server(("127.0.0.1", 0), Handler)
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port: int = self.server.server_address[1]
        self.origin = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        self.name = self.origin + path
        self.metadata: dict[str, Any] = {
            "issuer": self.name,
            "jwks_uri": f"{self.origin}/keys",
            "introspection_endpoint": f"{self.origin}/introspect",
        }
        self.keys: list[Json] = [jwk(rsa_key("one"), kid="one")]
        self.tokens: dict[str, Json] = {}
        """What it says of opaque tokens."""
        self.secret = "Basic ZGVzazpvcGVuK3Nlc2FtZQ=="  # desk:open+sesame, form-encoded first
        self.answers[f"/.well-known/oauth-authorization-server{path}"] = lambda _: Answer(
            json.dumps(self.metadata).encode()
        )
        self.answers["/keys"] = lambda _: Answer(key_set(*self.keys))
        self.answers["/introspect"] = self.introspect

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        asked = Asked(handler.command, handler.path, headers, parse_qs(body.decode()))
        with self.grew:
            self.asked.append(asked)
            self.grew.notify_all()
        self.free.wait(30)
        found = self.answers.get(handler.path, Answer(b"", 404))
        answer = found if isinstance(found, Answer) else found(asked)
        handler.send_response(answer.status)
        for name, value in {"content-length": str(len(answer.body)), **answer.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(answer.body)

    def introspect(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != self.secret:
            return Answer(b'{"error": "invalid_client"}', 401)
        found = self.tokens.get(asked.form["token"][0], {"active": False})
        return Answer(json.dumps(found).encode())

    def times(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(asked.path == path for asked in self.asked)

    def wait_for(self, path: str, times: int) -> None:
        """Wait until a path was asked for so often."""
        with self.grew:
            assert self.grew.wait_for(lambda: self.times(path) >= times, 20)

    def token(self, resource: str, **changes: object) -> str:
        """A good token for a resource, but for changes to its claims."""
        return sign(rsa_key("one"), header(), claims(**{"iss": self.name, "aud": resource, **changes}))

    def close(self) -> None:
        self.free.set()
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def issuing(path: str = "", context: ssl.SSLContext | None = None) -> Generator[FakeIssuer]:
    """A server for a while."""
    issuer = FakeIssuer(path, context)
    # Looked at often, so that the end doesn't wait.
    thread = threading.Thread(target=issuer.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        issuer.close()
        thread.join(10)
