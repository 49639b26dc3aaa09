"""Parameters of every wrong type, in every place: each is answered, and none is an internal error."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from typing import Any

import pytest

from tests.support.wire import REVISIONS, Revision, Server, StdioWire, python_module

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 1e308, 2**53 - 1, "", "x", "\u0000", "a" * 9000, [], [1], [None], {}, {"a": 1},
    {"name": 5}, [[[]]], "toy://items", "toy://item/alpha", "toy://item/%zz", "http://[::1", "file:///etc/passwd",
    {"type": "ref/prompt"}, {"type": "ref/prompt", "name": 5}, {"type": "ref/prompt", "name": "nope"},
    {"type": "ref/resource", "uri": 7}, {"type": "ref/resource", "uri": "http://[bad"}, {"name": "topic"},
    {"name": "topic", "value": 5}, {"name": "key", "value": "a"}, {"arguments": 5}, {"arguments": {"a": 5}},
    "debug", "2026-07-28", "1999-01-01",
)  # fmt: skip
PLACES: dict[str, tuple[str, ...]] = {
    "tools/call": ("name", "arguments", "task"),
    "prompts/get": ("name", "arguments"),
    "resources/read": ("uri",),
    "completion/complete": ("ref", "argument", "context"),
    "logging/setLevel": ("level",),
    "resources/subscribe": ("uri",),
    "resources/unsubscribe": ("uri",),
    "subscriptions/listen": ("notifications",),
    "tools/list": ("cursor",),
    "resources/list": ("cursor",),
    "prompts/list": ("cursor",),
    "resources/templates/list": ("cursor",),
    "tasks/get": ("taskId",),
    "tasks/cancel": ("taskId",),
    "tasks/list": ("cursor",),
    "initialize": ("protocolVersion", "capabilities", "clientInfo"),
    "server/discover": ("x",),
    "ping": ("x",),
    "notifications/cancelled": ("requestId",),
    "sampling/createMessage": ("messages",),
    "no/such/method": ("x",),
    "": ("x",),
}
GOOD: dict[str, dict[str, Any]] = {
    "tools/call": {"name": "echo_text", "arguments": {"text": "a"}},
    "prompts/get": {"name": "sum_up", "arguments": {"topic": "t"}},
    "resources/read": {"uri": "toy://items"},
    "completion/complete": {
        "ref": {"type": "ref/prompt", "name": "sum_up"},
        "argument": {"name": "topic", "value": ""},
    },
}
METAS = ("progressToken", "traceparent", "tracestate", "baggage", "io.modelcontextprotocol/clientInfo",
         "io.modelcontextprotocol/clientCapabilities", "io.modelcontextprotocol/protocolVersion",
         "io.modelcontextprotocol/logLevel", "io.modelcontextprotocol/related-task", "ifc")  # fmt: skip
ALSO: tuple[tuple[str, Any], ...] = (
    ("inputResponses", 5), ("inputResponses", {"confirm": 5}), ("inputResponses", {"confirm": {"action": 5}}),
    ("requestState", 5), ("requestState", ""), ("requestState", "x"), ("requestState", {}), ("_x", 1),
)  # fmt: skip
ARGUMENTS: tuple[tuple[str, str], ...] = (
    ("echo_text", "text"), ("echo_text", "times"), ("echo_text", "mode"), ("echo_text", "shelf"), ("echo_text", ""),
    ("put_item", "value"), ("drop_item", "key"), ("list_items", "prefixes"), ("list_items", "limit"),
)  # fmt: skip


ODD: tuple[Any, ...] = (None, 5, 1.5, True, [], {}, "x", {"name": 5}, {"elicitation": 5})


def _requests(wire: StdioWire) -> Generator[tuple[str, Any]]:
    for method, places in PLACES.items():
        good = GOOD.get(method, {})
        yield from ((method, params) for params in ODD)
        for place in places:
            yield from ((method, wire.params({**good, place: value})) for value in VALUES)
        yield from ((method, wire.params({**good, place: value})) for place, value in ALSO)
        yield from ((method, {**good, "_meta": value}) for value in ODD)
        for key in METAS:
            for value in ODD:
                yield method, {**good, "_meta": {**wire.params()["_meta"], key: value} if wire.modern else {key: value}}
    for name, key in ARGUMENTS:
        for value in VALUES:
            yield "tools/call", wire.params({"name": name, "arguments": {"text": "a", "key": "a", key: value}})


@pytest.fixture(params=REVISIONS)
def wire(request: pytest.FixtureRequest) -> Generator[StdioWire]:
    revision: Revision = request.param
    opened = StdioWire(Server(python_module("tests.support.toy")), revision)
    try:
        opened.open()
        # The first request decides the era.
        assert opened.text("echo_text", text="first") == "first"
        yield opened
    finally:
        opened.close()


def test_no_parameter_of_any_type_is_an_internal_error_or_goes_unanswered(wire: StdioWire) -> None:
    wrong: list[tuple[str, Any, Mapping[str, Any]]] = []
    for method, params in _requests(wire):
        response = wire.exchange({"jsonrpc": "2.0", "id": wire.next_id(), "method": method, "params": params})
        code = response.get("error", {}).get("code")
        # 0 is how the SDK tells a 2025 revision of an exception that nobody expected.
        if code in (-32603, 0) or "internal_error" in json.dumps(response):
            wrong.append((method, params, response))
    assert not wrong[:5]
    assert wire.text("echo_text", text="alive") == "alive"
