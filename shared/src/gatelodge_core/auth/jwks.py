"""The issuer's public keys: read from its key set (RFC 7517), renewed in time, never asked for too often.

A set is used for five minutes, and for ten more if the issuer can't be reached meanwhile; after that nobody is let in. An
unknown key id makes us look again, but at most every thirty seconds: callers choose the key ids of the tokens they make up.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWTError
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gatelodge_core.auth.discovery import IssuerError
from gatelodge_core.auth.documents import DocumentError, JsonObject, read_object, texts
from gatelodge_core.auth.model import Unauthenticated

logger = logging.getLogger(__name__)

FRESH_SECONDS = 300
"""How long a set is used before it is fetched again; a key that the issuer took back counts for so long."""
STALE_SECONDS = 600
"""How long it is used beyond that while the issuer can't be reached."""
MISS_SECONDS = 30
"""The least time between two fetches for keys that aren't there, and between two to renew a set that can still be used."""
RETRY_SECONDS = 5
"""The least time between two fetches while there is none."""
WAIT_SECONDS = 10.0
"""How long a request waits for a fetch, which may ask an issuer in several places; it goes on without it."""
MAX_WAITING = 256
"""Requests that may wait for a fetch; those beyond are told to come back."""
MAX_KEYS = 64
MAX_KEY_ID = 256

_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_EDWARDS = frozenset({"EdDSA", "Ed25519"})
"""One algorithm: RFC 8037 named the first, RFC 9864 the other in its place."""
SIGNATURES = frozenset({*_RSA, *_CURVES.values(), *_EDWARDS})
"""Algorithms that can be allowed: none that anybody with a public key could sign with."""

_MIN_RSA, _MAX_RSA = 2048, 8192
_MAX_EXPONENT = 2**32
"""Larger exponents are legal and slow, and nobody has them."""
_MAX_MEMBER = 2048
"""Characters of one member of a key: room for the modulus of the largest."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key.

    Args:
        kid: Its id; empty if it has none.
        algorithms: What it can check.
        public: For `cryptography`.
    """

    kid: str
    algorithms: frozenset[str]
    public: Any = field(repr=False)


def read_keys(document: bytes) -> list[Key]:
    """The keys of a set that can check signatures; those of other kinds are left out, as RFC 7517, section 5 says.

    Raises:
        DocumentError: It is no key set, or has none.
    """
    members = read_object(document).get("keys")
    if not isinstance(members, list):
        raise DocumentError("it has no list of keys")
    found: list[Key] = []
    for member in cast("list[object]", members)[:MAX_KEYS]:
        if isinstance(member, dict):
            with contextlib.suppress(PyJWTError, ValueError, TypeError, DocumentError):
                found.append(_key(cast("JsonObject", member)))
    if not found:
        raise DocumentError("it has no key that can be used")
    return found


def _key(member: JsonObject) -> Key:
    kid = member.get("kid", "")
    operations = texts(member.get("key_ops", ["verify"]))
    if not isinstance(kid, str) or len(kid) > MAX_KEY_ID or operations is None or "verify" not in operations:
        raise DocumentError("it is no key for signatures")
    if member.get("use", "sig") != "sig":
        raise DocumentError("it is no key for signatures")
    algorithms, public = _public(member)
    named = member.get("alg")
    if named is not None:
        algorithms &= {named}
    if not algorithms:
        raise DocumentError("its algorithm does not fit it")
    return Key(kid, algorithms, public)


def _public(member: Mapping[str, object]) -> tuple[frozenset[Any], Any]:
    """The algorithms of a key's type, and the key without what would make it a private one."""
    kind = member.get("kty")
    if kind == "RSA":
        public = RSAAlgorithm.from_jwk(_members(member, "kty", "n", "e"))
        if not isinstance(public, RSAPublicKey) or not _MIN_RSA <= public.key_size <= _MAX_RSA:
            raise DocumentError("the key is too short, or too long")
        if public.public_numbers().e > _MAX_EXPONENT:
            raise DocumentError("the key is too slow")
        return _RSA, public
    curve = member.get("crv")
    if kind == "EC" and isinstance(curve, str) and curve in _CURVES:
        return frozenset({_CURVES[curve]}), ECAlgorithm.from_jwk(_members(member, "kty", "crv", "x", "y"))
    if kind == "OKP" and curve == "Ed25519":
        return _EDWARDS, OKPAlgorithm.from_jwk(_members(member, "kty", "crv", "x"))
    raise DocumentError("the key is of a kind that is not taken")


def _members(member: Mapping[str, object], *names: str) -> dict[str, Any]:
    found = {name: member.get(name) for name in names}
    if not all(isinstance(value, str) and len(value) <= _MAX_MEMBER for value in found.values()):
        raise DocumentError("the key lacks a member")
    return found


