"""What an archive holds, entry by entry; names, kinds and sizes are judged before anything is written.

Source of the dangers: names that leave the folder ("zip slip"), links written through, sizes that lie, headers that
ask for all memory (a PAX header of a tar may claim any length), and entries by the million.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Protocol, cast

from gatelodge_core.errors import CallError

CHUNK = 256 * 1024
_MAX_HEADER = 1024 * 1024
"""The most that a tar may make its reader hold at once: names and PAX headers, not file data."""
_DIRECTORY_ENTRY = 46 + 512
"""Bytes that an entry of a zip's directory takes, its name included, at most for names we accept."""
_END = b"PK\x05\x06"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an archive may hold.

    Args:
        entries: Entries.
        total: Bytes unpacked, of all.
        ratio: Bytes unpacked for each byte of the archive, once `slack` bytes are unpacked.
        slack: Bytes that may be unpacked whatever the ratio.
    """

    entries: int = 10_000
    total: int = 512 * 1024 * 1024
    ratio: int = 200
    slack: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or folder of an archive.

    Args:
        name: Its path, judged harmless: relative, no ``..``, no link.
        folder: Whether it is a folder.
        size: Bytes, as the archive says.
        executable: Whether its owner may execute it.
        chunks: Its bytes; must be read before the next entry is asked for.
    """

    name: str
    folder: bool
    size: int
    executable: bool
    chunks: Callable[[], Generator[bytes]]


class Source(Protocol):
    """What `tarfile` reads from."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes."""
        ...


def refuse(text: str) -> CallError:
    """The refusal of an archive."""
    return CallError("bad_archive", text, "Nothing was unpacked.")


class _Forward:
    """A stream read once, forwards, so that no seek can make it be unpacked again and again; its reads are bounded."""

    def __init__(self, source: Source, limit: int) -> None:
        self._source = source
        self._limit = limit
        self._end = 0
        self._at = 0
        self._kept = b""

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; never all there is."""
        if size < 0 or size > max(_MAX_HEADER, CHUNK):
            raise refuse("a header in it claims to be larger than any should be.")
        behind = self._end - self._at
        again = self._kept[len(self._kept) - behind :][:size] if behind else b""
        self._at += len(again)
        parts = [again]
        missing = size - len(again)
        while missing > 0 and (part := self._source.read(min(missing, CHUNK))):
            missing -= len(part)
            self._end += len(part)
            self._at = self._end
            if self._end > self._limit:
                raise refuse(f"it unpacks to more than {self._limit} bytes.")
            self._kept = (self._kept + part)[-1024:]
            parts.append(part)
        return b"".join(parts)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to `offset`: back only by what was just read."""
        if whence != io.SEEK_SET or offset < self._end - len(self._kept):
            raise tarfile.ReadError("can't go back")
        self._at = min(offset, self._end)
        while self._at < offset:
            if not self.read(min(offset - self._at, CHUNK)):
                break
        return self._at

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seekable(self) -> bool:
        """Forwards, which is all that is asked for."""
        return True


def entries(file: IO[bytes], size: int, limits: Limits, spend: Callable[[], None]) -> Generator[Entry]:
    """The entries of a zip or tar (plain, gzip, bzip2 or xz), in its order.

    Args:
        file: The archive, at its beginning.
        size: Its length in bytes.
        limits: What it may hold.
        spend: Called often; raises when the time is up.

    Raises:
        CallError: `bad_archive`, with the reason.
    """
    head = file.read(8)
    file.seek(0)
    most = min(limits.total, max(limits.slack, size * limits.ratio))
    with _explained():
        found = _zip(file, size, limits) if head[:4] in (b"PK\x03\x04", _END) else _tar(file, head, limits)
        yield from _bounded(found, limits, most, spend)


_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError,
           NotImplementedError, RuntimeError, struct.error)  # fmt: skip


@contextmanager
def _explained() -> Generator[None]:
    """Word what the libraries raise for a broken archive."""
    try:
        yield
    except _BROKEN as error:
        raise refuse(f"it can't be read as zip or tar ({type(error).__name__}).") from None


