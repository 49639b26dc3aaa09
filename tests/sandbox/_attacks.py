"""What an attacker inside a server would try, and what its work needs, to be run in a process that confined itself.

    python -m tests.sandbox._attacks SPECIFICATION     (JSON, see `Specification`)

Prints one JSON object: for each deed ``did``, the name of the errno, or the name of another exception.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from gatelodge_core.sandbox import profiles
from gatelodge_core.sandbox._libc import prctl, syscall
from gatelodge_core.sandbox._numbers import ARCHITECTURES
from gatelodge_core.sandbox.kernel import Confinement, confine

MPTCP = 262
FAST_OPEN = 0x20000000


@dataclass
class Grounds:
    """Where things are."""

    root: str = ""
    granted: str = ""
    """A read-only root."""
    state: str = ""
    outside: str = ""
    """A folder with the file ``secret``, not granted."""
    port: int = 0
    """Where something listens on 127.0.0.1; `other_port` too."""
    other_port: int = 0
    unix: str = ""
    """A folder with the listening socket ``s``."""
    abstract: str = ""
    ripgrep: str = ""


@dataclass
class Specification:
    """A profile by name, or empty for none; and what is done after it is entered."""

    profile: str
    grounds: Grounds
    deeds: list[str] = field(default_factory=list[str])

    def dump(self) -> str:
        return json.dumps({"profile": self.profile, "grounds": vars(self.grounds), "deeds": self.deeds})


def profile(name: str, at: Grounds) -> profiles.Profile:
    roots = ([at.granted], [at.root], at.state)
    match name:
        case "filesystem":
            return profiles.filesystem(*roots)
        case "filesystem with ripgrep":
            return profiles.filesystem(*roots, needs_exec=at.ripgrep)
        case "postgres":
            return profiles.postgres([at.port], at.state, export=at.root, sockets=[at.unix])
        case "postgres by address":
            return profiles.postgres([at.port], at.state, export=at.root, resolve=False)
        case "github":
            return profiles.github(at.state, ports=[at.port], cache=at.root)
        case "websearch":
            return profiles.websearch(at.state, ports=[at.port], cache=at.root)
        case _:
            raise ValueError(name)


def called(name: str, *arguments: int) -> int:
    """A raw system call, by its name."""
    number = ARCHITECTURES[os.uname().machine].number(name)
    assert number is not None, name
    return syscall(number, *arguments)


def read(path: str) -> None:
    with open(path, "rb") as source:
        source.read(1)


def write(path: str) -> None:
    with open(path, "ab") as target:
        target.write(b"x")


def listed(path: str) -> None:
    os.listdir(path)


def through_link(at: Grounds) -> None:
    link = os.path.join(at.root, f"link-{os.getpid()}")
    os.symlink(os.path.join(at.outside, "secret"), link)
    read(link)


def planted(at: Grounds) -> None:
    path = os.path.join(at.root, f"planted-{os.getpid()}")
    with open(path, "w", encoding="utf-8") as target:
        target.write('#!/bin/sh\necho \'{"outcome": "did"}\'\n')
        os.fchmod(target.fileno(), 0o755)
    os.execv(path, [path])


def shell() -> None:
    os.execv("/bin/sh", ["sh", "-c", 'echo \'{"outcome": "did"}\''])


def child() -> None:
    subprocess.run(["/bin/true"], check=True)


def fork() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def cloned(flags: int) -> None:
    # SIGCHLD, so that the parent can wait for it.
    pid = called("clone", flags | 17, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def tcp(port: int, protocol: int = 0) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol) as sender:
        sender.settimeout(5)
        sender.connect(("127.0.0.1", port))


def fast_open(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sender:
        sender.settimeout(5)
        sender.sendto(b"leaked", FAST_OPEN, ("127.0.0.1", port))


def fast_open_message(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sender:
        sender.settimeout(5)
        sender.sendmsg([b"leaked"], [], FAST_OPEN, ("127.0.0.1", port))


def bound_tcp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.bind(("127.0.0.1", 0))


def udp(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"leaked", ("127.0.0.1", port))


def made(family: int, kind: int, protocol: int = 0) -> None:
    socket.socket(family, kind, protocol).close()


def unix(address: str, kind: int = socket.SOCK_STREAM) -> None:
    with socket.socket(socket.AF_UNIX, kind) as sender:
        sender.connect(address)


def datagram_pair(address: str) -> None:
    """The way round a refused socket(2): a pair's end that is sent to somebody else."""
    first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with first, second:
        first.sendto(b"leaked", address)


def four_gibibytes() -> None:
    mmap.mmap(-1, 4 << 30).close()


def core_limit() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (4096, 4096))


def more_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard + 1))


def made_between_processes(kind: str) -> None:
    """Something of System V that other processes of the user could see; removed again."""
    made = called(f"{kind}get", 0, *([4096] if kind == "shm" else [1] if kind == "sem" else []), 0o600)
    called(f"{kind}ctl", made, 0, 0)


