"""Answers that go on for long end when their caller's credential is taken back.

A request is judged when it comes; a stream that it opens can live for hours. Each further part of a stream is therefore
judged again, at most once a second. What merely expires meanwhile doesn't cut an answer: a change could be made, and its
caller never told. It does end a stream that brings news alone: nothing is lost, and the client comes again with a new token.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from starlette.types import Message, Send

from gatelodge_core.auth.model import Unauthenticated

AGAIN_SECONDS = 1.0


def standing(
    send: Send,
    judge: Callable[[], Awaitable[object]],
    clock: Callable[[], float] = time.monotonic,
    *,
    news: bool = False,
) -> Send:
    """`send`, until the caller's credential is taken back; the stream then ends, and the call behind it is cancelled.

    The first part of an answer always goes: it can be the whole of a call that was made.

    Args:
        send: To the client.
        judge: Judges the caller again; raises `Unauthenticated`.
        clock: Seconds, growing.
        news: Whether no answer comes on the stream, so that it ends as well when the credential's time is over.
    """
    judged = clock()
    begun = over = False

    async def wrapped(message: Message) -> None:
        nonlocal judged, begun, over
        if over:
            return
        if message["type"] == "http.response.body":
            if begun and clock() - judged >= AGAIN_SECONDS:
                judged = clock()
                if await _over(judge, news=news):
                    over = True
                    message = {"type": "http.response.body", "body": b"", "more_body": False}
            begun = True
        await send(message)

    return wrapped


async def _over(judge: Callable[[], Awaitable[object]], *, news: bool) -> bool:
    try:
        await judge()
    except Unauthenticated as error:
        return error.withdrawn or (news and not error.unavailable)
    return False