class KeyRing:
    """The keys of one issuer, as of a short while ago.

    Args:
        fetch: Brings the key set; it ends within its own deadline.
        clock: Seconds that only go forward.
    """

    def __init__(self, fetch: Callable[[], Awaitable[bytes]], clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keys: list[Key] = []
        self._fetched: float | None = None
        self._tried: float | None = None
        self._missed: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting = 0
        self._failed = False

    async def key(self, kid: str | None, algorithm: str) -> Key:
        """The key that a token says it was signed with.

        Args:
            kid: Its id; a token may leave it out where there is one key alone.
            algorithm: Which the key has to fit.

        Raises:
            Unauthenticated: There is no such key, or none can be had now.
        """
        before = self._fetched
        if not self._usable():
            await self._renewed(RETRY_SECONDS)
            if not self._usable():
                raise self._unavailable()
        elif not self._fresh():
            # Not waited for: what is there is good for a while.
            self._renew(MISS_SECONDS)
        if self._lacks(kid) and self._fetched == before:
            await self._looked()
            if self._failed and self._lacks(kid):
                # It may be a new key that the issuer couldn't show us: the caller must not throw a good token away.
                raise self._unavailable()
        return self._found(kid, algorithm)

    def ready(self) -> list[str]:
        """Why no signature can be checked now.

        Asking also renews what is old: a server that nobody is sent to for lack of keys must get them.
        """
        if not self._fresh():
            self._renew(MISS_SECONDS if self._usable() else RETRY_SECONDS)
        return [] if self._usable() else ["the public keys of the authorization server can't be had"]

    async def aclose(self) -> None:
        """End a fetch that runs."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _found(self, kid: str | None, algorithm: str) -> Key:
        if kid is None and len(self._keys) > 1:
            raise Unauthenticated("the token does not say which key it is signed with")
        found = [key for key in self._keys if kid in (None, key.kid) and algorithm in key.algorithms]
        if len(found) != 1:
            raise Unauthenticated("the token is signed with a key that is not the issuer's")
        return found[0]

    def _lacks(self, kid: str | None) -> bool:
        return kid is not None and all(key.kid != kid for key in self._keys)

    def _usable(self) -> bool:
        return self._fetched is not None and self._clock() - self._fetched < FRESH_SECONDS + STALE_SECONDS

    def _fresh(self) -> bool:
        return self._fetched is not None and self._clock() - self._fetched < FRESH_SECONDS

    def _unavailable(self) -> Unauthenticated:
        since = self._clock() - (self._tried if self._tried is not None else self._clock())
        return Unauthenticated("the issuer's keys can't be had", unavailable=max(1.0, RETRY_SECONDS - since))

    async def _looked(self) -> None:
        """Wait for a fetch for a key that isn't there: the one that runs, or one that is due.

        What was fetched for another reason doesn't count: a new key can come in right after that.
        """
        if (self._task is None or self._task.done()) and not self._within(self._missed, MISS_SECONDS):
            self._missed = self._clock()
            self._renew(0)
        await self._waited()

    async def _renewed(self, gap: float) -> None:
        """Wait for a fetch: the one that runs, or one that is due."""
        self._renew(gap)
        await self._waited()

    async def _waited(self) -> None:
        if self._task is None or self._task.done():
            return
        if self._waiting >= MAX_WAITING:
            raise Unauthenticated("the issuer's keys are being fetched", unavailable=1)
        self._waiting += 1
        try:
            # Whoever gives up leaves the others their answer.
            await asyncio.wait([self._task], timeout=WAIT_SECONDS)
        finally:
            self._waiting -= 1
        if not self._task.done():
            raise Unauthenticated("the issuer's keys are being fetched", unavailable=RETRY_SECONDS)

    def _within(self, since: float | None, gap: float) -> bool:
        return since is not None and self._clock() - since < gap

    def _renew(self, gap: float) -> None:
        """Begin a fetch, unless one runs or began within `gap` seconds."""
        if self._task is not None and not self._task.done():
            return
        if self._within(self._tried, gap):
            return
        self._tried = self._clock()
        self._task = asyncio.get_running_loop().create_task(self._load(), name="issuer's keys")

    async def _load(self) -> None:
        self._failed = True
        try:
            keys = read_keys(await self._fetch())
        except (IssuerError, DocumentError) as error:
            logger.error("the authorization server's keys: %s", error)  # noqa: TRY400 - the message says it all
            return
        except Exception:
            # Whoever waits is told that there are no keys, whatever went wrong.
            logger.exception("the authorization server's keys")
            return
        self._keys, self._fetched, self._failed = keys, self._clock(), False
