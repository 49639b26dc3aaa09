"""The desk: what is answered at once, and what is left for the SDK, in its order."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gatelodge_core.launch.porter.desk import MAX_LEFT_BYTES, Desk
from gatelodge_core.launch.porter.eras import Era
from gatelodge_core.launch.porter.surface import Answers, Choice, all_of
from gatelodge_core.launch.porter.words import (
    CLIENT_CAPABILITIES,
    DISCOVER,
    LISTS,
    MODERN,
    PROTOCOL_VERSION,
    SERVER_INFO,
)
from gatelodge_core.launch.splitting import Oversized

INFO = {"name": "s", "version": "1"}
KEYS = {"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources",
        "resources/templates/list": "resourceTemplates"}  # fmt: skip
SURFACE: dict[str, Any] = {
    "server": "s",
    "info": INFO,
    "capabilities": {"legacy": {"tools": {}}, "modern": {"tools": {"listChanged": False}}},
    "modern": {method: {"resultType": "complete"} for method in (*LISTS, DISCOVER)},
    "keys": KEYS,
    "lists": {
        "tools/list": [{"name": "t", "effect": "read", "is": {"name": "t"}}],
        "prompts/list": [],
        "resources/list": None,
        "resources/templates/list": [],
    },
}
ENVELOPE: dict[str, Any] = {"_meta": {PROTOCOL_VERSION: MODERN, CLIENT_CAPABILITIES: {}}}
HANDSHAKE: dict[str, Any] = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "h", "version": "0"},
}


@pytest.fixture
def desk() -> Desk:
    return Desk(Answers(SURFACE, Choice("Do.", all_of, all_of, all_of)), 100_000)


def line(number: object, method: str, params: object = None) -> bytes:
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": number, "method": method}
    return json.dumps(message if params is None else {**message, "params": params}).encode()


def note(method: str, **params: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode()


def said(desk: Desk, *lines: bytes | Oversized) -> list[tuple[object, object]]:
    """The answers to lines that arrive together: each one's id, and its result or the code of its error."""
    answers = [json.loads(answer) for answer in desk.take(lines)]
    return [(answer["id"], answer["error"]["code"] if "error" in answer else answer["result"]) for answer in answers]


def left(desk: Desk) -> list[object]:
    """The ids, or for notifications the methods, of what is left."""
    messages = [json.loads(item.line) for item in desk.left]
    return [message.get("id", message["method"]) for message in messages]


def test_a_host_of_the_handshake_gets_its_revision_and_the_lists(desk: Desk) -> None:
    result: dict[str, Any] = {
        "protocolVersion": "2025-06-18",
        "capabilities": {"tools": {}},
        "serverInfo": INFO,
        "instructions": "Do.",
    }
    assert said(desk, line(1, "initialize", HANDSHAKE)) == [(1, result)]
    assert said(desk, note("notifications/initialized"), line(2, "tools/list"), line("3", "ping", {})) == [
        (2, {"tools": [{"name": "t"}]}),
        ("3", {}),
    ]
    assert desk.era is Era.LEGACY
    assert left(desk) == [1, "notifications/initialized"]
    assert [item.answered for item in desk.left] == [True, False]


def test_an_unknown_revision_is_answered_with_the_last_of_the_handshake(desk: Desk) -> None:
    for asked in ("2026-07-28", "1999-01-01"):
        ((_, result),) = said(Desk(desk._answers, 1000), line(1, "initialize", {**HANDSHAKE, "protocolVersion": asked}))  # pyright: ignore[reportPrivateUsage] - the same answers
        assert isinstance(result, dict)
        assert result["protocolVersion"] == "2025-11-25"


def test_a_host_of_2026_gets_what_there_is_and_the_lists(desk: Desk) -> None:
    stamp = {"resultType": "complete", "_meta": {SERVER_INFO: INFO}}
    assert said(desk, line(1, DISCOVER, ENVELOPE)) == [
        (1, {"capabilities": {"tools": {"listChanged": False}}, "instructions": "Do.", **stamp})
    ]
    assert said(desk, line(2, "tools/list", ENVELOPE)) == [(2, {"tools": [{"name": "t"}], **stamp})]
    assert desk.era is Era.MODERN
    assert left(desk) == []


