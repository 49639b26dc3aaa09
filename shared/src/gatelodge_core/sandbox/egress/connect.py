"""Opening a connection to an address that was judged, and to no other.

A name is resolved once, each answer is judged, and the socket is opened to one of these very addresses; nothing
resolves the name a second time, so an answer that changes changes nothing. TLS and Host keep the name.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, cast

import anyio
import httpcore2

from gatelodge_core.sandbox.egress.addresses import IPAddress, Reach, embedded, reach
from gatelodge_core.sandbox.egress.errors import EgressError
from gatelodge_core.sandbox.egress.names import read_host
from gatelodge_core.sandbox.egress.policy import Policy
from gatelodge_core.sandbox.egress.resolve import Resolver, addresses_of, look_up

MAX_ATTEMPTS = 3
STAGGER_SECONDS = 0.25
"""After which the next address is tried beside the first (RFC 8305, section 5)."""
_FAILURES = (httpcore2.NetworkError, httpcore2.TimeoutException)
_LOOKUPS = threading.BoundedSemaphore(32)


class VettedStream(httpcore2.AsyncNetworkStream):
    """A connection that counts what arrives between two writes, that is, for one request.

    The parser above reads informational answers (1xx), chunk framing and trailers without end; here they count.

    Args:
        inner: The connection.
        inside: Whether it leads to an address that isn't public, by an exception in the settings.
        cap: Bytes that may arrive for one request, after TLS; the read that crosses it is the last.
    """

    def __init__(self, inner: httpcore2.AsyncNetworkStream, *, inside: bool, cap: int) -> None:
        self._inner = inner
        self._cap = cap
        self._received = 0
        self.inside = inside

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - the interface's
        """Read some.

        Raises:
            EgressError: `too_large`.
        """
        # Asked before, not after: of the read that goes over the cap, a body may still take what it is allowed.
        if self._received > self._cap:
            raise EgressError("too_large", "The answer is larger than may be received.")
        data = await self._inner.read(max_bytes, timeout)
        self._received += len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the interface's
        """Write all."""
        self._received = 0
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the socket."""
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface's
    ) -> httpcore2.AsyncNetworkStream:
        """Speak TLS from here on. Whatever ends the handshake early closes the socket, cancellation too."""
        try:
            inner = await self._inner.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._inner.aclose()
            raise
        return VettedStream(inner, inside=self.inside, cap=self._cap)

    def get_extra_info(self, info: str) -> Any:
        """What is known of the socket."""
        return self._inner.get_extra_info(info)


class VettedBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections for a pool of `httpcore2`.

    Args:
        policy: Judges ports and addresses.
        resolver: Looks names up.
        cap: Bytes that may arrive for one request.
        inner: Opens a socket to a literal address; a test's may lead elsewhere.
    """

    def __init__(
        self,
        policy: Policy,
        resolver: Resolver,
        cap: int,
        inner: httpcore2.AsyncNetworkBackend | None = None,
    ) -> None:
        self._policy = policy
        self._resolver = resolver
        self._cap = cap
        self._inner = inner or cast("httpcore2.AsyncNetworkBackend", httpcore2.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> VettedStream:
        """Resolve once, judge every answer, connect to one of them.

        Args:
            host: As in the URL; an IPv6 address without brackets.
            port: Judged too.
            timeout: Seconds for all of it.
            local_address: To connect from.
            socket_options: For the socket.

        Raises:
            EgressError: `bad_port`, `blocked_address`, `unreachable` or `too_slow`.
        """
        try:
            with anyio.fail_after(timeout):
                addresses = await self._vetted(host, port)
                stream = await self._first(addresses, port, local_address, socket_options)
        except (TimeoutError, httpcore2.TimeoutException):
            raise EgressError("too_slow", "The host could not be connected to in time.") from None
        except (OSError, httpcore2.NetworkError):
            raise EgressError("unreachable", "The host could not be found or connected to.") from None
        peer = stream.get_extra_info("server_addr")
        reached = ipaddress.ip_address(peer[0]) if peer else None
        if reached is None or embedded(reached) not in {embedded(address) for address in addresses}:
            with anyio.CancelScope(shield=True):
                await stream.aclose()
            raise EgressError("blocked_address", "The connection led to another address than the one judged.")
        return VettedStream(stream, inside=reach(reached) is not Reach.PUBLIC, cap=self._cap)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await anyio.sleep(seconds)

    async def _vetted(self, host: str, port: int) -> list[IPAddress]:
        self._policy.check_port(host, port)
        addresses = addresses_of((host,) if _is_literal(host) else await self._resolver(host, port))
        self._policy.check_addresses(host, port, addresses)
        return addresses

    async def _first(
        self,
        addresses: Sequence[IPAddress],
        port: int,
        local: str | None,
        options: Iterable[httpcore2.SOCKET_OPTION] | None,
    ) -> httpcore2.AsyncNetworkStream:
        """The first connection that stands, of at most three tried in turn, each a moment after the one before."""
        tried = interleaved(addresses)[:MAX_ATTEMPTS]
        if len(tried) == 1:
            return await self._inner.connect_tcp(str(tried[0]), port, None, local, options)
        won: list[httpcore2.AsyncNetworkStream] = []
        failures: list[Exception] = []

        async def attempt(address: IPAddress, over: anyio.Event) -> None:
            try:
                stream = await self._inner.connect_tcp(str(address), port, None, local, options)
            except _FAILURES as error:
                failures.append(error)
            else:
                won.append(stream)
                group.cancel_scope.cancel()
            finally:
                over.set()

        try:
            async with anyio.create_task_group() as group:
                for address in tried:
                    over = anyio.Event()
                    group.start_soon(attempt, address, over)
                    with anyio.move_on_after(STAGGER_SECONDS):
                        await over.wait()
        except BaseException:
            await _close(won)
            raise
        await _close(won[1:])
        if not won:
            raise failures[0]
        return won[0]


async def _close(streams: Sequence[httpcore2.AsyncNetworkStream]) -> None:
    with anyio.CancelScope(shield=True):
        for stream in streams:
            await stream.aclose()


def interleaved(addresses: Sequence[IPAddress]) -> list[IPAddress]:
    """The addresses with their families in turn, beginning with the family of the first (RFC 8305, section 4)."""
    if not addresses:
        return []
    first = [address for address in addresses if address.version == addresses[0].version]
    other = [address for address in addresses if address.version != addresses[0].version]
    mixed = [address for pair in zip(first, other, strict=False) for address in pair]
    return mixed + first[len(other) :] + other[len(first) :]


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def vetted_connect(
    host: str,
    port: int,
    seconds: float,
    *,
    policy: Policy | None = None,
    ask: Callable[[str, int], list[str]] = look_up,
) -> socket.socket:
    """Resolve once, judge every answer, connect to one of them; for clients that block.

    A client built on `urllib3` (`requests`, PyGithub) is led through here by an `HTTPConnection` and `HTTPSConnection`
    whose ``_new_conn`` returns this socket, with a pool manager that uses them mounted for both schemes; TLS, SNI and
    Host stay its own. It must neither follow redirects by itself nor read proxies from the environment
    (``trust_env = False``).

    Args:
        host: A name or an address; IPv6 with or without brackets.
        port: Judged too.
        seconds: For the look-up and all attempts together. The socket keeps what is left as its timeout.
        policy: Judges; public addresses alone unless given.
        ask: Looks the name up; it may block.

    Raises:
        EgressError: As for a URL.
    """
    policy = policy or Policy()
    until = time.monotonic() + seconds
    name, literal = read_host(f"[{host}]" if ":" in host and not host.startswith("[") else host)
    policy.check_port(name, port)
    if literal is None:
        policy.check_name(name, port)
    addresses = [literal] if literal is not None else addresses_of(_ask_within(ask, name, port, seconds))
    policy.check_addresses(name, port, addresses)
    for address in interleaved(addresses)[:MAX_ATTEMPTS]:
        left = until - time.monotonic()
        if left <= 0:
            break
        try:
            return socket.create_connection((str(address), port), timeout=left)
        except OSError:
            continue
    if time.monotonic() >= until:
        raise EgressError("too_slow", "The host could not be connected to in time.")
    raise EgressError("unreachable", "The host could not be connected to.")


def _ask_within(ask: Callable[[str, int], list[str]], name: str, port: int, seconds: float) -> list[str]:
    if not _LOOKUPS.acquire(blocking=False):
        raise EgressError("too_slow", "Too many name look-ups are waiting for an answer.")
    answers: SimpleQueue[list[str]] = SimpleQueue()

    def run() -> None:
        try:
            answers.put(ask(name, port))
        except (OSError, UnicodeError):
            answers.put([])
        finally:
            _LOOKUPS.release()

    threading.Thread(target=run, name="look-up", daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except Empty:
        raise EgressError("too_slow", "The host name could not be looked up in time.") from None
