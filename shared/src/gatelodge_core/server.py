"""Building a guarded MCP server from declarations.

The SDK's `MCPServer` serves the protocol; everything it is given here is already strict (tools, prompts, resources) and
everything it receives passes the guard first. Private attributes of the SDK are touched here and in `sdk` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Generic, TypeVar

from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.mcpserver import MCPServer, RequestStateSecurity
from mcp.shared.exceptions import MCPError
from mcp.shared.uri_template import UriTemplate
from mcp_types import (
    INVALID_PARAMS,
    ListResourcesResult,
    PaginatedRequestParams,
    Resource,
    ServerCapabilities,
)

from gatelodge_core.apps.offering import Views
from gatelodge_core.auth.model import Revoked
from gatelodge_core.auth.principal import Principal
from gatelodge_core.auth.turned import Record
from gatelodge_core.declare import Declarations, ResourceDeclaration
from gatelodge_core.effects import PUBLIC, Label, Nature
from gatelodge_core.errors import CallError
from gatelodge_core.guard.call import Step
from gatelodge_core.guard.chain import LIST, Guard
from gatelodge_core.guard.cleansing import Cleanser
from gatelodge_core.guard.meter import Meter
from gatelodge_core.guard.tracing import only_texts
from gatelodge_core.guard.wire import sendable
from gatelodge_core.lists import Listed, Lists
from gatelodge_core.primitives import Arguments, add_completions, add_prompt, add_resource
from gatelodge_core.sandbox.profiles import Profile
from gatelodge_core.sdk import SdkServer
from gatelodge_core.shares import Shares
from gatelodge_core.shelf import Shelf
from gatelodge_core.store.approvals import TTL_SECONDS
from gatelodge_core.subscriptions import Subscriptions, Watch
from gatelodge_core.tools import LodgeTool

D = TypeVar("D")

LIST_TTL_MS = 60_000
"""How long a host may keep our lists; they change only when the server restarts."""
VARYING_TTL_MS = 5_000
"""The same of a list that varies: a host that listens is told before."""


@dataclass(frozen=True)
class Identity:
    """How a server introduces itself.

    Args:
        server: Short name, prefix of scopes and settings, such as ``filesystem``.
        title: For people.
        description: One line, for people.
        instructions: For models: when to use this server, and how. Hosts search it, so it names what it is for.
        version: Of the server's distribution.
        brief: Whether the list of tools leaves out what a client may take for granted; for servers with many.
    """

    server: str
    title: str
    description: str
    instructions: str
    version: str
    brief: bool = False

    @property
    def name(self) -> str:
        """The distribution's name, such as ``gatelodge-filesystem``."""
        return f"gatelodge-{self.server}"


@dataclass(frozen=True, slots=True)
class Replicas:
    """What a server has in common with others like it.

    Args:
        seals: Keys of open questions: the first seals, all open. None for one of this process alone.
        revoked: Asks the list of revocations; None if there is none.
    """

    seals: tuple[bytes, ...] = ()
    revoked: Revoked | None = None


