"""The lodge's place in the SDK: one middleware that turns a message into a `Call` and walks it through the steps.

Everything that isn't a call (handshake, fixed lists, pings, notifications) passes; only its unexpected errors are masked.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol, cast

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import (
    CLIENT_INFO_META_KEY,
    INTERNAL_ERROR,
    INVALID_PARAMS,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from gatelodge_core.auth.model import LACKING, PRINCIPAL, peer
from gatelodge_core.auth.principal import CALLER, Principal, local_user
from gatelodge_core.effects import READ, Label, Nature
from gatelodge_core.errors import RESOURCE_NOT_FOUND
from gatelodge_core.guard.call import LABEL, MISSING_SCOPE, Call, Kind, Next, Outcome, Step
from gatelodge_core.guard.channel import MessageChannel
from gatelodge_core.guard.limits import LimitError
from gatelodge_core.labels import answering, current, labelled

logger = logging.getLogger(__name__)

RETRY_AFTER = "gatelodge.retry_after"
"""Key in an ASGI scope: seconds after which a refused call may go through."""

KINDS: dict[str, tuple[Kind, str]] = {
    "tools/call": ("tool", "name"),
    "resources/read": ("resource", "uri"),
    # Whoever may not read a resource isn't told of its changes either.
    "resources/subscribe": ("resource", "uri"),
    "prompts/get": ("prompt", "name"),
    "completion/complete": ("completion", "ref"),
}
_LABELLED = frozenset({"tools/call", "resources/read", "prompts/get"})
"""Methods whose results carry a label: those that bring contents to the model."""
LIST = "resources/list"
"""A call where the list varies: its backend is asked, and what it names was written by others."""

_LISTS = frozenset({"tools/list", "prompts/list", "resources/templates/list", LIST})

MAX_NAME = 8192
"""Characters of what is called; the journal keeps the beginning alone."""
MAX_LISTENED = 65
"""Resources of one listen request that are judged: one more than a stream may watch, so that too many are told of."""


class Directory(Protocol):
    """What the guard needs to know about a server's declarations."""

    @property
    def server(self) -> str:
        """The server's short name, such as ``filesystem``."""
        ...

    def tool(self, name: str) -> Nature | None:
        """The nature of a tool, or None if there is no such tool."""
        ...

    def problem(self, name: str, arguments: Mapping[str, Any]) -> str:
        """What is wrong with a tool's arguments, for the caller; empty if nothing is."""
        ...

    def prompt(self, name: str) -> tuple[frozenset[str], frozenset[str]] | None:
        """(required, all) argument names of a prompt, or None if there is no such prompt."""
        ...

    def resource(self, uri: str) -> str:
        """The declared name of the resource or template that a URI belongs to; the URI if there is none."""
        ...

    def yields(self, uri: str) -> Label:
        """The label of what a resource holds."""
        ...

    @property
    def list_varies(self) -> bool:
        """Whether the list of resources is another from time to time."""
        ...


