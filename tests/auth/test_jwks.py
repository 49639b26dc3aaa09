"""The issuer's keys: which are taken, when they are fetched, and what happens while they can't be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from gatelodge_core.auth import jwks
from gatelodge_core.auth.discovery import IssuerError
from gatelodge_core.auth.documents import DocumentError
from gatelodge_core.auth.jwks import (
    FRESH_SECONDS,
    MAX_WAITING,
    MISS_SECONDS,
    RETRY_SECONDS,
    STALE_SECONDS,
    KeyRing,
    read_keys,
)
from gatelodge_core.auth.model import Unauthenticated

from tests.auth.mint import Json, ec_key, ed_key, jwk, key_set, number, part, rsa_key

ONE, TWO = jwk(rsa_key("one"), kid="one"), jwk(rsa_key("two"), kid="two")


class Source:
    """A key set somewhere else: it can change, be slow, and be gone."""

    def __init__(self, *keys: Json) -> None:
        self.keys: tuple[Json, ...] = keys
        self.times = 0
        self.gone = False
        self.open = asyncio.Event()
        self.open.set()
        self.time = 1000.0
        self.ring = KeyRing(self.fetch, lambda: self.time)

    async def fetch(self) -> bytes:
        self.times += 1
        await self.open.wait()
        if self.gone:
            raise IssuerError("gone")
        return key_set(*self.keys)

    async def settled(self) -> None:
        """Let what runs in the background end."""
        for _ in range(10):
            await asyncio.sleep(0)


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        with anyio.fail_after(20):
            await work()

    anyio.run(within)


async def refused(ring: KeyRing, kid: str | None, algorithm: str = "RS256") -> Unauthenticated:
    with pytest.raises(Unauthenticated) as caught:
        await ring.key(kid, algorithm)
    return caught.value


def test_a_key_checks_what_its_type_and_its_owner_say() -> None:
    found = read_keys(
        key_set(
            jwk(rsa_key("one"), kid="r"),
            jwk(rsa_key("one"), kid="p", alg="PS384", use="sig", key_ops=["verify"]),
            jwk(ec_key("c"), kid="e"),
            jwk(ed_key("d"), kid="o"),
            jwk(ed_key("d"), kid="n", alg="Ed25519"),
        )
    )
    assert {key.kid: sorted(key.algorithms) for key in found} == {
        "r": ["PS256", "PS384", "PS512", "RS256", "RS384", "RS512"],
        "p": ["PS384"],
        "e": ["ES256"],
        "o": ["Ed25519", "EdDSA"],
        "n": ["Ed25519"],
    }


SHORT = rsa.generate_private_key(65537, 1024)
USELESS: dict[str, Json] = {
    "a shared secret": {"kty": "oct", "k": part(b"s" * 32), "kid": "one"},
    "a key to encrypt": jwk(rsa_key("one"), use="enc"),
    "a key whose owner signs with it alone": jwk(rsa_key("one"), key_ops=["sign"]),
    "a short key": jwk(SHORT),
    "an algorithm of another type": jwk(rsa_key("one"), alg="ES256"),
    "an algorithm with a secret": jwk(rsa_key("one"), alg="HS256"),
    "no algorithm": jwk(rsa_key("one"), alg="none"),
    "an algorithm that is a list": jwk(rsa_key("one"), alg=["RS256"]),
    "an id that is a number": jwk(rsa_key("one"), kid=1),
    "an id that is far too long": jwk(rsa_key("one"), kid="k" * 300),
    "a slow exponent": {**jwk(rsa_key("one")), "e": number(2**2000 + 1)},
    "an exponent of one": {**jwk(rsa_key("one")), "e": number(1)},
    "a modulus of a megabyte": {**jwk(rsa_key("one")), "n": "x" * 1_000_000},
    "a modulus that isn't there": {"kty": "RSA", "e": number(65537)},
    "a point off the curve": {**jwk(ec_key("c")), "y": number(7, 32)},
    "a curve of coins": {**jwk(ec_key("c")), "crv": "secp256k1"},
    "a curve that is a list": {**jwk(ec_key("c")), "crv": ["P-256"]},
    "an unknown type": {"kty": "AKP", "pub": "x"},
    "no type": {"n": "x"},
}


@pytest.mark.parametrize("name", USELESS)
def test_a_key_that_is_of_no_use_is_left_out_and_the_others_stay(name: str) -> None:
    assert [key.kid for key in read_keys(key_set(USELESS[name], TWO))] == ["two"]
    with pytest.raises(DocumentError):
        read_keys(key_set(USELESS[name]))


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}', b'{"keys": ["x", 1, null]}', b"<html>", b"\xff", b'{"keys":[],"keys":[]}', b"[" * 100_000]
)  # fmt: skip
def test_what_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(DocumentError):
        read_keys(document)


def test_a_private_key_that_was_published_is_read_without_its_secret() -> None:
    numbers = rsa_key("one").private_numbers()
    leaked = {**ONE, "d": number(numbers.d), "p": number(numbers.p), "q": number(numbers.q)}
    (key,) = read_keys(key_set(leaked))
    assert isinstance(key.public, rsa.RSAPublicKey)


def test_only_so_many_keys_are_read() -> None:
    assert len(read_keys(key_set(*(jwk(ec_key("c"), kid=str(count)) for count in range(500))))) == 64


def test_a_set_is_fetched_once_for_many_who_ask_at_once() -> None:
    async def work() -> None:
        source = Source(ONE)
        source.open.clear()
        async with anyio.create_task_group() as group:
            for _ in range(MAX_WAITING):
                group.start_soon(source.ring.key, "one", "RS256")
            await source.settled()
            # One more than may wait.
            assert (await refused(source.ring, "one")).unavailable > 0
            source.open.set()
        assert source.times == 1

    run(work)


def test_whoever_gives_up_leaves_the_others_their_answer() -> None:
    async def work() -> None:
        source = Source(ONE)
        source.open.clear()
        found: list[str] = []

        async def patient() -> None:
            found.append((await source.ring.key("one", "RS256")).kid)

        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as leaving:
                group.start_soon(patient)
                await source.settled()
                leaving.cancel()
                await source.ring.key("one", "RS256")
            source.open.set()
        assert (found, source.times) == (["one"], 1)

    run(work)


def test_a_thousand_unknown_keys_make_one_fetch_in_thirty_seconds() -> None:
    async def work() -> None:
        source = Source(ONE, TWO)
        await source.ring.key("one", "RS256")
        source.time += MISS_SECONDS
        for count in range(1000):
            assert "not the issuer's" in (await refused(source.ring, f"made up {count}")).description
        assert source.times == 2
        source.time += MISS_SECONDS - 1
        await refused(source.ring, "made up")
        assert source.times == 2
        source.time += 1
        async with anyio.create_task_group() as group:
            for count in range(200):
                group.start_soon(refused, source.ring, f"at once {count}")
        assert source.times == 3

    run(work)


def test_a_key_that_came_in_meanwhile_is_found() -> None:
    async def work() -> None:
        source = Source(ONE)
        await source.ring.key("one", "RS256")
        source.keys = (ONE, TWO)
        source.time += MISS_SECONDS
        assert (await source.ring.key("two", "RS256")).kid == "two"
        # And one that was taken back is gone with the next set.
        source.keys = (TWO,)
        source.time += FRESH_SECONDS
        await source.ring.key("two", "RS256")
        await source.settled()
        assert "not the issuer's" in (await refused(source.ring, "one")).description

    run(work)


def test_a_key_that_came_in_right_after_the_set_was_fetched_is_found() -> None:
    """Misses have a bound of their own: a fetch for another reason doesn't keep a good token out for half a minute."""

    async def work() -> None:
        source = Source(ONE)
        await source.ring.key("one", "RS256")
        source.keys = (ONE, TWO)
        assert (await source.ring.key("two", "RS256")).kid == "two"
        for count in range(100):
            await refused(source.ring, f"made up {count}")
        assert source.times == 2
        # Renewed as ever, and looked at again for the next miss.
        source.time += FRESH_SECONDS
        await source.ring.key("one", "RS256")
        await source.settled()
        await refused(source.ring, "made up")
        await refused(source.ring, "made up")
        assert source.times == 4

    run(work)


