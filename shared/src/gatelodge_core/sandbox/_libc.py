"""System calls by number, and prctl, through ctypes: what kernel confinement needs and the standard library lacks."""

from __future__ import annotations

import ctypes
import errno
import os
import sys

PR_SET_DUMPABLE = 4
PR_GET_SECCOMP = 21
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39
PR_GET_DUMPABLE = 3


def _load() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return library


_libc = _load()

Argument = int | bytes | None
"""An integer or address, a buffer that outlives the call, or NULL."""


def syscall(number: int, *arguments: Argument) -> int:
    """Make a system call; arguments are passed as 64-bit words.

    Raises:
        OSError: The call failed, or this isn't Linux (ENOSYS).
    """
    if _libc is None:
        raise OSError(errno.ENOSYS, "no Linux system calls here")
    return _checked(int(_libc.syscall(ctypes.c_long(number), *(_word(argument) for argument in arguments))))


def prctl(option: int, first: Argument = 0, second: Argument = 0) -> int:
    """Ask or change something of this process; what isn't given is zero, as it must be.

    Raises:
        OSError: It failed, or this isn't Linux (ENOSYS).
    """
    if _libc is None:
        raise OSError(errno.ENOSYS, "no Linux system calls here")
    words = (_word(first), _word(second), ctypes.c_long(0), ctypes.c_long(0))
    return _checked(int(_libc.prctl(ctypes.c_int(option), *words)))


def _word(argument: Argument) -> ctypes.c_long | ctypes.c_char_p:
    # A variadic call would pass a bare int as 32 bits and leave the upper half to chance.
    return ctypes.c_long(argument) if isinstance(argument, int) else ctypes.c_char_p(argument)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
