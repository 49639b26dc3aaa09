"""Bytes kept under the SHA-256 of them: what two operations displaced is there once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Collection

from gatelodge_core.errors import CallError

from gatelodge_filesystem.locks import private_directory

_TEMPORARY = "new-"


class Blobs:
    """The store of one state directory.

    Args:
        directory: Where the bytes lie; made private.
    """

    def __init__(self, directory: str) -> None:
        self._directory = private_directory(directory)

    def keep(self, data: bytes, sha256: str = "") -> str:
        """Keep bytes, on the disk when this returns.

        Args:
            data: They.
            sha256: Their digest in hex, if it is known.

        Returns:
            Their name: 64 hex digits.
        """
        name = sha256 or hashlib.sha256(data).hexdigest()
        path = self._path(name)
        if os.path.exists(path):
            return name
        # Written whole under another name, so that no name ever leads to fewer bytes.
        temporary = self._path(f"{_TEMPORARY}{secrets.token_hex(8)}")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
            os.rename(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        finally:
            os.close(fd)
        sync_directory(self._directory)
        return name

    def read(self, name: str) -> bytes:
        """The bytes of a name.

        Raises:
            CallError: `not_kept`: they aren't there, or aren't what they were.
        """
        try:
            with open(self._path(name), "rb") as source:
                data = source.read()
        except OSError:
            data = b""
        if hashlib.sha256(data).hexdigest() != name:
            raise CallError("not_kept", "the bytes of that version are not kept any more.", "Nothing was changed.")
        return data

    def has(self, name: str) -> bool:
        """Whether bytes are kept under a name."""
        return os.path.exists(self._path(name))

    def sweep(self, used: Collection[str]) -> None:
        """Remove what no operation refers to, and what killed writers left. Nobody may be keeping bytes meanwhile."""
        for name in os.listdir(self._directory):
            if name not in used:
                with contextlib.suppress(OSError):
                    os.unlink(self._path(name))

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)


def sync_directory(path: str) -> None:
    """Make names in a directory last."""
    if os.name == "nt":
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
