"""The protocol's descriptors, taken out of everybody's reach before anything can print.

A host reads JSON from our descriptor 1 and gives up on the first line that isn't; a stray ``print``, a C library or a
child process must not be able to write there, nor a child read the host's messages from descriptor 0.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import NamedTuple


class Wire(NamedTuple):
    """The private descriptors of the protocol: messages come on `incoming`, answers leave on `outgoing`."""

    incoming: int
    outgoing: int


def claim() -> Wire:
    """Move descriptors 0 and 1 to private ones; 0 then reads nothing, and 1 writes to stderr.

    Raises:
        OSError: Descriptor 0 or 1 is closed.
    """
    sys.stdout.flush()
    wire = Wire(_private(0), _private(1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    try:
        os.dup2(2, 1)
    except OSError:  # started without stderr
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.close(sink)
    return wire


def _private(descriptor: int) -> int:
    """A close-on-exec duplicate above the standard three."""
    copies = [os.dup(descriptor)]
    while copies[-1] <= 2:
        copies.append(os.dup(descriptor))
    for copy in copies[:-1]:
        os.close(copy)
    os.set_inheritable(copies[-1], False)
    return copies[-1]


def pollable(descriptor: int) -> bool:
    """Whether asyncio can own the descriptor: a pipe or a socket that isn't shared with stderr.

    Owning sets O_NONBLOCK on the open file description; on one shared with stderr (a terminal, ``2>&1``) our own log
    would start to lose lines with EAGAIN.
    """
    if sys.platform == "win32":
        return False
    found = os.fstat(descriptor)
    if not (stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode)):
        return False
    try:
        errors = os.fstat(2)
    except OSError:
        return True
    return (found.st_dev, found.st_ino) != (errors.st_dev, errors.st_ino)
