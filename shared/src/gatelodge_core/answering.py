"""Answers of our own over HTTP: a status and a JSON body."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from starlette.types import Send


async def say(send: Send, status: int, body: Mapping[str, object], headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    """Answer a request.

    Args:
        send: The connection's; see the ASGI specification.
        status: The code.
        body: Written as JSON.
        headers: Others than the content's type and length.
    """
    payload = json.dumps(body).encode()
    usual = [(b"content-type", b"application/json"), (b"content-length", str(len(payload)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*usual, *headers]})
    await send({"type": "http.response.body", "body": payload})
