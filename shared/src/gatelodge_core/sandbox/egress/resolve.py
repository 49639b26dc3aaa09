"""Looking a name up, once, with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence

from gatelodge_core.sandbox.egress.addresses import IPAddress
from gatelodge_core.sandbox.egress.errors import EgressError

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host name and port to the texts of its addresses, best first; OSError if there are none."""


def look_up(host: str, port: int) -> list[str]:
    """The addresses of a name, by the system's resolver; it blocks.

    Raises:
        OSError: There are none, or the resolver failed.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def addresses_of(answers: Sequence[str]) -> list[IPAddress]:
    """The answers as addresses, each once, in order. One with a zone keeps it, and is judged by it.

    Raises:
        EgressError: `unreachable`, if one is no address.
    """
    try:
        return list(dict.fromkeys(ipaddress.ip_address(answer) for answer in answers))
    except ValueError:
        raise EgressError("unreachable", "The host name has no usable address.") from None


class ThreadResolver:
    """Resolves in threads of its own.

    getaddrinfo can't be stopped. A look-up that nobody waits for any more goes on in its thread, so these are counted
    until they end, and they are daemons: neither a pool's queue nor the end of the process waits for them.

    Args:
        limit: Look-ups at once, the forgotten ones included.
        ask: What blocks; `look_up`, unless a test has a slower one.
    """

    def __init__(self, limit: int, ask: Callable[[str, int], list[str]] = look_up) -> None:
        self._free = threading.BoundedSemaphore(limit)
        self._ask = ask

    async def __call__(self, host: str, port: int) -> list[str]:
        """The addresses of a name.

        Raises:
            OSError: There are none.
            EgressError: `too_slow`, if too many look-ups hang already.
        """
        if not self._free.acquire(blocking=False):
            raise EgressError("too_slow", "Too many name look-ups are waiting for an answer.")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[str]] = loop.create_future()
        try:
            threading.Thread(target=self._run, args=(loop, future, host, port), name="look-up", daemon=True).start()
        except RuntimeError:
            self._free.release()
            raise EgressError("too_slow", "No thread is free to look the name up.") from None
        return await future

    def _run(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[list[str]], host: str, port: int) -> None:
        answer: list[str] | None = None
        failure: BaseException | None = None
        try:
            answer = self._ask(host, port)
        except OSError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - a name the codec refuses (UnicodeError) must not leave a waiter
            failure = OSError(str(error))
        finally:
            self._free.release()
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever asked
            loop.call_soon_threadsafe(_settle, future, answer, failure)


def _settle(future: asyncio.Future[list[str]], answer: list[str] | None, failure: BaseException | None) -> None:
    if future.done():
        return
    if failure is not None:
        future.set_exception(failure)
    else:
        future.set_result(answer or [])