def terminal() -> None:
    call = ctypes.CDLL(None, use_errno=True).ioctl
    # High bits that the kernel doesn't look at must not hide the request.
    if call(ctypes.c_int(999), ctypes.c_ulong(0x5412 | 1 << 32), ctypes.c_char_p(b"x")) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def attacks(at: Grounds) -> dict[str, Callable[[], object]]:
    """What no profile lets through, except where a test says so."""
    secret, parent = os.path.join(at.outside, "secret"), os.getppid()
    x32 = 0x40000000
    return {
        "exec of a shell": shell,
        "exec of a planted program": lambda: planted(at),
        "a child process": child,
        "fork": fork,
        "ptrace": lambda: called("ptrace", 16, 0x3FFFFFFF, 0, 0),  # PTRACE_ATTACH, to nobody
        "memory of another": lambda: called("process_vm_readv", parent, 0, 0, 0, 0, 0),
        "descriptor of another": lambda: called("pidfd_getfd", 999, 0, 0),
        "signal to the parent": lambda: os.kill(parent, 0),
        "reading a secret": lambda: read(secret),
        "reading /etc/passwd": lambda: read("/etc/passwd"),
        "reading ~/.ssh": lambda: read(os.path.expanduser("~/.ssh/id_ed25519")),
        "reading the environment": lambda: read("/proc/self/environ"),
        "listing /": lambda: listed("/"),
        "listing /proc": lambda: listed("/proc"),
        "listing the folder above": lambda: listed(os.path.dirname(at.root)),
        "reading by a link": lambda: through_link(at),
        "reading by /proc/self/root": lambda: read(f"/proc/self/root{secret}"),
        "writing outside": lambda: write(secret),
        "creating outside": lambda: write(os.path.join(at.outside, "new")),
        "truncating outside": lambda: os.truncate(secret, 1),
        "removing outside": lambda: os.rmdir(os.path.join(at.outside, "empty")),
        "moving in from outside": lambda: os.rename(secret, os.path.join(at.root, "stolen")),
        "linking from outside": lambda: os.link(secret, os.path.join(at.root, f"hard-{os.getpid()}")),
        "FIFO outside": lambda: os.mkfifo(os.path.join(at.outside, f"fifo-{os.getpid()}")),
        "mode outside": lambda: os.chmod(secret, 0o666),
        "owner outside": lambda: os.chown(secret, os.getuid(), os.getgid()),
        "times outside": lambda: os.utime(secret),
        "attribute outside": lambda: os.setxattr(secret, "user.x", b"x"),
        "handle of a file": lambda: called("open_by_handle_at", -1, 0, 0),
        "TCP to a port": lambda: tcp(at.other_port),
        "MPTCP to a port": lambda: tcp(at.other_port, MPTCP),
        "TCP Fast Open": lambda: fast_open(at.other_port),
        "TCP Fast Open by sendmsg": lambda: fast_open_message(at.other_port),
        "TCP bound": bound_tcp,
        "UDP": lambda: udp(at.other_port),
        "netlink socket": lambda: made(socket.AF_NETLINK, socket.SOCK_RAW),
        "vsock": lambda: made(socket.AF_VSOCK, socket.SOCK_STREAM),
        "raw socket": lambda: made(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        "packet socket": lambda: made(socket.AF_PACKET, socket.SOCK_RAW),
        "kernel crypto socket": lambda: made(socket.AF_ALG, socket.SOCK_SEQPACKET),
        "abstract socket": lambda: unix(f"\0{at.abstract}"),
        "abstract datagram": lambda: unix(f"\0{at.abstract}-d", socket.SOCK_DGRAM),
        "abstract datagram of a pair": lambda: datagram_pair(f"\0{at.abstract}-d"),
        "Unix socket": lambda: unix(os.path.join(at.unix, "s")),
        "user namespace": lambda: called("unshare", 0x10000000),
        "user namespace by clone": lambda: cloned(0x10000000),
        "entering a namespace": lambda: called("setns", 999, 0),
        "mount": lambda: called("mount", 0, 0, 0, 0, 0),
        "chroot": lambda: called("chroot", 0),
        "4 GiB": four_gibibytes,
        "core limit": core_limit,
        "more descriptors": more_descriptors,
        "dumpable again": lambda: prctl(4, 1),
        "io_uring": lambda: called("io_uring_setup", 1, 0),
        "bpf": lambda: called("bpf", 0, 0, 0),
        "perf_event_open": lambda: called("perf_event_open", 0, 0, -1, -1, 0),
        "userfaultfd": lambda: called("userfaultfd", 0),
        "keyring": lambda: called("keyctl", 0, -3, 0, 0, 0),
        "shared memory": lambda: made_between_processes("shm"),
        "semaphores": lambda: made_between_processes("sem"),
        "message queue": lambda: made_between_processes("msg"),
        "message queue by name": lambda: called("mq_open", 0, 0, 0, 0),
        "priority of the parent": lambda: os.setpriority(
            os.PRIO_PROCESS, parent, os.getpriority(os.PRIO_PROCESS, parent)
        ),
        "processors of the parent": lambda: os.sched_setaffinity(parent, os.sched_getaffinity(parent)),
        "scheduling of the parent": lambda: os.sched_setscheduler(parent, os.SCHED_OTHER, os.sched_param(0)),
        "kernel module": lambda: called("init_module", 0, 0, 0),
        "memory as a program": lambda: os.memfd_create("x"),
        "x32": lambda: syscall(x32 | 39),
        "a system call of the future": lambda: syscall(600),
        "typing into a terminal": terminal,
    }


def outcome(deed: Callable[[], object]) -> str:
    try:
        deed()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    except ValueError as error:
        # What `resource` makes of EPERM.
        return "EPERM" if "not allowed" in str(error) else f"ValueError: {error}"
    except Exception as error:  # noqa: BLE001 - reported to the test
        return f"{type(error).__name__}: {error}"
    return "did"


def main(text: str) -> None:
    from tests.sandbox._work import works

    given = json.loads(text)
    at = Grounds(**given["grounds"])
    deeds = {**attacks(at), **works(at)}
    reached: Confinement | None = confine(profile(given["profile"], at)) if given["profile"] else None
    outcomes = {name: outcome(deeds[name]) for name in given["deeds"]}
    found = {"outcome": next(iter(outcomes.values()), ""), "outcomes": outcomes, "threads": threading.active_count()}
    if reached is not None:
        found |= {"summary": reached.summary(), "scratch": reached.scratch, "complete": reached.complete}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
