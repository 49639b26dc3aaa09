"""The seccomp filter: which system calls a confined process may still make.

It closes what Landlock leaves open: other processes, namespaces, metadata by path, sockets that are not TCP (UDP,
MPTCP, raw, netlink, vsock) and the ways around a socket's checks (io_uring, TCP Fast Open). Everything refused answers
EPERM, so that a library that merely tries goes on.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from gatelodge_core.sandbox import _bpf
from gatelodge_core.sandbox._bpf import Body, Instruction
from gatelodge_core.sandbox._libc import PR_GET_SECCOMP, PR_SET_SECCOMP, prctl
from gatelodge_core.sandbox._numbers import ARCHITECTURES, HIGHEST, REFUSED, Architecture

_MODE_FILTER = 2

_CLONE_THREAD = 0x00010000
# NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET; NEWTIME can't be asked of clone(2).
_CLONE_NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
# Typing into a terminal (TIOCSTI, TIOCLINUX), taking the console's output (TIOCCONS), line disciplines (TIOCSETD).
_TERMINAL_IOCTLS = (0x5412, 0x541C, 0x541D, 0x5423)
# PR_SET_DUMPABLE, PR_SET_MM, PR_SET_PTRACER: would make the process inspectable again.
_PRCTLS = (4, 35, 0x59616D61)
_MSG_FASTOPEN = 0x20000000
_TCP = 6
_UDP = 17


class Calls(NamedTuple):
    """What of the refusable a process needs.

    Args:
        children: Starting other programs; without, there is no fork either, only threads.
        forks: Copies of itself, but no other program.
        tcp: Making TCP connections.
        udp: Sending UDP, to any address: neither seccomp nor Landlock (below ABI 10) can look at one.
        unix: Connecting to Unix sockets.
        listening: Calling listen(2), on a socket that was bound before.
    """

    children: bool = False
    forks: bool = False
    tcp: bool = False
    udp: bool = False
    unix: bool = False
    listening: bool = False


def _kinds(calls: Calls) -> Iterator[tuple[int, int, int]]:
    """Family, type and protocol of the sockets that may be made."""
    families = (int(socket.AF_INET), int(socket.AF_INET6))
    stream, datagram = int(socket.SOCK_STREAM), int(socket.SOCK_DGRAM)
    for family in families:
        if calls.tcp:
            # By protocol: MPTCP (262) is a stream too, and connects past Landlock's list of ports.
            yield from ((family, stream, 0), (family, stream, _TCP))
        if calls.udp:
            yield from ((family, datagram, 0), (family, datagram, _UDP))
    if calls.unix:
        yield (int(socket.AF_UNIX), stream, 0)


def _judgements(calls: Calls) -> Iterator[tuple[str, Body]]:
    refuse: Body = [_bpf.REFUSE]
    # Its flags lie in memory, where a filter can't look; libc then takes clone(2).
    yield "clone3", [(_bpf.RETURN, 0, 0, _bpf.ABSENT)]
    if calls.children or calls.forks:
        yield "clone", _bpf.refuse_bits(0, _CLONE_NAMESPACES)
    else:
        yield "clone", _bpf.require_bits(0, _CLONE_THREAD, refused=_CLONE_NAMESPACES)
    if not calls.children:
        for name in ("execve", "execveat", "fork", "vfork"):
            yield name, refuse
    yield "ioctl", _bpf.refuse_values(1, _TERMINAL_IOCTLS)
    yield "prctl", _bpf.refuse_values(0, _PRCTLS)
    # Of itself, and only to look; setting is over.
    yield "prlimit64", _bpf.refuse_unless_null(0, 2)
    # Without a path it acts on the descriptor: futimens(3).
    yield "utimensat", _bpf.refuse_unless_null(1)
    yield "socket", _bpf.only_sockets(_kinds(calls))
    # What asyncio wakes itself with. A datagram pair could be sent to any address later.
    yield "socketpair", _bpf.only_sockets([(int(socket.AF_UNIX), int(socket.SOCK_STREAM), 0)])
    if not (calls.tcp or calls.udp or calls.unix):
        yield "connect", refuse
    if not calls.listening:
        yield "listen", refuse
    # Connects without connect(2), past Landlock's list of ports.
    yield "sendto", _bpf.refuse_bits(3, _MSG_FASTOPEN)
    yield "sendmsg", _bpf.refuse_bits(2, _MSG_FASTOPEN)
    yield "sendmmsg", _bpf.refuse_bits(3, _MSG_FASTOPEN)


def program(architecture: Architecture, calls: Calls) -> list[Instruction]:
    """The filter for one processor."""
    blocks: list[tuple[int, Body]] = []
    judged = [*((name, [_bpf.REFUSE]) for name in REFUSED), *_judgements(calls)]
    for name, body in judged:
        number = architecture.number(name)
        if number is not None:
            blocks.append((number, body))
    return _bpf.assemble(architecture.word, blocks, HIGHEST)


def enter(calls: Calls) -> None:
    """Put the filter on this thread and all it starts. `PR_SET_NO_NEW_PRIVS` must be set.

    Raises:
        OSError: The kernel has no seccomp filters, or refuses this one; ENOSYS on a processor whose numbers
            aren't known.
    """
    machine = os.uname().machine
    architecture = ARCHITECTURES.get(machine)
    if architecture is None or struct.calcsize("P") != 8:
        raise OSError(errno.ENOSYS, f"no filter for {machine}")
    code = program(architecture, calls)
    held = ctypes.create_string_buffer(_bpf.packed(code))
    # struct sock_fprog: a count, padding, and the address of the program.
    prctl(PR_SET_SECCOMP, _MODE_FILTER, struct.pack("@HP", len(code), ctypes.addressof(held)))


def active() -> bool:
    """Whether a filter is on this thread."""
    try:
        return prctl(PR_GET_SECCOMP) == _MODE_FILTER
    except OSError:
        return False
