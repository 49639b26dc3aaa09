"""Rewriting a file that belongs to somebody else and may be written by them at the same time.

The new text goes into a file of its own beside the old one, with the same mode, owner and attributes, and takes its
place in one step. What stood there at that moment is compared with what the change was made from; if it is something
else, the change is made again from that, so that no edit is lost. A symbolic link is written through, as people link
their configuration into a repository.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

from gatelodge_core.cli.hosts.entries import decoded
from gatelodge_core.cli.hosts.swap import swap
from gatelodge_core.cli.hosts.unreadable import Unreadable
from gatelodge_core.errors import GatelodgeError, SettingsError

ROUNDS = 50
SETTLE_SECONDS = 0.05
SETTLE_ROUNDS = 20
_MARK = b"\xef\xbb\xbf"

Edit = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What happened to a file.

    Args:
        path: Where it really is, links followed.
        before: Its text before; None if it wasn't there.
        after: Its text now; None if it was removed.
    """

    path: str
    before: str | None
    after: str | None

    @property
    def changed(self) -> bool:
        """Whether it is different now."""
        return self.before != self.after


def planned(path: str, edit: Edit) -> Rewritten:
    """What `rewrite` would do now; nothing is changed.

    Raises:
        SettingsError: The file can't be used; the text says why, and what to do.
        Unreadable: `edit` raised it.
    """
    real = _real(path)
    base, new = _settled(real, edit)
    return Rewritten(real, _text(base), _text(new))


def rewrite(path: str, edit: Edit, keep: Callable[[bytes], object], *, private: bool) -> Rewritten:
    """Change a file's text.

    Args:
        path: The file, perhaps a link to it, perhaps not there yet.
        edit: Gives the new text for an old one, without a byte order mark; None removes the file. It may be called
            several times, each time with what stands there now.
        keep: Called with the old bytes before anything is changed.
        private: Whether a file that is made is for its owner alone.

    Raises:
        SettingsError: The file can't be written; the text says why, and what to do. It is as it was.
        Unreadable: `edit` raised it.
    """
    real = _real(path)
    base, new = _settled(real, edit)
    if new == base:
        return Rewritten(real, _text(base), _text(base))
    if base is not None:
        keep(base)
    expected = base
    for _ in range(ROUNDS):
        out, placed = _replaced(real, new, expected, private=private)
        if placed and out == expected:
            return Rewritten(real, _text(base), _text(new))
        # Somebody wrote meanwhile. Theirs is `out`, and ours must be made from that.
        base, expected = out, new if placed else out
        try:
            new = _edited(out, edit)
        except GatelodgeError:
            _give_back(real, out, expected, private=private)
            raise
    _give_back(real, base, expected, private=private)
    raise SettingsError(f"{path}: something writes to it all the time; end the host, and try again")


def _give_back(real: str, theirs: bytes | None, ours: bytes | None, *, private: bool) -> None:
    """Undo, after somebody else's text was taken from its place."""
    if theirs != ours:
        _replaced(real, theirs, ours, private=private)


def _edited(data: bytes | None, edit: Edit) -> bytes | None:
    mark = _MARK if data is not None and data.startswith(_MARK) else b""
    new = edit(decoded(data) if data is not None else "")
    return None if new is None else mark + new.encode()


def _text(data: bytes | None) -> str | None:
    return None if data is None else decoded(data)


def _real(path: str) -> str:
    """Where a file really is.

    Raises:
        SettingsError: It can't be used.
    """
    real = os.path.realpath(path)
    try:
        found = os.stat(real)
    except FileNotFoundError:
        return real
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise SettingsError(f"{path} is no file")
    # Root could write it all the same, but somebody wanted it to stay as it is (Nix, for example).
    if not found.st_mode & 0o222 or not os.access(real, os.W_OK):
        raise SettingsError(f"{real} is read-only; to let it be changed: chmod u+w '{real}'")
    return real


