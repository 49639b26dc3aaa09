"""The file of API keys: read whole, changed whole, by one command at a time."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

from gatelodge_core.auth import pepper
from gatelodge_core.auth.keyrecords import MAX_KEYS, Key, decode, encode
from gatelodge_core.auth.private import DRAFT, Stamp, create, folder_flaw, locked, read_private
from gatelodge_core.errors import SettingsError

MAX_BYTES = 4 * 1024 * 1024
LOCK_SECONDS = 20.0
"""How long a command waits for others to end theirs."""
_WHAT = "the file of API keys"


class KeyFile:
    """One file of keys.

    Args:
        path: Its path, absolute.
        given: The pepper of the settings; empty for the file beside it.
    """

    def __init__(self, path: str, given: str = "") -> None:
        self.path = path
        self.folder = os.path.dirname(path)
        self._given = given
        self._pepper = b""

    @property
    def pepper(self) -> bytes:
        """The pepper, read once: a confined process may not get at it later.

        Raises:
            SettingsError: There is none, or it can't be used.
        """
        if not self._pepper:
            found = pepper.known(self.folder, self._given)
            if found is None:
                raise SettingsError(
                    f"{self.path}: the pepper that its keys were hashed with is missing: restore "
                    f"{os.path.join(self.folder, pepper.NAME)}, or set GATELODGE_KEY_PEPPER"
                )
            self._pepper = found
        return self._pepper

    def stamp(self) -> Stamp | None:
        """The stamp of the file as it is now; None if it can't be looked at. No permission to read is needed."""
        try:
            return Stamp.of(os.stat(self.path))
        except OSError:
            return None

    def read(self) -> tuple[Stamp, list[Key]]:
        """The keys, and the stamp of the state they were read from.

        Raises:
            SettingsError: The file is missing, can't be used, or others could have changed it.
        """
        if flaw := folder_flaw(self.folder):
            raise SettingsError(f"{self.folder}, where API keys lie, {flaw}")
        try:
            stamp, content = read_private(self.path, MAX_BYTES, _WHAT)
        except FileNotFoundError:
            raise SettingsError(
                f"{self.path}: there are no API keys yet; make the first with: "
                f"gatelodge keys add --name NAME --scope SCOPE --keys-file {self.path}"
            ) from None
        secret = self.pepper
        try:
            return stamp, decode(content, secret)
        except SettingsError as error:
            raise SettingsError(f"{self.path}: {error}") from None

    @contextmanager
    def changing(self) -> Generator[list[Key]]:
        """The keys, to be changed in place; what is there at the end is kept, and what raises keeps all as it was.

        Raises:
            SettingsError: The file can't be used or written, or would hold too many keys.
        """
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            with locked(f"{self.path}.lock", LOCK_SECONDS):
                yield from self._changed()
        except OSError as error:
            raise SettingsError(f"{self.path}: can't be changed: {error.strerror or error}") from None

    def _changed(self) -> Generator[list[Key]]:
        if os.path.islink(self.path):
            raise SettingsError(f"{self.path}: is a symbolic link; name the file itself: --keys-file")
        if os.path.exists(self.path):
            keys = self.read()[1]
        else:
            if flaw := folder_flaw(self.folder):
                raise SettingsError(f"{self.folder}, where API keys would lie, {flaw}")
            keys = []
            self._pepper = pepper.known(self.folder, self._given) or pepper.make(self.folder)
        before = list(keys)
        yield keys
        if keys == before:
            return
        if len(keys) > MAX_KEYS:
            raise SettingsError(f"{self.path}: {MAX_KEYS} keys are the most; for more callers use OAuth (--auth oauth)")
        create(self.path, encode(keys, self.pepper))

    def strangers(self) -> list[str]:
        """What else lies in the folder; whoever may read the keys after an atomic replacement may read that too."""
        name = os.path.basename(self.path)
        # The last one is in the root of every ext4 volume.
        own = {name, f"{name}.lock", pepper.NAME, "lost+found"}
        # Kubernetes keeps what it mounts in folders that begin with two dots.
        return sorted(
            found for found in os.listdir(self.folder) if found not in own and not found.startswith((DRAFT, ".."))
        )
