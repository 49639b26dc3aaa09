"""How much an answer may weigh and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class EgressLimits:
    """The bounds of one request. A call may ask for less, never for more.

    Args:
        header_bytes: Names and values of an answer's headers. The parser beneath gives up at about 164 KiB anyway.
        header_count: Headers of an answer.
        wire_bytes: What may arrive for one answer: body with its framing, as sent.
        body_bytes: The body after decompression.
        ratio: How many times its wire size a body may grow, once it is over `ratio_floor`.
        ratio_floor: Bytes of decompressed body below which the ratio is not looked at; short repetitive
            pages compress well.
        seconds: From the call to the last byte, over all redirects.
        connect_seconds: To resolve, connect, and again for the TLS handshake.
        idle_seconds: Between two reads, or two writes.
        redirects: Hops after the first request.
        connections: Open at once, in use or kept alive.
        keepalive: Idle connections that are kept.
        keepalive_seconds: How long an idle one is kept.
        lookups: Name look-ups running at once; a thread that runs one can't be stopped.
    """

    header_bytes: int = 64 * 1024
    header_count: int = 128
    wire_bytes: int = 5 * MIB
    body_bytes: int = 5 * MIB
    ratio: int = 100
    ratio_floor: int = MIB
    seconds: float = 20
    connect_seconds: float = 5
    idle_seconds: float = 10
    redirects: int = 5
    connections: int = 64
    keepalive: int = 16
    keepalive_seconds: float = 5
    lookups: int = 32
