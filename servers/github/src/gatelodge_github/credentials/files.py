"""Secrets in files that only their owner can read, and a credential that follows its file."""

from __future__ import annotations

import logging
import os
import shlex
import stat
import sys
from threading import Lock
from typing import NamedTuple

from gatelodge_core.auth.private import forbidden
from gatelodge_core.errors import CallError, SettingsError

from gatelodge_github.credentials.model import kind_of
from gatelodge_github.credentials.secret import Guarded, Sealed, checked, digest_of

_LOG = logging.getLogger(__name__)
_TOKEN_BYTES = 4096
_LONGEST_WAIT = 3600.0
_REPLACED = "If another file was put in its place, a confined server can't read it: write into the same file, or start it again."
"""Landlock's rules hold for files, not for their names (landlock(7))."""

Stamp = tuple[int, int, int, int, int]
"""What changes when a file does, its permissions included."""


def read_private(path: str, setting: str, limit: int) -> tuple[Sealed, Stamp]:
    """The text of a file that nobody but us may read, without whitespace around it.

    The checks are made on the file that was opened, links followed. Windows has no such bits; there they are left out.

    Args:
        path: Absolute.
        setting: What named the file, for the error.
        limit: The most bytes it may have.

    Raises:
        SettingsError: It can't be read, others may read it, or it is too large to be what it should be.
    """
    try:
        # A FIFO would block, a terminal would become ours.
        flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no path"
        raise SettingsError(f"{setting}: {path} can't be read: {reason}") from None
    try:
        facts = os.fstat(descriptor)
        _check_private(facts, path, setting, forbidden(descriptor, facts, path))
        text = _read(descriptor, limit)
    finally:
        os.close(descriptor)
    if text is None:
        raise SettingsError(f"{setting}: {path} can't be read, or has more than {limit} bytes")
    return text, _stamp(facts)


def _check_private(facts: os.stat_result, path: str, setting: str, closed: int) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise SettingsError(f"{setting}: {path} is no regular file")
    if sys.platform == "win32":
        return
    # Root could read it anyway; orchestrators mount secrets as root's.
    if facts.st_uid not in {os.geteuid(), 0}:
        raise SettingsError(
            f"{setting}: {path} belongs to user {facts.st_uid}, not to the one who runs this server ({os.geteuid()}). "
            "Make a copy that is your own, of mode 0600."
        )
    if facts.st_mode & closed:
        raise SettingsError(f"{setting}: {path} is open to others. Run: chmod 600 {shlex.quote(path)}")


def _read(descriptor: int, limit: int) -> Sealed | None:
    data = b""
    try:
        while len(data) <= limit and (part := os.read(descriptor, limit + 1 - len(data))):
            data += part
    except OSError:
        return None
    # Some editors put a byte order mark at the beginning.
    return Sealed(data.decode("utf-8-sig", "replace").strip()) if len(data) <= limit else None


def _stamp(facts: os.stat_result) -> Stamp:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


class _Held(NamedTuple):
    token: Sealed
    kind: str
    digest: str
    stamp: Stamp


class FileCredential(Guarded):
    """A token in a file of mode 0600, read again when the file changes or GitHub refuses the token.

    `kind` and `digest` are those of the token that was read last, so they change with it. A file that is gone, empty,
    or open to others is an error at the next call, not a reason to go on with what it held. After confinement the
    file stays readable only if the profile names `path`, and until another one is put in its place.

    Args:
        path: Of the file; ``~`` is expanded.
        source: The setting that named it.

    Raises:
        SettingsError: The file can't be used, with what to do.
    """

    __slots__ = ("_complaint", "_held", "_lock", "_stale", "path", "source")
    shown = ("kind", "source", "digest")

    def __init__(self, path: str, source: str = "token_file") -> None:
        self.path = os.path.abspath(os.path.expanduser(path))
        self.source = source
        self._lock = Lock()
        self._stale = False
        self._complaint = ""
        self._held = self._read()

    @property
    def kind(self) -> str:
        """The kind of the token that was read last."""
        return self._held.kind

    @property
    def digest(self) -> str:
        """The digest of the token that was read last."""
        return self._held.digest

    @property
    def app(self) -> bool:
        """Whether that token is an installation's."""
        return self._held.kind == "app"

    def token(self, seconds: float) -> str:
        """The token in the file.

        Raises:
            CallError: `token_unreadable`: the file can't be used any more; `timeout`.
        """
        if not self._current():
            self._renew(min(max(seconds, 0.0), _LONGEST_WAIT))
        return self._held.token.reveal()

    def current(self) -> str:
        """The token that was read last."""
        return self._held.token.reveal()

    def refused(self, token: str) -> None:
        """Read the file again at the next call, even if it looks unchanged."""
        if self._held.token.reveal() == token:
            self._stale = True

    def _current(self) -> bool:
        if self._stale:
            return False
        try:
            return _stamp(os.stat(self.path)) == self._held.stamp
        except OSError:
            return False

    def _renew(self, seconds: float) -> None:
        if not self._lock.acquire(timeout=seconds):
            raise CallError("timeout", "The file with the GitHub token can't be read in time.", "Try again.")
        try:
            if self._current():
                return
            complaint = ""
            try:
                self._held, self._stale = self._read(), False
            except SettingsError as error:
                complaint = f"{error}. {_REPLACED}"
            if complaint and complaint != self._complaint:
                _LOG.error("%s", complaint)
            self._complaint = complaint
        finally:
            self._lock.release()
        if complaint:
            # Raised out here, so that it has no context: that one names a path of this machine.
            raise CallError(
                "token_unreadable",
                "The file with the GitHub token can't be used any more.",
                "The person who runs this server finds the reason in its log.",
            )

    def _read(self) -> _Held:
        text, stamp = read_private(self.path, self.source, _TOKEN_BYTES)
        token = checked(text, f"{self.source}: {self.path}")
        return _Held(token, kind_of(token), digest_of(token), stamp)
