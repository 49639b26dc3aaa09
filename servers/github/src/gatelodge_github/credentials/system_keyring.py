"""The token in the system's keyring, by the package ``keyring``."""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from dataclasses import dataclass
from threading import Thread

from gatelodge_core.errors import SettingsError

from gatelodge_github.credentials.secret import Sealed

SECONDS = 10.0
SERVICE = "gatelodge-github"


def ask_keyring(entry: str, host: str) -> Sealed:
    """The secret of an entry.

    Args:
        entry: ``SERVICE:USER``, split at the last colon, or ``on`` for the service ``gatelodge-github`` and the host.
        host: GitHub's web host.

    Raises:
        SettingsError: The package or a keyring is missing, the keyring is locked, it has no such entry, or it gives no
            answer within 10 s, as when it waits for somebody to type a password.
    """
    service, colon, user = (SERVICE, ":", host) if entry == "on" else entry.rpartition(":")
    if not colon or not service or not user:
        raise SettingsError("keyring: write on, or SERVICE:USER")
    answer = _Answer(service, user)
    thread = Thread(target=answer.fetch, name="keyring", daemon=True)
    thread.start()
    thread.join(SECONDS)
    if thread.is_alive():
        raise SettingsError(f"keyring: no answer within {SECONDS:g} s; unlock the keyring, or use token_file")
    _wait_for_end(thread)
    if answer.flaw:
        raise SettingsError(f"keyring: {answer.flaw}")
    if answer.secret is None:
        raise SettingsError(
            f"keyring: there is no entry for {service!r} and {user!r}. "
            f"Run: keyring set {shlex.quote(service)} {shlex.quote(user)}"
        )
    return answer.secret


@dataclass(slots=True)
class _Answer:
    service: str
    user: str
    secret: Sealed | None = None
    flaw: str = ""

    def fetch(self) -> None:
        """Ask, and keep what came of it. The import is slow and looks for backends, so it counts too."""
        try:
            import keyring  # noqa: PLC0415 - an extra
            from keyring.errors import KeyringLocked, NoKeyringError  # noqa: PLC0415 - an extra, loaded for who uses it
        except ImportError:
            self.flaw = "the package keyring isn't installed. Install gatelodge-github[keyring], or use token_file"
            return
        try:
            found = keyring.get_password(self.service, self.user)
            self.secret = None if found is None else Sealed(found)
        except NoKeyringError:
            self.flaw = "this system has no keyring, as is usual in a container; use token_file"
        except KeyringLocked:
            self.flaw = "the keyring is locked; unlock it, or use token_file"
        except Exception as error:  # noqa: BLE001 - each backend has its own; without the text, which may hold a secret
            self.flaw = f"the keyring failed ({type(error).__name__}); use token_file"


def _wait_for_end(thread: Thread) -> None:
    """Wait until the kernel has let a thread go, which is a moment after Python has: confinement counts threads."""
    limit = time.monotonic() + 1
    with contextlib.suppress(OSError):
        while time.monotonic() < limit and os.stat(f"/proc/self/task/{thread.native_id}"):
            time.sleep(0.001)
