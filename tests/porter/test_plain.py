"""What the porter takes for ordinary, the SDK accepts: else a host and its server would disagree about the handshake."""

from __future__ import annotations

from typing import Any

import pytest
from gatelodge_core.launch.porter.plain import plain_initialize, plain_request
from gatelodge_core.launch.porter.words import (
    CLIENT_CAPABILITIES,
    CLIENT_INFO,
    HANDSHAKES,
    LISTS,
    LOG_LEVEL,
    MODERN,
    PROTOCOL_VERSION,
)
from hypothesis import event, given, settings
from hypothesis import strategies as st
from mcp.server.connection import Connection
from mcp.shared.inbound import InboundModernRoute, classify_inbound_request
from mcp_types import InitializeRequestParams
from mcp_types import methods as sdk

NOWHERE: Any = None
"""For a connection on which nothing is sent."""
INFO = {"name": "host", "version": "1"}
NAMES = st.sampled_from(
    ["roots", "sampling", "elicitation", "experimental", "extensions", "tasks", "completions", "tools", "x"]
)
PARTS = st.sampled_from(
    ["listChanged", "context", "tools", "form", "url", "list", "cancel", "requests", "sampling", "createMessage",
     "elicitation", "create", "applyDefaults", "x"]
)  # fmt: skip
LEAVES = st.one_of(st.booleans(), st.none(), st.integers(), st.text(max_size=3), st.just([]), st.just({}))
TREES = st.recursive(LEAVES, lambda inner: st.dictionaries(PARTS, inner, max_size=3), max_leaves=6)
CAPABILITIES = st.dictionaries(NAMES, st.one_of(st.dictionaries(PARTS, TREES, max_size=3), LEAVES), max_size=4)
INFOS = st.one_of(
    st.just(INFO),
    st.dictionaries(st.sampled_from(["name", "version", "title", "description", "websiteUrl", "icons", "x"]), LEAVES),
)
METAS = st.dictionaries(st.sampled_from(["progressToken", LOG_LEVEL, "traceparent", "x"]), LEAVES, max_size=2)


@settings(max_examples=400, deadline=None)
@given(CAPABILITIES, INFOS, METAS)
def test_a_handshake_that_is_answered_is_one_that_the_sdk_accepts(
    capabilities: dict[str, Any], info: dict[str, Any], meta: dict[str, Any]
) -> None:
    for revision in (*HANDSHAKES, "1999-01-01"):
        params = {"protocolVersion": revision, "capabilities": capabilities, "clientInfo": info, "_meta": meta}
        plain = plain_initialize(params)
        event(f"plain: {plain}")
        if plain:
            # The connection is not negotiated yet, so the SDK judges by the last handshake revision.
            sdk.validate_client_request("initialize", HANDSHAKES[-1], params)
            InitializeRequestParams.model_validate(params, by_name=False)


@settings(max_examples=400, deadline=None)
@given(CAPABILITIES, INFOS, METAS)
def test_an_enveloped_request_that_is_answered_is_one_that_the_sdk_accepts(
    capabilities: dict[str, Any], info: dict[str, Any], meta: dict[str, Any]
) -> None:
    said = {**meta, PROTOCOL_VERSION: MODERN, CLIENT_CAPABILITIES: capabilities, CLIENT_INFO: info}
    params = {"_meta": said}
    if not plain_request(params, modern=True):
        return
    for method in (*LISTS, "server/discover"):
        route = classify_inbound_request({"method": method, "params": params})
        assert isinstance(route, InboundModernRoute)
        Connection.from_envelope(route.protocol_version, route.client_info, route.client_capabilities, outbound=NOWHERE)
        sdk.validate_client_request(method, MODERN, params)


@settings(max_examples=200, deadline=None)
@given(METAS)
def test_a_bare_request_that_is_answered_is_one_that_the_sdk_accepts(meta: dict[str, Any]) -> None:
    for params in (None, {}, {"_meta": meta}):
        if plain_request(params, modern=False):
            for method in (*LISTS, "ping"):
                sdk.validate_client_request(method, HANDSHAKES[-1], params)


@pytest.mark.parametrize(
    "capabilities",
    [
        {},
        {"roots": {"listChanged": True}, "elicitation": {"form": {}, "url": {}}},  # Claude Code
        {"elicitation": {"form": {"applyDefaults": True}}},  # the TypeScript SDK
        {"roots": {}, "extensions": {"io.modelcontextprotocol/ui": {"mimeTypes": ["text/html;profile=mcp-app"]}}},
        {"sampling": {"context": {}, "tools": {}}, "experimental": {"x": {"deep": [1, {"er": None}]}}},
        {"tasks": {"list": {}, "cancel": {}, "requests": {"sampling": {"createMessage": {}}}}},
    ],
)
def test_what_hosts_declare_today_is_ordinary(capabilities: dict[str, Any]) -> None:
    assert plain_initialize({"protocolVersion": "2025-06-18", "capabilities": capabilities, "clientInfo": INFO})
    envelope = {PROTOCOL_VERSION: MODERN, CLIENT_CAPABILITIES: capabilities, CLIENT_INFO: INFO, "progressToken": 7}
    assert plain_request({"_meta": envelope}, modern=True)


@pytest.mark.parametrize(
    "params",
    [
        None,
        [],
        {},
        {"protocolVersion": 1, "capabilities": {}, "clientInfo": INFO},
        {"protocolVersion": "2025-11-25", "capabilities": {"sampling": True}, "clientInfo": INFO},
        {"protocolVersion": "2025-11-25", "capabilities": {"extensions": {"x": 1}}, "clientInfo": INFO},
        {"protocolVersion": "2025-11-25", "capabilities": {"sampling": {"tools": True}}, "clientInfo": INFO},
        {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "host"}},
        {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": INFO, "_meta": {"progressToken": True}},
    ],
)
def test_a_handshake_with_a_flaw_is_left_to_the_sdk(params: object) -> None:
    assert not plain_initialize(params)


@pytest.mark.parametrize(
    ("params", "modern"),
    [
        ({"cursor": "x"}, False),
        ({"x": 1}, False),
        ({"_meta": {PROTOCOL_VERSION: MODERN}}, False),
        (None, True),
        ({"_meta": {PROTOCOL_VERSION: MODERN}}, True),
        ({"_meta": {PROTOCOL_VERSION: "2027-01-01", CLIENT_CAPABILITIES: {}}}, True),
        ({"_meta": {PROTOCOL_VERSION: MODERN, CLIENT_CAPABILITIES: {}}, "cursor": "x"}, True),
    ],
)
def test_a_request_that_asks_for_more_is_left_to_the_sdk(params: object, modern: bool) -> None:
    assert not plain_request(params, modern=modern)
