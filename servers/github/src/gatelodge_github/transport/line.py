"""The sockets under a client: opened to judged addresses alone, and cut from another thread when a call is given up."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

from gatelodge_core.sandbox.egress import Policy, vetted_connect
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from gatelodge_github.transport.progress import Progress

_CONNECT_SECONDS = 10.0


class Line:
    """The one connection of a client. All but `cut` is for the thread that uses the client."""

    def __init__(self) -> None:
        self.progress = Progress()
        """Of the request that is under way."""
        self._lock = threading.Lock()
        self._cut = False
        self._connection: HTTPConnection | None = None
        # A descriptor of its own: TLS takes the socket over from the object that was opened.
        self._handle: socket.socket | None = None

    def open(self, connection: HTTPConnection, policy: Policy) -> socket.socket:
        """Connect.

        Raises:
            EgressError: The address may not be reached, or can't be.
            OSError: It was cut meanwhile.
        """
        timeout = connection.timeout
        seconds = float(timeout) if isinstance(timeout, (int, float)) else _CONNECT_SECONDS
        self._check()
        sock = vetted_connect(connection.host, connection.port or 443, seconds, policy=policy)
        try:
            handle = sock.dup()
            with self._lock:
                self._let_go()
                self._connection, self._handle = connection, handle
        except OSError:
            sock.close()
            raise
        try:
            self._check()
        except OSError:
            sock.close()
            raise
        return sock

    def begin(self) -> None:
        """From now on the request may have reached GitHub.

        Raises:
            OSError: It was cut before, and nothing is sent any more.
        """
        with self._lock:
            if self._cut:
                raise OSError("the call was given up")
            self.progress.sent = True

    def cut(self) -> None:
        """End the connection, from any thread: who waits for it stops at once, and nothing is sent any more."""
        with self._lock:
            self._cut = True
            if self._handle is not None:
                with contextlib.suppress(OSError):
                    self._handle.shutdown(socket.SHUT_RDWR)

    def settle(self) -> None:
        """After a request: let go of a connection that is over."""
        with self._lock:
            if self._connection is not None and self._connection.sock is None:
                self._let_go()

    def close(self) -> None:
        """Let go, whatever it is."""
        with self._lock:
            self._let_go()

    def _check(self) -> None:
        with self._lock:
            if self._cut:
                raise OSError("the call was given up")

    def _let_go(self) -> None:
        if self._handle is not None:
            self._handle.close()
        self._connection = self._handle = None


class Adapter(HTTPAdapter):
    """Leads the library `requests` over a line."""

    def __init__(self, line: Line, policy: Policy) -> None:
        self._line, self._policy = line, policy
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Give the pools connections that open their sockets by `Line.open`."""
        super().init_poolmanager(*args, **kwargs)
        line, policy = self._line, self._policy

        class Held(HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return line.open(self, policy)

            def send(self, data: Any) -> None:
                if self.sock is None:
                    self.connect()
                line.begin()
                super().send(data)

        class Secure(Held, HTTPSConnection):
            """With TLS over the same socket."""

        plain = type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": Held})
        secure = type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": Secure})
        classes: dict[str, Any] = {"http": plain, "https": secure}
        self.poolmanager.pool_classes_by_scheme = classes
