"""What a confined server can't do itself: running a password command, and holding an ssh tunnel.

Before the process is confined, `Outside.start` starts a helper of ours, told once what it may ever run. Afterwards
the server can ask it by a database's number alone, over a pair of pipes. The helper ends when these close.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import anyio
from gatelodge_core.errors import CallError, SettingsError

from gatelodge_postgres.connect.helper import PASSWORD_BYTES, PASSWORD_SECONDS, TUNNEL_SECONDS, Way
from gatelodge_postgres.connect.pool import Password, Ready
from gatelodge_postgres.connect.target import Target

logger = logging.getLogger(__name__)

SPARE_SECONDS = 2.0
"""How much longer than its own limits the helper may take to answer."""
END_SECONDS = 3.0
_LOST = "the helper process has ended; restart the server."
_HINTS = {
    "password": "The person must correct password_command, and can see what it prints by running it.",
    "tunnel": "The person can try it: ssh to that host must work without being asked anything.",
}


class Outside:
    """The helper, and what it may do.

    Args:
        ways: By the database's name.
    """

    def __init__(self, ways: Mapping[str, Way]) -> None:
        self._names = list(ways)
        self._helper = subprocess.Popen(
            [sys.executable, "-m", "gatelodge_postgres.connect.helper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # No signal that a terminal sends to our group ends it before us.
            start_new_session=True,
        )
        assert self._helper.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._helper.stdin.write(json.dumps(list(ways.values())).encode() + b"\n")
            self._helper.stdin.flush()
        self._ids = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._requests: asyncio.WriteTransport | None = None

    def password(self, name: str) -> Password:
        """Asks for the password of a database, each time anew."""
        number = self._names.index(name)

        async def ask() -> str:
            return str((await self._ask("password", number, PASSWORD_SECONDS))["password"])

        return ask

    def tunnel(self, name: str) -> Ready:
        """Waits until the tunnel to a database is open; what ssh said since it was last asked for."""
        number = self._names.index(name)

        async def ask() -> str:
            return str((await self._ask("tunnel", number, TUNNEL_SECONDS))["said"])

        return ask

    @contextlib.asynccontextmanager
    async def life(self) -> AsyncGenerator[None]:
        """Take the pipes into the event loop; at the end the helper is told to end, and has."""
        loop = asyncio.get_running_loop()
        answers = asyncio.StreamReader(limit=8 * PASSWORD_BYTES)
        reading, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(answers), self._helper.stdout)
        self._requests, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, self._helper.stdin)
        listening = asyncio.create_task(self._listen(answers))
        try:
            yield
        finally:
            self._let_go()
            with anyio.CancelScope(shield=True):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    await anyio.to_thread.run_sync(self._helper.wait, END_SECONDS)
                await asyncio.wait({listening}, timeout=END_SECONDS)
            listening.cancel()
            reading.close()

    async def _ask(self, what: str, number: int, seconds: float) -> dict[str, Any]:
        """Ask the helper.

        Raises:
            CallError: It could not do it, or there is none.
        """
        if self._requests is None or self._requests.is_closing():
            raise CallError("helper_lost", _LOST)
        asked = next(self._ids)
        answer = self._asked[asked] = asyncio.get_running_loop().create_future()
        self._requests.write(json.dumps({"id": asked, "ask": what, "database": number}).encode() + b"\n")
        try:
            async with asyncio.timeout(seconds + SPARE_SECONDS):
                found = await answer
        except TimeoutError:
            raise CallError("helper_stuck", "the helper process doesn't answer; restart the server.") from None
        finally:
            del self._asked[asked]
        if "error" in found:
            raise CallError(
                f"{what}_failed", f"database {self._names[number]}: {found['error'].rstrip('.')}.", _HINTS[what]
            )
        return found

    async def _listen(self, answers: asyncio.StreamReader) -> None:
        """Hand answers on; whoever still waits when the helper ends is told so."""
        while line := await answers.readline():
            found = json.loads(line)
            answer = self._asked.get(found["id"])
            if answer is not None and not answer.done():
                answer.set_result(found)
        self._let_go()
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(CallError("helper_lost", _LOST))

    def _let_go(self) -> None:
        """Close our end, which ends the helper; asyncio doesn't take a second close."""
        if self._requests is not None and not self._requests.is_closing():
            self._requests.abort()


def way(name: str, command: str, ssh: str, targets: list[Target]) -> tuple[Way, list[Target]]:
    """What the helper may start for a database, and its targets as they are then reached.

    Raises:
        SettingsError: There is no ssh, or this system has no such pipes.
    """
    if sys.platform == "win32":
        raise SettingsError(f"database {name}: password_command and ssh don't work on Windows")
    made = Way(password=shlex.split(command), ssh=[], ports=[])
    if not ssh:
        return made, targets
    program = shutil.which("ssh")
    if program is None:
        raise SettingsError(f"database {name}: ssh is not installed")
    ports: dict[str, int] = {}
    through: list[Target] = []
    for target in targets:
        for place in target.places:
            ports.setdefault(place, _free_port())
        through.append(target.through([ports[place] for place in target.places]))
    forwards = [word for place, port in ports.items() for word in ("-L", f"127.0.0.1:{port}:{place}")]
    options = (
        "ExitOnForwardFailure=yes", "BatchMode=yes", "ServerAliveInterval=15", "ConnectTimeout=10",
        # A connection that others share would not end with this process.
        "ControlMaster=no", "ControlPath=none", "ForwardAgent=no", "PermitLocalCommand=no", "RemoteCommand=none",
    )  # fmt: skip
    words = [word for option in options for word in ("-o", option)]
    return Way(password=made["password"], ssh=[program, "-N", "-T", *forwards, *words, "--", ssh], ports=[*ports.values()]), through  # fmt: skip


def _free_port() -> int:
    """A port that nobody listens on now; ssh says so if somebody does later."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
