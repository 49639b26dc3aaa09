"""The processes of test servers: each in a folder of its own, on loopback, ended by its own process id.

PostgreSQL refuses to run as root, so root drops to the user ``postgres`` (or ``nobody``); anybody else runs it as is.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import psycopg

PATIENCE = 30.0
"""Seconds after which a server that doesn't answer is a failure; far above any real start."""


class Unavailable(Exception):
    """This machine has no such server; says why."""


def account() -> pwd.struct_passwd | None:
    """Who runs the servers: nobody special, unless we are root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise Unavailable("root can't run PostgreSQL, and there is no other account")


def as_account() -> dict[str, Any]:
    found = account()
    dropped: dict[str, Any] = {} if found is None else {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    # None of our environment: PG* variables would lead the tools elsewhere.
    return {"env": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}, **dropped}


def own(*paths: Path) -> None:
    """Give files to the account that runs the servers."""
    if (found := account()) is not None:
        for path in paths:
            os.chown(path, found.pw_uid, found.pw_gid)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def folder() -> Generator[Path]:
    """A folder of the account's own, with a path short enough for sockets."""
    made = Path(tempfile.mkdtemp(prefix="gl-pg-"))
    try:
        made.chmod(0o755)
        own(made)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


class Child:
    """A process run as the account, which ends with ours even if that is killed; its output goes to a file."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        if (setpriv := shutil.which("setpriv")) is not None:
            command = [setpriv, "--pdeathsig", "INT", "--", *command]
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=log.parent, **as_account()
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def end(self, number: signal.Signals) -> None:
        """Signal this process alone, and wait; kill it if it won't go."""
        if self.runs:
            self._process.send_signal(number)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def ready(child: Child, url: str, log: Path) -> None:
    """Wait until the server at `url` lets us in."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
            return
        except psycopg.OperationalError as error:
            said = log.read_text("utf-8", "replace")[-2000:]
            if not child.runs:
                raise Unavailable(f"the server ended: {said}") from error
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer; {said}") from error
            time.sleep(0.02)
