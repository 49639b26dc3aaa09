"""Exports: files below the state folder, each its caller's alone, gone after a while.

A file is written under a name that nothing reads, and renamed when it is whole. While its process lives it is locked, so
that other processes with the same state folder can tell what was left behind by one that ended without a word.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import sys
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal, TextIO

from gatelodge_core.auth.principal import CALLER
from gatelodge_core.errors import CallError

if sys.platform != "win32":
    import fcntl

Form = Literal["csv", "jsonl"]
MIME_TYPES: dict[Form, str] = {"csv": "text/csv", "jsonl": "application/jsonl"}
MOST = 64
"""Exports at a time, whoever's."""
TIMES = 4
"""How many of the largest exports there is room for."""
PART = 2
"""One of several callers may have this part of both, so that it can't keep all others out."""
_FILE = re.compile(r"([A-Za-z0-9_-]{22})\.(csv|jsonl)(\.part)?")


@dataclass(frozen=True)
class Export:
    """One finished export.

    Args:
        id: Names it; can't be guessed.
        form: Of the file.
        owner: The principal who made it, as text.
        rows: How many it has.
        size: Bytes.
        sha256: Of the file.
        made: When, in seconds since 1970.
        expires: When it is removed.
        whole: Whether it is all that the query gave.
        columns: Their names.
    """

    id: str
    form: Form
    owner: str
    rows: int
    size: int
    sha256: str
    made: float
    expires: float
    whole: bool
    columns: tuple[str, ...]

    @property
    def uri(self) -> str:
        """The resource that it is read by."""
        return f"pg://results/{self.id}"

    @property
    def mime_type(self) -> str:
        """Of its text."""
        return MIME_TYPES[self.form]


@dataclass
class Draft:
    """An export that is being written."""

    id: str
    form: Form
    part: str
    file: BinaryIO
    reserved: int
    owner: str
    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)

    def write(self, data: bytes) -> None:
        """Append. Blocks, so call it in a thread.

        Raises:
            OSError: The disk is full, or the like.
        """
        self.file.write(data)
        self.digest.update(data)
        self.size += len(data)


