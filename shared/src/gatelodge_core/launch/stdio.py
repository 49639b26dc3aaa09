"""The stdio transport: one strict JSON-RPC message a line, both protocol eras, a clean end.

Written instead of using the SDK's because that one leaves malformed messages unanswered, has no line limit, runs on
the same forty threads as the tools, and ends without teardown on a signal.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import anyio
from anyio.abc import TaskGroup
from mcp.server.lowlevel.server import Server
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
from gatelodge_core.launch.in_flight import IN_FLIGHT, InFlight
from gatelodge_core.launch.lines import LineWriter, chunks
from gatelodge_core.launch.porter.eras import Era, Eras, Verdict, enveloped, last_handshake, pong, refusal
from gatelodge_core.launch.porter.standing import Handover
from gatelodge_core.launch.porter.words import INITIALIZE
from gatelodge_core.launch.speaking import Speaker
from gatelodge_core.launch.splitting import LineSplitter, Oversized, decoded

logger = logging.getLogger(__name__)

EOF_SECONDS = 1.5
"""How long accepted requests may still be answered after the host closed its end."""


async def serve(
    server: Server[Any], wire: Wire, *, handed: Handover | None = None, cap: int = MAX_MESSAGE_BYTES
) -> None:
    """Serve one connection on `wire` until the host closes it.

    Args:
        server: The SDK's low-level server; its lifespan is entered and left.
        wire: The private descriptors.
        handed: Where the porter stopped, if there was one.
        cap: The longest line, in bytes.
    """
    handed = handed or Handover()
    in_flight = InFlight()
    async with LineWriter(wire.outgoing) as writer, anyio.create_task_group() as group:

        async def deliver(message: JSONRPCMessage) -> None:
            await _deliver(message, writer, in_flight, group)

        reading = _Reading(Speaker(server, group, deliver), writer, in_flight, Eras(handed.era), cap)
        await reading.take_over(handed)
        if handed.closed:
            logger.info("the host closed its end")
            group.cancel_scope.cancel()
            return
        await reading.to_the_end(wire.incoming, LineSplitter(cap, handed.held, dropping=handed.dropping))
        group.cancel_scope.cancel()


class _Reading:
    """From the host to the SDK."""

    def __init__(self, speaker: Speaker, writer: LineWriter, in_flight: InFlight, eras: Eras, cap: int) -> None:
        self._speaker = speaker
        self._writer = writer
        self._in_flight = in_flight
        self._eras = eras
        self._cap = cap

    async def take_over(self, handed: Handover) -> None:
        """Go on where the porter stopped: what it answered is made known to the SDK, what it left is served."""
        if handed.unsent:
            await self._writer.write(handed.unsent.removesuffix(b"\n"))
        for left in handed.left:
            message = decode_message(left.line)
            try:
                if left.answered:
                    params = message.get("params")
                    await self._speaker.tell(str(message["method"]), params if isinstance(params, dict) else {})
                else:
                    await self._pass_on(message)
            except WireError as error:
                await self._refuse(error)

    async def to_the_end(self, descriptor: int, splitter: LineSplitter) -> None:
        """Read until the host closes its end, and see what it has asked for answered, for a while."""
        async for chunk in chunks(descriptor):
            await self._batch(splitter.feed(chunk))
        await self._batch(splitter.end())
        with anyio.move_on_after(EOF_SECONDS):
            await self._in_flight.drained()
        await self._speaker.end()

    async def _batch(self, lines: Sequence[bytes | Oversized]) -> None:
        """Lines that arrived together: an ``initialize`` among them is known before what stands in front of it."""
        messages = [decoded(line, self._cap) for line in lines]
        handshake = last_handshake(messages)
        for at, message in enumerate(messages):
            try:
                if isinstance(message, WireError):
                    raise message
                if message is not None:
                    await self._receive(message, initialize_follows=at < handshake)
            except WireError as error:
                await self._refuse(error)

    async def _receive(self, message: dict[str, Json], *, initialize_follows: bool) -> None:
        method, request_id = message.get("method"), message.get("id")
        if not isinstance(method, str) or not isinstance(request_id, (str, int)):
            await self._pass_on(message)
            return
        self._check(request_id)
        verdict = self._eras.judge(method, message.get("params"), initialize_follows=initialize_follows)
        if verdict is Verdict.REFUSE:
            await self._writer.write(json.dumps(refusal(request_id)).encode())
        elif verdict is Verdict.PONG:
            await self._writer.write(json.dumps(pong(request_id)).encode())
        else:
            if verdict is Verdict.FALL_BACK and self._speaker.opened:
                # Only what there is was asked for, and that is answered at once.
                await self._in_flight.drained()
                await self._speaker.begin_anew()
            await self._pass_on(message)

    async def _pass_on(self, message: dict[str, Json]) -> None:
        """Give a message to the SDK.

        Raises:
            WireError: It is none, or its id is in flight.
        """
        method, params = message.get("method"), message.get("params")
        accepted = self._accepted(message)
        undecided = self._eras.era is Era.MODERN and not self._speaker.opened and method is not None
        if undecided and (method == INITIALIZE or not enveloped(params)):
            # The porter answered what decided the era; the SDK would decide by this.
            await self._speaker.open_modern()
        await self._speaker.send(accepted)

    def _accepted(self, decoded: dict[str, Json]) -> JSONRPCMessage:
        """The message as the SDK's type, and its id noted."""
        request_id = decoded.get("id")
        method = decoded.get("method")
        # The id of the host's own answer is one of ours, and may be that of another request of the host's.
        known = request_id if method is not None and isinstance(request_id, (str, int)) else None
        try:
            message = jsonrpc_message_adapter.validate_python(decoded, by_name=False)
        except ValidationError:
            raise WireError(INVALID_REQUEST, "Invalid request: not a JSON-RPC message", known) from None
        if known is not None:
            self._check(known)
            self._in_flight.accept(known)
        if method == "notifications/cancelled":
            params = decoded.get("params")
            if isinstance(params, Mapping):
                self._in_flight.settle(params.get("requestId"))
        return message

    def _check(self, request_id: str | int) -> None:
        if self._in_flight.holds(request_id):
            raise WireError(INVALID_REQUEST, IN_FLIGHT, request_id)

    async def _refuse(self, error: WireError) -> None:
        # Not debug: a host that sends this has a fault that its author wants to find.
        logger.warning("refused a message: %s", error.message)
        await self._writer.write(json.dumps(error.response()).encode())


async def _deliver(message: JSONRPCMessage, writer: LineWriter, in_flight: InFlight, group: TaskGroup) -> None:
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
