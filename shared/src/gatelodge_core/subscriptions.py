"""Subscriptions to resources and to their list, for both protocol eras over one source of changes.

2026-07-28 listens by ``subscriptions/listen``, whose response is the stream; the 2025 revisions subscribe one URI at a
time by ``resources/subscribe``, which the SDK's MCPServer doesn't register. Here both count as watchers of a URI: the
first starts the watch, the last one's end stops it. Everything is bounded: URIs a session, URIs in all, streams.

The list is watched like a URI. The 2025 revisions have no way to ask for that, so a session is told once it has asked for
the list: before, it holds nothing that could be out of date.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourcesListChanged, ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from gatelodge_core.auth.principal import CALLER
from gatelodge_core.errors import RESOURCE_NOT_FOUND, CallError
from gatelodge_core.guard.wire import sendable
from gatelodge_core.lists import Stop

logger = logging.getLogger(__name__)

PER_SESSION = 64
"""URIs that one connection, or one listen stream, may watch."""
IN_ALL = 256
"""URIs of one owner that are watched at once."""
STREAMS = 64
"""Listen streams of one owner open at once."""
PART = 2
"""Where several callers are one owner, each may have this part of both, so that it can't keep all others out."""
_STATE = "gatelodge.subscriptions"
"""Key in a connection's state: what it watches."""
SEND_SECONDS = 10.0
"""How long one notification may take to leave; a host that doesn't read is then passed over."""

THE_LIST = ""
"""What stands for the list among the watched; no URI is empty."""

Key = tuple[str, str]
"""What is watched: whose it is, and its URI, which may mean something else to everybody."""

Watch = Callable[[str, Callable[[], None]], Awaitable[Stop]]
"""(URI, called in the event loop after a change) -> ends the watch. Raises `CallError` for what can't be watched."""
WatchList = Callable[[Callable[[], None]], Awaitable[Stop]]
"""The same for the list; see `lists.Lists.watch`."""


@dataclass
class _Watched:
    """One URI, or the list, that somebody watches; `by` was the first."""

    by: str
    stop: Stop | None = None
    streams: int = 0
    sessions: dict[int, Connection] = field(default_factory=dict[int, Connection])
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    users: int = 0
    """Who holds or waits for this entry: it is forgotten by the last."""


