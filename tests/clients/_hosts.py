"""What the client tests share: where the clients are, where they run, and how long they may take."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.clients.install import HERE, InstallError, find_node, outdated
from tests.support.wire import Server

Era = Literal["legacy", "modern"]
ERAS: tuple[Era, ...] = ("legacy", "modern")

DEADLINE = 60.0
"""Seconds after which a client that hasn't ended is a failure."""

TOOLS = {
    "list_roots", "read_file", "list_directory", "find_files", "search_text", "get_file_info", "write_file", "edit_file",
}  # fmt: skip
"""The tools that the filesystem server has at least."""

# None begins with GATELODGE_: a server refuses a setting that it doesn't know.
PACKAGES = Path(os.environ.get("TESTS_CLIENTS") or HERE)
REQUIRED = os.environ.get("CI", "").lower() in ("1", "true") or os.environ.get("TESTS_REQUIRE_CLIENTS") == "1"
"""Whether absent clients are a failure rather than a reason to skip."""
_SERVER = shlex.split(os.environ.get("TESTS_CLIENTS_SERVER", ""))


def server_command(*roots: Path) -> list[str]:
    """How a host starts the filesystem server: the installed script, or what ``TESTS_CLIENTS_SERVER`` names."""
    script = Path(sys.executable).parent / ("gatelodge-filesystem.exe" if os.name == "nt" else "gatelodge-filesystem")
    return [*(_SERVER or [str(script)]), *map(str, roots)]


def absence() -> str:
    """Why the clients can't be used; empty if they can."""
    try:
        find_node()
    except InstallError as error:
        return str(error)
    if wrong := outdated(PACKAGES):
        return f"not installed: {', '.join(wrong)}; run `uv run python tests/clients/install.py`"
    return ""


# Brings up loopback in a new network namespace, says so, and holds the namespace until its input ends.
# SIOCSIFFLAGS (0x8914) with IFF_UP | IFF_RUNNING (0x41): netdevice(7).
_HOLD = """
import fcntl, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sh22x", b"lo", 0x41))
print("up", flush=True)
sys.stdin.read()
"""


# Sends a listening socket over the one it is given.
_LISTEN = """
import socket, sys
with socket.create_server(("127.0.0.1", 0)) as made, socket.socket(fileno=int(sys.argv[1])) as way:
    socket.send_fds(way, [b"x"], [made.fileno()])
"""


@dataclass(frozen=True)
class Island:
    """A place to run clients and servers that has loopback and nothing else.

    Args:
        prefix: What goes before a command to run it there. Empty where the system can't isolate; then only the
            environment of `Client` keeps clients from calling home.
    """

    prefix: tuple[str, ...] = ()

    def listener(self) -> socket.socket:
        """A socket that listens on loopback there, for a server of this process: a socket stays in the network it was made in."""
        if not self.isolated:
            return socket.create_server(("127.0.0.1", 0))
        here, there = socket.socketpair()
        with here, there:
            subprocess.run(
                [*self.prefix, sys.executable, "-I", "-c", _LISTEN, str(there.fileno())],
                pass_fds=[there.fileno()], timeout=DEADLINE, check=True,
            )  # fmt: skip
            _, (descriptor,), _, _ = socket.recv_fds(here, 1, 1)
        return socket.socket(fileno=descriptor)

    @property
    def isolated(self) -> bool:
        """Whether the kernel keeps what runs here off the network."""
        return bool(self.prefix)


@contextlib.contextmanager
def island() -> Generator[Island]:
    """A network namespace of its own (unshare(1)), as root or, where the kernel allows it, as any user."""
    ways = (
        (["unshare", "-n"], ["-n"]),
        (["unshare", "-r", "-n"], ["-U", "-n", "--preserve-credentials"]),
    )
    tools = sys.platform == "linux" and shutil.which("unshare") and shutil.which("nsenter")
    for unshare, enter in ways if tools else ():
        # Leaving the block closes its input, which ends it, and waits.
        with subprocess.Popen(
            [*unshare, sys.executable, "-I", "-c", _HOLD],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        ) as holder:  # fmt: skip
            assert holder.stdout is not None
            # unshare(1) without --fork becomes the program, so the pid is the holder's own.
            prefix = ("nsenter", "-t", str(holder.pid), *enter, "--")
            if holder.stdout.readline() == b"up\n" and _runs([*prefix, "true"]):
                yield Island(prefix)
                return
    yield Island()


