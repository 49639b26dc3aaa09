"""Content codings, decoded in small pieces: a bomb is seen while it is small.

Offered is only what can be decoded piece by piece here: gzip and deflate always; br and zstd if a decoder that takes
an output limit is installed (`brotli` from 1.2, `brotlicffi`; `compression.zstd` of Python 3.14, `backports.zstd`).
`zstandard` can't limit what one call gives, so it is fed a few bytes at a time: a block of zstd holds 128 KiB at most,
and the shortest takes four bytes (RFC 8878, section 3.1.1.2).
"""

from __future__ import annotations

import functools
import importlib
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from gatelodge_core.sandbox.egress.errors import EgressError

PIECE = 64 * 1024
"""About how many bytes one step gives."""
_ZSTD_WINDOW_LOG = 23
"""RFC 9659: a window over 8 MiB needs no support, and costs its size in memory."""
_ZSTD_SLICE = 16


class Decoder(Protocol):
    """Decodes one body."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode some more, in pieces; the caller may stop between two. What follows the end is dropped."""
        ...

    @property
    def finished(self) -> bool:
        """Whether the data ended where the format says."""
        ...


class Plain:
    """No coding."""

    finished = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The data, as it is."""
        yield data


class Zlib:
    """gzip (RFC 1952) or deflate, which servers send with (RFC 1950) or without its header (RFC 1951).

    The first member of a gzip file ends it: no server of pages sends two, and each could carry another bomb.
    """

    def __init__(self, *, gzip: bool) -> None:
        self._inflate = zlib.decompressobj(31 if gzip else 15)
        self._bare_next = not gzip
        self._head: bytes = b""

    @property
    def finished(self) -> bool:
        """Whether the end mark was read."""
        return self._inflate.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode some more."""
        if self._bare_next:
            self._head += data
            data = self._head
            if len(data) < 2:  # the two bytes of a header tell whether there is one
                return
        while data and not self._inflate.eof:
            try:
                piece = self._inflate.decompress(data, PIECE)
            except zlib.error:
                if not self._bare_next:
                    raise
                self._bare_next = False
                self._inflate = zlib.decompressobj(-15)
                continue
            self._bare_next = False
            data = self._inflate.unconsumed_tail
            if piece:
                yield piece
        # What was held back for want of room has no input left to come with.
        while not self._inflate.eof and (piece := self._inflate.decompress(b"", PIECE)):
            yield piece


class Brotli:
    """br (RFC 7932)."""

    def __init__(self, module: Any) -> None:
        self._inflate = module.Decompressor()
        self._process: Callable[..., bytes] = getattr(self._inflate, "process", None) or self._inflate.decompress

    @property
    def finished(self) -> bool:
        """Whether the last block was read."""
        return bool(self._inflate.is_finished())

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode some more."""
        while not self.finished:
            piece = self._process(data, output_buffer_limit=PIECE)
            if not piece:
                return
            data = b""
            yield piece


class Zstd:
    """zstd (RFC 8878) by the standard library's decoder or its backport."""

    def __init__(self, module: Any) -> None:
        self._inflate = module.ZstdDecompressor(
            options={module.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        )

    @property
    def finished(self) -> bool:
        """Whether a frame was read to its end."""
        return bool(self._inflate.eof)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode some more."""
        while not self.finished:
            piece: bytes = self._inflate.decompress(data, PIECE)
            data = b""
            if piece:
                yield piece
            elif self._inflate.needs_input:
                return


class SlicedZstd:
    """zstd by `zstandard`, which gives all that its input holds: so it gets little at a time."""

    def __init__(self, module: Any) -> None:
        self._inflate = module.ZstdDecompressor(max_window_size=1 << _ZSTD_WINDOW_LOG).decompressobj()

    @property
    def finished(self) -> bool:
        """Whether a frame was read to its end."""
        return bool(self._inflate.eof)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode some more."""
        for start in range(0, len(data), _ZSTD_SLICE):
            if self.finished:
                return
            piece: bytes = self._inflate.decompress(data[start : start + _ZSTD_SLICE])
            if piece:
                yield piece


def _brotli() -> Callable[[], Decoder] | None:
    for name in ("brotli", "brotlicffi"):
        try:
            module: Any = importlib.import_module(name)
            list(Brotli(module).feed(b""))
        except (ImportError, TypeError, AttributeError):
            continue  # absent, or a release that can't limit its output
        return functools.partial(Brotli, module)
    return None


def _zstd() -> Callable[[], Decoder] | None:
    for name, kind in (("compression.zstd", Zstd), ("backports.zstd", Zstd), ("zstandard", SlicedZstd)):
        try:
            module: Any = importlib.import_module(name)
            kind(module)
        except (ImportError, AttributeError, TypeError):
            continue
        return functools.partial(kind, module)
    return None


@functools.cache
def decoders() -> dict[str, Callable[[], Decoder]]:
    """The codings that can be decoded here, in order of preference."""
    found: dict[str, Callable[[], Decoder]] = {
        "gzip": functools.partial(Zlib, gzip=True),
        "deflate": functools.partial(Zlib, gzip=False),
    }
    optional = {"br": _brotli(), "zstd": _zstd()}
    return found | {name: maker for name, maker in optional.items() if maker is not None}


def offer() -> str:
    """The value of Accept-Encoding."""
    return ", ".join(decoders())


def decoder_for(coding: str) -> Decoder:
    """A decoder for a Content-Encoding; one coding, not a chain of them.

    Raises:
        EgressError: `bad_encoding`, for one that wasn't offered.
    """
    name = coding.strip().lower().removeprefix("x-")
    if name in ("", "identity"):
        return Plain()
    maker = decoders().get(name)
    if maker is None:
        raise EgressError("bad_encoding", "The answer is compressed in a way that wasn't asked for.")
    return maker()


def steps(decoder: Decoder, data: bytes) -> Iterator[bytes]:
    """`Decoder.feed`, with the failures of every library turned into one.

    Raises:
        EgressError: `bad_encoding`.
    """
    try:
        yield from decoder.feed(data)
    except EgressError:
        raise
    except Exception as error:  # each library has its own error, one of them a bare Exception
        raise EgressError("bad_encoding", "The compressed answer is damaged.") from error
