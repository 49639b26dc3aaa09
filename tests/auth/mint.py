"""Makes tokens, good ones and all kinds of others; nothing of it is the code under test."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ISSUER = "https://issuer.example/tenant"
RESOURCE = "https://tools.example.com/files"

Json = Mapping[str, Any]
Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """An RSA key, always the same under one name."""
    del name
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    """A key on P-256, always the same under one name."""
    del name
    return ec.generate_private_key(ec.SECP256R1())


@cache
def ed_key(name: str) -> ed25519.Ed25519PrivateKey:
    """An Ed25519 key, always the same under one name."""
    del name
    return ed25519.Ed25519PrivateKey.generate()


def part(value: Json | bytes) -> str:
    """One part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int, length: int = 0) -> str:
    """A number in a key set."""
    return part(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


def jwk(key: Private, **more: object) -> dict[str, Any]:
    """The public half of a key, for a key set."""
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e), **more}
    if isinstance(public, ec.EllipticCurvePublicKey):
        point = public.public_numbers()
        return {"kty": "EC", "crv": "P-256", "x": number(point.x, 32), "y": number(point.y, 32), **more}
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return {"kty": "OKP", "crv": "Ed25519", "x": part(raw), **more}


def key_set(*keys: Json) -> bytes:
    """A key set."""
    return json.dumps({"keys": keys}).encode()


def pem(key: Private) -> bytes:
    """The public half of a key as anybody can have it."""
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip


def claims(**changes: object) -> dict[str, Any]:
    """What a good token says, with changes; a change to None leaves the claim out."""
    now = int(time.time())
    usual: dict[str, Any] = {
        "iss": ISSUER, "aud": RESOURCE, "sub": "alice", "client_id": "desk", "iat": now, "exp": now + 600,
        "jti": "token-1", "scope": "files:read",
    }  # fmt: skip
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def header(**changes: object) -> dict[str, Any]:
    """A good token's header, with changes; a change to None leaves the member out."""
    usual: dict[str, Any] = {"alg": "RS256", "typ": "at+jwt", "kid": "one"}
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def sign(key: Private, head: Json | bytes, body: Json | bytes, algorithm: str = "") -> str:
    """A token: `head` and `body` as given, signed by `key`, whatever they say of it."""
    covered = f"{part(head)}.{part(body)}"
    data = covered.encode()
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        signature = key.sign(data, pss if algorithm.startswith("PS") else padding.PKCS1v15(), hashes.SHA256())
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    else:
        signature = key.sign(data)
    return f"{covered}.{part(signature)}"


def sign_with_secret(secret: bytes, head: Json, body: Json) -> str:
    """A token by a shared secret (HS256)."""
    covered = f"{part(head)}.{part(body)}"
    return f"{covered}.{part(hmac.new(secret, covered.encode(), hashlib.sha256).digest())}"


def good(**changes: object) -> str:
    """A good token, but for changes to its claims."""
    return sign(rsa_key("one"), header(), claims(**changes))
