"""Changing two files' names for each other in one step, where the system can do that.

A plain rename loses what somebody else wrote between our last look and the rename. After a swap the other's text is
still there, under our name, and can be taken in.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

_AT_FDCWD = -100
_EXCHANGE = 2
"""``RENAME_EXCHANGE`` of renameat2(2), and ``RENAME_SWAP`` of renamex_np(2) on macOS: both are 2."""
_UNABLE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)


def swap(one: str, other: str) -> bool:
    """Let two names in a folder change places; false if the system or the file system can't.

    Raises:
        OSError: It could, but it failed.
    """
    library = ctypes.CDLL(None, use_errno=True) if sys.platform != "win32" else None
    first, second = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        status = library.renameat2(_AT_FDCWD, first, _AT_FDCWD, second, _EXCHANGE)
    elif sys.platform == "darwin" and hasattr(library, "renamex_np"):
        status = library.renamex_np(first, second, _EXCHANGE)
    else:
        return False
    if status == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNABLE:
        return False
    raise OSError(number, os.strerror(number), other)
