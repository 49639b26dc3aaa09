"""The pepper: the secret that API keys are hashed with, from the settings or from a 0600 file beside the keys.

The file's name ends in ``.key``, which the filesystem server never opens, wherever its roots are.
"""

from __future__ import annotations

import os
import re
import secrets

from gatelodge_core.auth.private import create, read_private
from gatelodge_core.errors import SettingsError

NAME = "pepper.key"
_FORM = re.compile(r"[\x21-\x7e]{32,512}")
_HOW = "make one with: openssl rand -hex 32"


def known(folder: str, given: str = "") -> bytes | None:
    """The pepper as it is; None if there is none yet.

    Args:
        folder: Where the keys lie.
        given: What the settings say; empty for the file.

    Raises:
        SettingsError: It is too weak, can't be read, or others may read it.
    """
    if given:
        if not _FORM.fullmatch(given):
            raise SettingsError(f"key_pepper: it needs 32 characters at least, without spaces; {_HOW}")
        return given.encode("ascii")
    path = os.path.join(folder, NAME)
    try:
        content = read_private(path, 1024, "the pepper of API keys")[1]
    except FileNotFoundError:
        return None
    text = content.decode("latin-1").strip()
    if not _FORM.fullmatch(text):
        raise SettingsError(f"{path}: isn't a pepper; restore it: with another one no key would be known")
    # As the text that it is, so that it can be moved into a setting.
    return text.encode("ascii")


def make(folder: str) -> bytes:
    """Make the file; the caller holds the lock, and has seen that there are neither keys nor a pepper.

    Raises:
        OSError: It can't be made.
    """
    text = secrets.token_hex(32).encode("ascii")
    create(os.path.join(folder, NAME), text + b"\n")
    return text
