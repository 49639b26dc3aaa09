"""A stateful GitHub on loopback (``emulate``), as a child process; and who and what is there from the start.

What it gets wrong is in `PITFALLS`. The proxy in front of it (``manners.py``, ``mending.py``) makes good all but the
last two.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.install import InstallError, find_node
from tests.github.install import lacking, lanes

PATIENCE = 30.0
"""Seconds after which an emulator that doesn't answer is a failure; it takes 0.2 to 0.5 s."""

PITFALLS = (
    "an unknown token is taken for the first user (ours is `nobody`, who owns nothing)",
    "a private repository is 403 to an outsider; at GitHub 404",
    "no ETag, no 304, no X-OAuth-Scopes; scopes aren't enforced",
    "5,000 requests a token, then 403 for an hour; `reset()` gives them back",
    "`permissions` of a repository is all true for everybody; a collaborator's permission is `push`, at GitHub `write`",
    "the list of issues has no pull requests, and a pull request is no issue",
    "the files of a pull request are none or made up; no diff media type; a review's comment has no line",
    "tags made as references aren't listed; draft releases are seen by all",
    "one may approve one's own pull request; merges are refused with 422, at GitHub 405 or 409",
    "in a public repository anybody may label, edit issues, review, release and merge (files and refs need push)",
    "no GraphQL, reactions, sub-issues, discussions, alerts, runs of workflows, combined status",
)

OWNER = "alice"
PUBLIC = "alice/public-repo"
PRIVATE = "alice/private-repo"
ORG = "acme"
WIDGET = "acme/widget"
SITE = "acme/site"
APP_ID = 12345
INSTALLATION_ID = 100

SCOPES: Mapping[str, tuple[str, ...]] = {
    "alice": ("repo", "admin:org", "workflow"),
    "bob": ("repo",),
    "carol": ("repo", "read:org"),
    "mallory": ("public_repo",),
}
"""Who has a token: alice owns things, bob has push on `PUBLIC`, carol is in acme, mallory is an outsider to all."""


class Unavailable(Exception):
    """This machine has no emulator; says why."""


def token_of(login: str) -> str:
    """A classic token of the real shape, the same for a login each time; made here, so that no file holds one."""
    return "gh" + "p_" + hashlib.sha256(f"token of {login}".encode()).hexdigest()[:36]


def seed() -> dict[str, Any]:
    """What the emulator starts with, as its configuration has it."""
    permissions = {"contents": "write", "issues": "write", "pull_requests": "write", "metadata": "read"}
    return {
        "tokens": {token_of(login): {"login": login, "scopes": list(scopes)} for login, scopes in SCOPES.items()},
        "github": {
            # The first is who the emulator takes a stranger for.
            "users": [{"login": "nobody"}, *({"login": login, "name": login.title()} for login in SCOPES)],
            "orgs": [{
                "login": ORG, "name": "Acme",
                "members": [{"login": "alice", "role": "admin"}, {"login": "carol", "role": "member"}],
            }],
            "repos": [
                {"owner": "alice", "name": "public-repo", "description": "For all to see", "language": "Python"},
                {"owner": "alice", "name": "private-repo", "description": "For alice alone", "private": True},
                {"owner": ORG, "name": "widget", "description": "For the members of acme", "private": True},
                {"owner": ORG, "name": "site", "description": "Of acme, for all to see"},
                {"owner": "mallory", "name": "trap", "description": "An outsider's own"},
            ],
            "apps": [{
                "app_id": APP_ID, "slug": "gatekeeper", "name": "Gatekeeper", "permissions": permissions,
                "installations": [{
                    "installation_id": INSTALLATION_ID, "account": ORG, "repository_selection": "all",
                    "permissions": permissions, "repositories": [WIDGET],
                }],
            }],
        },
    }  # fmt: skip


class CallFailed(AssertionError):
    """An arrangement of the test's own was refused."""

    def __init__(self, method: str, path: str, status: int, body: bytes) -> None:
        super().__init__(f"{method} {path}: {status} {body[:500]!r}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator.

    Args:
        url: ``http://127.0.0.1:PORT``, without a slash at the end.
        tokens: A token by login.
        app_key: The private key of the App `APP_ID`, as PEM.
    """

    url: str
    tokens: Mapping[str, str]
    app_key: str
    _child: _Child

    def reset(self) -> None:
        """Back to the seed and to full rate limits, at the same address; connections are cut."""
        self._child.ask("reset")

    def call(self, method: str, path: str, body: Any = None, *, login: str = OWNER) -> Any:
        """Arrange something: send `body` as JSON (bytes as they are) with the token of `login`, and give the answer's JSON.

        Raises:
            CallFailed: The emulator refused it.
        """
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("Authorization", f"Bearer {self.tokens[login]}")
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                got = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise CallFailed(method, path, error.code, error.read()) from None
        return json.loads(got) if got else None


class _Child:
    """The process, spoken to by lines."""

    def __init__(self, log: Path) -> None:
        try:
            node = find_node()
        except InstallError as error:
            raise Unavailable(str(error)) from None
        command = [str(node.binary), str(Path(__file__).with_name("emulator.mjs")), str(lanes())]
        with log.open("ab") as errors:
            # None of our environment: DEBUG and PORTLESS_URL would change what it does.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8",
                env={"PATH": os.environ.get("PATH", os.defpath)},
            )  # fmt: skip
        self._log = log
        self._lock = threading.Lock()
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        with self._lock:
            with contextlib.suppress(BrokenPipeError):  # it ended: what it said is told below
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()
            try:
                answer = self._lines.get(timeout=PATIENCE)
            except queue.Empty:
                answer = ""
        if not answer:
            raise RuntimeError(f"the emulator doesn't answer: {self._log.read_text('utf-8', 'replace')[-2000:]}")
        got = json.loads(answer)
        if "error" in got:
            raise RuntimeError(got["error"])
        return got

    def end(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextlib.contextmanager
def running() -> Generator[Emulator]:
    """An emulator with the seed, ended at the end.

    Raises:
        Unavailable: Node.js or the package is absent.
    """
    if reason := lacking("emulate"):
        raise Unavailable(reason)
    with tempfile.TemporaryDirectory(prefix="gl-github-") as folder:
        child = _Child(Path(folder) / "stderr.log")
        try:
            started = child.ask(json.dumps(seed()))
            key = next(secret["value"] for secret in started["secrets"] if secret["id"] == str(APP_ID))
            yield Emulator(started["url"], {login: token_of(login) for login in SCOPES}, key, child)
        finally:
            child.end()