def _bounded(found: Generator[Entry], limits: Limits, most: int, spend: Callable[[], None]) -> Generator[Entry]:
    """The entries, their number and bytes counted as they really are."""
    unpacked = 0
    seen: set[str] = set()
    folders: set[str] = set()
    plain: set[str] = set()
    for number, entry in enumerate(found, 1):
        spend()
        if number > limits.entries:
            raise refuse(f"it has more than {limits.entries} entries.")
        if entry.size > most:
            raise refuse(f"{entry.name[:100]!r} would unpack to {entry.size} bytes; {most} may be.")
        key = unicodedata.normalize("NFC", entry.name).casefold()
        if key in seen and not entry.folder:
            raise refuse(f"{entry.name[:100]!r} is in it twice.")
        above = {key[:at] for at, char in enumerate(key) if char == "/"} | ({key} if entry.folder else set[str]())
        if above & plain or (not entry.folder and key in folders):
            raise refuse(f"{entry.name[:100]!r} makes a name both a file and a folder.")
        folders |= above
        if not entry.folder:
            plain.add(key)
        seen.add(key)

        def counted(chunks: Callable[[], Generator[bytes]] = entry.chunks) -> Generator[bytes]:
            nonlocal unpacked
            with _explained():
                read = chunks()
            while True:
                # Only reading is explained: what the caller does with a chunk may fail for reasons of its own.
                with _explained():
                    chunk = next(read, b"")
                if not chunk:
                    return
                spend()
                unpacked += len(chunk)
                if unpacked > most:
                    raise refuse(f"it unpacks to more than {most} bytes.")
                yield chunk

        yield Entry(entry.name, entry.folder, entry.size, entry.executable, counted)


def harmless(name: str) -> str:
    """A name as it may be unpacked, without a slash at its end.

    Raises:
        CallError: It is absolute, leads upwards, or is no name on some system.
    """
    parts = name.rstrip("/").removeprefix("./").split("/")
    shown = repr(name[:100])
    if name.startswith("/") or ":" in parts[0][:2] or "\\" in name:
        raise refuse(f"{shown} is an absolute name, or one of another system.")
    for part in parts:
        if part in ("", ".", "..") or len(part.encode("utf-8", "surrogatepass")) > 255:
            raise refuse(f"{shown} leads out of its folder, or is no name.")
        if any(unicodedata.category(char) in ("Cc", "Cf", "Cs") for char in part):
            raise refuse(f"{shown} has characters that hide.")
    if len(parts) > 50 or len(name) > 2000:
        raise refuse(f"{shown} is too deep.")
    return "/".join(parts)


def _zip(file: IO[bytes], size: int, limits: Limits) -> Generator[Entry]:
    _check_directory(file, size, limits)
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            if info.flag_bits & 1:
                raise refuse("it is encrypted.")
            if mode & 0o170000 not in (0, 0o100000, 0o040000):
                raise refuse(f"{info.filename[:100]!r} is a link or special file.")
            yield Entry(
                harmless(info.filename),
                info.is_dir(),
                info.file_size,
                bool(mode & 0o100),
                lambda info=info: _read(archive.open(info)),
            )


def _check_directory(file: IO[bytes], size: int, limits: Limits) -> None:
    """Refuse a directory that would take much memory to read, before it is read."""
    file.seek(max(size - 65_557, 0))
    end = file.read(65_557)
    file.seek(0)
    at = end.find(_END)
    while at >= 0:
        # Whichever of these a reader takes for the real one.
        if len(end) - at >= 22:
            count, length = struct.unpack_from("<HI", end, at + 10)
            if count > limits.entries or length > limits.entries * _DIRECTORY_ENTRY:
                raise refuse(f"it has more than {limits.entries} entries.")
        at = end.find(_END, at + 1)


def _tar(file: IO[bytes], head: bytes, limits: Limits) -> Generator[Entry]:
    with ExitStack() as held:
        source: Source = file
        if head.startswith(b"\x1f\x8b"):
            source = held.enter_context(gzip.GzipFile(fileobj=file))
        elif head.startswith(b"BZh"):
            source = held.enter_context(bz2.BZ2File(file))
        elif head.startswith(b"\xfd7zXZ"):
            source = held.enter_context(lzma.LZMAFile(file))
        # Headers and padding come on top of what is unpacked.
        forward = _Forward(source, limits.total + limits.entries * 2048)
        archive = held.enter_context(tarfile.open(fileobj=cast("IO[bytes]", forward), mode="r:"))
        while (info := archive.next()) is not None:
            # tarfile keeps all it has seen.
            cast("list[object]", vars(archive)["members"]).clear()
            if not (info.isreg() or info.isdir()):
                raise refuse(f"{info.name[:100]!r} is a link or special file.")
            if info.name.rstrip("/") in (".", ""):
                continue
            taken = archive.extractfile(info) if info.isreg() else None
            yield Entry(
                harmless(info.name),
                info.isdir(),
                info.size if info.isreg() else 0,
                bool(info.mode & 0o100),
                lambda taken=taken: _read(taken),
            )


def _read(file: IO[bytes] | None) -> Generator[bytes]:
    if file is not None:
        with file:
            while chunk := file.read(CHUNK):
                yield chunk
