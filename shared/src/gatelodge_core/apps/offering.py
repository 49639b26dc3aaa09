"""The middleware that adds views for hosts that show them, and takes every trace of them out for all others.

It stands inside the guard: what it adds is judged, cleansed and recorded with the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from gatelodge_core.apps import words
from gatelodge_core.apps.showing import Shown, showing
from gatelodge_core.declare import ViewDeclaration
from gatelodge_core.guard.limits import size_of
from gatelodge_core.guard.wire import sendable_json

SLACK = 4096
"""Bytes that the guard may add to a result: its label, its envelopes."""


class Views:
    """The SDK middleware.

    Args:
        views: What there is, by URI.
        room: The largest result of a call, in bytes; a view's data must not be what a call fails for.
    """

    def __init__(self, views: Mapping[str, ViewDeclaration], room: int) -> None:
        self._views = {tool: uri for uri, view in views.items() for tool in view.tools}
        self._room = room - SLACK

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Walk one message; see `mcp.server.context.ServerMiddleware`."""
        if not _shows(ctx):
            result = await call_next(ctx)
            return words.withheld(ctx.method, result) if isinstance(result, dict) else result
        if ctx.method == "tools/call" and str((ctx.params or {}).get("name")) in self._views:
            with showing() as shown:
                result = await call_next(ctx)
            return self._with_shown(result, shown) if isinstance(result, dict) else result
        result = await call_next(ctx)
        return words.offered(ctx.method, result, self._views) if isinstance(result, dict) else result

    def _with_shown(self, result: dict[str, Any], shown: Shown) -> dict[str, Any]:
        if shown.data is None or result.get("isError") or result.get("resultType") == "input_required":
            return result
        meta: dict[str, Any] = result.get("_meta") or {}
        whole = {**result, "_meta": {**meta, words.SHOWN: sendable_json(dict(shown.data))}}
        # Without its data a view shows the result's text, as any host does.
        return whole if size_of(whole, self._room) < self._room else result


def _shows(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Whether the client of this message declared that it shows views; never so on sessions that keep no handshake."""
    if ctx.method == "initialize":
        # What it declares is kept after this message only.
        return words.declared((ctx.params or {}).get("capabilities"))
    capabilities = ctx.session.client_capabilities
    extensions = capabilities.extensions if capabilities else None
    return words.declared({"extensions": cast("dict[str, Any]", extensions)}) if extensions else False