class Guard:
    """The SDK middleware.

    Args:
        directory: The server's declarations.
        steps: Walked in order, each call through all of them.
        hidden: Whether a tool may never be called by a principal; it then isn't listed.
    """

    def __init__(
        self, directory: Directory, steps: Sequence[Step], hidden: Callable[[str, Principal], bool] | None = None
    ) -> None:
        self._directory = directory
        self._steps = tuple(steps)
        self._hidden = hidden
        self._local = local_user()

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Walk one message; see `mcp.server.context.ServerMiddleware`."""
        try:
            if ctx.method in _LISTS and not self._is_call(ctx.method) and (ctx.params or {}).get("cursor"):
                # The SDK's own lists come whole whatever the cursor is: a client could take one for the rest of another.
                raise MCPError(INVALID_PARAMS, "bad_cursor: this list comes whole. Leave cursor out.")
            if ctx.method == "tools/list":
                return self._listed(await call_next(ctx), self._principal(ctx))
            if ctx.method == "subscriptions/listen" and ctx.request_id is not None:
                return await call_next(await self._permitted(ctx))
            if not self._is_call(ctx.method) or ctx.request_id is None:
                return await call_next(ctx)
            return (await self._walk(ctx, call_next)).result
        except LimitError as error:
            if ctx.request is not None:
                # The front turns this into 429 and Retry-After.
                ctx.request.scope[RETRY_AFTER] = error.wait
            raise
        except MCPError as error:
            if ctx.method == "resources/read" and _is_not_found(error) and not _is_modern(ctx):
                raise MCPError(RESOURCE_NOT_FOUND, error.error.message, error.error.data) from None
            raise
        except ValidationError:
            # The SDK answers -32602 without pydantic's text; only say that it happened.
            logger.info("%s: malformed params", ctx.method)
            raise
        except Exception:
            # Without this, legacy connections are shown the exception's text.
            reference = secrets.token_hex(4)
            logger.exception("%s failed unexpectedly [reference %s]", ctx.method, reference)
            raise MCPError(
                INTERNAL_ERROR, f"Internal error. Reference {reference} finds the details in the server's log."
            ) from None

    def _is_call(self, method: str) -> bool:
        return method in KINDS or (method == LIST and self._directory.list_varies)

    async def _walk(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> Outcome:
        channel = MessageChannel(ctx)
        call = self._describe(ctx, channel)

        async def arrive(_: Call) -> Outcome:
            CALLER.set(call.principal)
            # What runs is the message itself: a step may refuse a call, never change what it asks.
            message = replace(ctx, params=channel.without_answer()) if channel.answer else ctx
            try:
                result = await call_next(message)
            finally:
                if ctx.method in _LABELLED:
                    # An error tells of what was read, too.
                    call.notes[LABEL] = current()
            wire = result if isinstance(result, dict) else {}
            if ctx.method in _LABELLED:
                wire = labelled(wire, call.notes[LABEL])
            return Outcome(wire, failed=bool(wire.get("isError")))

        try:
            with answering(call.nature.yields):
                return await self._along(arrive)(call)
        finally:
            if ctx.request is not None and (scope := call.notes.get(MISSING_SCOPE)):
                # The door turns this into 403 and a challenge.
                ctx.request.scope[LACKING] = scope

    async def _permitted(self, ctx: ServerRequestContext[Any, Any]) -> ServerRequestContext[Any, Any]:
        """A listen request with those resources alone that the caller may read, and the list if that may be asked for.

        Each is judged as a call of its own; the stream itself is open for as long as the client likes, and no call.
        """
        # What is watched, is watched in the caller's name.
        CALLER.set(self._principal(ctx))
        params = dict(ctx.params or {})
        wanted: object = params.get("notifications")
        if not isinstance(wanted, Mapping):
            return ctx
        notifications = dict(cast("Mapping[str, Any]", wanted))
        if self._directory.list_varies and notifications.get("resourcesListChanged") is True:
            notifications["resourcesListChanged"] = await self._may(replace(ctx, method=LIST, params={}))
        asked = notifications.get("resourceSubscriptions")
        if isinstance(asked, list):
            notifications["resourceSubscriptions"] = [
                str(uri)
                for uri in cast("list[object]", asked)[:MAX_LISTENED]
                if await self._may(replace(ctx, method="resources/read", params={**params, "uri": uri}))
            ]
        return replace(ctx, params={**params, "notifications": notifications})

    async def _may(self, ctx: ServerRequestContext[Any, Any]) -> bool:
        """Whether a call would be made, which isn't."""
        arrived = False

        async def arrive(_: Call) -> Outcome:
            nonlocal arrived
            arrived = True
            return Outcome({})

        try:
            # A question can't be put here: what needs one does not arrive.
            await self._along(arrive)(self._describe(ctx, MessageChannel(ctx)))
        except LimitError:
            raise
        except MCPError as error:
            logger.info("not listened to: %s", error)
            return False
        return arrived

    def _along(self, way: Next) -> Next:
        """All steps, and then `way`."""
        for step in reversed(self._steps):
            way = _before(step, way)
        return way

    def _listed(self, result: HandlerResult, principal: Principal) -> HandlerResult:
        """The list without what the caller may never call."""
        if self._hidden is None or not isinstance(result, dict):
            return result
        hidden = self._hidden
        tools = [tool for tool in result.get("tools", []) if not hidden(str(tool.get("name")), principal)]
        return {**result, "tools": tools}

    def _describe(self, ctx: ServerRequestContext[Any, Any], channel: MessageChannel) -> Call:
        """The message as a call.

        Raises:
            MCPError: INVALID_PARAMS, for an unknown tool or prompt, arguments a prompt doesn't have, or none that are an object.
        """
        params = ctx.params or {}
        if ctx.method == LIST:
            kind, name = "list", LIST
            arguments: Mapping[str, Any] = {"cursor": params["cursor"]} if params.get("cursor") else {}
        else:
            kind, key = KINDS[ctx.method]
            if kind in ("tool", "prompt") and not isinstance(params.get("arguments"), Mapping | None):
                raise MCPError(INVALID_PARAMS, f"Invalid parameters: {ctx.method}: arguments must be an object")
            name, arguments = _subject(kind, params.get(key), params)
        if len(name) > MAX_NAME:
            raise MCPError(INVALID_PARAMS, f"A name or URI has {MAX_NAME} characters at most")
        nature = Nature(READ)
        if kind == "tool":
            declared = self._directory.tool(name)
            if declared is None:
                raise MCPError(INVALID_PARAMS, f"Unknown tool: {name[:80]}")
            nature = declared
        elif kind == "resource":
            nature = Nature(READ, yields=self._directory.yields(name))
        elif kind == "prompt":
            self._check_prompt(name, arguments)
        assert ctx.request_id is not None
        return Call(
            kind=kind,
            name=name,
            arguments=arguments,
            nature=nature,
            scope=nature.scope(self._directory.server),
            principal=self._principal(ctx),
            transport="stdio" if ctx.request is None else "http",
            address=peer(ctx.request.scope) if ctx.request is not None else "",
            protocol=ctx.protocol_version,
            request_id=ctx.request_id,
            claims=_claims(ctx),
            channel=channel,
            # A completion's is what it completes: the declared name of a resource, or a prompt's own.
            problem=partial(self._directory.problem, name, arguments) if kind == "tool" else str,
            target=self._directory.resource(name) if kind in ("resource", "completion") else name,
        )

    def _principal(self, ctx: ServerRequestContext[Any, Any]) -> Principal:
        """Who calls: the one that the door let in; where there is no door, on loopback or stdio, this machine's user."""
        found: object = ctx.request.scope.get(PRINCIPAL) if ctx.request is not None else None
        return found if isinstance(found, Principal) else self._local

    def _check_prompt(self, name: str, arguments: Mapping[str, Any]) -> None:
        known = self._directory.prompt(name)
        if known is None:
            raise MCPError(INVALID_PARAMS, f"Unknown prompt: {name[:80]}")
        required, allowed = known
        if missing := sorted(required - arguments.keys()):
            raise MCPError(INVALID_PARAMS, f"Prompt {name} needs: {', '.join(missing)}")
        if extra := sorted(arguments.keys() - allowed):
            takes = ", ".join(sorted(allowed)) or "no arguments"
            raise MCPError(INVALID_PARAMS, f"Prompt {name} has no argument {extra[0][:60]!r}; it takes: {takes}")
        if wrong := sorted(key for key, value in arguments.items() if not isinstance(value, str)):
            raise MCPError(INVALID_PARAMS, f"Prompt {name}: {wrong[0]} must be a string")


