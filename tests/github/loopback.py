"""A threaded HTTP/1.1 server on loopback that does what a function says, whole, in parts, or badly.

`Request` is what came, `Answer` what goes back. An answer's body is either bytes, sent with their length, or parts,
sent as they come: then the end of the connection is the end of the body, unless a Content-Length is given that lies.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """A request.

    Args:
        method: In capitals.
        target: Path and query as they came, percent signs and all.
        headers: By name in lower case.
        body: As it came.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""

    @property
    def path(self) -> str:
        """Without the query, still quoted."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, list[str]]:
        """Unquoted values by name."""
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def token(self) -> str:
        """The credential of the Authorization header, or nothing."""
        return self.headers.get("authorization", "").partition(" ")[2].strip()

    def json(self) -> Any:
        """The body, or None if there is none."""
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Args:
        status: Its status; 0 hangs up without a word.
        body: Bytes, or parts.
        headers: By name, as they are to go out.
    """

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def bytes(self) -> bytes:
        """The body of an answer that isn't sent in parts; of those, nothing."""
        return self.body if isinstance(self.body, bytes) else b""

    def json(self) -> Any:
        """The body, or None if it isn't JSON."""
        with contextlib.suppress(ValueError):
            return json.loads(self.bytes)
        return None

    def header(self, name: str) -> str:
        """A header's value, whatever its case; or nothing."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), "")

    def with_headers(self, more: Mapping[str, str]) -> Answer:
        """The same with headers set, instead of those of the same name."""
        names = {name.lower() for name in more}
        kept = {name: value for name, value in self.headers.items() if name.lower() not in names}
        return replace(self, headers={**kept, **more})


def as_json(value: Any, status: int = 200, **headers: str) -> Answer:
    """An answer of JSON; an underscore in a header's name stands for a hyphen."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    body = json.dumps(value, ensure_ascii=False).encode()
    return Answer(status, body, {"Content-Type": "application/json; charset=utf-8", **named})


HANG_UP = Answer(0)

Respond = Callable[[Request], Answer]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body would otherwise be two packets, the second of which waits for the first's acknowledgement.
    wbufsize = -1

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, self.rfile.read(length))
        assert isinstance(self.server, _Server)
        answer = self.server.respond(request)
        if answer.status == 0:
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        whole = isinstance(answer.body, bytes)
        if whole and not answer.header("Content-Length") and answer.status not in {204, 304}:
            self.send_header("Content-Length", str(len(answer.bytes)))
        if not whole:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        if isinstance(answer.body, bytes):
            self.wfile.write(answer.body)
            return
        self.wfile.flush()
        for part in answer.body:
            self.wfile.write(part)
            self.wfile.flush()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the base class's names

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
            self.wfile.flush()
        except ConnectionError:
            self.close_connection = True


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, respond: Respond, on: socket.socket | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=on is None)
        if on is not None:
            self.socket.close()
            self.socket = on
            self.server_name, self.server_port = self.server_address = on.getsockname()
        self.respond = respond
        self.open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that hung up in the middle is no error here; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def listening(respond: Respond, on: socket.socket | None = None) -> Generator[str]:
    """The URL of a server that answers with `respond`, called in a thread for each connection.

    Args:
        respond: Answers.
        on: A socket that listens on loopback, such as one of another network namespace; a new one unless given.
    """
    server = _Server(respond, on)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        # Kept-alive connections would otherwise hold their threads until their clients end.
        for connection in list(server.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        server.server_close()
