"""What a caller presents stays here: no server sends it to its backend, in any form (MCP, security best practices)."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.auth.issuer import FakeIssuer, issuing
from tests.auth.served import RESOURCE, BearerWire
from tests.support.wire import MODERN, Server, python_module


class Tap:
    """A backend that keeps every byte that it is sent, answers each request with 404, and speaks no protocol but HTTP."""

    def __init__(self) -> None:
        self.got = bytearray()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        with connection:
            try:
                while piece := connection.recv(65536):
                    self.got += piece
                    if b"\r\n\r\n" in piece:
                        connection.sendall(
                            b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
                        )
                        return
                    if b"user\0" in piece:  # a startup message of PostgreSQL's protocol
                        return
                    if len(piece) == 8:  # its question for TLS
                        connection.sendall(b"N")
            except OSError:
                return

    def close(self) -> None:
        self._socket.close()


@contextmanager
def served(module: str, folder: Path, issuer: FakeIssuer, arguments: list[str], env: dict[str, str]) -> Generator[str]:
    command = python_module(
        module, *arguments, "--http", "127.0.0.1:0", "--auth", "oauth", "--public-url", RESOURCE,
        "--oauth-issuer", issuer.name, "--state-dir", str(folder / "state"),
    )  # fmt: skip
    server = Server(command, env)
    try:
        yield server.wait_for_stderr(r"listening on (http://\S+)").group(1)
    finally:
        server.end()


BACKENDS: dict[str, tuple[list[str], dict[str, str], list[tuple[str, dict[str, object]]]]] = {
    "websearch": (
        ["--engines", "searxng", "--searxng-url", "http://127.0.0.1:{port}", "--allow-hosts", "127.0.0.1:{port}"],
        {},
        [("search_web", {"query": "lodge"}), ("read_page", {"pages": ["http://127.0.0.1:{port}/page"]})],
    ),
    "github": (
        ["--api-url", "http://127.0.0.1:{port}", "--repos", "octo/cat"],
        {},
        [("get_repo", {"repo": "octo/cat"}), ("list_issues", {"repo": "octo/cat"})],
    ),
    "postgres": (
        [],
        {"GATELODGE_POSTGRES_URL": "postgresql://reader:pw@127.0.0.1:{port}/shop?sslmode=prefer"},
        [("list_objects", {}), ("run_query", {"sql": "select 1"})],
    ),
}  # fmt: skip


SEEN = {
    "websearch": [b"GET /search?q=lodge", b"GET /page "],
    "github": [b"GET /repos/octo/cat ", b"ghp_" + b"a" * 36],
    "postgres": [b"user\0reader\0"],
}
"""What each backend must have been sent, so that there was something to look through."""


def account(folder: Path, principal: str) -> str:
    """A settings file that gives a principal a GitHub token."""
    token, config = folder / "token", folder / "settings.toml"
    token.write_text("ghp_" + "a" * 36)
    token.chmod(0o600)
    config.write_text(f"[github.accounts.{json.dumps(principal)}]\ntoken_file = {json.dumps(str(token))}\n")
    return str(config)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_sees_nothing_of_what_the_caller_presented(name: str, tmp_path: Path) -> None:
    arguments, env, calls = BACKENDS[name]
    tap = Tap()

    def there(text: str) -> str:
        return text.replace("{port}", str(tap.port))

    def placed(value: object) -> object:
        return json.loads(there(json.dumps(value)))

    with issuing() as issuer:
        token = issuer.token(RESOURCE, scope=f"{name}:destroy", jti="a-token-of-alice")
        env = {key: there(value) for key, value in env.items()}
        if name == "github":
            # A caller over HTTP has a credential of its own or none: never the server's.
            arguments = [*arguments, "--config", account(tmp_path, f"oauth:{issuer.name}|alice|desk")]
        with served(f"gatelodge_{name}", tmp_path, issuer, [there(text) for text in arguments], env) as url:
            wire = BearerWire(url, MODERN, token)
            for tool, given in calls:
                status, _, body = wire.call(tool, **{key: placed(value) for key, value in given.items()})
                assert status == 200, body
                assert token.encode() not in body
        tap.close()
        for seen in SEEN[name]:
            assert seen in tap.got
        for secret in (token, *token.split("."), "a-token-of-alice"):
            for form in (secret, quote(secret), base64.b64encode(secret.encode()).decode()):
                assert form.encode() not in tap.got
        # The issuer is asked for its keys alone.
        assert all("authorization" not in asked.headers for asked in issuer.asked)
