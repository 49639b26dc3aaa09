"""The compose file as it runs: its containers, and a client that calls through Caddy."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.containers.caller import Task

ROOT = Path(__file__).resolve().parents[2]
SERVERS = ("filesystem", "postgres", "github", "websearch")
PATIENCE = 120
_KEY = re.compile(r"glk_[A-Za-z0-9_-]+")


@dataclass
class Deployment:
    """A running deployment.

    Args:
        docker: The command that speaks to the engine.
        compose: The command for this deployment.
        enter: Goes into the engine's network; empty if that is this machine's.
        base: URL of Caddy.
        ca: File of Caddy's authority.
        key: The demo key.
    """

    docker: list[str]
    compose: list[str]
    enter: list[str]
    base: str
    ca: str = ""
    key: str = field(default="", repr=False)

    def run(self, *arguments: str, check: bool = True) -> str:
        """What compose says.

        Raises:
            AssertionError: It failed.
        """
        return _run([*self.compose, *arguments], check=check)

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of a service's first container."""
        return json.loads(_run([*self.docker, "inspect", self.ids(service)[0]]))[0]

    def ids(self, service: str) -> list[str]:
        """Of its containers, stopped ones included."""
        return self.run("ps", "--all", "--quiet", service).split()

    def inside(self, service: str, *command: str, check: bool = True) -> str:
        """What a command in a service's container says, errors included."""
        return _run([*self.docker, "exec", self.ids(service)[0], *command], check=check, errors=True)

    def python(self, service: str, program: str, check: bool = True) -> str:
        """What a Python program in a server's container says, errors included."""
        return self.inside(service, "python", "-I", "-c", program, check=check)

    def add_key(self, name: str, *scopes: str) -> str:
        """A new key, made as the page says."""
        given = [word for scope in scopes for word in ("--scope", scope)]
        return shown_key(self.run("run", "--rm", "-T", "setup", "keys", "add", "--name", name, *given))

    def task(self, server: str, *calls: tuple[str, dict[str, Any]], key: str = "") -> Task:
        """Calls of one caller."""
        url = f"{self.base}/{server}"
        return Task(url=url, ca=self.ca, keys=[key or self.key], calls=list(calls), wanted=[], clients=1)

    def call(self, server: str, *calls: tuple[str, dict[str, Any]], key: str = "") -> dict[str, Any]:
        """The server's tools, and the answers to the calls."""
        text = json.dumps(self.task(server, *calls, key=key)) + "\n"
        return json.loads(_run(self.caller("call"), given=text))

    def lists(self, server: str) -> dict[str, int]:
        """How many lists of tools came, one after the other, and how."""
        return json.loads(_run(self.caller("lists"), given=json.dumps(self.task(server)) + "\n"))

    def caller(self, how: str) -> list[str]:
        """The command of the client."""
        return [*self.enter, sys.executable, "-m", "tests.containers.caller", how]

    def get(self, path: str, *headers: str) -> tuple[int, str]:
        """Status and body of a GET through Caddy, or of a whole URL."""
        program = (
            "import ssl, sys, urllib.request, urllib.error\n"
            "request = urllib.request.Request(sys.argv[1], headers=dict(h.split(': ', 1) for h in sys.argv[3:]))\n"
            "trusted = ssl.create_default_context(cafile=sys.argv[2])\n"
            "try: answer = urllib.request.urlopen(request, context=trusted, timeout=20)\n"
            "except urllib.error.HTTPError as error: answer = error\n"
            "print(answer.status, answer.read().decode())\n"
        )
        url = path if path.startswith("http") else self.base + path
        status, _, body = _run([*self.enter, sys.executable, "-c", program, url, self.ca, *headers]).partition(" ")
        return int(status), body

    @contextlib.contextmanager
    def client(self, how: str, task: Task) -> Generator[subprocess.Popen[str]]:
        """The client, as it runs; the block ends it."""
        with subprocess.Popen(
            self.caller(how), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as process:
            assert process.stdin is not None
            try:
                process.stdin.write(json.dumps(task) + "\n")
                process.stdin.flush()
                yield process
            finally:
                process.kill()


def until(holds: Callable[[], bool]) -> None:
    """Wait for something, at most for `PATIENCE`.

    Raises:
        AssertionError: It doesn't come.
    """
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.2)


def shown_key(text: str) -> str:
    """The key in a text.

    Raises:
        AssertionError: There is none.
    """
    found = _KEY.search(text)
    assert found is not None, text
    return found[0]


def _run(command: list[str], *, given: str | None = None, check: bool = True, errors: bool = False) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=ROOT)
    assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr if errors else done.stdout
