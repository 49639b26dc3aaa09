"""API keys at the door: who presents one, and whether it is taken now.

The file of keys is looked at again while the server runs, so that a key that was made, rotated or revoked is known within
a quarter of a second. What can't be read lets nobody in.
"""

from __future__ import annotations

import hmac
import logging
import math
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gatelodge_core.auth.keyfile import KeyFile
from gatelodge_core.auth.keyrecords import PREFIX, Key, hashed, identity
from gatelodge_core.auth.model import Revoked, Unauthenticated
from gatelodge_core.auth.principal import Principal
from gatelodge_core.errors import SettingsError

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
"""How often the file is looked at, at most."""
AGAIN_SECONDS = 2.0
"""After which time a caller is told to try again while keys can't be judged."""


@dataclass(frozen=True, slots=True)
class _Held:
    """A key as it is judged: no parsing is left to do for a request."""

    hash: bytes
    expires: float
    revoked: bool
    principal: Principal

    @classmethod
    def of(cls, key: Key) -> _Held:
        expires = math.inf if key.expires is None else key.expires.timestamp()
        return cls(bytes.fromhex(key.hash), expires, key.revoked is not None, key.principal())


class KeyAuthenticator:
    """Judges API keys by the file of `gatelodge keys`.

    Args:
        file: The file.
        revoked: The list of revocations that replicas share, asked about each key that is otherwise good under two
            names: ``key-id:<id>``, and its principal, such as ``key:alice``.
        clock: Seconds, growing.
        now: Seconds since 1970.

    Raises:
        SettingsError: The file can't be used; the text says what to do.
    """

    def __init__(
        self,
        file: KeyFile,
        revoked: Revoked | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._file, self._revoked, self._clock, self._now = file, revoked, clock, now
        self._stamp, keys = file.read()
        self._pepper = file.pepper
        self._held: Mapping[str, _Held] = {key.id: _Held.of(key) for key in keys}
        self._looked = clock()
        self._flaw = ""
        # What an unknown id is compared with, so that it costs what a wrong secret does.
        self._nobody = secrets.token_bytes(32)

    def takes(self, token: str) -> bool:
        """Whether a bearer token begins like a key."""
        return token.startswith(PREFIX)

    async def authenticate(self, token: str, address: str = "") -> Principal:
        """Who presents a key, wherever from.

        Raises:
            Unauthenticated: Nobody that is let in; `unavailable` while keys can't be judged at all.
        """
        del address
        self._look()
        if self._flaw:
            raise Unauthenticated("keys can't be judged now", unavailable=AGAIN_SECONDS)
        held = self._held.get(identity(token))
        if not hmac.compare_digest(hashed(self._pepper, token), held.hash if held else self._nobody) or held is None:
            raise Unauthenticated("this key is not known", withdrawn=True)
        # From here on the caller has the key itself, and may be told what became of it.
        if held.revoked or await self._is_revoked(held.principal):
            raise Unauthenticated("this key was revoked", withdrawn=True)
        if held.expires <= self._now():
            raise Unauthenticated("this key has expired")
        return held.principal

    def ready(self) -> list[str]:
        """Why no key can be judged now."""
        self._look()
        return [self._flaw] if self._flaw else []

    async def aclose(self) -> None:
        """Nothing is open."""

    async def _is_revoked(self, principal: Principal) -> bool:
        if self._revoked is None:
            return False
        try:
            return await self._revoked(f"key-id:{principal.via}") or await self._revoked(str(principal))
        except Exception as error:  # noqa: BLE001 - whatever keeps the list from answering, nobody is let in
            logger.error("revocations can't be asked: %s", type(error).__name__)  # noqa: TRY400 - a traceback may quote what was called
            raise Unauthenticated("keys can't be judged now", unavailable=AGAIN_SECONDS) from None

    def _look(self) -> None:
        """Read the file if it changed, or could not be read before; at most every `LOOK_SECONDS`."""
        at = self._clock()
        if at - self._looked < LOOK_SECONDS:
            return
        self._looked = at
        if not self._flaw and self._file.stamp() == self._stamp:
            return
        try:
            self._stamp, keys = self._file.read()
        except SettingsError as error:
            if str(error) != self._flaw:
                logger.error("nobody is let in by a key: %s", error)  # noqa: TRY400 - a traceback may quote what was called
            self._flaw, self._held = str(error), {}
            return
        if self._flaw:
            logger.warning("%s: can be read again", self._file.path)
        self._flaw = ""
        self._held = {key.id: _Held.of(key) for key in keys}
