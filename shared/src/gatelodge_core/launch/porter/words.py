"""The protocol's words that the porter needs, written out: the SDK that defines them is what it doesn't wait for."""

from __future__ import annotations

MODERN = "2026-07-28"
"""The revision whose requests each carry an envelope."""
HANDSHAKES = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""The revisions that open with ``initialize``; an unknown one is answered with the last."""

_PREFIX = "io.modelcontextprotocol/"
PROTOCOL_VERSION = f"{_PREFIX}protocolVersion"
CLIENT_INFO = f"{_PREFIX}clientInfo"
CLIENT_CAPABILITIES = f"{_PREFIX}clientCapabilities"
LOG_LEVEL = f"{_PREFIX}logLevel"
SERVER_INFO = f"{_PREFIX}serverInfo"

INITIALIZE = "initialize"
DISCOVER = "server/discover"
PING = "ping"
CANCELLED = "notifications/cancelled"
LISTS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")

METHOD_NOT_FOUND = -32601
UNSUPPORTED_PROTOCOL_VERSION = -32022
