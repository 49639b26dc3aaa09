"""What browsers must be told before a web page may call (the Fetch standard, CORS protocol).

Only for origins that the settings name. No cookie and no other credential of the browser's own is ever asked for: the page
sends its token itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from starlette.types import Message, Scope, Send

_METHODS = b"GET, POST, DELETE"
_HEADERS = (
    *("accept", "authorization", "content-type", "last-event-id"),
    *("mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name"),
)
_PARAMETER = re.compile(r"mcp-param-[a-z0-9_-]+")
"""Headers in which clients repeat parameters (MCP, header parameters); the names are the server's choice."""
_SHOWN = b"mcp-session-id, mcp-protocol-version, retry-after, www-authenticate"
_SECONDS = b"600"
_MAX_ASKED = 64


async def answer_preflight(scope: Scope, origin: bytes, send: Send) -> bool:
    """Answer a browser's question whether it may send a request; False if the request isn't one.

    Args:
        scope: Of the request.
        origin: One that may call.
        send: The connection's.
    """
    if scope["method"] != "OPTIONS" or not _values(scope, b"access-control-request-method"):
        return False
    headers = [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-allow-headers", ", ".join([*_HEADERS, *_parameters(scope)]).encode()),
        (b"access-control-max-age", _SECONDS),
        (b"vary", b"Origin, Access-Control-Request-Headers"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
    return True


def sharing(origin: bytes, send: Send) -> Send:
    """`send`, with the headers that let a page of `origin` read the answer."""

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [item for item in message.get("headers", []) if item[0] != b"access-control-allow-origin"]
            shared = [
                (b"access-control-allow-origin", origin),
                (b"access-control-expose-headers", _SHOWN),
                (b"vary", b"Origin"),
            ]
            message = {**message, "headers": [*kept, *shared]}
        await send(message)

    return wrapped


def _parameters(scope: Scope) -> Sequence[str]:
    """The parameter headers that a browser asks for."""
    asked = b",".join(_values(scope, b"access-control-request-headers")).decode("latin-1").lower()
    names = [name.strip() for name in asked.split(",", _MAX_ASKED)[:_MAX_ASKED]]
    return [name for name in names if _PARAMETER.fullmatch(name)]


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]