@dataclass
class Lodge(Generic[D]):
    """A server, complete: declarations bound to their domain, behind the guard.

    Args:
        identity: How it introduces itself.
        declarations: What it offers.
        domain: What its functions act on.
        shares: The domains of a server with accounts, of which `domain` is the starter's own.
        steps: What each call walks through, outermost first.
        ready: Answers /readyz: reasons why calls would fail now, empty when they would not.
        states: Whether what it rests on works now, by name, such as ``journal``; for /metrics.
        hidden: Whether a tool may never be called by a principal; it then isn't listed.
        replicas: What it has in common with others like it.
        profile: What the process may reach; None where the kernel is not asked.
        start: Called with the level of confinement reached, before anything is served; opens what must be open.
        watch: Starts the watch of a resource; without it there are no subscriptions.
        lists: Where the list of resources comes from, after those that are declared, if it varies.
        turned_away: Records requests that its door turned away; see `auth.turned.Record`.
        cleanser: What its log passes through, if it learns secrets while it runs; else one made from the settings.
        selector_loop: Whether its domain needs an event loop that watches plain sockets; matters on Windows alone.
        result_bytes: The largest result of a call, which what a view shows must not pass.
        life: Entered before the first request and left after the last; for pools and journals.
    """

    identity: Identity
    declarations: Declarations[D]
    domain: D
    steps: Sequence[Step] = ()
    ready: Callable[[], list[str]] = list[str]
    states: Callable[[], dict[str, bool]] = dict[str, bool]
    hidden: Callable[[str, Principal], bool] | None = None
    replicas: Replicas = Replicas()
    profile: Profile | None = None
    start: Callable[[str], None] | None = None
    life: Callable[[], AbstractAsyncContextManager[None]] | None = None
    watch: Watch | None = None
    lists: Lists | None = None
    turned_away: Record | None = None
    cleanser: Cleanser | None = None
    selector_loop: bool = False
    result_bytes: int = 8_388_608
    shares: Shares[D] | None = None
    _subscriptions: Subscriptions | None = field(init=False, default=None)
    _natures: dict[str, Nature] = field(init=False, default_factory=dict[str, Nature])
    _prompts: dict[str, Arguments] = field(init=False, default_factory=dict[str, Arguments])
    mcp: MCPServer[Any] = field(init=False)
    _shelf: Shelf = field(init=False)
    meter: Meter = field(init=False)

    def __post_init__(self) -> None:
        self._natures = {name: tool.nature for name, tool in self.declarations.tools.items()}
        declared = self.declarations
        named = [*declared.tools, *declared.prompts, *(item.name for item in declared.resources.values()), LIST]
        self.meter = Meter(named)
        hint = CacheHint(ttl_ms=LIST_TTL_MS, scope="private")
        self.mcp = SdkServer(
            self.identity.name,
            self.identity.title,
            self.identity.description,
            self.identity.instructions,
            version=self.identity.version,
            log_level="WARNING",
            subscriptions=False,
            request_state_security=self._security(),
            cache_hints={
                "tools/list": hint,
                "prompts/list": hint,
                "resources/list": hint if self.lists is None else CacheHint(ttl_ms=VARYING_TTL_MS, scope="private"),
                "resources/templates/list": hint,
            },
            middleware=[Guard(self, [self.meter.step, *self.steps], self.hidden), *self._views()],
        )
        # Before the SDK's own tracing, which is the outermost.
        self.lowlevel.middleware.insert(0, only_texts)
        self._shelf = Shelf(declared.tools.values(), self._acted_on, brief=self.identity.brief)
        vars(self.mcp)["_tool_manager"] = self._shelf
        for prompt in declared.prompts.values():
            self._prompts[prompt.name] = add_prompt(self.mcp, prompt, self._acted_on)
        for resource in declared.resources.values():
            add_resource(self.mcp, resource, self._acted_on)
        add_completions(self.mcp, declared, self._acted_on)
        if self.watch is not None or self.lists is not None:
            self._subscriptions = Subscriptions(
                self.watch, self.lists.watch if self.lists else None, self.shares.owner if self.shares else lambda: ""
            )
            self._subscriptions.register(self.lowlevel)
            self._declare_changes()
        if self.lists is not None:
            self.lowlevel.add_request_handler("resources/list", PaginatedRequestParams, self._list)

    def _security(self) -> RequestStateSecurity | None:
        """How open questions are sealed, so that any replica takes the answer; None for keys of this process alone."""
        if not self.replicas.seals:
            return None
        return RequestStateSecurity(keys=self.replicas.seals, ttl=TTL_SECONDS, audience=self.identity.name)

    def _views(self) -> list[Views]:
        return [Views(self.declarations.views, self.result_bytes)] if self.declarations.views else []

    @property
    def _acted_on(self) -> D | Shares[D]:
        return self.domain if self.shares is None else self.shares

    @property
    def server(self) -> str:
        """The short name."""
        return self.identity.server

    @property
    def lowlevel(self) -> Server[Any]:
        """The SDK's low-level server, for our own transports."""
        return self.mcp._lowlevel_server  # pyright: ignore[reportPrivateUsage] - the SDK's own docs use it so

    def fill(self) -> None:
        """Build all tools now, where the first who lists or calls shouldn't wait for it.

        Raises:
            UnportableSchemaError: A parameter or the result of a tool has no portable schema.
        """
        self._shelf.list_tools()

    @property
    def list_varies(self) -> bool:
        """Whether the list of resources is another from time to time."""
        return self.lists is not None

    def drain(self) -> None:
        """End what would stay open for as long as its clients like: listen streams."""
        if self._subscriptions is not None:
            self._subscriptions.drain()

    def tool(self, name: str) -> Nature | None:
        """The nature of a tool, or None."""
        return self._natures.get(name)

    def problem(self, name: str, arguments: Mapping[str, Any]) -> str:
        """What is wrong with a tool's arguments; empty if nothing is, or there is no such tool.

        Raises:
            UnportableSchemaError: A parameter or the result of the tool has no portable schema.
        """
        tool = self._shelf.get_tool(name)
        return tool.problem(arguments) if isinstance(tool, LodgeTool) else ""

    def prompt(self, name: str) -> Arguments | None:
        """(required, all) argument names of a prompt, or None."""
        return self._prompts.get(name)

    def resource(self, uri: str) -> str:
        """The declared name of the resource or template that a URI belongs to; the URI if there is none."""
        found = self.declarations.resources.get(uri) or self._declared(uri)
        return found.name if found else uri

    def yields(self, uri: str) -> Label:
        """The label of what a resource holds."""
        found = self._declared(uri)
        return found.yields if found else PUBLIC

    def _declared(self, uri: str) -> ResourceDeclaration | None:
        for declaration in self.declarations.resources.values():
            if _template(declaration.uri).match(uri) is not None:
                return declaration
        return None

    def _declare_changes(self) -> None:
        """Say in the capabilities what is told of, and no more: the SDK takes all for told once anything is."""
        derived = self.lowlevel.get_capabilities

        def get_capabilities(*args: Any, **kwargs: Any) -> ServerCapabilities:
            found = derived(*args, **kwargs)
            for capability, changes in (
                (found.tools, False),
                (found.prompts, False),
                (found.resources, self.list_varies),
            ):
                if capability is not None:
                    capability.list_changed = changes
            if found.resources is not None:
                found.resources.subscribe = self.watch is not None
            return found

        vars(self.lowlevel)["get_capabilities"] = get_capabilities

    async def _list(self, ctx: ServerRequestContext[Any, Any], params: PaginatedRequestParams) -> ListResourcesResult:
        """A page of the list of resources, those declared first.

        Raises:
            MCPError: The cursor is none.
        """
        assert self.lists is not None
        assert self._subscriptions is not None
        # Before the list is made: a change in between is then told of, rather than missed.
        await self._subscriptions.listed(ctx)
        try:
            page = await self.lists.page(params.cursor or "")
        except CallError as error:
            raise MCPError(INVALID_PARAMS, sendable(str(error))) from None
        declared = [] if params.cursor else await self.mcp.list_resources()
        return ListResourcesResult(
            resources=[*declared, *map(_resource, page.resources)], next_cursor=page.cursor or None
        )


@lru_cache(maxsize=256)
def _template(uri: str) -> UriTemplate:
    return UriTemplate.parse(uri)


def _resource(item: Listed) -> Resource:
    name, title = sendable(item.name), sendable(item.title)
    description = sendable(item.description) or None
    return Resource(uri=item.uri, name=name, title=title or None, description=description, mime_type=item.mime_type)
