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

ROUNDS = 200
DURABLE_ROUNDS = 3
SETTLE_SECONDS = 0.05
SETTLE_ROUNDS = 60
EMPTY_ROUNDS = 40
QUICK_SECONDS = 0.002
QUICK_ROUNDS = 1000
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
    ours: bytes | None = None
    for number in range(ROUNDS):
        # Waiting for the disk takes so long that a busy writer is always faster; then it comes afterwards.
        durable = number < DURABLE_ROUNDS
        out, placed = _replaced(real, new, base if ours is None else ours, edit, private=private, durable=durable)
        if placed and out == (base if ours is None else ours):
            return Rewritten(real, _text(base), _text(new))
        # Somebody wrote meanwhile. Theirs is `out`, and ours must be made from that, fast.
        try:
            base, again = _settled(real, edit) if not placed else (out, _edited(out, edit))
        except GatelodgeError:
            if placed:
                _replaced(real, out, new, edit, private=private)
            raise
        ours, new = new if placed else None, again
    if ours is not None:
        _replaced(real, base, ours, edit, private=private)
    raise SettingsError(f"{path}: something writes to it all the time; end the host, and try again")


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
    same = 0
    for _ in range(SETTLE_ROUNDS):
        data = _read(real)
        same = same + 1 if data == before else 0
        # Nothing at all is most likely a file that is just being written, so that takes longer to believe.
        settled = data is None or same >= (1 if data or _rests(real) else EMPTY_ROUNDS)
        try:
            if settled or (data or b"").strip():
                return data, _edited(data, edit)
        except Unreadable:
            if settled:
                raise
        before = data
        time.sleep(SETTLE_SECONDS)
    raise SettingsError(f"{real}: something writes to it all the time; end the host, and try again")


def _rests(real: str) -> bool:
    """Whether nobody has written to a file for some time."""
    with contextlib.suppress(OSError):
        return abs(time.time() - os.stat(real).st_mtime) > EMPTY_ROUNDS * SETTLE_SECONDS
    return False


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as source:
            return source.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path} can't be read: {error.strerror}") from None


def _replaced(
    real: str, new: bytes | None, expected: bytes | None, edit: Edit, *, private: bool, durable: bool = True
) -> tuple[bytes | None, bool]:
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
        beside = _beside(real, new, private=private, durable=durable)
        if expected is None:
            return _made(real, beside)
        if os.stat(real).st_nlink > 1:
            return _in_place(real, new)
        return _exchanged(real, beside, new, expected, edit)
    except FileNotFoundError:
        return None, False
    except OSError as error:
        raise SettingsError(f"{real} can't be written: {error.strerror}; it is as it was. Is {folder} yours?") from None
    finally:
        if beside:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside)


def _beside(real: str, data: bytes, *, private: bool, durable: bool) -> str:
    """A new file in the same folder, with all that the old one has but its text; on the disk already if `durable`."""
    descriptor, name = tempfile.mkstemp(prefix=".gatelodge-", suffix=".tmp", dir=os.path.dirname(real))
    try:
        with os.fdopen(descriptor, "wb") as sink:
            sink.write(data)
            sink.flush()
            if os.name == "posix":
                _dress(sink.fileno(), real, private=private)
            if durable:
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


def _exchanged(real: str, beside: str, new: bytes, expected: bytes, edit: Edit) -> tuple[bytes | None, bool]:
    # The last look: from here to the swap or rename it is microseconds.
    out = _read(real)
    if out != expected:
        return out, False
    if not swap(beside, real):
        os.replace(beside, real)
        _sync(real)
        return out, True
    out = _read(beside)
    if out != expected:
        # Theirs gets its place back at once, before anybody has read ours, which lacks what they wrote.
        swap(beside, real)
        if _read(beside) != new:
            swap(beside, real)  # somebody wrote over ours in that moment: theirs is the newest
        return _read(real), False
    _sync(real)
    return _displaced(beside, expected, edit), True


def _displaced(beside: str, expected: bytes, edit: Edit) -> bytes | None:
    """What is in a file that has lost its name, once nobody can be in the middle of writing it in place."""
    time.sleep(SETTLE_SECONDS)
    out = _read(beside)
    for _ in range(QUICK_ROUNDS):
        if out == expected or (out and _understood(out, edit)):
            break
        time.sleep(QUICK_SECONDS)
        out = _read(beside)
    return out


def _understood(data: bytes, edit: Edit) -> bool:
    try:
        _edited(data, edit)
    except GatelodgeError:
        return False
    return True


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
    """See that a file and its name are on the disk."""
    if os.name != "posix":
        return
    for path in (real, os.path.dirname(real)):
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