def _before(step: Step, way: Next) -> Next:
    async def walk(call: Call) -> Outcome:
        return await step(call, way)

    return walk


def _subject(kind: Kind, value: object, params: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The name and arguments of a call; the SDK rejects wrong shapes later, so here they only must not crash."""
    if kind == "completion":
        ref: Mapping[str, Any] = cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
        # By the type alone, as the SDK chooses: a caller must not be judged by another name than the one it completes.
        key = "name" if ref.get("type") == "ref/prompt" else "uri"
        return str(ref.get(key) or ""), {"argument": params.get("argument"), "context": params.get("context")}
    arguments: object = params.get("arguments")
    return str(value or ""), cast("Mapping[str, Any]", arguments) if isinstance(arguments, Mapping) else {}


def _is_not_found(error: MCPError) -> bool:
    """Whether the SDK says so of a resource: no other error of parameters names the URI."""
    data: object = error.error.data
    return error.error.code == INVALID_PARAMS and isinstance(data, Mapping) and "uri" in data


def _is_modern(ctx: ServerRequestContext[Any, Any]) -> bool:
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS


def _claims(ctx: ServerRequestContext[Any, Any]) -> Mapping[str, str]:
    """What the client calls itself, cut to a length that can be logged."""
    info: object = (ctx.meta or {}).get(CLIENT_INFO_META_KEY)
    if info is None and (client := ctx.session.client_params) is not None:
        info = {"name": client.client_info.name, "version": client.client_info.version}
    if not isinstance(info, Mapping):
        return {}
    claimed = cast("Mapping[str, object]", info)
    return {key: str(claimed[key])[:80] for key in ("name", "version") if key in claimed}
