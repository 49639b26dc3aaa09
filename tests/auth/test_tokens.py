"""Signed tokens: what is let in, and what must not be, however well it is made up."""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Callable

import anyio
import pytest
from gatelodge_core.auth.claims import Rules
from gatelodge_core.auth.jwks import KeyRing
from gatelodge_core.auth.model import Unauthenticated
from gatelodge_core.auth.principal import Principal
from gatelodge_core.auth.tokens import CACHED, SignedTokens, algorithms
from gatelodge_core.errors import SettingsError

from tests.auth.mint import (
    ISSUER,
    RESOURCE,
    claims,
    ec_key,
    ed_key,
    good,
    header,
    jwk,
    key_set,
    part,
    pem,
    rsa_key,
    sign,
    sign_with_secret,
)

NOW = time.time
ONE, OTHER, STRANGER = rsa_key("one"), rsa_key("other"), rsa_key("stranger")
KEYS = key_set(
    jwk(ONE, kid="one", use="sig"),
    jwk(OTHER, kid="other", alg="RS256"),
    jwk(ec_key("curve"), kid="curve"),
    jwk(ed_key("edwards"), kid="edwards"),
)
REVOKED = {f"jti:{ISSUER}|gone", f"oauth:{ISSUER}|mallory", f"oauth:{ISSUER}|bob|phone"}


async def fetch() -> bytes:
    return KEYS


async def revoked(name: str) -> bool:
    return name in REVOKED


def judge(
    allowed: str = "RS256,PS256,ES256,EdDSA,Ed25519", keys: Callable[[], bytes] | None = None, **options: object
) -> SignedTokens:
    async def fetched() -> bytes:
        return keys() if keys else KEYS

    rules = Rules(ISSUER, RESOURCE)
    return SignedTokens(KeyRing(fetched), rules, algorithms(allowed), revoked=revoked, now=NOW)


def presented(token: str, by: SignedTokens | None = None) -> Principal:
    """Who a token says presents it."""

    async def run() -> Principal:
        judging = by or judge()
        try:
            return await judging.authenticate(token)
        finally:
            await judging.aclose()

    return anyio.run(run)


def refusal(token: str, by: SignedTokens | None = None) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as caught:
        presented(token, by)
    return caught.value


def now() -> int:
    return int(time.time())


GOOD: dict[str, Callable[[], str]] = {
    "as RFC 9068 wants it": good,
    "several audiences, ours among them": lambda: good(aud=["https://other.example", RESOURCE]),
    "typ JWT": lambda: sign(ONE, header(typ="JWT"), claims()),
    "typ with its media type's beginning": lambda: sign(ONE, header(typ="application/at+JWT"), claims()),
    "no typ": lambda: sign(ONE, header(typ=None), claims()),
    "probabilistic signature": lambda: sign(ONE, header(alg="PS256"), claims(), "PS256"),
    "elliptic curve": lambda: sign(ec_key("curve"), header(alg="ES256", kid="curve"), claims()),
    "Edwards curve": lambda: sign(ed_key("edwards"), header(alg="EdDSA", kid="edwards"), claims()),
    "Edwards curve, by its newer name": lambda: sign(ed_key("edwards"), header(alg="Ed25519", kid="edwards"), claims()),
    "a key's own algorithm": lambda: sign(OTHER, header(kid="other"), claims()),
    "not quite expired for a slow clock": lambda: good(exp=now() - 20),
    "not quite valid for a fast clock": lambda: good(nbf=now() + 20, iat=now() + 20),
    "times with a fraction": lambda: good(exp=now() + 60.5),
    "Keycloak: a nonce, and it says Bearer": lambda: sign(ONE, header(typ="JWT"), claims(typ="Bearer", nonce="n")),
    "Cognito: token_use access": lambda: sign(ONE, header(typ=None), claims(token_use="access")),
    "Entra: scp, azp": lambda: good(scope=None, scp="files:read", client_id=None, azp="desk"),
    "Okta: scp as a list": lambda: good(scope=None, scp=["files:read"]),
    "x5t beside the key's id": lambda: sign(ONE, header(x5t="abc"), claims()),
    "no jti": lambda: good(jti=None),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_token_of_the_issuer_for_this_server_is_let_in(name: str) -> None:
    principal = presented(GOOD[name]())
    assert principal == Principal("oauth", f"{ISSUER}|alice|desk", frozenset({"files:read"}))
    assert principal.via == ("" if name == "no jti" else "token-1")


def _twice(name: str, first: object, second: object) -> bytes:
    """A good token's claims with a name that comes twice."""
    body = json.dumps(claims(**{name: None}))
    return f"{body[:-1]}, {json.dumps(name)}: {json.dumps(first)}, {json.dumps(name)}: {json.dumps(second)}}}".encode()


def _unsigned(algorithm: str) -> str:
    return f"{part(header(alg=algorithm))}.{part(claims())}."


def _flipped(token: str) -> str:
    """One bit of the claims changed, the signature kept."""
    head, body, signature = token.split(".")
    data = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).replace(b"alice", b"alicf")
    return f"{head}.{part(data)}.{signature}"


