"""An App's installation as a credential: tokens of one hour, made anew before they end."""

from __future__ import annotations

import logging
import re
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from threading import Condition, Thread
from typing import Any, NamedTuple, cast

from gatelodge_core.errors import CallError, SettingsError

from gatelodge_github.credentials.secret import Guarded, Sealed, digest_of, flaw_of

Exchange = Callable[[str, int, float], Mapping[str, Any]]
"""``exchange(jwt, installation_id, seconds)`` posts to ``/app/installations/{id}/access_tokens`` and gives the JSON.

It must end within about `seconds`, and raise `CallError` for what it understands.
"""

EARLY = 60.0
"""Seconds before its end from which a token is replaced in the background; it is still used."""
LATEST = 20.0
"""Seconds before its end from which a token isn't used any more: a request takes time, and clocks differ."""
BACK_OFF = 5.0
"""Seconds without another attempt after one that failed."""
EXCHANGE_SECONDS = 15.0
_LIFE = 3600.0
_LONGEST_WAIT = 3600.0
_LOG = logging.getLogger(__name__)
_APP_ID = re.compile(r"[0-9]{1,20}|[A-Za-z0-9._-]{10,64}", re.ASCII)
_INSTALLATION = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


class _Made(NamedTuple):
    token: Sealed
    ends: float
    permissions: dict[str, str]


class _Told(NamedTuple):
    """An error without the exception, whose traceback holds what its frames hold."""

    code: str
    message: str
    hint: str


class _Failed(NamedTuple):
    at: float
    told: _Told


_UNEXPECTED = _Told(
    "app_token_failed",
    "The App could not get a token from GitHub.",
    "The person who runs this server finds the reason in its log.",
)
_REFUSED = _Told(
    "token_refused",
    "GitHub refuses the tokens that it makes for this App.",
    "Check that the installation isn't suspended; then try again.",
)


