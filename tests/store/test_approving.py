"""Approvals in a shared store: the same as in the file of one machine, and exactly once whoever asks and whatever fails."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.store import approvals as local_module
from gatelodge_core.store import approving as module
from gatelodge_core.store.approvals import Approvals
from gatelodge_core.store.approving import ApprovalBook, LocalApprovals, SharedApprovals
from gatelodge_core.store.errors import StoreError

from tests.support.valkey import Valkey, eventually, valkey

Main = Callable[[ApprovalBook], Coroutine[Any, Any, None]]
Book = Callable[[Main], None]


@pytest.fixture(params=["file", "store"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Book:
    """Runs a test on both kinds."""
    if request.param == "file":
        return lambda main: asyncio.run(main(LocalApprovals(Approvals(str(tmp_path / "a.sqlite")))))
    server: Valkey = request.getfixturevalue("server")

    async def within(main: Main) -> None:
        async with server.opened() as store:
            await main(SharedApprovals(store, "toy"))

    return lambda main: asyncio.run(within(main))


async def park(book: ApprovalBook, binding: str = "b", principal: str = "key:alice") -> str:
    return (await book.park(binding, server="toy", principal=principal, name="drop", effect=f"drops {binding}")).code


def test_a_call_waits_is_answered_and_its_answer_is_used_once(book: Book) -> None:
    async def main(book: ApprovalBook) -> None:
        for yes, state in ((True, "approved"), (False, "declined")):
            code = await park(book)
            assert await park(book) == code
            assert await book.spend("b") is None
            shown = await book.waiting(code)
            assert shown is not None
            assert (shown.code, shown.binding, shown.server, shown.principal, shown.name, shown.effect, shown.state) == (
                code, "b", "toy", "key:alice", "drop", "drops b", "parked",
            )  # fmt: skip
            assert [item.code for item in await book.parked()] == [code]
            assert await book.decide(code, approved=yes)
            assert not await book.decide(code, approved=not yes)
            assert await book.parked() == []
            assert await book.waiting(code) is None
            assert await book.spend("another") is None
            assert await book.spend("b") == state
            assert await book.spend("b") is None
        assert not await book.decide("BBBB-BBBB", approved=True)

    book(main)


def test_what_waits_is_listed_in_the_order_in_which_it_came(book: Book) -> None:
    async def main(book: ApprovalBook) -> None:
        codes: list[str] = []
        for number in range(5):
            codes.append(await park(book, f"b{number}"))
            await asyncio.sleep(0.003)
        assert [item.code for item in await book.parked()] == codes

    book(main)


def test_an_answer_to_a_question_counts_once(book: Book) -> None:
    async def main(book: ApprovalBook) -> None:
        nonce = f"{await book.nonce()}.digest"
        assert nonce != f"{await book.nonce()}.digest"
        assert await book.spend_once(nonce)
        assert not await book.spend_once(nonce)

    book(main)


def test_what_waits_ends_by_itself(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_module, "TTL_SECONDS", 0.3)
    monkeypatch.setattr(module, "TTL_SECONDS", 0.3)

    async def main(book: ApprovalBook) -> None:
        first, second = await park(book, "one"), await park(book, "two")
        assert await book.decide(first, approved=True)

        async def gone() -> bool:
            return not await book.parked()

        await eventually(gone)
        assert not await book.decide(second, approved=True)
        assert await book.spend("one") is None
        assert await book.spend("two") is None
        assert await park(book, "two") != second

    book(main)


def test_names_of_any_characters_are_kept(book: Book) -> None:
    async def main(book: ApprovalBook) -> None:
        effect = "a\n\x00\u202e\U0001f600 " + "x" * 300_000
        parked = await book.park("b", server="toy", principal="key:a:b/\n*", name="dröp", effect=effect)
        found = await book.waiting(parked.code)
        assert found is not None
        assert (found.principal, found.name) == ("key:a:b/\n*", "dröp")
        assert found.effect == effect[: local_module.MAX_EFFECT]

    book(main)


# The shared store alone


@contextlib.asynccontextmanager
async def replicas(server: Valkey, number: int = 3) -> AsyncGenerator[list[SharedApprovals]]:
    async with contextlib.AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(server.opened(deadline=20)) for _ in range(number)]
        yield [SharedApprovals(store, "toy") for store in stores]


def test_sixty_four_tasks_of_three_replicas_use_an_answer_exactly_once(server: Valkey) -> None:
    async def main() -> None:
        async with replicas(server) as books:
            for round_ in range(20):
                binding = f"b{round_}"
                codes = await asyncio.gather(*(park(books[number % 3], binding) for number in range(64)))
                assert len(set(codes)) == 1
                answers = await asyncio.gather(*(books[n % 3].decide(codes[0], approved=n % 2 == 0) for n in range(64)))
                assert sum(answers) == 1
                spent = await asyncio.gather(*(books[number % 3].spend(binding) for number in range(64)))
                assert sorted(map(str, spent)).count("None") == 63
                nonce = await books[0].nonce()
                fresh = await asyncio.gather(*(books[number % 3].spend_once(nonce) for number in range(64)))
                assert sum(fresh) == 1

    asyncio.run(main())


def test_a_flood_of_one_caller_leaves_room_for_the_others(server: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OPEN_EACH", 5)
    monkeypatch.setattr(module, "MAX_OPEN_ALL", 12)

    async def main() -> None:
        async with replicas(server, 1) as (book,):
            for number in range(5):
                await park(book, f"a{number}")
            with pytest.raises(StoreError, match="5 calls of this caller wait"):
                await park(book, "more")
            # One that waits already keeps its place.
            code = await park(book, "a0")
            await park(book, "other", "key:bob")
            assert await book.decide(code, approved=False)
            await park(book, "more")
            for number in range(6):
                await park(book, f"c{number}", f"key:c{number}")
            with pytest.raises(StoreError, match="12 calls wait"):
                await park(book, "last", "key:last")

    asyncio.run(main())


def test_what_was_used_stays_used_when_the_store_is_killed(tmp_path: Path) -> None:
    async def main(server: Valkey) -> None:
        async with replicas(server) as books:
            nonce = await books[0].nonce()
            code = await park(books[0])
            assert await books[1].decide(code, approved=True)
            assert await books[2].spend("b") == "approved"
            assert await books[0].spend_once(nonce)
            server.kill()
            with pytest.raises(StoreError):
                await books[0].spend("b")
            server.start()
            await answers(books)
            assert await books[1].spend("b") is None
            assert not await books[2].spend_once(nonce)

    with valkey(tmp_path) as server:
        asyncio.run(main(server))


def test_a_store_that_forgot_takes_no_answer_to_a_question_of_before(tmp_path: Path) -> None:
    async def main(server: Valkey) -> None:
        async with replicas(server) as books:
            used, unused = await books[0].nonce(), await books[0].nonce()
            assert await books[0].spend_once(used)
            server.kill()
            server.start()
            await answers(books)
            assert not await books[1].spend_once(used)
            assert not await books[1].spend_once(unused)
            assert await books[1].spend_once(await books[2].nonce())

    with valkey(tmp_path, keeps=False) as server:
        asyncio.run(main(server))


async def answers(books: list[SharedApprovals]) -> None:
    """Wait until all can be used again."""
    async with asyncio.timeout(20):
        for book in books:
            while True:
                try:
                    await book.parked()
                except StoreError:
                    await asyncio.sleep(0.05)
                else:
                    break


@pytest.mark.parametrize("damage", ["overwritten", "cut"])
def test_a_damaged_file_of_approvals_is_named_with_what_to_do(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "state" / "approvals.sqlite"
    Approvals(str(path)).park("binding", server="toy", principal="me", name="drop", effect="drops")
    path.write_bytes(b"not a database" * 1000 if damage == "overwritten" else path.read_bytes()[:5000])
    with pytest.raises(StoreError, match=r"damaged.*remove it") as caught:
        Approvals(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    for name in ("", "-wal", "-shm"):
        path.with_name(path.name + name).unlink(missing_ok=True)
    assert Approvals(str(path)).parked() == []


def test_approvals_that_another_program_holds_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state" / "approvals.sqlite"
    approvals = Approvals(str(path))
    monkeypatch.setattr(local_module, "BUSY_SECONDS", 0)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another program holds") as caught:
            approvals.spend("binding")
    # A caller may read this.
    assert str(tmp_path) not in str(caught.value)
    assert approvals.spend("binding") is None
