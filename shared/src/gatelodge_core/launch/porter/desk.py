"""The porter's desk: lines in, answers out, and in the end all that was left for the SDK, in its order.

It reads and writes nothing itself. What it can't answer, or is not sure of, it leaves; what it leaves, it never changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from gatelodge_core.apps.words import declared
from gatelodge_core.guard.wire import Json, WireError
from gatelodge_core.launch.porter.eras import Era, Eras, Verdict, last_handshake, pong, refusal
from gatelodge_core.launch.porter.plain import plain_initialize, plain_request
from gatelodge_core.launch.porter.surface import Answers
from gatelodge_core.launch.porter.words import CANCELLED, CLIENT_CAPABILITIES, DISCOVER, INITIALIZE, LISTS, PING
from gatelodge_core.launch.separators import one_line
from gatelodge_core.launch.splitting import Oversized, decoded

MAX_LEFT_BYTES = 8 * 1024 * 1024
"""What is left for the SDK may have so many bytes; then the rest waits in the pipe."""


class Left(NamedTuple):
    """A message for the SDK.

    Args:
        line: As the host wrote it.
        answered: Whether the host has its answer already: the SDK's is then kept from it.
    """

    line: bytes
    answered: bool = False


class _Waiting(NamedTuple):
    """A message for the SDK, and its id if it is a request that nobody has answered."""

    left: Left
    request_id: str | None


class Desk:
    """Judges what a host sends first.

    Args:
        answers: What the server would answer.
        cap: The longest line, in bytes.
    """

    def __init__(self, answers: Answers, cap: int) -> None:
        self._answers = answers
        self._cap = cap
        self._eras = Eras()
        self._waiting: list[_Waiting] = []
        self._ids: set[str] = set()
        self._size = 0
        self._opened = False
        """Whether the host has the answer to its ``initialize``."""
        self._shows = False
        """Whether it said there that it shows views."""

    @property
    def era(self) -> Era:
        """What the connection speaks."""
        return self._eras.era

    @property
    def left(self) -> list[Left]:
        """What the SDK has to be given, in order."""
        return [item.left for item in self._waiting]

    @property
    def full(self) -> bool:
        """Whether no more should be read for now."""
        return self._size >= MAX_LEFT_BYTES

    def take(self, lines: Sequence[bytes | Oversized]) -> list[bytes]:
        """What to answer to lines that arrived together."""
        messages = [decoded(line, self._cap) for line in lines]
        handshake = last_handshake(messages)
        said: list[bytes] = []
        for at, (line, message) in enumerate(zip(lines, messages, strict=True)):
            if isinstance(message, WireError):
                said.append(_encoded(message.response()))
            elif message is not None and isinstance(line, bytes):
                answers = self._message(line, message, initialize_follows=at < handshake)
                said += [_encoded(answer) for answer in answers]
        return said

    def _message(self, line: bytes, message: dict[str, Json], *, initialize_follows: bool) -> list[dict[str, Any]]:
        method, request_id = message.get("method"), message.get("id")
        if not isinstance(method, str) or not isinstance(request_id, (str, int)):
            if method != CANCELLED or not self._cancelled(message.get("params")):
                self._leave(line, None)
            return []
        if str(request_id) in self._ids:
            # The transport refuses an id that is in flight, in its turn.
            self._leave(line, None)
            return []
        params = message.get("params")
        verdict = self._eras.judge(method, params, initialize_follows=initialize_follows)
        if verdict is Verdict.REFUSE:
            return [refusal(request_id)]
        if verdict is Verdict.PONG:
            return [pong(request_id)]
        refused = self._fallen_back() if verdict is Verdict.FALL_BACK else []
        result = self._result(method, params)
        if result is None:
            self._leave(line, str(request_id))
            return refused
        if method == INITIALIZE:
            self._opened = True
            self._leave(line, None, answered=True)
        return [*refused, {"jsonrpc": "2.0", "id": request_id, "result": result}]

    def _result(self, method: str, params: object) -> dict[str, Any] | None:
        """The answer, if it is certain."""
        if self.era is Era.LEGACY and not self._opened:
            # Nothing before it, or it would be answered out of turn.
            if method != INITIALIZE or self._ids or not plain_initialize(params):
                return None
            given = cast("Mapping[str, Any]", params)
            self._shows = declared(given["capabilities"])
            return self._answers.initialize(given["protocolVersion"], shows=self._shows)
        modern = self.era is not Era.LEGACY
        if not plain_request(params, modern=modern):
            return None
        if method == PING and not modern:
            return {}
        if method not in LISTS and not (modern and method == DISCOVER):
            return None
        # In 2026-07-28 each request says what its host shows.
        shows = declared(cast("Mapping[str, Any]", params)["_meta"][CLIENT_CAPABILITIES]) if modern else self._shows
        return self._answers.result(method, modern=modern, shows=shows)

    def _fallen_back(self) -> list[dict[str, Any]]:
        """Refuse each ``server/discover`` that waits: the host has given up on it."""
        # Nothing but that can wait, since anything else would have decided the era.
        refused = [item for item in self._waiting if item.request_id is not None]
        self._keep([item for item in self._waiting if item.request_id is None])
        return [refusal(json.loads(item.left.line)["id"]) for item in refused]

    def _cancelled(self, params: object) -> bool:
        """Take back a request that waits; it is never begun and never answered. True if nobody needs to know."""
        if not isinstance(params, Mapping):
            return False
        wanted: object = cast("Mapping[str, Any]", params).get("requestId")
        if not isinstance(wanted, (str, int)):
            return False
        if str(wanted) in self._ids:
            self._keep([item for item in self._waiting if item.request_id != str(wanted)])
        return True

    def _leave(self, line: bytes, request_id: str | None, *, answered: bool = False) -> None:
        self._waiting.append(_Waiting(Left(line, answered), request_id))
        self._size += len(line)
        if request_id is not None:
            self._ids.add(request_id)

    def _keep(self, waiting: list[_Waiting]) -> None:
        self._waiting = waiting
        self._size = sum(len(item.left.line) for item in waiting)
        self._ids = {item.request_id for item in waiting if item.request_id is not None}


def _encoded(message: Mapping[str, Any]) -> bytes:
    return one_line(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode())
