"""Taking the surface of a server that is put together: what it answers, message for message, in each revision.

Needs the SDK; for the script that writes surface files, and for the tests that hold them against what is served.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import anyio
from mcp.server.lowlevel.server import Server
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCResponse, jsonrpc_message_adapter

from gatelodge_core.launch.porter.words import (
    CLIENT_CAPABILITIES,
    INITIALIZE,
    LISTS,
    MODERN,
    PROTOCOL_VERSION,
)

Message = dict[str, Any]


async def exchanged(server: Server[Any], messages: list[Message]) -> list[Message]:
    """Send messages one after the other on a connection of their own; the response to each that is a request."""
    to_server, from_host = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    to_host, from_server = anyio.create_memory_object_stream[SessionMessage](0)
    found: list[Message] = []
    async with anyio.create_task_group() as group, to_server, from_server:
        group.start_soon(server.run, from_host, to_host, server.create_initialization_options())
        for message in messages:
            await to_server.send(SessionMessage(jsonrpc_message_adapter.validate_python(message, by_name=False)))
            while "id" in message:
                answer = (await from_server.receive()).message
                if isinstance(answer, (JSONRPCResponse, JSONRPCError)) and answer.id == message["id"]:
                    found.append(json.loads(answer.model_dump_json(by_alias=True, exclude_unset=True)))
                    break
        group.cancel_scope.cancel()
    return found


def opening(revision: str, capabilities: Message | None = None) -> list[Message]:
    """What a host says first in a revision: the handshake, or the question what there is."""
    if revision == MODERN:
        return [request(0, "server/discover", revision, capabilities)]
    info = {"name": "surface", "version": "0"}
    params = {"protocolVersion": revision, "capabilities": capabilities or {}, "clientInfo": info}
    return [
        {"jsonrpc": "2.0", "id": 0, "method": INITIALIZE, "params": params},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
    ]


def request(number: int, method: str, revision: str, capabilities: Message | None = None) -> Message:
    """A request as a revision's hosts write it."""
    meta: Message = (
        {"_meta": {PROTOCOL_VERSION: MODERN, CLIENT_CAPABILITIES: capabilities or {}}} if revision == MODERN else {}
    )
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": meta}


async def taken(
    server: Server[Any], revision: str, left_out: Sequence[str] = (), capabilities: Message | None = None
) -> dict[str, Message]:
    """What a server answers to the opening and to each list, by method; each is a result.

    Args:
        server: The SDK's low-level server.
        revision: What to speak with it.
        left_out: Lists that are not asked for.
        capabilities: What the host declares.

    Raises:
        ValueError: It answered with an error.
    """
    first = opening(revision, capabilities)
    asked = [
        *first,
        *(
            request(number, method, revision, capabilities)
            for number, method in enumerate(LISTS, 1)
            if method not in left_out
        ),
    ]
    answers = await exchanged(server, asked)
    methods = [str(message["method"]) for message in asked if "id" in message]
    for method, answer in zip(methods, answers, strict=True):
        if "result" not in answer:
            raise ValueError(f"{method} in {revision} is answered with an error: {answer}")
    return {method: answer["result"] for method, answer in zip(methods, answers, strict=True)}
