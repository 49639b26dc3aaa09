"""The stdio transport: one strict JSON-RPC message a line, both protocol eras, a clean end.

Written instead of using the SDK's because that one leaves malformed messages unanswered, has no line limit, runs on
the same forty threads as the tools, and ends without teardown on a signal.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.lowlevel.server import Server
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCResponse, jsonrpc_message_adapter
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from gatelodge_core.guard.wire import (
    INVALID_REQUEST,
    MAX_MESSAGE_BYTES,
    Json,
    WireError,
    decode_message,
    sendable_json,
)
from gatelodge_core.launch.descriptors import Wire
from gatelodge_core.launch.lines import LineSplitter, LineWriter, Oversized, chunks

logger = logging.getLogger(__name__)

EOF_SECONDS = 1.5
"""How long accepted requests may still be answered after the host closed its end."""


class InFlight:
    """The ids of requests that were accepted and not answered yet."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._empty = anyio.Event()
        self._empty.set()

    def accept(self, request_id: object) -> bool:
        """Take an id in; False if it is in flight already (``7`` and ``"7"`` are one to the SDK)."""
        key = str(request_id)
        if key in self._ids:
            return False
        if not self._ids:
            self._empty = anyio.Event()
        self._ids.add(key)
        return True

    def settle(self, request_id: object) -> None:
        """Forget an id: it was answered, or cancelled, after which nothing is answered."""
        self._ids.discard(str(request_id))
        if not self._ids:
            self._empty.set()

    async def drained(self) -> None:
        """Wait until nothing is in flight."""
        await self._empty.wait()


async def serve(server: Server[Any], wire: Wire, *, cap: int = MAX_MESSAGE_BYTES) -> None:
    """Serve one connection on `wire` until the host closes it.

    Args:
        server: The SDK's low-level server; its lifespan is entered and left.
        wire: The private descriptors.
        cap: The longest line, in bytes.
    """
    to_server, from_host = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    to_host, from_server = anyio.create_memory_object_stream[SessionMessage](0)
    in_flight = InFlight()
    async with LineWriter(wire.outgoing) as writer, anyio.create_task_group() as group:
        group.start_soon(_write, from_server, writer, in_flight, group)
        group.start_soon(_read, wire.incoming, to_server, writer, in_flight, cap)
        await server.run(from_host, to_host, server.create_initialization_options())
        group.cancel_scope.cancel()


async def _read(
    descriptor: int,
    to_server: MemoryObjectSendStream[SessionMessage | Exception],
    writer: LineWriter,
    in_flight: InFlight,
    cap: int,
) -> None:
    splitter = LineSplitter(cap)
    async with to_server:
        async for chunk in chunks(descriptor):
            for line in splitter.feed(chunk):
                await _receive(line, to_server, writer, in_flight, cap)
        for line in splitter.end():
            await _receive(line, to_server, writer, in_flight, cap)
        with anyio.move_on_after(EOF_SECONDS):
            await in_flight.drained()


async def _receive(
    line: bytes | Oversized,
    to_server: MemoryObjectSendStream[SessionMessage | Exception],
    writer: LineWriter,
    in_flight: InFlight,
    cap: int,
) -> None:
    try:
        if isinstance(line, Oversized):
            raise WireError(INVALID_REQUEST, f"Invalid request: a message may have {cap} bytes at most")
        if not line.strip():
            return
        message = _accept(decode_message(line), in_flight)
    except WireError as error:
        # Not debug: a host that sends this has a fault that its author wants to find.
        logger.warning("refused a message: %s", error.message)
        await writer.write(json.dumps(error.response()).encode())
        return
    await to_server.send(SessionMessage(message))


def _accept(decoded: dict[str, Json], in_flight: InFlight) -> JSONRPCMessage:
    """The message as the SDK's type, and its id noted."""
    request_id = decoded.get("id")
    known = request_id if isinstance(request_id, (str, int)) else None
    try:
        message = jsonrpc_message_adapter.validate_python(decoded, by_name=False)
    except ValidationError:
        raise WireError(INVALID_REQUEST, "Invalid request: not a JSON-RPC message", known) from None
    method = decoded.get("method")
    if method is not None and known is not None and not in_flight.accept(known):
        raise WireError(INVALID_REQUEST, "Invalid request: a request with this id is still in flight", known)
    if method == "notifications/cancelled":
        params = decoded.get("params")
        if isinstance(params, Mapping):
            in_flight.settle(params.get("requestId"))
    return message


async def _write(
    from_server: MemoryObjectReceiveStream[SessionMessage],
    writer: LineWriter,
    in_flight: InFlight,
    group: TaskGroup,
) -> None:
    async with from_server:
        async for item in from_server:
            message = item.message
            await writer.write(_encode(message))
            if isinstance(message, (JSONRPCResponse, JSONRPCError)) and message.id is not None:
                in_flight.settle(message.id)
            if writer.closed:
                logger.info("the host closed its end")
                group.cancel_scope.cancel()


def _encode(message: JSONRPCMessage) -> bytes:
    """One line; text that UTF-8 can't carry is escaped rather than lost."""
    try:
        return message.model_dump_json(by_alias=True, exclude_unset=True).encode()
    except (PydanticSerializationError, UnicodeEncodeError):
        plain = sendable_json(message.model_dump(by_alias=True, exclude_unset=True))
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode()
