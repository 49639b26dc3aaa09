"""The statement that an App proves itself with: a JWT, signed with its private key.

The only module that imports PyJWT and cryptography; it is loaded when there is an App.
"""

from __future__ import annotations

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from gatelodge_core.errors import SettingsError

from gatelodge_github.credentials.secret import Guarded, Sealed

_BEFORE, _AFTER = 30, 540
"""Seconds. GitHub takes at most 10 minutes, by its own clock."""
_SMALLEST = 2048


class Signer(Guarded):
    """Signs as one App.

    Args:
        app_id: The App's id, or its client id.
        pem: Its private key, as GitHub gives it.
        source: The setting that named the key, for the error.

    Raises:
        SettingsError: It is no such key.
    """

    __slots__ = ("_app_id", "_key")

    def __init__(self, app_id: str, pem: Sealed, source: str) -> None:
        self._app_id = app_id
        key = _loaded(pem)
        if key is None:
            raise SettingsError(
                f"{source}: this is no private key of an App: an RSA key of {_SMALLEST} bits or more, in PEM, without a "
                "passphrase. Make one on the App's page under Private keys."
            )
        self._key = key

    def sign(self, now: float) -> Sealed:
        """A statement that is good for 9 minutes.

        Args:
            now: Seconds since 1970. The statement begins 30 s before, for clocks that differ.
        """
        claims = {"iat": int(now) - _BEFORE, "exp": int(now) + _AFTER, "iss": self._app_id}
        return Sealed(jwt.encode(claims, self._key, algorithm="RS256"))


def _loaded(pem: Sealed) -> RSAPrivateKey | None:
    try:
        key = load_pem_private_key(pem.reveal().encode("utf-8", "surrogatepass"), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPrivateKey) and key.key_size >= _SMALLEST else None
