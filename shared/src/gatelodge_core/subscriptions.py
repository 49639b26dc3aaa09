"""Subscriptions to resources, for both protocol eras over one source of changes.

2026-07-28 listens by ``subscriptions/listen``, whose response is the stream; the 2025 revisions subscribe one URI at a
time by ``resources/subscribe``, which the SDK's MCPServer doesn't register. Here both count as watchers of a URI: the
first starts the watch, the last one's end stops it. Everything is bounded: URIs a session, URIs in all, streams.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from gatelodge_core.errors import CallError
from gatelodge_core.guard.wire import sendable

logger = logging.getLogger(__name__)

PER_SESSION = 64
"""URIs that one connection, or one listen stream, may watch."""
IN_ALL = 256
"""URIs that are watched at once."""
STREAMS = 64
"""Listen streams open at once."""
SEND_SECONDS = 10.0
"""How long one notification may take to leave; a host that doesn't read is then passed over."""

Stop = Callable[[], None]
Watch = Callable[[str, Callable[[], None]], Awaitable[Stop]]
"""(URI, called in the event loop after a change) -> ends the watch. Raises `CallError` for what can't be watched."""


@dataclass
class _Watched:
    """One URI that somebody watches."""

    stop: Stop | None = None
    streams: int = 0
    sessions: dict[int, Connection] = field(default_factory=dict[int, Connection])
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    users: int = 0
    """Who holds or waits for this entry: it is forgotten by the last."""


class Subscriptions:
    """All subscriptions of one server.

    Args:
        watch: Starts the watch of a URI.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._bus = InMemorySubscriptionBus()
        self._listen = ListenHandler(self._bus, max_subscriptions=STREAMS)
        self._watched: dict[str, _Watched] = {}
        self._due: dict[str, None] = {}
        self._sender: asyncio.Task[None] | None = None

    def register(self, server: Server[Any]) -> None:
        """Take the methods of both eras on."""
        server.add_request_handler("subscriptions/listen", SubscriptionsListenRequestParams, self.listen)
        server.add_request_handler("resources/subscribe", SubscribeRequestParams, self.subscribe)
        server.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, self.unsubscribe)

    def drain(self) -> None:
        """End all listen streams in good order; a stream kept open would hold up the end of an HTTP server."""
        self._listen.close()

    async def listen(
        self, ctx: ServerRequestContext[Any, Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Serve one stream of 2026-07-28 until the client leaves. URIs that can't be watched aren't acknowledged.

        Raises:
            MCPError: More URIs than a stream may watch.
        """
        asked = list(dict.fromkeys(params.notifications.resource_subscriptions or ()))
        if len(asked) > PER_SESSION:
            raise MCPError(INVALID_PARAMS, f"too_many_subscriptions: a stream may watch {PER_SESSION} URIs.")
        held: list[str] = []
        try:
            for uri in asked:
                try:
                    (await self._hold(uri)).streams += 1
                    held.append(uri)
                except CallError as error:
                    logger.info("not watched: %s", error)
            # Lists never change while the server runs, so nothing but resources is promised.
            honoured = params.notifications.model_copy(
                update={
                    "resource_subscriptions": held,
                    "tools_list_changed": None,
                    "prompts_list_changed": None,
                    "resources_list_changed": None,
                }
            )
            return await self._listen(ctx, params.model_copy(update={"notifications": honoured}))
        finally:
            for uri in held:
                self._watched[uri].streams -= 1
                self._let_go(uri)

    async def subscribe(self, ctx: ServerRequestContext[Any, Any], params: SubscribeRequestParams) -> EmptyResult:
        """Watch one URI for a connection of the 2025 revisions.

        Raises:
            MCPError: It can't be watched, the connection watches too many, or it has no way to be told.
        """
        uri = str(params.uri)
        connection = _connection(ctx)
        if not connection.has_standalone_channel:
            raise MCPError(INVALID_REQUEST, "no_session: subscriptions need a session; this server keeps none.")
        mine: set[str] = connection.state.setdefault("gatelodge.subscriptions", set[str]())
        if uri in mine:
            return EmptyResult()
        if len(mine) >= PER_SESSION:
            raise MCPError(INVALID_PARAMS, f"too_many_subscriptions: a session may watch {PER_SESSION} URIs.")
        if not mine and "gatelodge.teardown" not in connection.state:
            connection.state["gatelodge.teardown"] = True
            connection.exit_stack.callback(self._forget, connection, mine)
        mine.add(uri)
        try:
            (await self._hold(uri)).sessions[id(connection)] = connection
        except BaseException as error:
            mine.discard(uri)
            if isinstance(error, CallError):
                raise MCPError(INVALID_PARAMS, sendable(str(error)), {"uri": uri}) from None
            raise
        return EmptyResult()

    async def unsubscribe(self, ctx: ServerRequestContext[Any, Any], params: UnsubscribeRequestParams) -> EmptyResult:
        """End what `subscribe` began; for any other URI nothing happens."""
        self._drop(_connection(ctx), str(params.uri))
        return EmptyResult()

    def _forget(self, connection: Connection, mine: set[str]) -> None:
        for uri in list(mine):
            self._drop(connection, uri)

    def _drop(self, connection: Connection, uri: str) -> None:
        mine: set[str] = connection.state.get("gatelodge.subscriptions", set[str]())
        entry = self._watched.get(uri)
        if uri in mine and entry is not None and entry.sessions.pop(id(connection), None) is not None:
            mine.discard(uri)
            self._let_go(uri)

    async def _hold(self, uri: str) -> _Watched:
        """The entry of a URI, watched; the caller must let go of it.

        Raises:
            CallError: It can't be watched.
        """
        entry = self._watched.get(uri)
        if entry is None:
            if len(self._watched) >= IN_ALL:
                raise CallError("too_many_subscriptions", f"{IN_ALL} URIs are watched already.")
            entry = self._watched[uri] = _Watched()
        entry.users += 1
        try:
            async with entry.lock:
                if entry.stop is None:
                    entry.stop = await self._watch(uri, lambda: self._changed(uri))
        except BaseException:
            self._let_go(uri)
            raise
        return entry

    def _let_go(self, uri: str) -> None:
        entry = self._watched[uri]
        entry.users -= 1
        if not entry.users:
            del self._watched[uri]
            if entry.stop is not None:
                entry.stop()

    def _changed(self, uri: str) -> None:
        """Tell all watchers soon; changes until then are one. Called in the event loop."""
        self._due[uri] = None
        if self._sender is None or self._sender.done():
            self._sender = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        while self._due:
            uri = next(iter(self._due))
            del self._due[uri]
            entry = self._watched.get(uri)
            if entry is None:
                continue
            if entry.streams:
                await self._bus.publish(ResourceUpdated(uri))
            for connection in list(entry.sessions.values()):
                with anyio.move_on_after(SEND_SECONDS) as scope:
                    await connection.send_resource_updated(uri)
                if scope.cancelled_caught:
                    logger.warning("a host does not read its notifications; one is left out")


def _connection(ctx: ServerRequestContext[Any, Any]) -> Connection:
    # The session is made anew for each request; only the connection lives as long as the client.
    return ctx.session._connection  # pyright: ignore[reportPrivateUsage]
