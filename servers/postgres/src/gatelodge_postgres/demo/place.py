"""Where the demo's database is, for a server that is about to start: found running, or started by a keeper."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import select
import subprocess
import sys
from dataclasses import dataclass
from urllib.parse import urlencode

from gatelodge_core.errors import SettingsError
from pydantic import SecretStr

from gatelodge_postgres.demo import locks, programs
from gatelodge_postgres.demo.names import (
    ALIVE,
    DATABASE,
    FOLDER,
    LOG,
    MADE,
    PLACE,
    PORT,
    READER,
    ROOTS_FOLDER,
    STARTING,
    USERS,
    WRITER,
)  # fmt: skip
from gatelodge_postgres.settings import DatabaseSettings

logger = logging.getLogger(__name__)

DESCRIPTION = (
    "Demo: an online shop in schema shop, generated data from January 2024 to June 2026; customers, orders, products, "
    "payments, reviews, stock, page views."
)
SECONDS = 180.0
"""The longest that the first start may take, which makes the database."""
STOP_SECONDS = 20.0


@dataclass
class Demo:
    """The database, running for as long as this is not closed and the process lives.

    Args:
        databases: As settings name them.
        users: The descriptor that keeps it running.
    """

    databases: dict[str, DatabaseSettings]
    users: int

    def close(self) -> None:
        """Let go of it: it stops when nobody else uses it."""
        if self.users >= 0:
            os.close(self.users)
            self.users = -1


def prepare(state: str, *, allow_root: bool = False) -> Demo:
    """Have the database running, started if no other server did. Call it before the process is confined.

    Args:
        state: The state folder.
        allow_root: Whether root may have it run by the user nobody outside a container too.

    Raises:
        SettingsError: It can't be had; the text says what to do.
    """
    install = programs.packaged()
    account = programs.account(allow_root=allow_root)
    try:
        folder = home(state, account)
        # Root's files are for others to pass by, not to look into.
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o700 if account.other is None else 0o711)
        users = locks.take(os.path.join(folder, USERS), shared=True, seconds=STOP_SECONDS)
        try:
            with locks.locked(os.path.join(folder, STARTING), SECONDS) as starting:
                sockets = _running(folder) or _started(folder, install, allow_root, starting)
        except BaseException:
            os.close(users)
            raise
    except locks.Held:
        raise SettingsError("--demo: another process is starting or removing the database, and takes long") from None
    except OSError as error:
        raise SettingsError(f"--demo: {error.filename or ''}: {error.strerror}") from None
    return Demo({DATABASE: DatabaseSettings(url=_url(sockets, READER), write_url=_url(sockets, WRITER), description=DESCRIPTION)}, users)  # fmt: skip


def home(state: str, account: programs.Account) -> str:
    """The folder of the demo's database, below a state folder if PostgreSQL can get there."""
    usual = os.path.join(os.path.realpath(state), FOLDER)
    if account.reaches(os.path.join(usual, "data")):
        return usual
    return f"{ROOTS_FOLDER}-{hashlib.sha256(usual.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def _running(folder: str) -> str:
    """The folder of the socket, if a keeper keeps the database; else empty."""
    if locks.free(os.path.join(folder, ALIVE)):
        return ""
    try:
        with open(os.path.join(folder, PLACE), encoding="utf-8") as source:
            return str(json.load(source)["sockets"])
    except (OSError, ValueError, KeyError):
        raise SettingsError(f"--demo: a process keeps {folder}, and no database is there; end it") from None


def _started(folder: str, install: str, allow_root: bool, starting: int) -> str:
    """Start a keeper, which inherits the lock on starting; the folder of the socket."""
    if not os.path.exists(os.path.join(folder, MADE)):
        logger.warning("making the demo's database, which takes some seconds at the first start")
    command = [sys.executable, "-I", "-m", "gatelodge_postgres.demo.keep", folder, install]
    command += ["yes" if allow_root else "no", str(starting)]
    kept = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "container")
    with open(os.path.join(folder, LOG), "wb") as log:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            # A signal to the host's group, as from its terminal, is for servers.
            start_new_session=True,
            pass_fds=[starting],
            cwd="/",
            env={name: os.environ[name] for name in kept if name in os.environ},
        )
    assert child.stdout is not None
    with child.stdout as told:
        child.wait()
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([told], [], [], SECONDS)[0]:
                raise SettingsError(f"--demo: no database after {SECONDS:.0f} s; see {folder}/{LOG}")
            some = os.read(told.fileno(), 65536)
            if not some:
                raise SettingsError(f"--demo: its keeper ended; see {folder}/{LOG}")
            line += some
    answer = json.loads(line)
    if "error" in answer:
        raise SettingsError(answer["error"])
    return str(answer["sockets"])


def _url(sockets: str, role: str) -> SecretStr:
    return SecretStr(f"postgresql://{role}@/{DATABASE}?{urlencode({'host': sockets, 'port': str(PORT)})}")
