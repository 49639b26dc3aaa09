"""Landlock: which files and TCP ports this process, and all it starts, can reach.

Rules hold the file or directory that was opened when they were made, whatever is at its name later, and can only be
tightened. What isn't granted is refused with EACCES. Not covered by the kernel: descriptors that are open already,
metadata (stat, chmod, by path), UDP and MPTCP; see `_seccomp` for the latter ones.

Sources: Documentation/userspace-api/landlock.rst, linux/landlock.h.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
from collections.abc import Iterable
from typing import NamedTuple

from gatelodge_core.sandbox._libc import syscall

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH, _NET_PORT = 1, 2

EXECUTE = 1 << 0
WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
REMOVE_DIR = 1 << 4
REMOVE_FILE = 1 << 5
MAKE_CHAR = 1 << 6
MAKE_DIR = 1 << 7
MAKE_REG = 1 << 8
MAKE_SOCK = 1 << 9
MAKE_FIFO = 1 << 10
MAKE_BLOCK = 1 << 11
MAKE_SYM = 1 << 12
REFER = 1 << 13
TRUNCATE = 1 << 14
IOCTL_DEV = 1 << 15
RESOLVE_UNIX = 1 << 16

READ = READ_FILE | READ_DIR
# Without EXECUTE, devices and their ioctls: a program written into a writable folder can't be started.
# Sockets and FIFOs, since moving one needs the right to make it.
CHANGE = (
    READ
    | WRITE_FILE
    | REMOVE_DIR
    | REMOVE_FILE
    | MAKE_DIR
    | MAKE_REG
    | MAKE_SYM
    | MAKE_SOCK
    | MAKE_FIFO
    | REFER
    | TRUNCATE
)
_OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV | RESOLVE_UNIX

_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT_UNIX, _SCOPE_SIGNAL = 1, 2

NEWEST = 9
"""The newest ABI whose rights are used here; a younger kernel still gives these."""


class PathRule(NamedTuple):
    """A grant: some rights on a file, or on a directory and everything beneath it."""

    path: str
    rights: int


def abi() -> int:
    """The Landlock ABI of this kernel; 0 if it has none, or a filter around us (a container's) hides it."""
    try:
        return syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            return 0
        raise


def file_rights(version: int) -> int:
    """All rights on files that an ABI knows."""
    highest = {1: MAKE_SYM, 2: REFER, 3: TRUNCATE, 4: TRUNCATE}.get(
        version, RESOLVE_UNIX if version >= 9 else IOCTL_DEV
    )
    return 2 * highest - 1 if version > 0 else 0


def enter(paths: Iterable[PathRule], ports: Iterable[int], version: int) -> None:
    """Confine this thread and all it starts. `PR_SET_NO_NEW_PRIVS` must be set.

    Args:
        paths: What may be reached. A path that doesn't exist grants nothing.
        ports: TCP ports that may be connected to, from ABI 4.
        version: The ABI to use; at least 1.

    Raises:
        OSError: The kernel refuses.
    """
    known = file_rights(version)
    net = _BIND_TCP | _CONNECT_TCP if version >= 4 else 0
    scopes = _SCOPE_ABSTRACT_UNIX | _SCOPE_SIGNAL if version >= 6 else 0
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = syscall(_CREATE_RULESET, struct.pack("=QQQ", known, net, scopes), size, 0)
    try:
        for rule in paths:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                _add_path(ruleset, rule, known)
        if net:
            for port in sorted(set(ports)):
                syscall(_ADD_RULE, ruleset, _NET_PORT, struct.pack("=QQ", _CONNECT_TCP, port), 0)
        syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _add_path(ruleset: int, rule: PathRule, known: int) -> None:
    fd = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights = rule.rights & known
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _OF_A_FILE
        # The kernel takes no rule without a right, such as one for sockets below ABI 9.
        if rights:
            syscall(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, fd), 0)
    finally:
        os.close(fd)
