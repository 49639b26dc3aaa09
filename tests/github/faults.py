"""What can go wrong at GitHub, for `Proxy.fault`; each as its documentation or a recording has it."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

from tests.github.loopback import HANG_UP, Answer, Request, Respond, as_json
from tests.github.manners import DOCS, refusal
from tests.github.proxy import Act

GB = 2**30
MB = 2**20


def says(answer: Answer) -> Act:
    """Always this."""
    return lambda _request, _proper: answer


def refuses(status: int, message: str = "Refused", **headers: str) -> Act:
    """An error with a message as GitHub words it; an underscore in a header's name stands for a hyphen."""
    return says(refusal(status, message, **headers))


def bad_credentials() -> Act:
    """401."""
    return refuses(401, "Bad credentials")


def lacks_permission(needed: str = "issues=write") -> Act:
    """403 to a fine-grained or App token, with the permission it lacks."""
    message = "Resource not accessible by personal access token"
    return refuses(403, message, X_Accepted_GitHub_Permissions=needed)


def primary_limit(reset_in: float = 1800, resource: str = "core", status: int = 403) -> Act:
    """No request left until then."""

    def act(_request: Request, _proper: Respond) -> Answer:
        return refusal(
            status, "API rate limit exceeded for user ID 1.",
            X_RateLimit_Limit="5000", X_RateLimit_Remaining="0", X_RateLimit_Used="5000",
            X_RateLimit_Reset=str(int(time.time() + reset_in)), X_RateLimit_Resource=resource,
        )  # fmt: skip

    return act


def secondary_limit(retry_after: int | None = 60, status: int = 403) -> Act:
    """Too fast: 403 or 429."""
    more = {} if retry_after is None else {"Retry_After": str(retry_after)}
    return refuses(
        status,
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
        **more,
        X_RateLimit_Remaining="4000",
    )


def invalid(*errors: dict[str, Any], message: str = "Validation Failed") -> Act:
    """422 with details."""
    body = {"message": message, "errors": list(errors), "documentation_url": DOCS, "status": "422"}
    return says(as_json(body, 422))


def lost_after_commit(status: int = 502) -> Act:
    """It is done, and then a gateway's error comes back."""

    def act(request: Request, proper: Respond) -> Answer:
        proper(request)
        return Answer(status, b"<html><body><h1>502 Bad Gateway</h1></body></html>", {"Content-Type": "text/html"})

    return act


def hangs_up_after_commit() -> Act:
    """It is done, and then the connection ends without an answer."""

    def act(request: Request, proper: Respond) -> Answer:
        proper(request)
        return HANG_UP

    return act


def hangs_up() -> Act:
    """The connection ends without an answer, and nothing is done."""
    return says(HANG_UP)


def pending() -> Act:
    """202: not ready yet. Give ``times`` for how often."""
    return says(as_json({}, 202))


def moved(location: str, status: int = 301) -> Act:
    """To another address: 301 with GitHub's text, 302 with none."""
    if status == 302:
        return says(Answer(302, b"", {"Location": location}))
    return says(as_json({"message": "Moved Permanently", "url": location}, status, Location=location))


def stalls(seconds: float, released: threading.Event | None = None) -> Act:
    """Silence for so long (or until `released`), then the proper answer."""
    gate = released or threading.Event()

    def act(request: Request, proper: Respond) -> Answer:
        gate.wait(seconds)
        return proper(request)

    return act


def cut(size: int = 20) -> Act:
    """The proper answer's head, and only so many bytes of its body."""

    def act(request: Request, proper: Respond) -> Answer:
        answer = proper(request)
        headers = {**answer.headers, "Content-Length": str(len(answer.bytes))}
        return Answer(answer.status, iter([answer.bytes[:size]]), headers)

    return act


def drips(pause: float = 0.2, released: threading.Event | None = None) -> Act:
    """The proper answer a byte at a time."""
    gate = released or threading.Event()

    def act(request: Request, proper: Respond) -> Answer:
        answer = proper(request)

        def parts() -> Iterator[bytes]:
            for byte in answer.bytes:
                yield bytes([byte])
                gate.wait(pause)

        return Answer(answer.status, parts(), {**answer.headers, "Content-Length": str(len(answer.bytes))})

    return act


def endless(part: bytes = b"2026-01-01T00:00:00.0000000Z all work and no play\n", limit: int = 2 * GB) -> Act:
    """200 and the same line over and over, made as it is read; see `flood`."""
    return lambda _request, _proper: flood(part, limit)


def flood(part: bytes, limit: int = 2 * GB, kind: str = "text/plain; charset=utf-8") -> Answer:
    """An answer of `part` over and over, up to `limit` bytes, without a length; one long line if `part` has no end."""
    block = part * max(1, MB // len(part))
    return Answer(200, itertools.islice(itertools.repeat(block), max(1, limit // len(block))), {"Content-Type": kind})
