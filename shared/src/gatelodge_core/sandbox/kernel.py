"""Confinement by the kernel: after `confine` this process, and all it starts, can reach what its profile names.

Resource limits, no new privileges, Landlock (files, TCP ports, scopes), not inspectable by others, and a seccomp
filter, in that order, since each step needs calls that a later one refuses. Linux only; elsewhere nothing is reached,
and `Confinement.missing` says so.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import NamedTuple

from gatelodge_core.errors import GatelodgeError
from gatelodge_core.sandbox import _landlock, _rlimits, _scratch, _seccomp
from gatelodge_core.sandbox._environ import scrub
from gatelodge_core.sandbox._landlock import PathRule
from gatelodge_core.sandbox._libc import (
    PR_GET_DUMPABLE,
    PR_GET_NO_NEW_PRIVS,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    prctl,
)
from gatelodge_core.sandbox.profiles import Profile, loader, python_files

__all__ = ["Confinement", "ConfinementError", "confine", "renounce", "scrub"]

_NET_ABI, _TRUNCATE_ABI, _IOCTL_ABI, _SCOPE_ABI, _UNIX_ABI = 4, 3, 5, 6, 9


class ConfinementError(GatelodgeError):
    """The process can't be confined in a way that holds; a server must not start."""


class Confinement(NamedTuple):
    """The level that was really reached.

    Args:
        landlock_abi: Of the kernel; 0 if there is no Landlock.
        landlock_fs: Whether files are confined.
        landlock_net: Whether TCP ports are.
        landlock_scopes: Whether abstract Unix sockets and signals to others are refused.
        seccomp: Whether system calls are filtered.
        rlimits: Whether resources are limited.
        no_new_privs: Whether setuid programs give no privileges.
        dumpable: Whether other processes of the user may still inspect this one.
        missing: What was not reached and why, a sentence each.
        scratch: The private temporary directory, or empty.
    """

    landlock_abi: int
    landlock_fs: bool
    landlock_net: bool
    landlock_scopes: bool
    seccomp: bool
    rlimits: bool
    no_new_privs: bool
    dumpable: bool
    missing: tuple[str, ...] = ()
    scratch: str = ""

    @property
    def complete(self) -> bool:
        """Whether everything the profile asks for holds; ``--require-sandbox`` wants this."""
        return not self.missing

    def summary(self) -> str:
        """The level in a few words, such as ``landlock 7 (files, ports, scopes), seccomp, rlimits``."""
        covered = [
            word
            for word, reached in (
                ("files", self.landlock_fs),
                ("ports", self.landlock_net),
                ("scopes", self.landlock_scopes),
            )
            if reached
        ]
        parts = [f"landlock {self.landlock_abi} ({', '.join(covered)})"] if covered else []
        parts += ["seccomp"] if self.seccomp else []
        parts += ["rlimits"] if self.rlimits else []
        text = ", ".join(parts) or "none"
        return f"{text}; missing: {'; '.join(self.missing)}" if self.missing else text


def confine(profile: Profile) -> Confinement:
    """Confine this process for the rest of its life, with a private temporary directory for it.

    Call it after settings, imports and listening sockets, before any thread and the event loop.

    Raises:
        ConfinementError: Another thread runs already and would stay free; or the kernel accepted a layer that does
            not hold. The process must then end.
        OSError: The temporary directory can't be made, or a limit can't be set.
    """
    if sys.platform != "linux":
        nothing = f"confinement by the kernel: there is none on {sys.platform}; use a container"
        return Confinement(0, False, False, False, False, False, False, True, (nothing,))
    _single()
    scratch = _scratch.make()
    rules = _rules(profile, scratch)
    missing: list[str] = []
    _rlimits.enter(profile.bounds)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    abi = _landlock.abi()
    if abi:
        _landlock.enter(rules, profile.connect, min(abi, _landlock.NEWEST))
    missing += _lacking(abi, profile)
    prctl(PR_SET_DUMPABLE, 0)
    missing += _filter(profile)
    reached = Confinement(
        landlock_abi=abi,
        landlock_fs=abi > 0,
        landlock_net=abi >= _NET_ABI,
        landlock_scopes=abi >= _SCOPE_ABI,
        seccomp=_seccomp.active(),
        rlimits=True,
        no_new_privs=prctl(PR_GET_NO_NEW_PRIVS) == 1,
        dumpable=prctl(PR_GET_DUMPABLE) != 0,
        missing=tuple(missing),
        scratch=scratch.path,
    )
    _probe(reached, profile)
    return reached


