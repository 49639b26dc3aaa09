"""Line separators of Unicode inside of messages, escaped: JSON may hold them as they are, and some clients cut lines at them.

Node's ``readline`` ends a line at U+2028 and U+2029, and Python's ``str.splitlines`` (so httpx's ``iter_lines`` on an event
stream) at U+0085 as well. The rest of what they cut at is escaped by every JSON writer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # The porter has no time for Starlette.
    from starlette.types import Message, Send

_SEPARATORS = tuple((char.encode(), f"\\u{ord(char):04x}".encode()) for char in "\x85\u2028\u2029")


def one_line(data: bytes) -> bytes:
    """JSON in UTF-8, with the separators as escapes; they can stand in its strings alone, so it means the same."""
    if not data.isascii():
        for raw, escape in _SEPARATORS:
            data = data.replace(raw, escape)
    return data


def in_lines(send: Send) -> Send:
    """`send`, with the separators escaped in event streams; an answer that is one JSON text is read whole anyway."""
    events = False

    async def wrapped(message: Message) -> None:
        nonlocal events
        if message["type"] == "http.response.start":
            events = any(
                name.lower() == b"content-type" and value.startswith(b"text/event-stream")
                for name, value in message["headers"]
            )
        elif events and (body := message.get("body")):
            message = {**message, "body": one_line(body)}
        await send(message)

    return wrapped