def test_a_handshake_behind_an_unanswered_question_is_served_and_the_question_refused(desk: Desk) -> None:
    answers = said(desk, line("d", DISCOVER, ENVELOPE), line(0, "initialize", HANDSHAKE))
    assert answers[0] == ("d", -32601)
    assert answers[1][0] == 0
    assert isinstance(answers[1][1], dict)


def test_a_question_that_waits_is_refused_when_the_handshake_comes(desk: Desk) -> None:
    odd = {"_meta": {**ENVELOPE["_meta"], "io.modelcontextprotocol/logLevel": "info"}}
    assert said(desk, line("d", DISCOVER, odd)) == []
    assert left(desk) == ["d"]
    assert said(desk, line(0, "initialize", HANDSHAKE))[0] == ("d", -32601)
    assert left(desk) == [0]


def test_an_answered_question_binds_nobody(desk: Desk) -> None:
    said(desk, line("d", DISCOVER, ENVELOPE))
    ((number, result),) = said(desk, line(0, "initialize", HANDSHAKE))
    assert number == 0
    assert isinstance(result, dict)
    assert said(desk, line("e", DISCOVER, ENVELOPE)) == [("e", -32601)]


def test_what_is_not_known_is_left_in_its_order_and_does_not_hold_up_what_is(desk: Desk) -> None:
    asked = [
        line(n, method, ENVELOPE) for n, method in enumerate(("tools/call", "resources/list", "tools/list", "x/y"))
    ]
    assert [number for number, _ in said(desk, *asked)] == [2]
    assert left(desk) == [0, 1, 3]


def test_nothing_is_answered_behind_a_handshake_that_is_left(desk: Desk) -> None:
    odd = {**HANDSHAKE, "clientInfo": {"name": "no version"}}
    assert said(desk, line(1, "initialize", odd), line(2, "tools/list"), line(3, "ping")) == []
    assert left(desk) == [1, 2, 3]


def test_a_call_that_is_cancelled_while_it_waits_is_never_begun(desk: Desk) -> None:
    said(desk, line(7, "tools/call", ENVELOPE), line(8, "tools/call", ENVELOPE))
    assert said(desk, note("notifications/cancelled", requestId="7")) == []
    assert left(desk) == [8]
    # The id is free again.
    assert said(desk, line(7, "tools/list", ENVELOPE))[0][0] == 7


def test_a_cancel_that_is_none_is_left_to_the_sdk(desk: Desk) -> None:
    said(desk, note("notifications/cancelled", requestId=None), note("notifications/cancelled"))
    assert left(desk) == ["notifications/cancelled"] * 2


def test_an_id_that_waits_is_left_to_be_refused_in_its_turn(desk: Desk) -> None:
    assert said(desk, line(7, "tools/call", ENVELOPE), line("7", "tools/list", ENVELOPE)) == []
    assert left(desk) == [7, "7"]


def test_flaws_are_answered_as_the_transport_does(desk: Desk) -> None:
    lines = [b"{bad", b"", b"  ", b"[]", b'{"jsonrpc":"2.0","id":5,"method":7}', Oversized.LINE]
    assert said(desk, *lines) == [(None, -32700), (None, -32600), (5, -32600), (None, -32600)]
    assert left(desk) == []


def test_answers_and_flaws_of_a_host_do_not_decide_anything(desk: Desk) -> None:
    response = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {}}).encode()
    assert said(desk, response, note("notifications/initialized")) == []
    assert desk.era is Era.OPEN
    assert len(desk.left) == 2


def test_what_waits_is_bounded(desk: Desk) -> None:
    big = line(0, "tools/call", {**ENVELOPE, "arguments": {"text": "x" * (MAX_LEFT_BYTES // 2)}})
    said(desk, big)
    assert not desk.full
    said(desk, big.replace(b'"id": 0', b'"id": 1'))
    assert desk.full
    said(desk, note("notifications/cancelled", requestId=1))
    assert not desk.full
