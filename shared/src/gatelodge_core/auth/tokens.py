"""Signed access tokens (RFC 9068): checked here, by the issuer's public keys.

A token's header only chooses among what the settings allow: one of our algorithms, one of the issuer's keys. It never
brings a key or an address of one.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable
from dataclasses import dataclass

from jwt import PyJWTError
from jwt.algorithms import OKPAlgorithm
from jwt.api_jws import PyJWS

from gatelodge_core.auth.claims import Grant, Rules, grant
from gatelodge_core.auth.documents import DocumentError, JsonObject, read_object
from gatelodge_core.auth.jwks import MAX_KEY_ID, SIGNATURES, KeyRing
from gatelodge_core.auth.model import Revoked, Unauthenticated
from gatelodge_core.auth.principal import Principal
from gatelodge_core.auth.recent import Recent, fingerprint
from gatelodge_core.auth.revoking import check_revoked
from gatelodge_core.errors import SettingsError

MAX_TOKEN = 16 * 1024
"""Characters of a token."""
MAX_HEADER = 4096
"""Characters of its header."""
CACHE_SECONDS = 60
"""How long a token that was good is not checked again, except for its revocation."""
CACHED = 4096

_KINDS = frozenset({"at+jwt", "jwt"})
"""Types that a token may have; most issuers call all their tokens JWT. An ID token of an issuer that follows RFC 9068 has
none of these, and every one is known by its audience, which is its client, and by its claims (see `claims`)."""
_BRINGS = ("jwk", "jku", "x5u", "crit", "b64")
"""Header members that bring a key, name where to fetch one, or change what the signature covers."""


def algorithms(text: str) -> frozenset[str]:
    """The algorithms of a setting, which separates them by commas.

    Raises:
        SettingsError: One of them isn't one by which a public key checks a signature.
    """
    found = frozenset(filter(None, (part.strip() for part in text.split(","))))
    if wrong := sorted(found - SIGNATURES):
        known = ", ".join(sorted(SIGNATURES))
        raise SettingsError(f"--oauth-algorithms: {wrong[0][:20]!r} is not taken; there are: {known}")
    if not found:
        raise SettingsError("--oauth-algorithms: name at least one, such as RS256")
    return found


@dataclass(frozen=True, slots=True)
class _Header:
    algorithm: str
    kid: str | None
    access: bool


class SignedTokens:
    """Judges signed tokens; an `Authenticator`.

    Args:
        keys: Of the issuer.
        rules: What a token must say.
        algorithms: Which signatures are taken.
        revoked: Whether a token, or whoever it is about, was revoked meanwhile.
        now: Seconds since 1970.
    """

    def __init__(
        self,
        keys: KeyRing,
        rules: Rules,
        algorithms: frozenset[str],
        *,
        revoked: Revoked | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._rules = rules
        self._algorithms = algorithms
        self._revoked = revoked
        self._now = now
        self._good = Recent[Grant](CACHED)
        self._jws = PyJWS(algorithms=sorted(algorithms))
        if "Ed25519" in algorithms:
            # PyJWT knows it by its older name alone.
            self._jws.register_algorithm("Ed25519", OKPAlgorithm())

    def takes(self, token: str) -> bool:
        """Whether a token has the three parts of a signed one."""
        return token.count(".") == 2

    async def authenticate(self, token: str, address: str = "") -> Principal:
        """Who presents a token, wherever from.

        Raises:
            Unauthenticated: Nobody that is let in.
        """
        del address
        known = fingerprint(token)
        found = self._good.get(known, self._now())
        if found is None:
            found = await self._checked(token)
            self._good.put(known, found, min(found.expires, self._now() + CACHE_SECONDS))
        await check_revoked(self._revoked, found)
        return found.principal

    def ready(self) -> list[str]:
        """Why no token can be checked now."""
        return self._keys.ready()

    async def aclose(self) -> None:
        """Close what is open."""
        await self._keys.aclose()

    async def _checked(self, token: str) -> Grant:
        if len(token) > MAX_TOKEN:
            raise Unauthenticated("the token is too long")
        header = _header(token)
        if header.algorithm not in self._algorithms:
            raise Unauthenticated("the token is signed in a way that is not taken here")
        key = await self._keys.key(header.kid, header.algorithm)
        try:
            signed = self._jws.decode_complete(token, key.public, algorithms=[header.algorithm])
            claims = read_object(signed["payload"])
        except (PyJWTError, DocumentError, ValueError, TypeError):
            raise Unauthenticated("the token is damaged, or its signature is wrong") from None
        return grant(claims, self._rules, self._now(), access=header.access)


def _header(token: str) -> _Header:
    found = _decoded(token.partition(".")[0])
    algorithm, kid, kind = found.get("alg"), found.get("kid"), found.get("typ", "JWT")
    if not isinstance(algorithm, str) or not isinstance(kind, str):
        raise Unauthenticated("the token's header can't be read")
    if "kid" in found and not (isinstance(kid, str) and len(kid) <= MAX_KEY_ID):
        raise Unauthenticated("the token's header can't be read")
    if any(name in found for name in _BRINGS):
        raise Unauthenticated("the token's header has members that are not taken here")
    kind = kind.lower().removeprefix("application/")
    if kind not in _KINDS:
        raise Unauthenticated("that is not an access token")
    return _Header(algorithm, kid if isinstance(kid, str) else None, kind == "at+jwt")


def _decoded(part: str) -> JsonObject:
    try:
        if not part or len(part) > MAX_HEADER:
            raise DocumentError(part)
        return read_object(base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True))
    except (DocumentError, binascii.Error, ValueError):
        raise Unauthenticated("the token's header can't be read") from None
