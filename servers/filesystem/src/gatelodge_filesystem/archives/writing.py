"""Unpacking into a new folder and packing into a new file: each appears complete, or not at all."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import IO, Protocol

from gatelodge_core.errors import CallError
from gatelodge_core.sandbox.credentials import Check
from gatelodge_core.sandbox.place import Place, make_directory

from gatelodge_filesystem.archives.reading import CHUNK, Limits, entries
from gatelodge_filesystem.atomic import TEMPORARY_PREFIX
from gatelodge_filesystem.ignore import Rules
from gatelodge_filesystem.walk import OPEN_FOLDER, Budget, Folder, Walk

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz")


@dataclass(frozen=True, slots=True)
class Made:
    """What was packed or unpacked.

    Args:
        files: How many files.
        size: Bytes of all files.
        skipped: Links, special files and credentials that were left out of a new archive.
    """

    files: int
    size: int
    skipped: int = 0


def unpack(
    file: IO[bytes], size: int, place: Place, at: str, *, limits: Limits, refuses: Check, spend: Callable[[], None],
    note: Callable[[int], None],
) -> Made:  # fmt: skip
    """Unpack into a new folder.

    Args:
        file: The archive.
        size: Its length.
        place: The folder to make.
        at: The canonical path from the root that it will have.
        limits: What the archive may hold.
        refuses: Paths from the root that are not made.
        spend: Called often; raises when the time is up.
        note: Told the folder's inode.

    Raises:
        CallError: `bad_archive`, or the time is up. What was unpacked so far is the caller's to remove.
        JailError: The folder can't be made.
    """
    make_directory(place.fd, place.name)
    top = os.open(place.name, OPEN_FOLDER, dir_fd=place.fd)
    try:
        note(os.fstat(top).st_ino)
        return _unpacked(file, size, top, at, limits, refuses, spend)
    finally:
        os.close(top)


def _unpacked(
    file: IO[bytes], size: int, top: int, at: str, limits: Limits, refuses: Check, spend: Callable[[], None]
) -> Made:
    files = total = 0
    for entry in entries(file, size, limits, spend):
        if refuses(f"{at}/{entry.name}"):
            raise CallError(
                "protected", f"it holds {entry.name[:200]!r}, a file for credentials.", "Nothing was unpacked."
            )
        if entry.folder:
            with _folder(top, entry.name):
                continue
        above, _, name = entry.name.rpartition("/")
        with _folder(top, above) as fd:
            mode = 0o777 if entry.executable else 0o666
            out = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=fd)
            with os.fdopen(out, "wb") as target:
                for chunk in entry.chunks():
                    target.write(chunk)
                    total += len(chunk)
        files += 1
    return Made(files, total)


@contextlib.contextmanager
def _folder(top: int, rel: str) -> Generator[int]:
    """A folder below `top`, made where it is missing; no link is followed."""
    fd = os.dup(top)
    try:
        for part in rel.split("/") if rel else ():
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=fd)
            inner = os.open(part, OPEN_FOLDER, dir_fd=fd)
            os.close(fd)
            fd = inner
        yield fd
    finally:
        os.close(fd)


class _Sink(Protocol):
    """One archive being written."""

    def add(self, name: str, found: os.stat_result, source: IO[bytes]) -> None:
        """Add a file."""
        ...

    def close(self) -> None:
        """Write its end."""
        ...


class _ZipSink:
    def __init__(self, out: IO[bytes]) -> None:
        self._archive = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED)

    def add(self, name: str, found: os.stat_result, source: IO[bytes]) -> None:
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = (stat.S_IFREG | (0o755 if found.st_mode & 0o100 else 0o644)) << 16
        with self._archive.open(info, "w") as target:
            shutil.copyfileobj(source, target, CHUNK)

    def close(self) -> None:
        self._archive.close()


class _TarSink:
    def __init__(self, out: IO[bytes], *, packed: bool) -> None:
        self._gzip = gzip.GzipFile(fileobj=out, mode="wb", mtime=0) if packed else None
        self._archive = tarfile.TarFile(fileobj=self._gzip or out, mode="w")

    def add(self, name: str, found: os.stat_result, source: IO[bytes]) -> None:
        info = tarfile.TarInfo(name)
        info.size = found.st_size
        info.mode = 0o755 if found.st_mode & 0o100 else 0o644
        info.mtime = int(found.st_mtime)
        self._archive.addfile(info, source)

    def close(self) -> None:
        self._archive.close()
        if self._gzip is not None:
            self._gzip.close()


def pack(
    fd: int, place: Place, name: str, *, note: Callable[[int], None], prefix: str, above: Rules | None, limits: Limits, refuses: Check, use_ignore: bool,
    budget: Budget,
) -> Made:  # fmt: skip
    """Pack all regular files below a folder into a new archive; the name it will have says of which kind.

    Args:
        fd: The folder, fresh.
        place: The file to make.
        name: What it will be called.
        note: Told the file's inode.
        prefix: The folder's path from the root, empty or ending in a slash.
        above: The ignore rules from above the folder.
        limits: How many files, and bytes of them.
        refuses: Paths from the root that are left out.
        use_ignore: Whether ignored files are left out.
        budget: What it may spend.

    Raises:
        CallError: `invalid_arguments` for an ending that isn't known, or `too_large`. What was packed so far is the
            caller's to remove.
    """
    if not name.endswith(ENDINGS):
        raise CallError("invalid_arguments", "the archive's name ends in .zip, .tar, .tar.gz or .tgz.")
    zipped, packed = name.endswith(".zip"), not name.endswith(".tar")
    out_fd = os.open(
        place.name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666, dir_fd=place.fd
    )
    with os.fdopen(out_fd, "wb") as out:
        note(os.fstat(out.fileno()).st_ino)
        sink: _Sink = _ZipSink(out) if zipped else _TarSink(out, packed=packed)
        made = _packed(fd, sink, prefix, above, limits, refuses, budget, use_ignore=use_ignore)
        sink.close()
        out.flush()
        os.fsync(out.fileno())
    return made


def _packed(
    fd: int, sink: _Sink, prefix: str, above: Rules | None, limits: Limits, refuses: Check, budget: Budget, *,
    use_ignore: bool,
) -> Made:  # fmt: skip
    files = total = skipped = 0

    def visit(folder: Folder) -> None:
        nonlocal files, total, skipped
        skipped += len(folder.links) + len(folder.others)
        skipped += sum(refuses(f"{prefix}{folder.rel}{name}") for name in folder.folders)
        for name in sorted(folder.files):
            if name.startswith(TEMPORARY_PREFIX):
                continue
            if refuses(f"{prefix}{folder.rel}{name}"):
                skipped += 1
                continue
            budget.spend(0)
            opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder.fd)
            with os.fdopen(opened, "rb") as source:
                found = os.fstat(opened)
                if not stat.S_ISREG(found.st_mode):
                    skipped += 1
                    continue
                files += 1
                total += found.st_size
                if files > limits.entries or total > limits.total:
                    raise CallError(
                        "too_large", f"more than {limits.entries} files or {limits.total} bytes.", "Pack a subfolder."
                    )
                sink.add(folder.rel + name, found, source)

    Walk(visit, budget, use_ignore=use_ignore, hidden=True, refuses=refuses).run(fd, prefix, above)
    return Made(files, total, skipped)
