"""A CONNECT proxy on loopback that ends TLS with a certificate authority of its own, and answers for every host.

Programs that are given it as proxy run unmodified: real host names, real handshakes, real parsers.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Request:
    """A request, as a host would see it."""

    host: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """An answer; `hang` seconds are waited first, and only `part` bytes of the body are sent if it isn't None."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    hang: float = 0
    part: int | None = None


Answer = Callable[[Request], Reply]


class Proxy:
    """The proxy.

    Args:
        answer: What every host answers.
        folder: Where the certificate of the authority is written.
    """

    def __init__(self, answer: Answer, folder: Path) -> None:
        self.answer = answer
        self.seen: list[Request] = []
        self.ca_file = str(folder / "ca.pem")
        self._ca = trustme.CA()
        self._ca.cert_pem.write_to_path(self.ca_file)
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads: list[threading.Thread] = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def hosts(self) -> list[str]:
        """Hosts that were asked, in order."""
        return [request.host for request in self.seen]

    def _accept(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _context(self, host: str) -> ssl.SSLContext:
        with self._lock:
            if host not in self._contexts:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                with self._ca.issue_cert(host).private_key_and_cert_chain_pem.tempfile() as path:
                    context.load_cert_chain(path)
                context.set_alpn_protocols(["http/1.1"])
                self._contexts[host] = context
            return self._contexts[host]

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        with connection, contextlib.suppress(OSError, ssl.SSLError, IndexError, ValueError):
            first = _head(connection)
            host = first.split()[1].rpartition(":")[0]
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            with self._context(host).wrap_socket(connection, server_side=True) as secure:
                self._one(host, secure)

    def _one(self, host: str, secure: ssl.SSLSocket) -> None:
        lines = _head(secure).split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines[1:]}
        body = b""
        while len(body) < int(headers.get("content-length", "0")):
            body += secure.recv(65536)
        request = Request(host, method, target, headers, body)
        self.seen.append(request)
        reply = self.answer(request)
        self._stop.wait(reply.hang)
        given = {"Content-Type": "text/html; charset=utf-8", **reply.headers, "Connection": "close"}
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        start = f"HTTP/1.1 {reply.status} X\r\nContent-Length: {len(reply.body)}\r\n{head}\r\n".encode()
        secure.sendall(start + (reply.body if reply.part is None else reply.body[: reply.part]))


def _head(connection: socket.socket) -> str:
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        piece = connection.recv(1)
        if not piece:
            raise OSError
        data += piece
    return data.decode("latin-1").strip()


@contextlib.contextmanager
def proxying(answer: Answer, folder: Path) -> Generator[Proxy]:
    """A proxy, until the block ends."""
    proxy = Proxy(answer, folder)
    try:
        yield proxy
    finally:
        proxy.close()