def _runs(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, timeout=DEADLINE, check=False).returncode == 0


@dataclass(frozen=True)
class Ended:
    """A client that ended."""

    status: int
    out: str
    err: str


@dataclass
class Client:
    """Runs clients at home in an empty folder, on the island, with a deadline.

    Args:
        home: The HOME of each client.
        island: Where they run.
    """

    home: Path
    island: Island
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        nowhere = "http://127.0.0.1:9"  # the discard port: refused at once
        self.environment = {
            "PATH": os.pathsep.join([str(find_node().binary.parent), os.defpath]),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            # What these clients offer for staying at home, then proxies that lead nowhere for what they don't.
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "DO_NOT_TRACK": "1",
            "NODE_USE_ENV_PROXY": "1",
            "HTTP_PROXY": nowhere,
            "HTTPS_PROXY": nowhere,
            "NO_PROXY": "127.0.0.1,localhost,[::1]",
        }
        if os.name == "nt":  # without these no program starts
            self.environment |= {name: os.environ[name] for name in ("SYSTEMROOT", "PATHEXT") if name in os.environ}
            self.environment |= {name: str(self.home) for name in ("USERPROFILE", "APPDATA", "LOCALAPPDATA", "TEMP")}

    def node(self, script: Path, *arguments: str) -> Ended:
        """Run a script of Node.js to its end."""
        return self.run([str(find_node().binary), str(script), *arguments])

    def package(self, name: str, script: str, *arguments: str) -> Ended:
        """Run a script of one of the installed packages to its end."""
        return self.node(PACKAGES / "node_modules" / name / script, *arguments)

    @contextlib.contextmanager
    def talking(self, command: Sequence[str]) -> Generator[subprocess.Popen[bytes]]:
        """A client that is talked to over its standard streams; it ends with its input, or is ended at the deadline."""
        process = subprocess.Popen(
            [*self.island.prefix, *command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            cwd=self.home, env=self.environment, start_new_session=os.name != "nt",
        )  # fmt: skip
        # A client that falls silent would otherwise hold the test for good.
        alarm = threading.Timer(DEADLINE, _end, [process])
        alarm.start()
        try:
            yield process
        finally:
            assert process.stdin is not None
            assert process.stdout is not None
            with contextlib.suppress(OSError):
                process.stdin.close()
            process.wait()
            alarm.cancel()
            process.stdout.close()

    def run(self, command: Sequence[str]) -> Ended:
        """Run a command to its end.

        Raises:
            AssertionError: It didn't end in time; what it wrote is in the message.
        """
        # A session of its own: past the deadline, the servers that the client started end with it.
        process = subprocess.Popen(
            [*self.island.prefix, *command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd=self.home, env=self.environment, start_new_session=os.name != "nt",
        )  # fmt: skip
        try:
            out, err = process.communicate(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            _end(process)
            out, err = process.communicate(timeout=10)
            raise AssertionError(f"{command} ran over {DEADLINE:.0f} s; it wrote {out!r} and {err!r}") from None
        finally:
            if process.poll() is None:
                _end(process)
        return Ended(process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def _end(process: subprocess.Popen[bytes]) -> None:
    if os.name == "nt":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def http_server(
    command: Sequence[str], island: Island | None = None, env: Mapping[str, str] | None = None
) -> Generator[str]:
    """A server on a free port of loopback; yields its URL. It is ended by its own pid, and must end well."""
    # nsenter(1) without --fork becomes the program, so the signal reaches the server.
    server = Server([*(island.prefix if island else ()), *command, "--http", "127.0.0.1:0"], env)
    try:
        yield server.wait_for_stderr(r"listening on (http://\S+)").group(1)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0, server.stderr()
    finally:
        server.end()