def test_a_set_that_came_just_now_is_not_fetched_again_for_what_it_lacks() -> None:
    async def work() -> None:
        source = Source(ONE)
        await refused(source.ring, "made up")
        assert source.times == 1
        await refused(source.ring, "made up")
        assert source.times == 2

    run(work)


def test_an_old_set_is_renewed_while_it_is_still_used() -> None:
    async def work() -> None:
        source = Source(ONE)
        await source.ring.key("one", "RS256")
        source.time += FRESH_SECONDS
        source.open.clear()
        assert (await source.ring.key("one", "RS256")).kid == "one"
        await source.settled()
        assert source.times == 2
        source.open.set()
        await source.settled()
        await source.ring.key("one", "RS256")
        assert source.times == 2

    run(work)


def test_old_keys_are_used_for_ten_minutes_while_the_issuer_is_gone_and_no_longer() -> None:
    async def work() -> None:
        source = Source(ONE)
        await source.ring.key("one", "RS256")
        source.gone = True
        source.time += FRESH_SECONDS + STALE_SECONDS - 1
        assert (await source.ring.key("one", "RS256")).kid == "one"
        assert source.ring.ready() == []
        await source.settled()
        source.time += 1
        error = await refused(source.ring, "one")
        assert 0 < error.unavailable <= RETRY_SECONDS
        assert len(source.ring.ready()) == 1
        await source.settled()
        # Not asked again by each caller, and found again when it is back.
        before = source.times
        for _ in range(100):
            await refused(source.ring, "one")
        assert source.times == before
        source.gone = False
        source.time += RETRY_SECONDS
        assert (await source.ring.key("one", "RS256")).kid == "one"
        assert source.ring.ready() == []

    run(work)