class _Channel:
    """What leads to the listen streams of one owner."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        self.listen = ListenHandler(self.bus, max_subscriptions=STREAMS)


class Subscriptions:
    """All subscriptions of one server.

    Args:
        watch: Starts the watch of a URI; None if none can be.
        watch_list: Starts the watch of the list; None if it never changes.
        owner: Whose what the caller watches is; owners are few, and hear nothing of each other.
    """

    def __init__(
        self, watch: Watch | None, watch_list: WatchList | None = None, owner: Callable[[], str] = lambda: ""
    ) -> None:
        self._watch = watch
        self._watch_list = watch_list
        self._owner = owner
        self._channels: dict[str, _Channel] = {}
        self._watched: dict[Key, _Watched] = {}
        self._due: dict[Key, None] = {}
        self._streams: Counter[Key] = Counter()
        """Listen streams, by owner and caller."""
        self._sender: asyncio.Task[None] | None = None
        self._ending = False

    def register(self, server: Server[Any]) -> None:
        """Take the methods of both eras on."""
        server.add_request_handler("subscriptions/listen", SubscriptionsListenRequestParams, self.listen)
        if self._watch is not None:
            server.add_request_handler("resources/subscribe", SubscribeRequestParams, self.subscribe)
            server.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, self.unsubscribe)

    def drain(self) -> None:
        """End all listen streams in good order; a stream kept open would hold up the end of an HTTP server."""
        self._ending = True
        for channel in self._channels.values():
            channel.listen.close()

    async def listen(
        self, ctx: ServerRequestContext[Any, Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Serve one stream of 2026-07-28 until the client leaves. URIs that can't be watched aren't acknowledged.

        Raises:
            MCPError: More URIs than a stream may watch, or the server is ending.
        """
        if self._ending:
            raise MCPError(INTERNAL_ERROR, "unavailable: this server is ending. Listen again.")
        asked = [uri for uri in dict.fromkeys(params.notifications.resource_subscriptions or ()) if uri != THE_LIST]
        if len(asked) > PER_SESSION:
            raise MCPError(INVALID_PARAMS, f"too_many_subscriptions: a stream may watch {PER_SESSION} URIs.")
        owner, held = self._owner(), list[str]()
        who, most = (owner, _caller()), STREAMS // _part(owner)
        if self._streams[who] >= most:
            raise MCPError(INVALID_PARAMS, f"too_many_subscriptions: a caller may have {most} streams.")
        if params.notifications.resources_list_changed:
            asked.append(THE_LIST)
        self._streams[who] += 1
        try:
            for uri in asked:
                try:
                    (await self._hold((owner, uri))).streams += 1
                    held.append(uri)
                except CallError as error:
                    logger.info("not watched: %s", error)
            # Tools and prompts are the same for as long as the server runs, so nothing else is promised.
            honoured = params.notifications.model_copy(
                update={
                    "resource_subscriptions": [uri for uri in held if uri != THE_LIST],
                    "tools_list_changed": None,
                    "prompts_list_changed": None,
                    "resources_list_changed": True if THE_LIST in held else None,
                }
            )
            return await self._channel(owner).listen(ctx, params.model_copy(update={"notifications": honoured}))
        finally:
            self._streams[who] -= 1
            if not self._streams[who]:
                del self._streams[who]
            if not any(one == owner for one, _ in self._streams):
                self._channels.pop(owner, None)
            for uri in held:
                self._watched[owner, uri].streams -= 1
                self._let_go((owner, uri))

    async def subscribe(self, ctx: ServerRequestContext[Any, Any], params: SubscribeRequestParams) -> EmptyResult:
        """Watch one URI for a connection of the 2025 revisions.

        Raises:
            MCPError: It can't be watched, the connection watches too many, or it has no way to be told.
        """
        uri = str(params.uri)
        connection = _connection(ctx)
        if not connection.has_standalone_channel:
            raise MCPError(INVALID_REQUEST, "no_session: subscriptions need a session; this server keeps none.")
        key, mine = (self._owner(), uri), self._of(connection)
        if not uri:
            raise MCPError(RESOURCE_NOT_FOUND, "not_found: no resource has an empty URI.", {"uri": uri})
        if key in mine:
            return EmptyResult()
        if sum(uri != THE_LIST for _, uri in mine) >= PER_SESSION:
            raise MCPError(INVALID_PARAMS, f"too_many_subscriptions: a session may watch {PER_SESSION} URIs.")
        try:
            await self._join(connection, key)
        except CallError as error:
            code = RESOURCE_NOT_FOUND if error.code == "not_found" else INVALID_PARAMS
            raise MCPError(code, sendable(str(error)), {"uri": uri}) from None
        return EmptyResult()

    async def listed(self, ctx: ServerRequestContext[Any, Any]) -> None:
        """Tell the session that asks for the list of its changes from now on, if it is of the 2025 revisions."""
        connection = _connection(ctx)
        legacy = ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS
        if self._watch_list is None or not legacy or not connection.has_standalone_channel:
            return
        key = (self._owner(), THE_LIST)
        if key not in self._of(connection):
            try:
                await self._join(connection, key)
            except CallError as error:
                logger.info("the list is not watched: %s", error)

    def _channel(self, owner: str) -> _Channel:
        return self._channels.setdefault(owner, _Channel())

    def _of(self, connection: Connection) -> set[Key]:
        """What a connection watches; it is let go of when the connection ends."""
        mine: set[Key] | None = connection.state.get(_STATE)
        if mine is None:
            mine = connection.state[_STATE] = set[Key]()
            connection.exit_stack.callback(self._forget, connection, mine)
        return mine

    async def _join(self, connection: Connection, key: Key) -> None:
        """Let a connection watch what it doesn't yet.

        Raises:
            CallError: It can't be watched.
        """
        mine = self._of(connection)
        mine.add(key)
        try:
            (await self._hold(key)).sessions[id(connection)] = connection
        except BaseException:
            mine.discard(key)
            raise

    async def unsubscribe(self, ctx: ServerRequestContext[Any, Any], params: UnsubscribeRequestParams) -> EmptyResult:
        """End what `subscribe` began; for any other URI nothing happens."""
        connection, uri = _connection(ctx), str(params.uri)
        for key in [key for key in self._of(connection) if uri and key[1] == uri]:
            self._drop(connection, key)
        return EmptyResult()

    def _forget(self, connection: Connection, mine: set[Key]) -> None:
        for key in list(mine):
            self._drop(connection, key)

    def _drop(self, connection: Connection, key: Key) -> None:
        mine = self._of(connection)
        entry = self._watched.get(key)
        if key in mine and entry is not None and entry.sessions.pop(id(connection), None) is not None:
            mine.discard(key)
            self._let_go(key)

    async def _hold(self, key: Key) -> _Watched:
        """The entry of a URI, watched; the caller must let go of it.

        Raises:
            CallError: It can't be watched.
        """
        entry = self._watched.get(key)
        if entry is None:
            by = _caller()
            watched = [one.by for (owner, _), one in self._watched.items() if owner == key[0]]
            most = IN_ALL // _part(key[0])
            if key[1] != THE_LIST and (len(watched) >= IN_ALL or watched.count(by) >= most):
                raise CallError("too_many_subscriptions", "too many URIs are watched already.")
            entry = self._watched[key] = _Watched(by)
        entry.users += 1
        try:
            async with entry.lock:
                if entry.stop is None:
                    entry.stop = await self._begun(key)
        except BaseException:
            self._let_go(key)
            raise
        return entry

    async def _begun(self, key: Key) -> Stop:
        """The watch itself.

        Raises:
            CallError: It can't be watched.
        """
        if key[1] == THE_LIST:
            if self._watch_list is None:
                raise CallError("not_supported", "the list never changes.")
            return await self._watch_list(lambda: self._changed(key))
        if self._watch is None:
            raise CallError("not_supported", "resources can't be watched here.")
        return await self._watch(key[1], lambda: self._changed(key))

    def _let_go(self, key: Key) -> None:
        entry = self._watched[key]
        entry.users -= 1
        if not entry.users:
            del self._watched[key]
            if entry.stop is not None:
                entry.stop()

    def _changed(self, key: Key) -> None:
        """Tell all watchers soon; changes until then are one. Called in the event loop."""
        self._due[key] = None
        if self._sender is None or self._sender.done():
            self._sender = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        while self._due:
            key = next(iter(self._due))
            del self._due[key]
            entry, (owner, uri) = self._watched.get(key), key
            if entry is None:
                continue
            if entry.streams:
                await self._channel(owner).bus.publish(
                    ResourceUpdated(uri) if uri != THE_LIST else ResourcesListChanged()
                )
            for connection in list(entry.sessions.values()):
                with anyio.move_on_after(SEND_SECONDS) as scope:
                    if uri == THE_LIST:
                        await connection.send_resource_list_changed()
                    else:
                        await connection.send_resource_updated(uri)
                if scope.cancelled_caught:
                    logger.warning("a host does not read its notifications; one is left out")


def _caller() -> str:
    caller = CALLER.get()
    return "" if caller is None or caller.method == "os-user" else str(caller)


def _part(owner: str) -> int:
    """The part of an owner's that the caller may have: all, if nobody else is that owner."""
    return 1 if _caller() in ("", owner) else PART


def _connection(ctx: ServerRequestContext[Any, Any]) -> Connection:
    # The session is made anew for each request; only the connection lives as long as the client.
    return ctx.session._connection  # pyright: ignore[reportPrivateUsage]
