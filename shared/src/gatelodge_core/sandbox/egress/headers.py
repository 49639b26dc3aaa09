"""Which headers go out, and which of them stay behind at another host."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gatelodge_core.sandbox.egress.decode import offer
from gatelodge_core.sandbox.egress.errors import EgressError
from gatelodge_core.sandbox.egress.names import Target

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_OURS = frozenset(
    (
        *("host", "content-length", "transfer-encoding", "te", "trailer", "connection", "keep-alive"),
        *("upgrade", "expect", "accept-encoding", "proxy-authorization", "proxy-connection"),
    )
)
"""Set here alone: they decide where the request goes, where it ends, or what comes back."""
_HARMLESS = frozenset({"accept", "accept-language"})
"""What may follow a redirect to another host; everything else could be a credential."""
_OF_CONTENT = frozenset({"content-type", "content-language", "content-disposition"})


def checked(headers: Mapping[str, str] | None) -> dict[str, str]:
    """The caller's headers, names in lower case.

    Raises:
        EgressError: `bad_header`, for a name or value that isn't one, or a header that isn't the caller's to set.
    """
    found: dict[str, str] = {}
    for name, value in (headers or {}).items():
        lower = name.lower()
        if lower in _OURS or lower in found or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise EgressError("bad_header", "One of the request's headers can't be sent.")
        found[lower] = value
    return found


def following(headers: Mapping[str, str], before: Target, after: Target, *, content: bool) -> dict[str, str]:
    """What of the caller's headers a redirect takes along.

    All of them on the same scheme, host and port, or when the same host goes from http to https on the default ports;
    else the few that can't hold a credential. What was left behind doesn't come back.

    Args:
        headers: As sent before.
        before: Where to.
        after: Where to now.
        content: Whether the body goes along.
    """
    upgrade = (before.scheme, before.port, after.scheme, after.port) == ("http", 80, "https", 443)
    same = before.origin == after.origin or (before.host == after.host and upgrade)
    return {
        name: value
        for name, value in headers.items()
        if (same or name in _HARMLESS) and (content or name not in _OF_CONTENT)
    }


def raw(
    target: Target, headers: Mapping[str, str], user_agent: str, content: bytes | None
) -> list[tuple[bytes, bytes]]:
    """All headers of a request, as bytes.

    Args:
        target: For Host.
        headers: The caller's, checked.
        user_agent: Unless the caller has one.
        content: The body; None for a method that has none.
    """
    sent = {"host": target.url.netloc.decode("ascii"), "user-agent": user_agent, "accept": "*/*"} | dict(headers)
    sent["accept-encoding"] = offer()
    if content is not None:
        sent["content-length"] = str(len(content))
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in sent.items()]