def test_a_set_that_went_bad_does_not_take_the_place_of_a_good_one() -> None:
    async def work() -> None:
        source = Source(ONE)
        await source.ring.key("one", "RS256")
        source.keys = ({"kty": "oct", "k": part(b"secret"), "kid": "one"},)
        source.time += FRESH_SECONDS
        await source.ring.key("one", "RS256")
        await source.settled()
        assert (source.times, (await source.ring.key("one", "RS256")).kid) == (2, "one")

    run(work)


def test_asking_whether_it_is_ready_brings_the_keys() -> None:
    async def work() -> None:
        source = Source(ONE)
        assert len(source.ring.ready()) == 1
        await source.settled()
        assert source.ring.ready() == []
        assert source.times == 1

    run(work)


def test_a_new_key_that_can_not_be_had_now_is_not_held_against_its_token() -> None:
    async def work() -> None:
        source = Source(ONE)
        assert (await source.ring.key("one", "RS256")).kid == "one"
        source.keys, source.gone = (ONE, TWO), True
        source.time += MISS_SECONDS
        for _ in range(2):
            assert (await refused(source.ring, "two")).unavailable > 0
        # Who has a key that is known is not kept out by that.
        assert (await source.ring.key("one", "RS256")).kid == "one"
        source.gone = False
        source.time += MISS_SECONDS
        assert (await source.ring.key("two", "RS256")).kid == "two"
        # Once the issuer has shown all its keys, one that isn't there is nobody's.
        assert not (await refused(source.ring, "three")).unavailable

    run(work)


def test_nobody_waits_long_for_an_issuer_that_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "WAIT_SECONDS", 0.01)

    async def work() -> None:
        source = Source(ONE)
        source.open.clear()
        assert (await refused(source.ring, "one")).unavailable > 0
        source.open.set()
        await source.settled()
        # The fetch went on.
        assert (await source.ring.key("one", "RS256")).kid == "one"
        assert source.times == 1

    run(work)


def test_an_unforeseen_failure_of_a_fetch_lets_nobody_wait_for_ever() -> None:
    async def fetch() -> bytes:
        raise RuntimeError("unforeseen")

    async def work() -> None:
        assert (await refused(KeyRing(fetch), "one")).unavailable > 0

    run(work)


@pytest.mark.parametrize(
    ("keys", "kid", "algorithm"),
    [
        ([ONE, ONE], "one", "RS256"),  # which of the two?
        ([ONE], "two", "RS256"),
        ([ONE], "one", "ES256"),
        ([ONE, TWO], None, "RS256"),
        ([ONE, jwk(ec_key("c"), kid="c")], None, "ES256"),
        ([ONE], "ONE", "RS256"),
        ([ONE], "", "RS256"),
    ],
)
def test_a_key_that_is_not_meant_beyond_doubt_is_none(keys: list[Any], kid: str | None, algorithm: str) -> None:
    async def work() -> None:
        await refused(Source(*keys).ring, kid, algorithm)

    run(work)


def test_one_id_for_two_types_of_keys_is_beyond_doubt() -> None:
    async def work() -> None:
        ring = Source(ONE, jwk(ec_key("c"), kid="one")).ring
        assert (await ring.key("one", "ES256")).algorithms == {"ES256"}
        assert "RS256" in (await ring.key("one", "RS256")).algorithms

    run(work)


def test_a_key_shows_nothing_of_itself() -> None:
    (key,) = read_keys(json.dumps({"keys": [ONE]}).encode())
    assert ONE["n"] not in repr(key)
