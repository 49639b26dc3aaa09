"""How many connections a server holds, and for how long, whoever opens them: all of this is before anybody is known.

uvicorn waits for ever for the head of a request, for the rest of a body that nobody reads, and for a reader that has
stopped; and it holds any number of connections. Here each of these has an end.
"""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass
from typing import Any, cast

import h11
from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0
"""How long a client may take for a TLS handshake, and then for the head of a request."""
STALL_SECONDS = 30.0
"""How long a client may read nothing of an answer."""
KEEP_SECONDS = 75
"""How long an idle connection is kept for the next request."""
GATHERED_BYTES = 64 * 1024
"""How much is gathered before it is sent."""
_STANDING = "gatelodge.standing"
_BAD = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 26\r\n"
    b"connection: close\r\n\r\nthe request isn't HTTP/1.1"
)
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Gathered:
    """A transport that sends at once what is written in one turn of the event loop: the head of an answer with its body.

    uvicorn writes them apart, which costs a tenth of a short call.

    Args:
        inner: The transport.
        loop: Its event loop.
    """

    def __init__(self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._inner, self._loop = inner, loop
        self._parts: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, data: bytes) -> None:
        """Send soon; much, at once, so that a slow reader is felt."""
        if not data:
            return
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > GATHERED_BYTES:
            self._flush()

    def close(self) -> None:
        """Send what is left, then close."""
        self._flush()
        self._inner.close()

    def abort(self) -> None:
        """Close, and forget what is left."""
        self._parts, self._size = [], 0
        self._inner.abort()

    def get_write_buffer_size(self) -> int:
        """Bytes that were not sent yet."""
        return self._inner.get_write_buffer_size() + self._size

    def _flush(self) -> None:
        parts, self._parts, self._size = self._parts, [], 0
        if parts and not self._inner.is_closing():
            self._inner.write(parts[0] if len(parts) == 1 else b"".join(parts))


@dataclass(slots=True)
class _Standing:
    """What is known of who is at the other end of a connection.

    Args:
        let_in: Whether a request of his was.
    """

    let_in: bool = False


def let_in(scope: Scope) -> None:
    """Note that a request was let in: its connection makes way for no other as long as it has one."""
    standing: object = scope.get("state", {}).get(_STANDING)
    if isinstance(standing, _Standing):
        standing.let_in = True


class Connection(H11Protocol):
    """One connection of a client.

    Args:
        most: The most connections at once. One over it takes the place of the one that has been without a request
            for longest; where all have one, of the oldest that nobody was let in on, since a stranger could ask and ask,
            and read no answer; where there is none either, it is told to come back.
        options: As uvicorn gives them.
    """

    def __init__(self, *, most: int, **options: Any) -> None:
        super().__init__(**options)
        self._most = most
        self._standing = _Standing()
        # What each request's scope gets a copy of; this is the one thing in it that all of a connection share.
        self.app_state = {**self.app_state, _STANDING: self._standing}
        self._made = self._idle_since = time.monotonic()
        self._head: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        cycle: Any = self.cycle  # None until the first request, whatever uvicorn's types say
        return not (cycle is None or bool(cycle.response_complete))

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take the connection, if there is room or room can be made."""
        transport = cast("asyncio.Transport", Gathered(transport, self.loop))
        super().connection_made(transport)
        others: list[Connection] = [
            item for item in self.connections if isinstance(item, Connection) and not item.transport.is_closing()
        ]
        if len(others) > self._most:
            others.remove(self)
            idle = [item for item in others if not item.busy]
            strangers = [item for item in others if not item._standing.let_in]
            if not idle and not strangers:
                transport.write(_FULL)
                transport.close()
                return
            least = (
                min(idle, key=lambda item: item._idle_since) if idle else min(strangers, key=lambda item: item._made)
            )
            least.transport.abort()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget all timers."""
        self._unset(head=True, stall=True)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._idle_since = time.monotonic()
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        """The client doesn't read as fast as we write."""
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """It has read on."""
        self._unset(stall=True)
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's
        """Answer what breaks the rules of HTTP, if it wasn't answered yet, and end the connection.

        uvicorn's own lets a request go on whose body is broken, and both then write an answer, or neither can: a stranger
        could fill the log with traces.
        """
        if self.busy:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_BAD)
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        # uvicorn would have the operator install a library for what is not spoken here on purpose.
        pass

    def _look(self) -> None:
        """Start or end the wait for a head. Between requests uvicorn's own timer runs, until the first byte."""
        if self.busy or self.timeout_keep_alive_task is not None or self.transport.is_closing():
            self._unset(head=True)
        elif self._head is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _watch_reader(self, left: int) -> None:
        self._unset(stall=True)
        self._stall = self.loop.call_later(STALL_SECONDS, self._judge_reader, left)

    def _judge_reader(self, left: int) -> None:
        """Cut a client that has read nothing; a slow one may go on."""
        now = self.transport.get_write_buffer_size()
        if now >= left:
            self.transport.abort()
        else:
            self._watch_reader(now)

    def _unset(self, *, head: bool = False, stall: bool = False) -> None:
        if head and self._head is not None:
            self._head.cancel()
            self._head = None
        if stall and self._stall is not None:
            self._stall.cancel()
            self._stall = None


class Listener(socket.socket):
    """A listening socket that holds no more than a number of connections, those in their TLS handshake included.

    What is over it is closed at once: the process keeps descriptors for its journal and its backends.

    Args:
        family: Of its address.
        most: The most connections at once.
    """

    def __init__(self, family: socket.AddressFamily, most: int) -> None:
        # asyncio sets TCP_NODELAY only if the protocol is named; without it a kept-alive client waits 40 ms per answer.
        super().__init__(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._most = most
        self._held: list[socket.socket] = []

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection that there is room for; see `socket.socket.accept`."""
        while True:
            found, address = super().accept()
            if len(self._held) >= self._most:
                self._held = [item for item in self._held if item.fileno() != -1]
            if len(self._held) < self._most:
                self._held.append(found)
                return found, address
            found.close()


def listening(host: str, port: int, most: int) -> Listener:
    """A socket that listens.

    Args:
        host: An address.
        port: 0 for a free one.
        most: The most connections at once.

    Raises:
        OSError: It can't.
    """
    made = Listener(socket.AF_INET6 if ":" in host else socket.AF_INET, most)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(128)
    except OSError:
        made.close()
        raise
    return made
