"""What the demo serves itself on loopback, in place of the internet."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar


class Handler(BaseHTTPRequestHandler):
    """Answers requests; a subclass says what."""

    def answer(self, status: int, kind: str, text: str, **headers: str) -> None:
        """Send an answer.

        Args:
            status: The code.
            kind: Of the content.
            text: The content.
            headers: More of them.
        """
        data = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing; the demo tells what happens."""


class Site(ThreadingHTTPServer):
    """Serves on a port of 127.0.0.1.

    Args:
        handler: Answers the requests.
    """

    daemon_threads = True

    def __init__(self, handler: type[Handler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"


S = TypeVar("S", bound=Site)


@contextlib.contextmanager
def serving(site: S) -> Generator[S]:
    """A site that answers until the end."""
    thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        site.shutdown()
        thread.join()
        site.server_close()
