"""The keys by which any replica opens a question that another one has sealed."""

from __future__ import annotations

from gatelodge_core.errors import SettingsError
from gatelodge_core.settings import LodgeSettings

LEAST = 32
MOST = 4


def seals(settings: LodgeSettings) -> tuple[bytes, ...]:
    """The keys of a setting: the first seals, all open. To renew one without refusing anybody: old,new; new,old; new.

    Raises:
        SettingsError: One of them is too short to be a secret.
    """
    text = settings.state_key.get_secret_value()
    if not text:
        return ()
    found = [part.strip().encode() for part in text.split(",")]
    if any(len(key) < LEAST for key in found) or len(found) > MOST:
        raise SettingsError(
            f"GATELODGE_STATE_KEY: write 1 to {MOST} secrets of {LEAST} characters or more, with commas: openssl rand -hex 32"
        )
    return tuple(found)
