"""Accounts of a real store: each server's does all that the server needs, and reaches nothing of another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from gatelodge_core.store.accounts import person_rules, server_rules
from gatelodge_core.store.address import parsed
from gatelodge_core.store.approving import SharedApprovals
from gatelodge_core.store.errors import StoreError
from gatelodge_core.store.flow import SharedFlow
from gatelodge_core.store.rates import Rate, SharedRates
from gatelodge_core.store.revocations import Revocations
from gatelodge_core.store.shared import Script, SharedStore, hashed

from tests.support.valkey import Valkey, valkey

RULES = {"github": server_rules("github"), "postgres": server_rules("postgres"), "keeper": person_rules()}
DOCS = Path(__file__).resolve().parents[2] / "docs" / "09-remote.md"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Generator[Valkey]:
    users = [f"user {name} on >pw-of-{name} {rules}" for name, rules in RULES.items()]
    folder = tmp_path_factory.mktemp("accounts")
    (folder / "users.acl").write_text("\n".join(["user default reset", *users]) + "\n")
    with valkey(folder, "--aclfile", str(folder / "users.acl")) as server:
        yield server


@asynccontextmanager
async def opened(server: Valkey, name: str) -> AsyncGenerator[SharedStore]:
    store = SharedStore(parsed(f"redis://{name}:pw-of-{name}@127.0.0.1:{server.port}/0"), deadline=5)
    async with store.life():
        assert not store.failure
        yield store


def test_an_account_of_its_own_is_enough_for_a_server_and_for_a_person(
    guarded: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with opened(guarded, "github") as mine, opened(guarded, "keeper") as theirs:
            ours, person, flow = SharedApprovals(mine, "github"), SharedApprovals(theirs), SharedFlow(mine, "github")
            for yes in (True, False):
                parked = await ours.park("b", server="github", principal="p", name="n", effect="e")
                assert await person.waiting(parked.code) == parked
                assert [found.code for found in await person.parked()] == [parked.code]
                assert await person.decide(parked.code, approved=yes)
                assert await person.fate(parked) == ("approved" if yes else "declined")
                assert await ours.spend("b") == ("approved" if yes else "declined")
            assert await ours.spend_once(await ours.nonce())
            assert await SharedRates(mine, "github").take("p", [Rate(1, 1)]) is None
            flow.mark("p", "one", 60)
            await flow.flush("p")
            await flow.refresh("p")
            assert not await Revocations(mine).revoked("key:p")
            await Revocations(theirs).revoke("key:p", 60)
            assert await Revocations(mine).revoked("key:p-of-another") is False
            async with opened(guarded, "postgres") as another:
                assert await Revocations(another).revoked("key:p")
            assert [found.name for found in await Revocations(theirs).listed()] == ["key:p"]

    asyncio.run(main())
    assert "+info" not in caplog.text


Attack = Callable[[SharedStore], Awaitable[object]]


def command(*words: str) -> Attack:
    text = ", ".join(f"'{word}'" for word in words)
    return lambda store: store.run(Script.of(f"return redis.call({text})"), [])


ATTACKS: dict[str, Attack] = {
    "takes another's calls": lambda store: SharedRates(store, "github").take("p", [Rate(1, 1)]),
    "reads what was read elsewhere": lambda store: SharedFlow(store, "github").refresh("p"),
    "makes another's answer used": lambda store: SharedApprovals(store, "github").spend("b"),
    "parks in another's name": lambda store: SharedApprovals(store).park(
        "b", server="github", principal="p", name="n", effect="e"
    ),
    "answers another's calls": lambda store: SharedApprovals(store).parked(),
    "revokes": lambda store: Revocations(store).revoke("key:p", 60),
    "reads what is revoked": lambda store: Revocations(store).listed(),
    "takes a revocation back": command("DEL", "gatelodge:revoked:x"),
    "forgets everything": command("FLUSHALL"),
    "looks for keys": command("KEYS", "*"),
    "looks through keys": command("SCAN", "0"),
    "renames": command("RENAME", "gatelodge:postgres:x", "gatelodge:github:x"),
    "makes itself an account": command("ACL", "SETUSER", "x", "on", "nopass", "+@all"),
    "sets options": command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"),
    "writes elsewhere": command("SET", "of-somebody-else", "x"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_server_can_do_nothing_in_place_of_another(guarded: Valkey, name: str) -> None:
    async def main() -> None:
        async with opened(guarded, "github") as theirs:
            await SharedApprovals(theirs, "github").park("x", server="github", principal="p", name="n", effect="e")
        async with opened(guarded, "postgres") as store:
            with pytest.raises(StoreError):
                await ATTACKS[name](store)

    asyncio.run(main())


def test_a_person_is_not_led_to_another_servers_call(guarded: Valkey) -> None:
    """What a server keeps for the person names no key, and no server but itself."""
    lead = Script.of("""
redis.call('SET', 'gatelodge:postgres:code:EVIL-CODE', ARGV[1])
redis.call('ZADD', 'gatelodge:postgres:parked', 99999999999999, 'EVIL-CODE')
redis.call('HSET', 'gatelodge:postgres:call:x', 'code', 'EVIL-CODE', 'binding', 'b', 'server', 'github', 'principal', 'p',
    'name', 'n', 'effect', 'e', 'state', 'parked', 'expires', '99999999999999', 'mine', 'm')
redis.call('SADD', 'gatelodge:approving', 'postgres')
return 1
""")

    async def main() -> Any:
        async with opened(guarded, "github") as theirs, opened(guarded, "keeper") as kept:
            github, person = SharedApprovals(theirs, "github"), SharedApprovals(kept)
            await github.park("wanted", server="github", principal="p", name="n", effect="e")
            async with opened(guarded, "postgres") as store:
                for target in (f"gatelodge:github:call:{hashed('wanted')}", "x"):
                    await store.run(lead, [], target)
                    if target == "x":
                        found = await person.waiting("EVIL-CODE")
                        assert found is not None
                        assert found.server == "postgres"
                    await person.decide("EVIL-CODE", approved=True)
            return await github.spend("wanted")

    assert asyncio.run(main()) is None


def test_the_page_has_the_rules_that_are_used() -> None:
    page = " ".join(DOCS.read_text().split())
    assert f"user github on >PASSWORD {server_rules('github')}" in page
    assert f"user keeper on >PASSWORD {person_rules()}" in page