def _settled(real: str, edit: Edit) -> tuple[bytes | None, bytes | None]:
    """A file's bytes, once nobody is in the middle of writing them, and the new ones; None if it isn't there.

    Some hosts write in place: the file is empty for a moment, then half written.

    Raises:
        SettingsError: It can't be read, or never settles.
        Unreadable: It has settled, and can't be understood.
    """
    before: bytes | None = None
    for _ in range(SETTLE_ROUNDS):
        data = _read(real)
        settled = data is None or data == before
        try:
            if settled or (data or b"").strip():
                return data, _edited(data, edit)
        except Unreadable:
            if settled:
                raise
        before = data
        time.sleep(SETTLE_SECONDS)
    raise SettingsError(f"{real}: something writes to it all the time; end the host, and try again")


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as source:
            return source.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}") from None


def _replaced(real: str, new: bytes | None, expected: bytes | None, *, private: bool) -> tuple[bytes | None, bool]:
    """Put bytes in a file's place; what stood there at that moment, and whether they are there now.

    Raises:
        SettingsError: It can't be done, and nothing was changed.
    """
    folder = os.path.dirname(real)
    beside = ""
    try:
        if new is None:
            return _removed(real, expected)
        os.makedirs(folder, exist_ok=True)
        beside = _beside(real, new, private=private)
        if expected is None:
            return _made(real, beside)
        if os.stat(real).st_nlink > 1:
            return _in_place(real, new)
        return _exchanged(real, beside, expected)
    except FileNotFoundError:
        return None, False
    except OSError as error:
        raise SettingsError(f"{real} can't be written: {error.strerror}; it is as it was. Is {folder} yours?") from None
    finally:
        if beside:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside)


def _beside(real: str, data: bytes, *, private: bool) -> str:
    """A new file in the same folder, with all that the old one has but its text."""
    descriptor, name = tempfile.mkstemp(prefix=".gatelodge-", suffix=".tmp", dir=os.path.dirname(real))
    try:
        with os.fdopen(descriptor, "wb") as sink:
            sink.write(data)
            sink.flush()
            if os.name == "posix":
                _dress(sink.fileno(), real, private=private)
            os.fsync(sink.fileno())
    except BaseException:
        os.unlink(name)
        raise
    return name


def _dress(descriptor: int, real: str, *, private: bool) -> None:
    """Mode, owner and attributes of the old file, or those that a new one should have."""
    try:
        old = os.stat(real)
    except FileNotFoundError:
        mask = os.umask(0o077)
        os.umask(mask)
        os.fchmod(descriptor, 0o600 if private else 0o666 & ~mask)
        return
    own = os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (own.st_uid, own.st_gid):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
    if hasattr(os, "listxattr"):
        for name in os.listxattr(real):
            # Those that only the system may set come by themselves.
            with contextlib.suppress(OSError):
                os.setxattr(descriptor, name, os.getxattr(real, name))


def _made(real: str, beside: str) -> tuple[bytes | None, bool]:
    """Give a new file its name, unless somebody else was faster."""
    try:
        if os.name == "nt":
            os.rename(beside, real)  # fails if it is there
        else:
            os.link(beside, real)
    except FileExistsError:
        return _read(real), False
    _sync(real)
    return None, True


def _removed(real: str, expected: bytes | None) -> tuple[bytes | None, bool]:
    out = _read(real)
    if out != expected:
        return out, False
    with contextlib.suppress(FileNotFoundError):
        os.unlink(real)
    _sync(real)
    return out, True


def _exchanged(real: str, beside: str, expected: bytes) -> tuple[bytes | None, bool]:
    if swap(beside, real):
        _sync(real)
        out = _read(beside)
        # Who had it open to write in place may be about to, or in the middle of it.
        while out != (later := _after(beside)):
            out = later
        return out, True
    out = _read(real)
    if out != expected:
        return out, False
    os.replace(beside, real)
    _sync(real)
    return out, True


def _after(path: str) -> bytes | None:
    time.sleep(SETTLE_SECONDS)
    return _read(path)


def _in_place(real: str, new: bytes) -> tuple[bytes | None, bool]:
    """A file with several names keeps them all only if it is written itself."""
    with open(real, "r+b") as both:
        out = both.read()
        both.seek(0)
        both.write(new)
        both.truncate()
        both.flush()
        os.fsync(both.fileno())
    return out, True


def _sync(real: str) -> None:
    if os.name != "posix":
        return
    folder = os.open(os.path.dirname(real), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