def _deep() -> bytes:
    return json.dumps(claims())[:-1].encode() + b', "x": ' + b"[" * 5000 + b"]" * 5000 + b"}"


BAD: dict[str, tuple[Callable[[], str], str]] = {
    "another audience": (lambda: good(aud="https://other.example/files"), "not for this server"),
    "no audience": (lambda: good(aud=None), "not for this server"),
    "an empty list of audiences": (lambda: good(aud=[]), "not for this server"),
    "a list of others": (lambda: good(aud=["https://a.example", "https://b.example"]), "not for this server"),
    "an audience that begins with ours": (lambda: good(aud=RESOURCE + "/more"), "not for this server"),
    "an audience that ours begins with": (lambda: good(aud=RESOURCE[:-1]), "not for this server"),
    "ours with a slash": (lambda: good(aud=RESOURCE + "/"), "not for this server"),
    "ours in capitals": (lambda: good(aud=RESOURCE.upper()), "not for this server"),
    "ours deep in a list": (lambda: good(aud=[[RESOURCE]]), "not for this server"),
    "ours as a name in an object": (lambda: good(aud={RESOURCE: True}), "not for this server"),
    "ours among what is no text": (lambda: good(aud=[RESOURCE, 1]), "not for this server"),
    "another issuer": (lambda: good(iss="https://evil.example"), "another issuer"),
    "another tenant of the issuer": (lambda: good(iss="https://issuer.example/other"), "another issuer"),
    "the issuer with a slash": (lambda: good(iss=ISSUER + "/"), "another issuer"),
    "no issuer": (lambda: good(iss=None), "another issuer"),
    "a list of issuers": (lambda: good(iss=[ISSUER]), "another issuer"),
    "expired": (lambda: good(exp=now() - 31), "expired"),
    "no end": (lambda: good(exp=None), "when it ends"),
    "an end that is a text": (lambda: good(exp=str(now() + 600)), "a time that is none"),
    "an end that is true": (lambda: good(exp=True), "a time that is none"),
    "an end beyond all numbers": (lambda: sign(ONE, header(), json.dumps(claims(exp=1)).replace('"exp": 1', '"exp": 1e999').encode()), "a time that is none"),
    "an end that is NaN": (lambda: sign(ONE, header(), json.dumps(claims(exp=float("nan"))).encode()), "damaged"),
    "a negative end": (lambda: good(exp=-1), "a time that is none"),
    "not valid yet": (lambda: good(nbf=now() + 120), "not valid yet"),
    "issued in the future": (lambda: good(iat=now() + 120), "not valid yet"),
    "alg none": (lambda: _unsigned("none"), "a way that is not taken"),
    "alg None": (lambda: _unsigned("None"), "a way that is not taken"),
    "alg NONE with a signature": (lambda: sign(ONE, header(alg="NONE"), claims()), "a way that is not taken"),
    "alg empty": (lambda: _unsigned(""), "a way that is not taken"),
    "alg missing": (lambda: sign(ONE, header(alg=None), claims()), "header"),
    "alg a list": (lambda: sign(ONE, header(alg=["RS256"]), claims()), "header"),
    "the public key as the secret": (lambda: sign_with_secret(pem(ONE), header(alg="HS256"), claims()), "a way that is not taken"),
    "the public modulus as the secret": (lambda: sign_with_secret(jwk(ONE)["n"].encode(), header(alg="HS256"), claims()), "a way that is not taken"),
    "HS256 that says RS256": (lambda: sign_with_secret(pem(ONE), header(), claims()), "signature is wrong"),
    "an algorithm that isn't allowed": (lambda: sign(ONE, header(alg="RS512"), claims()), "a way that is not taken"),
    "the newer name for a key of another type": (lambda: sign(ONE, header(alg="Ed25519"), claims()), "not the issuer's"),
    "an algorithm that isn't the key's": (lambda: sign(ONE, header(alg="ES256"), claims()), "not the issuer's"),
    "an algorithm that the key's owner left out": (lambda: sign(OTHER, header(alg="PS256", kid="other"), claims(), "PS256"), "not the issuer's"),
    "a signature of the other kind": (lambda: sign(ONE, header(alg="PS256"), claims()), "signature is wrong"),
    "a curve's signature under an RSA key": (lambda: sign(ec_key("curve"), header(), claims()), "signature is wrong"),
    "an unknown key": (lambda: sign(STRANGER, header(kid="stranger"), claims()), "not the issuer's"),
    "a stranger's signature under a known key": (lambda: sign(STRANGER, header(), claims()), "signature is wrong"),
    "another key of the issuer": (lambda: sign(OTHER, header(kid="one"), claims()), "signature is wrong"),
    "no key id where there are several": (lambda: sign(ONE, header(kid=None), claims()), "which key"),
    "a key id that is a path": (lambda: sign(STRANGER, header(kid="../../../../dev/null"), claims()), "not the issuer's"),
    "a key id that is a query": (lambda: sign(STRANGER, header(kid="x' UNION SELECT 'secret"), claims()), "not the issuer's"),
    "a key id that is a number": (lambda: sign(ONE, header(kid=1), claims()), "header"),
    "a key id that is far too long": (lambda: sign(ONE, header(kid="k" * 300), claims()), "header"),
    "an empty key id": (lambda: sign(ONE, header(kid=""), claims()), "not the issuer's"),
    "a key of its own": (lambda: sign(STRANGER, header(jwk=jwk(STRANGER), kid=None), claims()), "members that are not taken"),
    "the address of a key of its own": (lambda: sign(STRANGER, header(jku="https://evil.example/keys"), claims()), "members that are not taken"),
    "the address of a certificate": (lambda: sign(STRANGER, header(x5u="https://evil.example/cert"), claims()), "members that are not taken"),
    "a critical extension": (lambda: sign(ONE, header(crit=["exp"]), claims()), "members that are not taken"),
    "an unencoded payload": (lambda: sign(ONE, header(b64=False, crit=["b64"]), claims()), "members that are not taken"),
    "an id token by its type": (lambda: sign(ONE, header(typ="id+jwt"), claims()), "not an access token"),
    "a logout token": (lambda: sign(ONE, header(typ="logout+jwt"), claims()), "not an access token"),
    "a proof of possession": (lambda: sign(ONE, header(typ="dpop+jwt"), claims()), "not an access token"),
    "an id token by its nonce": (lambda: sign(ONE, header(typ="JWT"), claims(nonce="n-0S6")), "id token"),
    "an id token by its hash": (lambda: sign(ONE, header(typ="JWT"), claims(at_hash="77Qm")), "id token"),
    "Keycloak's id token": (lambda: sign(ONE, header(typ="JWT"), claims(typ="ID")), "not an access token"),
    "Keycloak's refresh token": (lambda: sign(ONE, header(typ="JWT"), claims(typ="Refresh")), "not an access token"),
    "Cognito's id token": (lambda: sign(ONE, header(typ=None), claims(token_use="id")), "not an access token"),
    "an id token as OpenID wants it": (lambda: sign(ONE, header(typ="JWT"), claims(aud="desk", nonce="n")), "not for this server"),
    "bound to a key": (lambda: good(cnf={"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}), "bound to a key"),
    "bound to a certificate": (lambda: good(cnf={"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}), "bound to a key"),
    "no subject": (lambda: good(sub=None), "names nobody"),
    "an empty subject": (lambda: good(sub=""), "names nobody"),
    "a subject that is a number": (lambda: good(sub=7), "a name that can't be used"),
    "a subject with a line break": (lambda: good(sub="alice\nroot"), "a name that can't be used"),
    "a subject with an invisible letter": (lambda: good(sub="al\u200bice"), "a name that can't be used"),
    "a subject that turns the writing around": (lambda: good(sub="\u202ealice"), "a name that can't be used"),
    "a subject that is far too long": (lambda: good(sub="a" * 256), "a name that can't be used"),
    "a client that is a list": (lambda: good(client_id=["desk"]), "a name that can't be used"),
    "scopes that are an object": (lambda: good(scope={"files:destroy": True}), "scopes that can't be used"),
    "far too many scopes": (lambda: good(scope=" ".join(f"s{number}" for number in range(300))), "scopes that can't be used"),
    "revoked": (lambda: good(jti="gone"), "revoked"),
    "of somebody who was revoked": (lambda: good(sub="mallory"), "revoked"),
    "of a client that was revoked": (lambda: good(sub="bob", client_id="phone"), "revoked"),
    "cut at its end": (lambda: good()[:-5], "signature is wrong"),
    "without its signature": (lambda: good().rpartition(".")[0] + ".", "signature is wrong"),
    "changed under its signature": (lambda: _flipped(good()), "signature is wrong"),
    "the signature of another": (lambda: f"{good().rpartition('.')[0]}.{good(sub='eve').rpartition('.')[2]}", "signature is wrong"),
    "an audience twice": (lambda: sign(ONE, header(), _twice("aud", "https://other.example", RESOURCE)), "damaged"),
    "a subject twice": (lambda: sign(ONE, header(), _twice("sub", "alice", "root")), "damaged"),
    "an algorithm twice": (lambda: sign(ONE, b'{"alg":"none","kid":"one","alg":"RS256"}', claims()), "header"),
    "claims that are a list": (lambda: sign(ONE, header(), b'["iss"]'), "damaged"),
    "claims that are no JSON": (lambda: sign(ONE, header(), b"{'iss': 1}"), "damaged"),
    "claims that are no UTF-8": (lambda: sign(ONE, header(), b'{"iss": "\xff"}'), "damaged"),
    "claims that are nested without end": (lambda: sign(ONE, header(), _deep()), "damaged"),
    "a header that is a text": (lambda: f"{part(b'x')}.{part(claims())}.{part(b'x')}", "header"),
    "a header that is empty": (lambda: f".{part(claims())}.{part(b'x')}", "header"),
    "a header that is huge": (lambda: sign(ONE, header(x="x" * 4000), claims()), "header"),
    "huge": (lambda: good(x="x" * 16_384), "too long"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_token_that_is_not_right_is_refused_for_its_reason(name: str) -> None:
    make, reason = BAD[name]
    error = refusal(make())
    assert reason in error.description
    assert (error.error, error.unavailable) == ("invalid_token", 0)
    # It goes into a header between quotes (RFC 6750, section 3).
    assert error.description.isascii()
    assert error.description.isprintable()
    assert not set('"\\') & set(error.description)


def test_the_key_id_may_be_left_out_where_there_is_one_key() -> None:
    token = sign(ONE, header(kid=None), claims())
    assert presented(token, judge(keys=lambda: key_set(jwk(ONE)))).subject == f"{ISSUER}|alice|desk"


def test_a_signature_that_the_settings_leave_out_is_refused_though_the_key_could_check_it() -> None:
    token = sign(ec_key("curve"), header(alg="ES256", kid="curve"), claims())
    presented(token)
    assert "a way that is not taken" in refusal(token, judge("RS256")).description


@pytest.mark.parametrize("setting", ["none", "HS256", "RS256,HS512", "rs256", "", " , ", "RS256;ES256", "ES256K"])
def test_no_setting_allows_what_a_public_key_could_forge(setting: str) -> None:
    with pytest.raises(SettingsError, match="--oauth-algorithms"):
        algorithms(setting)


def test_no_two_callers_are_one_principal() -> None:
    pairs = [("auth0|7", "desk"), ("auth0", "7|desk"), ("auth0%7C7", "desk"), ("auth0", "7"), ("auth0|7|desk", "")]
    subjects = {presented(good(sub=sub, client_id=client)).subject for sub, client in pairs}
    assert len(subjects) == len(pairs)


def test_a_token_without_scopes_holds_none_rather_than_all() -> None:
    principal = presented(good(scope=None))
    assert principal.scopes == frozenset()
    assert not principal.may("files:read")


def test_a_revocation_counts_at_once_though_the_token_is_remembered() -> None:
    gone: set[str] = set()

    async def listed(name: str) -> bool:
        return name in gone

    async def run() -> None:
        judging = SignedTokens(KeyRing(fetch), Rules(ISSUER, RESOURCE), algorithms("RS256"), revoked=listed)
        token = good(jti="soon")
        await judging.authenticate(token)
        gone.add(f"jti:{ISSUER}|soon")
        with pytest.raises(Unauthenticated, match="revoked"):
            await judging.authenticate(token)
        await judging.aclose()

    anyio.run(run)


def test_nobody_is_let_in_while_revocations_cannot_be_asked() -> None:
    async def broken(name: str) -> bool:
        raise ConnectionError(name)

    async def run() -> None:
        judging = SignedTokens(KeyRing(fetch), Rules(ISSUER, RESOURCE), algorithms("RS256"), revoked=broken)
        with pytest.raises(Unauthenticated) as caught:
            await judging.authenticate(good())
        assert caught.value.unavailable > 0
        await judging.aclose()

    anyio.run(run)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.time = float(now())

    def __call__(self) -> float:
        return self.time


def test_a_remembered_token_still_ends_with_its_time() -> None:
    clock = Clock()

    async def run() -> None:
        judging = SignedTokens(KeyRing(fetch), Rules(ISSUER, RESOURCE), algorithms("RS256"), now=clock)
        token = good(exp=int(clock.time) + 40)
        await judging.authenticate(token)
        clock.time += 65  # the clocks may differ by 30 s
        await judging.authenticate(token)
        clock.time += 10
        with pytest.raises(Unauthenticated, match="expired"):
            await judging.authenticate(token)
        await judging.aclose()

    anyio.run(run)


def test_a_token_is_checked_anew_after_a_minute() -> None:
    """A key that the issuer took back counts for no longer than the set is fresh and a token is remembered."""
    clock, keys = Clock(), [KEYS]

    async def fetched() -> bytes:
        return keys[0]

    async def run() -> None:
        judging = SignedTokens(KeyRing(fetched, clock), Rules(ISSUER, RESOURCE), algorithms("RS256"), now=clock)
        token = good(exp=int(clock.time) + 3600)
        await judging.authenticate(token)
        keys[0] = key_set(jwk(OTHER, kid="other"), jwk(ec_key("curve"), kid="curve"))
        clock.time += 59
        await judging.authenticate(token)
        clock.time += 2000
        with pytest.raises(Unauthenticated, match="not the issuer's"):
            await judging.authenticate(token)
        await judging.aclose()

    anyio.run(run)


def test_ten_thousand_bad_tokens_leave_nothing_behind() -> None:
    async def run() -> None:
        judging = judge()
        template = sign(STRANGER, header(), claims())
        head, body, _ = template.split(".")
        for number in range(10_000):
            with pytest.raises(Unauthenticated):
                await judging.authenticate(f"{head}.{body}.{part(number.to_bytes(256, 'big'))}")
        assert len(judging._good) == 0  # pyright: ignore[reportPrivateUsage] - memory is what is tested
        await judging.aclose()

    anyio.run(run)


def test_no_change_of_a_single_letter_is_let_in() -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=~+/"

    async def run() -> None:
        judging, token, chance = judge(), good(), random.Random(9)
        for place in range(len(token)):
            letter = chance.choice(letters.replace(token[place], ""))
            with pytest.raises(Unauthenticated):
                await judging.authenticate(token[:place] + letter + token[place + 1 :])
        await judging.authenticate(token)
        await judging.aclose()

    anyio.run(run)


def test_only_so_many_good_tokens_are_remembered() -> None:
    from gatelodge_core.auth.recent import Recent, fingerprint

    kept = Recent[int](CACHED)
    for number in range(CACHED + 100):
        kept.put(fingerprint(str(number)), number, 10)
    assert len(kept) == CACHED
    assert (kept.get(fingerprint("0"), 5), kept.get(fingerprint(str(CACHED)), 5)) == (None, CACHED)
    assert kept.get(fingerprint(str(CACHED)), 10) is None
    assert len(kept) == CACHED - 1
