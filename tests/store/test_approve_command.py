"""``gatelodge approve --watch`` over a store that replicas share, and without it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gatelodge_core.store.approvals import Approval
from gatelodge_core.store.approving import SharedApprovals

from tests.support.typist import Typist
from tests.support.valkey import Valkey

ASKED = r"Type approve or deny; Enter leaves it waiting: "
COMMAND = [sys.executable, "-m", "gatelodge_core.cli.__main__", "approve"]
Result = TypeVar("Result")


def asked(server: Valkey, question: Callable[[SharedApprovals], Awaitable[Result]]) -> Result:
    async def main() -> Result:
        async with server.opened() as store:
            return await question(SharedApprovals(store, "toy"))

    return asyncio.run(main())


def park(server: Valkey, binding: str) -> Approval:
    return asked(
        server, lambda book: book.park(binding, server="toy", principal="key:ann", name="strike", effect=f"-{binding}")
    )


def test_calls_of_all_replicas_are_asked_about_and_answered_in_the_store(server: Valkey) -> None:
    with Typist([*COMMAND, "--watch"], {"GATELODGE_STORE_URL": server.url, "NO_COLOR": "1"}) as person:
        person.expect("Watching the shared store")
        park(server, "first")
        person.expect(r"strike of the toy server, by key:ann")
        person.expect(r"  \| -first\n")
        person.expect(ASKED)
        person.type("approve")
        person.expect("Approved, once")
        assert asked(server, lambda book: book.spend("first")) == "approved"
        second = park(server, "second")
        person.expect(ASKED)
        assert asked(server, lambda book: book.decide(second.code, approved=False))
        person.expect("Too late: it was declined elsewhere meanwhile.")
        third = park(server, "third")
        person.expect(ASKED)
        assert asked(server, lambda book: book.decide(third.code, approved=True))
        assert asked(server, lambda book: book.spend("third")) == "approved"
        person.expect("Too late|It doesn't wait any more: it was answered elsewhere")


def test_a_store_that_goes_away_is_waited_for_and_nothing_is_answered(server: Valkey) -> None:
    with Typist([*COMMAND, "--watch"], {"GATELODGE_STORE_URL": server.url, "NO_COLOR": "1"}) as person:
        person.expect("Watching the shared store")
        server.kill()
        person.expect(r"Trying again\.")
        server.start()
        person.expect("can be reached again")
        park(server, "after")
        person.expect(ASKED)
        person.type("deny")
        person.expect("Declined")
        assert asked(server, lambda book: book.spend("after")) == "declined"


def test_a_store_that_is_not_there_is_said_to_be_so(server: Valkey) -> None:
    url = f"redis://127.0.0.1:{Valkey.free_port()}/0"
    with Typist([*COMMAND, "--watch"], {"GATELODGE_STORE_URL": url, "NO_COLOR": "1"}) as person:
        assert person.ended() == 1
        assert "gatelodge approve: " in person.text
        assert "Traceback" not in person.text
