"""A host that tries both protocol eras, the second after any delay and without waiting for an answer to the first.

Claude Code sends ``server/discover`` and pipelines ``initialize`` after 2.6 s without an answer, Copilot CLI after 0.6 s.
Whatever arrives first and whenever: the connection must speak one era, and say so by nothing a host can't pass.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tests.support.wire import INFO, MODERN_META, Message, Server

Order = Literal["discover first", "initialize first"]
ORDERS: tuple[Order, ...] = ("discover first", "initialize first")
_DISCOVER: Message = {"jsonrpc": "2.0", "id": "d", "method": "server/discover", "params": {"_meta": MODERN_META}}
_INITIALIZE: Message = {
    "jsonrpc": "2.0",
    "id": "i",
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": INFO},
}
DISCOVER_REFUSED = -32601
ENVELOPE_REFUSED = -32600
PATIENCE = 60.0


@dataclass(frozen=True)
class Run:
    """One try.

    Args:
        order: What is sent first.
        delay: Seconds between the two.
        answered: Whether ``server/discover`` had a result, rather than a refusal.
        problems: What was wrong; empty if nothing was.
    """

    order: Order
    delay: float
    answered: bool
    problems: tuple[str, ...]


def race(command: Sequence[str], order: Order, delay: float, env: Mapping[str, str] | None = None) -> Run:
    """Start a server and try.

    Args:
        command: The server's command.
        order: What is sent first.
        delay: Seconds until the other is sent.
        env: Variables beside this process's.
    """
    server = Server(command, env)
    try:
        first, second = (_DISCOVER, _INITIALIZE) if order == "discover first" else (_INITIALIZE, _DISCOVER)
        _send(server, first)
        # The silence is what is tried.
        threading.Event().wait(delay)
        _send(server, second)
        found = _answers(server, 2)
        problems = [
            f"{key!r} is not answered once" for key in ("d", "i") if [a.get("id") for a in found].count(key) != 1
        ]
        answers = {answer.get("id"): answer for answer in found}
        discovered, opened = answers.get("d", {}), answers.get("i", {})
        if "result" not in opened or opened["result"]["protocolVersion"] != "2025-11-25":
            problems.append(f"the handshake failed: {json.dumps(opened)[:300]}")
        answered = "result" in discovered
        if not answered and discovered.get("error", {}).get("code") != DISCOVER_REFUSED:
            problems.append(f"an error that no host expects: {json.dumps(discovered)[:300]}")
        if answered and order == "initialize first":
            problems.append("server/discover was answered on a connection of the handshake")
        problems += _one_era(server)
        return Run(order, delay, answered, tuple(problems))
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        return Run(order, delay, False, (repr(error)[:500],))
    finally:
        server.end()


def _one_era(server: Server) -> list[str]:
    """The handshake's era is served, and the other is not."""
    _send(server, {"jsonrpc": "2.0", "method": "notifications/initialized"})
    bare: Message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    enveloped: Message = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {"_meta": MODERN_META}}
    unknown: Message = {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "no_such_tool"}}
    for message in (bare, enveloped, unknown):
        _send(server, message)
    answers = {answer.get("id"): answer for answer in _answers(server, 3)}
    problems: list[str] = []
    if not answers.get(1, {}).get("result", {}).get("tools"):
        problems.append(f"no list after the handshake: {json.dumps(answers.get(1))[:300]}")
    if answers.get(2, {}).get("error", {}).get("code") != ENVELOPE_REFUSED:
        problems.append(f"a second era is spoken: {json.dumps(answers.get(2))[:300]}")
    if "no_such_tool" not in json.dumps(answers.get(3, {}).get("error")):
        problems.append(f"a call went elsewhere: {json.dumps(answers.get(3))[:300]}")
    return problems


def _send(server: Server, message: Message) -> None:
    server.write(json.dumps(message).encode() + b"\n")


def _answers(server: Server, count: int) -> list[dict[str, Any]]:
    return [json.loads(server.line(PATIENCE)) for _ in range(count)]