def renounce() -> None:
    """Give up what confinement left: files, sockets, children. For a forked copy that is about to touch foreign bytes.

    What the kernel lacks was reported by `confine`, which must have been called.

    Raises:
        OSError: A layer that the kernel has can't be added.
    """
    abi = _landlock.abi()
    if abi:
        _landlock.enter([], (), min(abi, _landlock.NEWEST))
    if _seccomp.active():
        _seccomp.enter(_seccomp.Calls())


def _single() -> None:
    """Refuse if there is any other thread; Landlock and the filter would not hold it."""
    try:
        threads = len(os.listdir("/proc/self/task"))
    except OSError as error:
        raise ConfinementError(f"can't count the threads of this process: /proc: {error.strerror}") from None
    if threads != 1:
        raise ConfinementError(
            f"{threads} threads run already, and those not confined could reach everything. "
            "Something that was imported or built started one too early."
        )


def _rules(profile: Profile, scratch: _scratch.Scratch) -> list[PathRule]:
    read = [PathRule(path, _landlock.READ) for path in (*python_files(), *profile.read)]
    write = [PathRule(path, _landlock.CHANGE) for path in (*profile.write, scratch.path)]
    unix = [PathRule(path, _landlock.RESOLVE_UNIX) for path in profile.unix]
    nothing = PathRule(os.devnull, _landlock.READ_FILE | _landlock.WRITE_FILE | _landlock.TRUNCATE)
    rules = [*read, *write, *unix, nothing, PathRule(scratch.base, _landlock.REMOVE_DIR)]
    if profile.execute is not None:
        # The loader can map any readable file as a program; that runs inside this same confinement.
        programs = [program for program in (profile.execute, loader(profile.execute)) if program is not None]
        rules += [PathRule(program, _landlock.EXECUTE | _landlock.READ_FILE) for program in programs]
    return rules


def _lacking(abi: int, profile: Profile) -> list[str]:
    """What this Landlock doesn't cover and nothing else does."""
    if not abi:
        return ["landlock: this kernel has none, or the container's filter hides it: files are held by the jail alone"]
    lacks: list[tuple[int, bool, str]] = [
        (_TRUNCATE_ABI, True, "truncating files outside"),
        (_IOCTL_ABI, True, "ioctl of devices"),
        (_NET_ABI, bool(profile.connect), "TCP ports"),
        (_SCOPE_ABI, True, "signals to other processes"),
        (_SCOPE_ABI, bool(profile.unix), "abstract Unix sockets"),
    ]
    return [
        f"landlock: {what} needs ABI {needed}, this kernel has {abi}"
        for needed, asked, what in lacks
        if asked and abi < needed
    ]


def _filter(profile: Profile) -> list[str]:
    calls = _seccomp.Calls(
        children=profile.execute is not None,
        forks=profile.forks,
        tcp=bool(profile.connect),
        udp=profile.udp,
        unix=bool(profile.unix),
        listening=profile.listening,
    )
    try:
        _seccomp.enter(calls)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.EACCES):
            raise
        return [f"seccomp: {error.strerror or error}: sockets and system calls are not filtered"]
    return []


def _probe(reached: Confinement, profile: Profile) -> None:
    """Try what must not work any more."""
    holes: list[str] = []
    granted = {os.path.realpath(path) for path in (*profile.read, *profile.write)}
    if reached.landlock_fs and "/" not in granted and _opens("/"):
        holes.append("landlock: / can be opened")
    if reached.seccomp:
        if not profile.udp and _makes_socket(socket.SOCK_DGRAM):
            holes.append("seccomp: a UDP socket can be made")
        if not profile.connect and _makes_socket(socket.SOCK_STREAM):
            holes.append("seccomp: a TCP socket can be made")
    if not reached.no_new_privs or reached.dumpable:
        holes.append("prctl: has no effect")
    if holes:
        raise ConfinementError(f"confinement doesn't hold: {'; '.join(holes)}")


def _opens(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except PermissionError:
        return False
    return True


def _makes_socket(kind: int) -> bool:
    try:
        socket.socket(socket.AF_INET, kind).close()
    except PermissionError:
        return False
    except OSError:
        return False  # a kernel without IPv4
    return True
