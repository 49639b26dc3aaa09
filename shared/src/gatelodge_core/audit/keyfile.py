"""The master key: one 0600 file of 64 hexadecimal digits, made once."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import sys
from contextlib import suppress

from gatelodge_core.audit.errors import JournalError
from gatelodge_core.audit.folder import Folder

KEY_NAME = "journal.key"
_FORM = re.compile(rb"([0-9a-f]{64})\n?")


def obtain(folder: Folder, path: str = "") -> bytes:
    """The master key for a process that writes.

    Args:
        folder: The journal's directory, which holds the key unless it is kept elsewhere.
        path: The key file, if it is kept elsewhere. Such a file is never made here: a mount that is missing must
            not quietly start a new key.

    Raises:
        JournalError: It can't be read or made, or others may read it.
    """
    if path:
        return read(folder, path)
    try:
        return read(folder)
    except FileNotFoundError:
        pass
    try:
        _create(folder)
    except OSError as error:
        raise JournalError(f"The journal's key can't be made in {folder.path}: {error.strerror}.") from None
    return read(folder)


def read(folder: Folder, path: str = "") -> bytes:
    """The master key as it is.

    Raises:
        FileNotFoundError: The directory has no key; only without `path`.
        JournalError: It can't be read, others may read it, or it isn't a key.
    """
    shown = path or os.path.join(folder.path, KEY_NAME)
    try:
        if path:
            with Folder.read(os.path.dirname(os.path.abspath(path))) as other:
                descriptor = other.open(os.path.basename(path))
        else:
            descriptor = folder.open(KEY_NAME)
    except OSError as error:
        if not path and isinstance(error, FileNotFoundError):
            raise
        raise JournalError(
            f"The journal's key {shown} can't be read: {error.strerror}. A key is 64 hexadecimal digits; make one "
            f"with: (umask 077; openssl rand -hex 32 > {shown})"
        ) from None
    try:
        facts = os.fstat(descriptor)
        if sys.platform != "win32":
            if facts.st_uid not in {os.geteuid(), 0}:
                raise JournalError(f"The journal's key {shown} belongs to user {facts.st_uid}, who could change it.")
            if stat.S_IMODE(facts.st_mode) & 0o077:
                raise JournalError(f"The journal's key {shown} is open to others. Run: chmod 600 {shown}")
        found = _FORM.fullmatch(os.read(descriptor, 128))
    finally:
        os.close(descriptor)
    if found is None:
        raise JournalError(
            f"The journal's key {shown} isn't 64 hexadecimal digits. Restore it; a new one can't verify."
        )
    return bytes.fromhex(found[1].decode("ascii"))


def _create(folder: Folder) -> None:
    """Make the key whole or not at all: two servers may start at once, and either may be killed."""
    draft = f".key-{secrets.token_hex(8)}"
    descriptor = folder.create(draft, os.O_WRONLY)
    try:
        try:
            content = secrets.token_hex(32).encode("ascii") + b"\n"
            # A disk that fills takes a part: a key that is no key would keep every later start out.
            if os.write(descriptor, content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        with suppress(FileExistsError):
            folder.link(draft, KEY_NAME)
    finally:
        folder.remove(draft)
    folder.sync()
