"""The two Linux system calls that the standard library lacks, through ctypes: openat2 and renameat2.

Sources: openat2(2), renameat2(2). The number of openat2 is 437 on every architecture; renameat2 is called through libc,
since its number differs.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_BENEATH = 0x08
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2

_OPENAT2 = 437
_AT_FDCWD = -100


class _OpenHow(ctypes.Structure):
    _fields_ = [("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64)]


def _load() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return library


_libc = _load()


def openat2(dir_fd: int, path: bytes, flags: int, resolve: int) -> int:
    """Open `path` below `dir_fd`; the kernel itself refuses what `resolve` excludes, however names are swapped.

    Args:
        dir_fd: A directory.
        path: Without NUL: ctypes would cut it there silently.
        flags: As for open(2), without O_CREAT.
        resolve: RESOLVE_* bits.

    Raises:
        OSError: EXDEV if the path leads out; ENOSYS where the call doesn't exist.
    """
    if b"\0" in path:
        raise OSError(errno.EINVAL, "NUL in path")
    if _libc is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    how = _OpenHow(flags, 0, resolve)
    found = _libc.syscall(
        ctypes.c_long(_OPENAT2),
        ctypes.c_int(dir_fd),
        ctypes.c_char_p(path),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if found < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(found)


def openat2_works() -> bool:
    """Whether this kernel, and the filter it runs us under, let openat2 through."""
    try:
        os.close(openat2(_AT_FDCWD, b".", os.O_PATH | os.O_CLOEXEC, RESOLVE_NO_MAGICLINKS))
    except (OSError, AttributeError):
        return False
    return True


def renameat2(source_fd: int, source: str, target_fd: int, target: str, flags: int) -> None:
    """Rename with RENAME_NOREPLACE or RENAME_EXCHANGE.

    Raises:
        OSError: ENOSYS or EINVAL where the system or this filesystem can't.
    """
    call = getattr(_libc, "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    first, second = os.fsencode(source), os.fsencode(target)
    if b"\0" in first + second:
        raise OSError(errno.EINVAL, "NUL in name")
    if call(source_fd, first, target_fd, second, ctypes.c_uint(flags)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
