"""What the tests of the credentials share: tokens of the real shape, keys, settings, and what a leak would show."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from pydantic import SecretStr

TAIL = "".join(chr(ord("a") + number % 26) for number in range(36))


def token(prefix: str = "ghp", letter: str = "") -> str:
    """A token of the real shape, put together here so that no file holds one."""
    return f"{prefix}_{(letter * 36) or TAIL}"


@functools.cache
def key(bits: int = 2048) -> str:
    """A new private key, as GitHub would give it."""
    made = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return made.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


def public(pem: str) -> rsa.RSAPublicKey:
    """What GitHub keeps of a key."""
    loaded = load_pem_private_key(pem.encode(), password=None)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    return loaded.public_key()


@dataclass
class Wanted:
    """Settings, as far as the credentials ask for them."""

    token: SecretStr = field(default_factory=lambda: SecretStr(""))
    token_file: str = ""
    keyring: str = ""
    gh_cli: bool = False
    app_id: str = ""
    app_installation_id: str = ""
    app_key_file: str = ""
    host: str = "github.com"


def private_file(path: Path, text: str) -> str:
    """A file that only its owner may read."""
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return str(path)


def told(error: BaseException) -> str:
    """All that a careless handler could write of an error: its text, its arguments, every frame with its variables."""
    frames = traceback.TracebackException.from_exception(error, capture_locals=True)
    context = error.__context__
    return "\n".join([*frames.format(), repr(error), str(error), repr(error.args), told(context) if context else ""])


def error_of(step: Callable[[], object], kind: type[BaseException]) -> str:
    """What an error that must come would tell, this frame's own variables included."""
    try:
        step()
    except kind as error:
        return told(error)
    raise AssertionError("it was accepted")