class AppCredential(Guarded):
    """Acts as one installation of a GitHub App.

    One token is made at a time, in a thread of its own, so that a caller with little time left spoils it for nobody;
    all others wait, each as long as it has, or go on with the old token while that is good. Don't ask for a token
    before confinement, which must find a single thread.

    Args:
        app_id: The App's id, or its client id.
        installation_id: Of the installation.
        pem: The App's private key.
        exchange: How a token is got; `bind` gives it later.
        clock: Seconds since 1970.
        source: Put before the setting's name in errors.

    Raises:
        SettingsError: An id or the key can't be used.
    """

    __slots__ = (
        "_changed", "_clock", "_exchange", "_failed", "_flying", "_forced", "_made", "_permissions", "_signer",
        "app_id", "digest", "installation_id",
    )  # fmt: skip

    shown = ("app_id", "installation_id", "digest")
    kind = "app"
    app = True

    def __init__(
        self,
        app_id: str,
        installation_id: str | int,
        pem: str | Sealed,
        exchange: Exchange | None = None,
        *,
        clock: Callable[[], float] = time.time,
        source: str = "",
    ) -> None:
        from gatelodge_github.credentials.signing import Signer  # noqa: PLC0415 - 90 ms that only an App needs

        pem = pem if isinstance(pem, Sealed) else Sealed(pem)
        if not _APP_ID.fullmatch(app_id):
            raise SettingsError(f"{source}app_id: write the App's id, a number, or its client id, such as Iv23liABCDEF")
        if not _INSTALLATION.fullmatch(str(installation_id)):
            raise SettingsError(
                f"{source}app_installation_id: write the number at the end of the installation's address"
            )
        self.app_id = app_id
        self.installation_id = int(installation_id)
        self.digest = digest_of(app_id, str(self.installation_id), pem)
        self._signer = Signer(app_id, pem, f"{source}app_key_file")
        self._exchange = exchange
        self._clock = clock
        self._changed = Condition()
        self._flying = False
        self._made: _Made | None = None
        self._failed: _Failed | None = None
        self._forced: float | None = None
        self._permissions: dict[str, str] = {}

    def bind(self, exchange: Exchange) -> None:
        """Give it the way to GitHub, before the first call."""
        with self._changed:
            self._exchange, self._failed = exchange, None

    @property
    def permissions(self) -> dict[str, str]:
        """What the last token may do, such as ``{"contents": "read"}``; empty before the first."""
        return dict(self._permissions)

    def token(self, seconds: float) -> str:
        """A token that is good for at least 20 s.

        Raises:
            CallError: None can be had: what the exchange said, `app_token_failed`, `token_refused`, or `timeout`.
        """
        limit = time.monotonic() + min(max(seconds, 0.0), _LONGEST_WAIT)
        with self._changed:
            while True:
                now = self._clock()
                if not self._good_for(EARLY, now):
                    self._renew(now)
                if self._made and self._good_for(LATEST, now):
                    return self._made.token.reveal()
                if not self._flying:
                    raise self._failure()
                if not self._changed.wait_for(self._landed, limit - time.monotonic()):
                    raise CallError("timeout", "GitHub did not give the App a token in time.", "Try again.")

    def current(self) -> str:
        """The token that was made last; empty before the first."""
        with self._changed:
            return self._made.token.reveal() if self._made else ""

    def refused(self, token: str) -> None:
        """Make a new token at the next call; if GitHub refuses that one too within 5 s, only after a pause."""
        with self._changed:
            if self._made is None or self._made.token.reveal() != token:
                return
            now = self._clock()
            self._made = None
            if _within(self._forced, now):
                self._failed = _Failed(now, _REFUSED)
            self._forced = now

    # All below but _fly and _exchanged is called with the lock held.

    def _landed(self) -> bool:
        return not self._flying

    def _good_for(self, seconds: float, now: float) -> bool:
        return self._made is not None and self._made.ends - now > seconds

    def _renew(self, now: float) -> None:
        """Start making a token, unless one is being made or was just tried."""
        if self._flying or _within(self._failed and self._failed.at, now):
            return
        self._flying = True
        started = False
        try:
            Thread(target=self._fly, name="github-app-token", daemon=True).start()
            started = True
        finally:
            self._flying = started

    def _failure(self) -> CallError:
        """The last failure, as an error of its own for each caller: a shared one would collect their tracebacks."""
        return CallError(*(self._failed.told if self._failed else _UNEXPECTED))

    def _fly(self) -> None:
        made, told = None, _UNEXPECTED
        try:
            made = self._exchanged(self._clock())
        except CallError as error:
            told = _Told(error.code, error.message, error.hint)
        except Exception as fault:  # noqa: BLE001 - nobody waits for this thread's exceptions, and all wait for its end
            _LOG.error("a token for the App: %s", _named(fault))
        finally:
            with self._changed:
                self._flying = False
                self._failed = None if made else _Failed(self._clock(), told)
                if made:
                    self._made, self._permissions = made, made.permissions
                self._changed.notify_all()

    def _exchanged(self, now: float) -> _Made:
        if self._exchange is None:
            raise CallError("app_token_failed", "The server isn't connected to GitHub yet.", "Try again.")
        answer = self._exchange(self._signer.sign(now).reveal(), self.installation_id, EXCHANGE_SECONDS)
        token, ends = Sealed(_text(answer.get("token"))), _time(answer.get("expires_at"))
        if flaw_of(token) or ends is None:
            raise CallError("app_token_failed", "GitHub's answer to the App holds no usable token.", "Try again.")
        # A clock that is slow must not make tokens live longer than the hour they have.
        ends = min(ends, now + _LIFE)
        if ends - self._clock() <= LATEST:
            raise CallError(
                "app_token_failed",
                "GitHub's token for the App ends at once by the clock of this machine.",
                "Set the clock of the machine that runs this server.",
            )
        return _Made(token, ends, _permissions(answer.get("permissions")))


def _within(moment: float | None, now: float) -> bool:
    """Whether a moment is less than the pause ago; one in the future (the clock was set back) is not."""
    return moment is not None and 0 <= now - moment < BACK_OFF


def _named(fault: Exception) -> str:
    """The kind and place of an exception, without its text, in which a token may be."""
    last = traceback.extract_tb(fault.__traceback__)[-1]
    return f"{type(fault).__name__} in {last.name}, line {last.lineno}"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _time(value: object) -> float | None:
    try:
        found = datetime.fromisoformat(_text(value))
    except ValueError:
        return None
    # One without a zone would be read as local time.
    return found.timestamp() if found.tzinfo else None


def _permissions(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        return {}
    found = cast("Mapping[object, object]", value)
    return {key: level for key, level in found.items() if isinstance(key, str) and isinstance(level, str)}
