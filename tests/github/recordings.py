"""Real exchanges with GitHub, recorded by PyGithub's tests: to be found, and to be answered again on loopback.

They come from PyGithub's source archive (LGPL), which ``install.py`` fetches; nothing of it is kept here. Tokens were
taken out before they were published. Bodies are text, but for three downloads, whose parts are lines of base64.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import functools
import re
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field

from tests.github.install import RECORDINGS, lacking, lanes
from tests.github.loopback import Answer, Request, listening
from tests.github.manners import not_found

API = "https://api.github.com"
_START = re.compile(r"https?")
# Of the connection then; the server now says its own.
_DROPPED = {
    "connection",
    "transfer-encoding",
    "content-encoding",
    "content-length",
    "date",
    "server",
    "status",
    "keep-alive",
}


@dataclass(frozen=True, slots=True)
class Recording:
    """One exchange.

    Args:
        file: The name of its file.
        host: Whom it was with; nearly always api.github.com.
        request: What was sent.
        answer: What GitHub said, without the headers of the connection.
    """

    file: str
    host: str
    request: Request
    answer: Answer

    @property
    def conditional(self) -> bool:
        """Whether the reader had a copy."""
        return bool({"if-none-match", "if-modified-since"} & set(self.request.headers))


def absence() -> str:
    """Why there are no recordings; empty if there are."""
    return lacking(RECORDINGS.name)


def recorded(*names: str) -> list[Recording]:
    """The exchanges of files, named as ``Issue.testGetComments.txt``, in order."""
    return [one for name in names for one in _read(name)]


@functools.cache
def everything() -> tuple[Recording, ...]:
    """All 2,382 exchanges; takes about a second, once."""
    return tuple(recorded(*sorted(path.name for path in (lanes() / RECORDINGS.name).glob("*.txt"))))


def find(route: str, status: int | None = None, method: str | None = None) -> list[Recording]:
    """The exchanges whose path (without the query) `route` matches as a whole."""
    wanted = re.compile(route)
    return [
        one
        for one in everything()
        if wanted.fullmatch(one.request.path)
        and status in {None, one.answer.status}
        and method in {None, one.request.method}
    ]


def _read(name: str) -> list[Recording]:
    # Not splitlines(): bodies hold other line ends.
    lines = (lanes() / RECORDINGS.name / name).read_bytes().decode().split("\n")
    found: list[Recording] = []
    at = 0
    while at < len(lines):
        if not _START.fullmatch(lines[at]):
            at += 1
            continue
        head, end = lines[at : at + 9], at + 10
        while end < len(lines) and lines[end]:
            end += 1
        found.append(_recording(name, head, lines[at + 9 : end]))
        at = end + 1
    return found


def _recording(name: str, head: list[str], parts: list[str]) -> Recording:
    _, method, host, _, target, sent, body, status, got = head
    # One file of 2012 has a word before the headers.
    asked = {key.lower(): value for key, value in ast.literal_eval(sent[sent.index("{") :]).items()}
    headers = {key: value for key, value in ast.literal_eval(got) if key.lower() not in _DROPPED}
    data = parts[0].encode() if len(parts) == 1 else b"".join(map(base64.b64decode, parts))
    request = Request(method, target, asked, b"" if body == "None" else body.encode())
    return Recording(name, host, request, Answer(int(status), data, headers))


@dataclass(slots=True)
class Replay:
    """A server that answers as GitHub did; made by `replaying`.

    Args:
        url: Its address.
        requests: What came, in order.
    """

    recordings: list[Recording]
    url: str = ""
    requests: list[Request] = field(default_factory=list[Request])
    _used: set[int] = field(default_factory=set[int])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def respond(self, request: Request) -> Answer:
        """The recorded answer to the same method and target, or the same path; the next one if there are several.

        A reader that has a copy is given a recorded 304 if there is one; a reader without is given none. The last answer
        stays when all are used. What was never asked is 404.
        """
        with self._lock:
            self.requests.append(request)
            found = self._found(request)
            if found is None:
                return not_found()
            self._used.add(found)
        return self._readdressed(self.recordings[found].answer)

    def _found(self, request: Request) -> int | None:
        has_copy = "if-none-match" in request.headers
        for same in (_same_target, _same_path):
            every = [number for number, one in enumerate(self.recordings) if same(one.request, request)]
            fresh = [number for number in every if self.recordings[number].answer.status != 304]
            fitting = (has_copy and [number for number in every if number not in fresh]) or fresh
            if fitting:
                return next((number for number in fitting if number not in self._used), fitting[-1])
        return None

    def _readdressed(self, answer: Answer) -> Answer:
        headers = {name: value.replace(API, self.url) for name, value in answer.headers.items()}
        return Answer(answer.status, answer.bytes.replace(API.encode(), self.url.encode()), headers)


def _same_target(one: Request, other: Request) -> bool:
    return (one.method, one.target) == (other.method, other.target)


def _same_path(one: Request, other: Request) -> bool:
    return (one.method, one.path) == (other.method, other.path)


@contextlib.contextmanager
def replaying(recordings: Iterable[Recording]) -> Generator[Replay]:
    """A server on loopback that answers with `recordings`."""
    replay = Replay(list(recordings))
    with listening(replay.respond) as replay.url:
        yield replay
