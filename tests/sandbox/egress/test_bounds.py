"""Bombs, drips and floods: each ends at its bound, in bytes, in time and in memory."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import tracemalloc
import zlib
from typing import Any

import anyio
import pytest
from gatelodge_core.sandbox.egress import Egress, EgressError, EgressLimits, EgressSettings
from gatelodge_core.sandbox.egress.decode import decoder_for, decoders, offer, steps

from tests.sandbox.egress.site import Answerer, Asked, Names, Network, Writer, reply, serving

MIB = 1024 * 1024
ENOUGH_MEMORY = 16 * MIB
"""The body cap, twice over for the copy to bytes, and the buffers of both ends; a bomb here unpacks to 300 MiB."""


def packed(coding: str, size: int) -> bytes:
    """Zeros, compressed; made piece by piece."""
    if coding in ("gzip", "deflate", "raw"):
        squeeze = zlib.compressobj(9, zlib.DEFLATED, {"gzip": 31, "deflate": 15, "raw": -15}[coding])
        return b"".join(squeeze.compress(bytes(MIB)) for _ in range(size // MIB)) + squeeze.flush()
    if coding == "br":
        encoder: Any = importlib.import_module("brotli").Compressor(quality=5)
        return b"".join(encoder.process(bytes(MIB)) for _ in range(size // MIB)) + encoder.finish()
    for name in ("compression.zstd", "backports.zstd", "zstandard"):
        try:
            module: Any = importlib.import_module(name)
        except ImportError:
            continue
        maker: Any = module.ZstdCompressor() if name != "zstandard" else module.ZstdCompressor().compressobj()
        return b"".join(maker.compress(bytes(MIB)) for _ in range(size // MIB)) + maker.flush()
    raise AssertionError("no encoder")


CODINGS = [
    pytest.param(
        coding, marks=pytest.mark.skipif(coding not in decoders(), reason=f"no decoder of {coding} is installed")
    )
    for coding in ("gzip", "deflate", "br", "zstd")
]


async def end(answer: Answerer, limits: EgressLimits | None = None, **more: Any) -> str:
    """The code that a fetch ends with."""
    settings = EgressSettings(limits=limits or EgressLimits())
    async with serving(answer) as site, Egress(settings, resolver=Names(), backend=Network(site)) as egress:
        with pytest.raises(EgressError) as caught:
            await egress.get("http://example.com/", **more)
        return caught.value.code


def memory_of(answer: Answerer, limits: EgressLimits | None = None, **more: Any) -> tuple[str, int]:
    """The same, and the most that was allocated meanwhile, by server and client together."""
    tracemalloc.start()
    try:
        code = anyio.run(lambda: end(answer, limits, **more))
        return code, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coding", CODINGS)
def test_a_bomb_is_refused_while_it_is_small(coding: str) -> None:
    bomb = packed(coding, 300 * MIB)
    code, peak = memory_of(reply(body=bomb, headers={"Content-Encoding": coding}))
    assert code == "too_large"
    assert peak < ENOUGH_MEMORY


@pytest.mark.parametrize("coding", CODINGS)
def test_with_cut_a_bomb_gives_as_much_as_was_asked_for_unless_it_is_far_out_of_proportion(coding: str) -> None:
    async def main() -> None:
        body = packed(coding, 4 * MIB)
        async with (
            serving(reply(body=body, headers={"Content-Encoding": coding})) as site,
            Egress(resolver=Names(), backend=Network(site)) as egress,
        ):
            page = await egress.get("http://example.com/", max_bytes=100_000, cut=True)
            assert (len(page.body), page.truncated) == (100_000, True)
            with pytest.raises(EgressError) as caught:
                await egress.get("http://example.com/", cut=True)
            assert caught.value.code == "too_large"

    anyio.run(main)


@pytest.mark.parametrize("coding", [*CODINGS, "raw"])
def test_each_coding_comes_out_as_it_went_in_however_it_is_split(coding: str) -> None:
    body = packed(coding, MIB)
    for size in (1, 7, len(body)):
        decoder = decoder_for("deflate" if coding == "raw" else coding)
        out = bytearray()
        for start in range(0, len(body), size):
            for piece in steps(decoder, body[start : start + size]):
                assert len(piece) <= MIB
                out += piece
        assert decoder.finished
        assert out == bytes(MIB)


def test_only_the_first_member_of_a_gzip_body_counts() -> None:
    async def main() -> None:
        body = gzip.compress(b"first") + packed("gzip", 50 * MIB)
        async with (
            serving(reply(body=body, headers={"Content-Encoding": "gzip"})) as site,
            Egress(resolver=Names(), backend=Network(site)) as egress,
        ):
            page = await egress.get("http://example.com/")
        assert page.body == b"first"
        assert "content-encoding" not in page.headers

    anyio.run(main)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"not gzip"),
        ("gzip", gzip.compress(b"x" * 1000, mtime=0)[:-9]),
        ("deflate", b"\xff\xff\xff\xff"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"x", mtime=0), mtime=0)),
        ("compress", b"x"),
        ("exi", b"x"),
    ],
)
def test_a_body_that_cannot_be_decoded_as_offered_is_refused(coding: str, body: bytes) -> None:
    assert anyio.run(lambda: end(reply(body=body, headers={"Content-Encoding": coding}))) == "bad_encoding"


@pytest.mark.parametrize("coding", ["br", "zstd"])
def test_a_coding_without_a_decoder_is_neither_offered_nor_taken(coding: str) -> None:
    if coding in decoders():
        assert coding in offer()
        return
    assert coding not in offer()
    assert anyio.run(lambda: end(reply(body=b"x", headers={"Content-Encoding": coding}))) == "bad_encoding"


async def endless(_: Asked, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 X\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def endless_small_chunks(_: Asked, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1\r\nx\r\n" * 4096)
        await writer.drain()


async def endless_chunk_header(_: Asked, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n1;")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def endless_trailers(_: Asked, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    while True:
        writer.write(b"T: x\r\n" * 4096)
        await writer.drain()


async def endless_headers(_: Asked, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 X\r\n")
    while True:
        writer.write(b"H: x\r\n" * 4096)
        await writer.drain()


async def one_endless_header(_: Asked, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 X\r\nH: ")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def endless_early_hints(_: Asked, writer: Writer) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 X\r\nLink: </x>\r\n\r\n" * 512)
        await writer.drain()


async def endless_http09(_: Asked, writer: Writer) -> None:
    while True:
        writer.write(b"<html>" * 4096)
        await writer.drain()


@pytest.mark.parametrize(
    ("answer", "codes"),
    [
        (endless, ("too_large",)),
        (endless_small_chunks, ("bad_answer",)),
        (endless_chunk_header, ("too_large", "bad_answer")),
        (endless_trailers, ("too_large", "bad_answer")),
        (endless_headers, ("too_large",)),
        (one_endless_header, ("too_large",)),
        (endless_early_hints, ("too_large",)),
        (endless_http09, ("too_large", "bad_answer")),
        (reply(headers=[("X", "y")] * 129), ("too_large",)),
        (reply(headers={"X": "y" * 65536}), ("too_large",)),
    ],
)
def test_a_flood_ends_at_its_cap(answer: Answerer, codes: tuple[str, ...]) -> None:
    limits = EgressLimits(wire_bytes=MIB // 4, body_bytes=MIB, seconds=100)
    code, peak = memory_of(answer, limits)
    assert code in codes
    assert peak < ENOUGH_MEMORY


def test_an_endless_body_is_cut_where_asked() -> None:
    async def main() -> None:
        async with serving(endless) as site, Egress(resolver=Names(), backend=Network(site)) as egress:
            page = await egress.get("http://example.com/", max_bytes=123_456, cut=True)
            assert page.body == b"x" * 123_456
            assert page.truncated
            page = await egress.get("http://example.com/", max_bytes=10**12, cut=True)
            assert page.truncated
            assert len(page.body) == 5 * MIB
            with anyio.fail_after(10):
                await site.saw_end.wait()

    anyio.run(main)


async def endless_chunks(_: Asked, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"40\r\n" + b"x" * 64 + b"\r\n")
        await writer.drain()


def test_a_body_whose_framing_is_over_the_cap_is_cut_as_well() -> None:
    async def main() -> None:
        limits = EgressLimits(wire_bytes=MIB)
        async with (
            serving(endless_chunks) as site,
            Egress(EgressSettings(limits=limits), resolver=Names(), backend=Network(site)) as egress,
        ):
            page = await egress.get("http://example.com/", cut=True)
            assert page.truncated
            assert MIB // 2 < len(page.body) <= MIB
            assert set(page.body) == set(b"x")
            with pytest.raises(EgressError) as caught:
                await egress.get("http://example.com/")
            assert caught.value.code == "too_large"

    anyio.run(main)


def test_a_cut_body_is_as_long_as_allowed_however_the_reads_fall() -> None:
    async def main() -> None:
        async def pages(_: Asked, writer: Writer) -> None:
            writer.write(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n" + b"H: " + b"h" * head + b"\r\n\r\n")
            while True:
                writer.write(b"%x\r\n" % len(block) + block + b"\r\n")
                await writer.drain()

        block = b"x" * 65536
        limits = EgressLimits(wire_bytes=MIB)
        for head in (0, 20_000, 50_000, 65_000):
            async with (
                serving(pages) as site,
                Egress(EgressSettings(limits=limits), resolver=Names(), backend=Network(site)) as egress,
            ):
                page = await egress.get("http://example.com/", cut=True)
                assert (len(page.body), page.truncated) == (MIB, True), head

    anyio.run(main)


def test_a_body_as_large_as_allowed_passes_and_one_byte_more_does_not() -> None:
    async def main() -> None:
        async with serving(reply(body=b"x" * 1000)) as site, Egress(resolver=Names(), backend=Network(site)) as egress:
            page = await egress.get("http://example.com/", max_bytes=1000)
            assert (len(page.body), page.truncated, page.wire) == (1000, False, 1000)
            with pytest.raises(EgressError) as caught:
                await egress.get("http://example.com/", max_bytes=999)
            assert caught.value.code == "too_large"

    anyio.run(main)


async def announced(_: Asked, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 1000000000000000\r\n\r\n")


def test_an_announced_length_over_the_cap_is_refused_before_the_body() -> None:
    assert anyio.run(lambda: end(announced)) == "too_large"


async def silence(_: Asked, writer: Writer) -> None:
    await asyncio.Event().wait()


async def silence_after_the_head(_: Asked, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n")
    await writer.drain()
    await asyncio.Event().wait()


async def dripped_head(_: Asked, writer: Writer) -> None:
    for byte in b"HTTP/1.1 200 X\r\n" + b"H: x\r\n" * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.01)


async def dripped_body(_: Asked, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 200 X\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("answer", [silence, silence_after_the_head, dripped_head, dripped_body])
@pytest.mark.parametrize("limits", [EgressLimits(seconds=0.3), EgressLimits(idle_seconds=0.3, seconds=1)])
def test_a_slow_answer_ends_at_the_deadline(answer: Answerer, limits: EgressLimits) -> None:
    async def main() -> None:
        began = anyio.current_time()
        assert await end(answer, limits) == "too_slow"
        assert anyio.current_time() - began < 10 * limits.seconds

    anyio.run(main)


def test_a_call_may_ask_for_less_time_but_not_for_more() -> None:
    assert anyio.run(lambda: end(silence, seconds=0.2)) == "too_slow"
    assert anyio.run(lambda: end(silence, EgressLimits(seconds=0.2), seconds=1000)) == "too_slow"


@pytest.mark.parametrize(
    ("sent", "types", "fine"),
    [
        ("text/html; charset=utf-8", ("text/html",), True),
        ("TEXT/HTML", ("text/*",), True),
        ("application/json", ("text/*", "application/json"), True),
        ("image/png", ("text/*",), False),
        ("text", ("text/*",), False),
        (None, ("text/*",), False),
        (None, ("text/*", ""), True),
        ("image/png", ("text/*", ""), False),
        ("application/problem+json; charset=utf-8", ("*+json",), True),
        ("application/json", ("*+json",), False),
        ("application/json+zip", ("*+json",), False),
        (None, (), True),
    ],
)
def test_only_accepted_types_are_read(sent: str | None, types: tuple[str, ...], *, fine: bool) -> None:
    answer = reply(body=b"x", headers={"Content-Type": sent} if sent else {})

    async def main() -> None:
        async with serving(answer) as site, Egress(resolver=Names(), backend=Network(site)) as egress:
            if fine:
                assert (await egress.get("http://example.com/", types=types)).body == b"x"
                return
            with pytest.raises(EgressError) as caught:
                await egress.get("http://example.com/", types=types)
            assert caught.value.code == "bad_content_type"

    anyio.run(main)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "evil.example.com"),
        ("host", "x"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("Accept-Encoding", "br"),
        ("Proxy-Authorization", "x"),
        ("X", "a\r\nHost: evil"),
        ("X", "a\0"),
        ("X", "\u20ac"),
        ("X Y", "a"),
        ("", "a"),
        ("X:", "a"),
    ],
)
def test_a_header_that_is_ours_or_none_is_refused(name: str, value: str) -> None:
    assert anyio.run(lambda: end(reply(), headers={name: value})) == "bad_header"
