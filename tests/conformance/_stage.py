"""What the parts of the conformance fixture share: its domain, the message that a tool answers, and contents."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from gatelodge_core.declare import Declarations, ToolDeclaration
from gatelodge_core.effects import READ, Nature
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp_types import EmbeddedResource, ImageContent, TextContent, TextResourceContents

Message = ServerRequestContext[Any, Any]
Schema = dict[str, Any]
Function = Callable[..., Awaitable[Any]]

_message: ContextVar[Message] = ContextVar("message")


@dataclass
class Stage:
    """The fixture's domain."""

    watched: set[str] = field(default_factory=set[str])


async def remember(ctx: Message, call_next: CallNext) -> HandlerResult:
    """Middleware inside the guard: lets a tool find the message that it answers."""
    token = _message.set(ctx)
    try:
        return await call_next(ctx)
    finally:
        _message.reset(token)


def current() -> Message:
    """The message that the running tool or prompt answers."""
    return _message.get()


def long_named(declarations: Declarations[Stage]) -> Callable[[Function], Function]:
    """Declare a reading tool whatever the length of its name; `Declarations.tool` refuses what Cursor would drop."""

    def register(function: Function) -> Function:
        name = function.__name__
        declarations.tools[name] = ToolDeclaration(name, name, function.__doc__ or "", Nature(READ), function)
        return function

    return register


def object_schema(*required: str, **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


# One red pixel (RFC 2083), and a WAV of one silent 8-bit sample.
PNG = b"\x89PNG\r\n\x1a\n" + b"".join(
    (
        _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
        _chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")),
        _chunk(b"IEND", b""),
    )
)
WAV = (
    b"RIFF" + struct.pack("<I4s4sIHHIIHH4sI", 38, b"WAVE", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8, b"data", 1) + b"\x80\0"
)


def plain(text: str) -> TextContent:
    return TextContent(type="text", text=text)


def image() -> ImageContent:
    return ImageContent(type="image", data=base64.b64encode(PNG).decode(), mime_type="image/png")


def embedded(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))
