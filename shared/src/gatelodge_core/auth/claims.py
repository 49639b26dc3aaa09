"""What an access token says, judged: for us, by our issuer, now, and about whom.

The same rules hold for a signed token (RFC 9068) and for what the issuer says of one when asked (RFC 7662).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from gatelodge_core.auth.documents import texts
from gatelodge_core.auth.model import Unauthenticated
from gatelodge_core.auth.principal import Principal

SKEW_SECONDS = 30
"""How far the issuer's clock may be off."""
MAX_NAME = 255
"""Characters of a subject, a client or a token's id."""
MAX_SCOPES = 256
MAX_SCOPE = 128

_ACCESS = frozenset({"bearer", "at+jwt", "jwt", "access", "access_token"})
"""What issuers call an access token in a claim of their own, where they have one (Keycloak ``typ``, Cognito ``token_use``)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a token must say.

    Args:
        issuer: Who issued it, to the letter.
        resource: Whom it is for: the canonical URL of this server, to the letter (RFC 8707).
    """

    issuer: str
    resource: str


@dataclass(frozen=True, slots=True)
class Grant:
    """A token that is good.

    Args:
        principal: Who presents it.
        expires: When it ends, in seconds since 1970; infinite if the issuer, asked, didn't say.
        identifiers: Under which names it may be on the list of what was revoked: the token, if it was signed and has
            an id; its subject; its subject with its client.
    """

    principal: Principal
    expires: float
    identifiers: tuple[str, ...]


def grant(
    claims: Mapping[str, object], rules: Rules, now: float, *, asked: bool = False, access: bool = False
) -> Grant:
    """What a token grants.

    Args:
        claims: Of a token whose signature was checked, or the issuer's answer.
        rules: What it must say.
        now: In seconds since 1970.
        asked: Whether these are the issuer's own words about a token: RFC 7662 lets it leave out ``iss`` and ``exp``, and
            many write what they don't know as null.
        access: Whether its header says that it is an access token (``at+jwt``).

    Raises:
        Unauthenticated: It is no good here.
    """
    if asked:
        claims = {name: value for name, value in claims.items() if value is not None}
    if not (asked and "iss" not in claims) and claims.get("iss") != rules.issuer:
        raise Unauthenticated("the token is from another issuer")
    audience = texts(claims.get("aud"))
    if audience is None or rules.resource not in audience:
        raise Unauthenticated("the token is not for this server: ask for it with its resource")
    _check_kind(claims, access=access)
    expires = _check_times(claims, now, asked=asked)
    subject = _name(claims, "sub")
    if not subject:
        raise Unauthenticated("the token names nobody")
    client = _name(claims, "client_id") or _name(claims, "azp")
    # Encoded, so that no choice of names makes two callers one.
    user = f"{rules.issuer}|{_encoded(subject)}"
    # The id of a token that can't be read may be the token itself: then it belongs in no journal and no list.
    token = "" if asked else _name(claims, "jti")
    principal = Principal("oauth", f"{user}|{_encoded(client)}", _scopes(claims), via=token)
    identifiers = (*([f"jti:{rules.issuer}|{_encoded(token)}"] if token else []), f"oauth:{user}", str(principal))
    return Grant(principal, expires, identifiers)


def _check_kind(claims: Mapping[str, object], *, access: bool) -> None:
    """Refuse what isn't an access token, and what needs a proof that we can't check.

    An ID token is known by its hashes and its nonce (OpenID Connect Core, sections 2 and 3), or because its issuer says
    so. Older versions of Keycloak put the nonce into access tokens too, which say of themselves that they are ``Bearer``.
    """
    named = [claims[name] for name in ("typ", "token_use", "token_type") if name in claims]
    if any(not isinstance(name, str) or name.lower() not in _ACCESS for name in named):
        raise Unauthenticated("that is not an access token")
    if "at_hash" in claims or "c_hash" in claims or ("nonce" in claims and not access and not named):
        raise Unauthenticated("that is an id token, not an access token")
    if "cnf" in claims:
        # A token that is bound to a key is worth nothing without the proof (RFC 9449, section 7; RFC 8705, section 3).
        raise Unauthenticated("the token is bound to a key, and such proofs are not taken here")


def _check_times(claims: Mapping[str, object], now: float, *, asked: bool) -> float:
    expires = _time(claims, "exp")
    if expires is None:
        if not asked:
            raise Unauthenticated("the token does not say when it ends")
        expires = math.inf
    if expires + SKEW_SECONDS <= now:
        raise Unauthenticated("the token has expired")
    for name in ("nbf", "iat"):
        begins = _time(claims, name)
        if begins is not None and begins - SKEW_SECONDS > now:
            raise Unauthenticated("the token is not valid yet")
    return expires


def _time(claims: Mapping[str, object], name: str) -> float | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**53:
        return float(value)
    raise Unauthenticated("the token has a time that is none")


def _name(claims: Mapping[str, object], name: str) -> str:
    """A name in a token; empty if it has none."""
    value = claims.get(name, "")
    # What can't be seen could make two names look alike in a journal or a policy.
    if not isinstance(value, str) or len(value) > MAX_NAME or not value.isprintable():
        raise Unauthenticated("the token has a name that can't be used")
    return value


def _encoded(name: str) -> str:
    return name.replace("%", "%25").replace("|", "%7C")


def _scopes(claims: Mapping[str, object]) -> frozenset[str]:
    """What was granted: ``scope`` (RFC 9068, section 2.2.3), or ``scp``, as some issuers call it; none if neither."""
    value = claims.get("scope", claims.get("scp", ""))
    found = value.split(" ") if isinstance(value, str) else texts(value)
    scopes = frozenset(filter(None, found)) if found is not None else None
    if scopes is None or len(scopes) > MAX_SCOPES or any(len(scope) > MAX_SCOPE for scope in scopes):
        raise Unauthenticated("the token has scopes that can't be used")
    return scopes
