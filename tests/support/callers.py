"""Several people on one server over HTTP, each with a key, who want what is not theirs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.remote import KeyWire
from tests.support.several import Several
from tests.support.wire import MODERN, PATIENCE

NAMES = tuple(f"p{number}" for number in range(8))


def canary(name: str) -> str:
    """What only one of them may ever see."""
    return f"canary-of-{name}-"


class Caller(KeyWire):
    """One of them; every byte that comes back is kept."""

    def __init__(self, served: Several, name: str, capabilities: Mapping[str, Any] | None = None) -> None:
        super().__init__(served.url, MODERN, served.keys[name], capabilities)
        self.name = name
        self.got: list[bytes] = []

    def post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
        found = super().post(body, headers)
        self.got.append(repr(found[1]).encode() + found[2])
        return found

    def foreign(self) -> list[str]:
        """Whose canaries came here, that should not have."""
        everything = b"".join(self.got)
        return [name for name in NAMES if name != self.name and canary(name).encode() in everything]


def together(works: Mapping[str, Callable[[], None]]) -> None:
    """Run one thing for each of them at the same time; the first failure is raised."""
    failures: list[tuple[str, BaseException]] = []
    gate = threading.Barrier(len(works))

    def run(name: str, work: Callable[[], None]) -> None:
        try:
            gate.wait(PATIENCE)
            work()
        except BaseException as error:  # noqa: BLE001 - told of below, in the test's own thread
            failures.append((name, error))

    threads = [threading.Thread(target=run, args=item) for item in works.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise AssertionError(f"{failures[0][0]} failed") from failures[0][1]
