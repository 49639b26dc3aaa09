"""One database cluster: made, started, and stopped; it listens on a Unix socket in a folder of its own, and nowhere else."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from gatelodge_core.errors import SettingsError

from gatelodge_postgres.demo.names import LOG, PORT
from gatelodge_postgres.demo.programs import Account

START_SECONDS = 60.0
STOP_SECONDS = 10.0
_STEP = 0.01
_PREFIX = "gatelodge-db-"
_MAX_FOLDER = 60
"""A socket's whole name has room for about 100 bytes."""
_PR_SET_PDEATHSIG = 1
_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0777",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "maintenance_work_mem": "32MB",
    "max_wal_size": "128MB",
    # Nobody copies it; tables are then loaded without writing them twice.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements that failed are the caller's, and no business of a file.
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}


class Cluster:
    """A cluster.

    Args:
        programs: The folder of PostgreSQL's programs.
        folder: Where its data is, in ``data``.
        account: Who runs it.
    """

    def __init__(self, programs: str, folder: str, account: Account) -> None:
        self.programs = programs
        self.data = os.path.join(folder, "data")
        self.account = account
        self._noted = os.path.join(folder, "sockets")
        self.sockets = ""
        """The folder of its socket, while it runs."""
        self._process: subprocess.Popen[Any] | None = None

    @property
    def pid(self) -> int:
        """Its first process, while it runs; else 0."""
        return self._process.pid if self._process is not None else 0

    @property
    def runs(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def make(self) -> None:
        """Make it anew, empty.

        Raises:
            SettingsError: That failed.
        """
        self._end_leftover()
        shutil.rmtree(self.data, ignore_errors=True)
        os.mkdir(self.data, 0o700)
        self.account.own(self.data)
        command = [
            os.path.join(self.programs, "initdb"), "-D", self.data, "-U", "postgres", "-A", "reject",
            "--no-instructions", "-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
        ]  # fmt: skip
        done = subprocess.run(command, check=False, capture_output=True, text=True, **self.account.options)
        if done.returncode:
            raise SettingsError(f"--demo: initdb failed: {done.stderr.strip()[-500:]}")
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as out:
            out.writelines(f"{name} = '{value}'\n" for name, value in _SETTINGS.items())

    def admit(self, database: str, roles: list[str]) -> None:
        """Let our account in as these roles, and nobody else."""
        lines = [f"local {database} {','.join(roles)} peer map=demo"]
        self._write("pg_hba.conf", lines)
        # The kernel says who is at the other end of a socket: no password is needed, so none can leak.
        self._write("pg_ident.conf", [f'demo "{self.account.name}" {role}' for role in roles])
        if self._process is not None:
            # Whoever connects from now on is judged by it: a signal comes before what is done after it.
            self._process.send_signal(signal.SIGHUP)

    def start(self) -> None:
        """Start it, and wait until it lets us in.

        Raises:
            SettingsError: It doesn't start.
        """
        self._end_leftover()
        self.sockets = tempfile.mkdtemp(prefix=_PREFIX, dir=self._temporary())
        with open(self._noted, "w", encoding="utf-8") as out:
            out.write(self.sockets)
        self.account.own(self.sockets)
        command = [os.path.join(self.programs, "postgres"), "-D", self.data, "-k", self.sockets]
        self._process = subprocess.Popen(
            command,
            stdout=2,
            preexec_fn=_ended_with_us(),  # noqa: PLW1509 - this process has one thread
            **self.account.options,
        )
        end = time.monotonic() + START_SECONDS
        while not self._ready():
            if not self.runs or time.monotonic() > end:
                self.stop()
                raise SettingsError(
                    f"--demo: PostgreSQL does not start; the reason is in {os.path.join(os.path.dirname(self.data), LOG)}. "
                    "gatelodge-postgres remove-demo removes the database, and the next start makes it anew."
                )
            time.sleep(_STEP)

    def stop(self) -> None:
        """Stop it if it runs, its connections ended; and remove the socket's folder."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)
                process.wait()
        if self.sockets:
            shutil.rmtree(self.sockets, ignore_errors=True)
            os.remove(self._noted)
            self.sockets = ""

    def _temporary(self) -> str:
        """Where a socket's name is short enough, and the account gets to; the folder of the data may be neither."""
        usual = tempfile.gettempdir()
        fits = len(os.fsencode(usual)) < _MAX_FOLDER and self.account.reaches(os.path.join(usual, "it"))
        return usual if fits else "/tmp"  # noqa: S108 - mkdtemp makes a private folder in it

    def _ready(self) -> bool:
        """Whether it says so, in the last line of its file."""
        with contextlib.suppress(OSError), open(os.path.join(self.data, "postmaster.pid"), encoding="utf-8") as source:
            lines = source.read().splitlines()
            return len(lines) >= 8 and lines[0].strip() == str(self.pid) and lines[7].strip() == "ready"
        return False

    def _end_leftover(self) -> None:
        """End a cluster whose keeper was killed, and remove what it left behind."""
        with contextlib.suppress(OSError), open(self._noted, encoding="utf-8") as source:
            sockets = source.read()
            if os.path.basename(sockets).startswith(_PREFIX):
                shutil.rmtree(sockets, ignore_errors=True)
        path = os.path.join(self.data, "postmaster.pid")
        try:
            with open(path, encoding="utf-8") as source:
                pid = int(source.readline())
        except (OSError, ValueError):
            return
        import psutil  # noqa: PLC0415 - of the package that brings PostgreSQL; needed after a crash alone

        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            # The number may long be another process's.
            if process.cwd() == os.path.realpath(self.data):
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(psutil.TimeoutExpired):
                    process.wait(STOP_SECONDS)
                    return
                process.kill()
                process.wait(STOP_SECONDS)
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)

    def _write(self, name: str, lines: list[str]) -> None:
        with open(os.path.join(self.data, name), "w", encoding="utf-8") as out:
            out.write("\n".join(lines) + "\n")


def _ended_with_us() -> Callable[[], None] | None:
    """What a child does first so that the kernel stops it when this process is killed; nothing where there is none such."""
    if sys.platform != "linux":
        return None
    import ctypes  # noqa: PLC0415 - on Linux alone

    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(ctypes.c_int(_PR_SET_PDEATHSIG), ctypes.c_long(signal.SIGINT), *[ctypes.c_long(0)] * 3)

    return ask
