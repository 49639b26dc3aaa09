"""The trace that a client names in ``_meta``: what is none is left out before the SDK's tracing reads it.

That stands before everything else and takes each value for a text, so that any other would end the request with an
exception's words. W3C Trace Context, section 3.2: a traceparent that can't be parsed is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

_KEYS = ("traceparent", "tracestate", "baggage")


async def only_texts(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """The SDK middleware: pass a message on, without what of its trace is no text."""
    meta: object = ctx.meta
    if isinstance(meta, Mapping):
        given = cast("Mapping[str, Any]", meta)
        wrong = [key for key in _KEYS if key in given and not isinstance(given[key], str)]
        if wrong:
            kept = {key: value for key, value in given.items() if key not in wrong}
            ctx = replace(ctx, meta=cast("Any", kept))
    return await call_next(ctx)
