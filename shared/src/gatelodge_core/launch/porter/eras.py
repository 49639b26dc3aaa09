"""Which protocol era a connection speaks: decided here, once, for the porter and for the transport after it.

Hosts ask ``server/discover`` (2026-07-28) and fall back to ``initialize`` on a timer of their own. The SDK fixes the era at
the first message, so that a late fallback is refused and the server is lost to such a host (claude-code#96183,
copilot-cli#4525). Here a question of what there is binds nobody: an ``initialize`` before any other request wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, cast

from gatelodge_core.launch.porter.words import DISCOVER, INITIALIZE, METHOD_NOT_FOUND, PING, PROTOCOL_VERSION


class Era(Enum):
    """What a connection speaks, as far as it is known."""

    OPEN = "open"
    DISCOVERED = "discovered"
    """``server/discover`` was asked and nothing else: still open."""
    LEGACY = "legacy"
    MODERN = "modern"


class Verdict(Enum):
    """What becomes of a request."""

    SERVE = "serve"
    """It is one of the era's."""
    FALL_BACK = "fall back"
    """It is an ``initialize`` after ``server/discover``: the connection begins anew, and what is unanswered is refused."""
    REFUSE = "refuse"
    """It is a ``server/discover`` on a connection of the handshake, which knows no such method."""
    PONG = "pong"
    """It is a ping before anything else, which says nothing of the era."""


class Eras:
    """The era of one connection.

    Args:
        era: What is known already.
    """

    def __init__(self, era: Era = Era.OPEN) -> None:
        self.era = era

    def judge(self, method: str, params: object, *, initialize_follows: bool = False) -> Verdict:
        """What becomes of the next request.

        Args:
            method: Of the request.
            params: Its parameters.
            initialize_follows: Whether an ``initialize`` has arrived behind it already.
        """
        modern = method != INITIALIZE and enveloped(params)
        discovers = modern and method == DISCOVER
        if self.era is Era.LEGACY or (self.era in (Era.OPEN, Era.DISCOVERED) and discovers and initialize_follows):
            return Verdict.REFUSE if discovers else Verdict.SERVE
        if self.era is Era.OPEN:
            return self._open(method, modern=modern, discovers=discovers)
        if self.era is Era.DISCOVERED and not discovers:
            if method == INITIALIZE:
                self.era = Era.LEGACY
                return Verdict.FALL_BACK
            # Even without its envelope: the host knows by now what is spoken here, and is told what is missing.
            self.era = Era.MODERN
        return Verdict.SERVE

    def _open(self, method: str, *, modern: bool, discovers: bool) -> Verdict:
        if method == PING and not modern:
            return Verdict.PONG
        if discovers:
            self.era = Era.DISCOVERED
        else:
            self.era = Era.MODERN if modern else Era.LEGACY
        return Verdict.SERVE


def enveloped(params: object) -> bool:
    """Whether a request carries the envelope of 2026-07-28, by the key that the SDK goes by."""
    if not isinstance(params, Mapping):
        return False
    meta = cast("Mapping[str, Any]", params).get("_meta")
    return isinstance(meta, Mapping) and PROTOCOL_VERSION in meta


def last_handshake(messages: Sequence[object]) -> int:
    """Where the last ``initialize`` is among messages that arrived together; -1 if there is none."""
    for at in range(len(messages) - 1, -1, -1):
        message = messages[at]
        if isinstance(message, Mapping):
            said = cast("Mapping[str, Any]", message)
            if said.get("method") == INITIALIZE and "id" in said:
                return at
    return -1


def refusal(request_id: object) -> dict[str, Any]:
    """The answer to `Verdict.REFUSE`: what the SDK says of a method that the era doesn't have."""
    error = {"code": METHOD_NOT_FOUND, "message": "Method not found", "data": DISCOVER}
    return {"jsonrpc": "2.0", "id": request_id, "error": error}


def pong(request_id: object) -> dict[str, Any]:
    """The answer to `Verdict.PONG`."""
    return {"jsonrpc": "2.0", "id": request_id, "result": {}}
