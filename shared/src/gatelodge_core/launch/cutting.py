"""Requests that are cut when the time to end is over: each is answered, and none fills the log.

uvicorn cancels them then. Left to itself, it answers 500 and writes a traceback for each, as if something had gone wrong.
"""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatelodge_core.answering import say

_TEXT = "this server ended before the call did; what it was to do may have been done: look before it is repeated"


async def cut(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one request with `app`; if it is cancelled from outside, end its answer.

    An answer that hasn't begun is 503, without a time after which to try again: the call may have been made. A stream ends
    where it is, without what it was opened for. What has a length and isn't whole is left to the connection's end.
    """
    begun = over = measured = False

    async def noting(message: Message) -> None:
        nonlocal begun, over, measured
        if message["type"] == "http.response.start":
            begun = True
            measured = any(name == b"content-length" for name, _ in message.get("headers", ()))
        elif message["type"] == "http.response.body":
            over = not message.get("more_body", False)
        await send(message)

    try:
        await app(scope, receive, noting)
    except asyncio.CancelledError:
        # Not raised again: nobody but uvicorn cancels its own tasks, and it waits for none of them.
        if not begun:
            await say(send, 503, {"error": _TEXT}, [(b"connection", b"close")])
        elif not over and not measured:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
