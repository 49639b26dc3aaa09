"""Which judges of credentials a server has, by its settings, and what these need of the machine."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from gatelodge_core.auth.keyfile import KeyFile
from gatelodge_core.auth.keys import KeyAuthenticator
from gatelodge_core.auth.model import Authenticator, Revoked
from gatelodge_core.auth.oauth import build
from gatelodge_core.errors import SettingsError
from gatelodge_core.settings import LodgeSettings


@dataclass(frozen=True, slots=True)
class Judges:
    """The judges.

    Args:
        authenticators: In the order in which they are asked.
        connect: TCP ports of those that they ask in turn.
        read: Files that they read after the start.
    """

    authenticators: list[Authenticator]
    connect: tuple[int, ...] = ()
    read: tuple[str, ...] = field(default=())


def judges(
    settings: LodgeSettings, *, resource: str, keys: bool, oauth: bool, revoked: Revoked | None = None
) -> Judges:
    """The judges that the settings ask for.

    Args:
        settings: Of the server.
        resource: Its canonical URL, which tokens must be issued for.
        keys: Whether API keys are taken.
        oauth: Whether OAuth tokens are taken.
        revoked: Asks the list of revocations that replicas share, if there is one.

    Raises:
        SettingsError: One of them can't be used.
    """
    found: list[Authenticator] = []
    connect: list[int] = []
    read: list[str] = []
    if keys:
        file = KeyFile(settings.keys_path, settings.key_pepper.get_secret_value())
        found.append(KeyAuthenticator(file, revoked))
        read += _folder(file, settings)
    if oauth:
        # After the keys: where the issuer is asked about every token, it takes all that is left.
        judge = build(settings, resource, revoked)
        found.append(judge)
        connect += judge.connect
    return Judges(found, tuple(connect), tuple(read))


def _folder(file: KeyFile, settings: LodgeSettings) -> list[str]:
    """What a confined process must be able to read, to know of keys that are changed later.

    A change replaces the file, and the kernel's grants hold for files as they were at the start: so it is the folder.

    Raises:
        SettingsError: That would grant more than the keys.
    """
    if settings.sandbox == "off" or _below(file.folder, settings.state_path):
        return []
    if not _below(file.path, file.folder):
        raise SettingsError(f"--keys-file {file.path}: it leads out of its folder; name the file itself")
    if strangers := file.strangers():
        raise SettingsError(
            f"--keys-file {file.path}: a confined server needs its whole folder, and that holds other things "
            f"({', '.join(strangers[:3])}{', ...' if len(strangers) > 3 else ''}). Give keys a folder of their own"
        )
    return [file.folder]


def _below(path: str, folder: str) -> bool:
    path, folder = os.path.realpath(path), os.path.realpath(folder)
    return path.startswith(os.path.join(folder, "")) or path == folder