class Exports:
    """The exports of one process.

    Args:
        folder: Where they lie.
        limit: The largest export, in bytes.
        seconds: How long one is kept.
    """

    def __init__(self, folder: str, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self._folder = folder
        self._kept: dict[str, tuple[Export, BinaryIO]] = {}
        self._drafts: dict[str, Draft] = {}

    @contextlib.asynccontextmanager
    async def life(self) -> AsyncGenerator[None]:
        """From its beginning, which removes what dead processes left, to its end, which removes everything."""
        await asyncio.to_thread(self.sweep)
        try:
            yield
        finally:
            self.close()

    def begin(self, form: Form, most: int) -> Draft:
        """Begin one of at most `most` bytes.

        Raises:
            CallError: There is no room for it, or the folder can't be written.
        """
        self._expire()
        owner = _caller()
        sizes = [(export.owner, export.size) for export, _ in self._kept.values()]
        sizes += [(draft.owner, draft.reserved) for draft in self._drafts.values()]
        own = [size for whose, size in sizes if whose == owner]
        part = 1 if _alone() else PART
        if (
            sum(size for _, size in sizes) + most > TIMES * self.limit
            or len(sizes) >= MOST
            or sum(own) + most > TIMES * self.limit // part
            or len(own) >= MOST // part
        ):
            # How much others keep is nobody's business.
            text = f"{len(own)} exports of {sum(own) / 1e6:.0f} MB are kept for this caller, and there is no room for this one."
            raise CallError("exports_full", text, "Ask for less by max_bytes, or wait until earlier ones expire.")
        name = secrets.token_urlsafe(16)
        path = os.path.join(self._folder, f"{name}.{form}.part")
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
            file = os.fdopen(os.open(path, flags, 0o600), "wb")
        except OSError as error:
            text = f"the state folder can't be written: {error.strerror}."
            raise CallError("cannot_write", text, "The person must make room or correct its permissions.") from None
        _lock(file.fileno())
        draft = self._drafts[name] = Draft(name, form, path, file, most, owner)
        return draft

    def finish(self, draft: Draft, rows: int, columns: tuple[str, ...], *, whole: bool) -> Export:
        """Keep what was written, for whoever began it.

        Raises:
            OSError: It can't be written to its end.
        """
        draft.file.flush()
        os.rename(draft.part, self._path(draft.id, draft.form))
        now = time.time()
        export = Export(
            draft.id, draft.form, draft.owner, rows, draft.size, draft.digest.hexdigest(), now, now + self.seconds,
            whole, columns,
        )  # fmt: skip
        del self._drafts[draft.id]
        self._kept[draft.id] = (export, draft.file)
        asyncio.get_running_loop().call_later(self.seconds, self._remove, draft.id)
        return export

    def drop(self, draft: Draft) -> None:
        """Give up what was written; nothing if it was kept."""
        if self._drafts.pop(draft.id, None) is not None:
            _unlink(draft.part)
            with contextlib.suppress(OSError):
                draft.file.close()

    def list(self) -> list[Export]:
        """The caller's exports, the oldest first."""
        self._expire()
        owner = _caller()
        return [export for export, _ in self._kept.values() if export.owner == owner]

    def get(self, id: str) -> Export:  # noqa: A002 - as in the resource's URI
        """One of the caller's.

        Raises:
            CallError: ``not_found``: there is none, or it is another's, which is not told apart.
        """
        self._expire()
        found = self._kept.get(id)
        if found is None or found[0].owner != _caller():
            raise CallError("not_found", "there is no such export, or it has expired.", "Run export_query again.")
        return found[0]

    def path(self, id: str) -> str:  # noqa: A002
        """The file of one of the caller's; not for answers, which don't show paths.

        Raises:
            CallError: See `get`.
        """
        export = self.get(id)
        return self._path(export.id, export.form)

    def open_text(self, id: str) -> TextIO:  # noqa: A002
        """One of the caller's, to be read; it can be read to its end even if it expires meanwhile. Blocks.

        Raises:
            CallError: See `get`; or somebody removed the file.
        """
        try:
            return open(self.path(id), encoding="utf-8", newline="")
        except OSError:
            raise CallError("not_found", "the export's file is gone.", "Run export_query again.") from None

    def close(self) -> None:
        """Remove all of this process's."""
        for draft in list(self._drafts.values()):
            self.drop(draft)
        for name in list(self._kept):
            self._remove(name)

    def sweep(self) -> None:
        """Remove what processes left that are gone."""
        try:
            found = list(os.scandir(self._folder))
        except OSError:
            return
        for entry in found:
            match = _FILE.fullmatch(entry.name)
            if match is not None and match[1] not in self._kept and match[1] not in self._drafts:
                with contextlib.suppress(OSError):
                    if _is_left(entry.path, self.seconds):
                        os.unlink(entry.path)

    def _expire(self) -> None:
        now = time.time()
        for name in [export.id for export, _ in self._kept.values() if export.expires <= now]:
            self._remove(name)

    def _remove(self, name: str) -> None:
        found = self._kept.pop(name, None)
        if found is not None:
            _unlink(self._path(name, found[0].form))
            with contextlib.suppress(OSError):
                found[1].close()

    def _path(self, name: str, form: Form) -> str:
        return os.path.join(self._folder, f"{name}.{form}")


def _caller() -> str:
    caller = CALLER.get()
    return "" if caller is None else str(caller)


def _alone() -> bool:
    """Whether the caller is this machine's user, who has nobody beside."""
    caller = CALLER.get()
    return caller is None or caller.method == "os-user"


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _lock(descriptor: int) -> bool:
    """Lock a file for as long as it is open; False if a process has it."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


def _is_left(path: str, seconds: float) -> bool:
    """Whether nobody has a file in use: by its lock, and where there are none by its age."""
    if sys.platform == "win32":
        return time.time() - os.stat(path).st_mtime > seconds
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return _lock(descriptor)
    finally:
        os.close(descriptor)
