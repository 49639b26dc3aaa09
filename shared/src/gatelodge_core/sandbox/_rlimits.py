"""Resource limits that a server at work never meets, and an attack does."""

from __future__ import annotations

import ctypes
import sys
from typing import NamedTuple

_MIB = 1024 * 1024
_M_ARENA_MAX = -8
_ARENAS = 4


class Bounds(NamedTuple):
    """Limits of the process, and of each process it starts; 0 leaves one as it is.

    Args:
        address_space: Bytes mapped. Twenty times what a server at work has mapped, since every thread reserves a
            stack of 8 MiB.
        descriptors: Open descriptors; the usual soft limit, which becomes the hard one.
        file_bytes: The largest file it may write; more fails with EFBIG.
    """

    address_space: int = 2048 * _MIB
    descriptors: int = 1024
    file_bytes: int = 1024 * _MIB


DEFAULT_BOUNDS = Bounds()


def enter(bounds: Bounds) -> None:
    """Set the limits, hard and soft; never above what is in force. Core dumps are off.

    Raises:
        OSError: The system refuses one.
    """
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - POSIX only

    _spare_arenas()
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_AS: bounds.address_space or None,
        resource.RLIMIT_NOFILE: bounds.descriptors or None,
        resource.RLIMIT_FSIZE: bounds.file_bytes or None,
    }
    for limit, value in wanted.items():
        if value is None:
            continue
        soft, hard = (
            value if held == resource.RLIM_INFINITY else min(value, held) for held in resource.getrlimit(limit)
        )
        resource.setrlimit(limit, (min(soft, hard), hard))


def _spare_arenas() -> None:
    """Keep glibc from reserving 64 MiB for each of many threads, which would be the first to meet the limit."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(ctypes.c_int(_M_ARENA_MAX), ctypes.c_int(_ARENAS))
