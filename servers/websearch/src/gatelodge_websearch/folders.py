"""Folders of the person's own texts, indexed to be searched without the network.

They are read through the path jail and never changed: no link is followed, names that begin with a dot and files that
hold credentials are left out. The index is renewed by time and size of the files, bounded in files, bytes and time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sqlite3
import stat
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from gatelodge_core.errors import JailError, SettingsError
from gatelodge_core.sandbox.credentials import is_credential
from gatelodge_core.sandbox.jail import Jail

from gatelodge_websearch.charset import decode
from gatelodge_websearch.databases import MEMORY, opened
from gatelodge_websearch.html.extract import extract
from gatelodge_websearch.pages import Page, cite
from gatelodge_websearch.snippets import snippet
from gatelodge_websearch.store import Saved, quoted

KINDS = {
    **dict.fromkeys((".md", ".markdown", ".mdx"), "text/markdown"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "text/html"),
    **dict.fromkeys((".txt", ".text", ".rst", ".adoc", ".org"), "text/plain"),
}
MAX_FILES = 20_000
MAX_FILE = 2 * 1024 * 1024
MAX_TOTAL = 256 * 1024 * 1024
MAX_DEPTH = 40
EVERY = 5.0
"""Seconds in which the folders are not looked through again."""
_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (id INTEGER PRIMARY KEY, folder TEXT NOT NULL, rel TEXT NOT NULL, name TEXT NOT NULL, modified INTEGER NOT NULL, size INTEGER NOT NULL, sha TEXT NOT NULL, version TEXT NOT NULL, media TEXT NOT NULL, title TEXT NOT NULL, UNIQUE (folder, rel));
CREATE INDEX IF NOT EXISTS files_name ON files (name);
CREATE INDEX IF NOT EXISTS files_version ON files (version);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (title, body, tokenize = 'unicode61 remove_diacritics 2');
"""
_COLUMNS = "files.folder, files.rel, files.modified, files.sha, files.media, files.title"
_HEADING = re.compile(r"^#{1,6} +(.{1,200})$", re.MULTILINE)


@dataclass(slots=True)
class _Round:
    """One look through all folders, and what is left of its means."""

    deadline: float
    files: int
    total: int
    limits: set[str] = field(default_factory=set[str])


class Folders:
    """The folders and their index. Methods may be called from any thread, and take long.

    Args:
        paths: The folders.
        index: The SQLite file; its folder exists.

    Raises:
        SettingsError: A folder isn't one, is far too broad, or its path is no UTF-8.
    """

    def __init__(self, paths: Sequence[str], index: str) -> None:
        self._stop = threading.Event()
        self._renewing = threading.Lock()
        self._lock = threading.Lock()
        self._renewed = -EVERY
        self.note = ""
        """What the index lacks; empty if nothing."""
        self._jails: dict[str, Jail] = {}
        self._labels: dict[str, str] = {}
        self._db = opened(index if paths else MEMORY, _prepare)
        for path in real(paths):
            if not _is_text(path):
                self.close()
                raise SettingsError(
                    f"folders: {path.encode('utf-8', 'backslashreplace').decode()} is no UTF-8; rename it."
                )
            try:
                self._jails[path] = Jail.pin(path, writable=False, refuses=is_credential)
            except JailError as error:
                self.close()
                raise SettingsError(f"folders: {path}: {error}.") from None
            self._labels[path] = _free(os.path.basename(path), self._labels.values())
        gone = [number for number, folder in self._all("SELECT id, folder FROM files") if folder not in self._jails]
        self._forget(gone)

    def __bool__(self) -> bool:
        return bool(self._jails)

    def close(self) -> None:
        """End a renewal that runs, and close everything."""
        self._stop.set()
        with self._renewing, self._lock:
            self._db.close()
            for jail in self._jails.values():
                jail.close()

    def renew(self, seconds: float = 60.0) -> None:
        """Bring the index up to date, as far as the time goes; the next call goes on from there.

        If another thread is at it, nothing is done and nobody waits.
        """
        if not self._renewing.acquire(blocking=False):
            return
        try:
            if self._stop.is_set() or time.monotonic() - self._renewed < EVERY:
                return
            self.note = "the folders are still being indexed"
            means = _Round(time.monotonic() + seconds, MAX_FILES, MAX_TOTAL)
            for folder in self._jails:
                self._renew_folder(folder, means)
            if self._over(means):
                return
            self._renewed = time.monotonic()
            self.note = f"left out of the folders: {', '.join(sorted(means.limits))}" if means.limits else ""
        finally:
            self._renewing.release()

    def _over(self, means: _Round) -> bool:
        return self._stop.is_set() or time.monotonic() > means.deadline

    def _renew_folder(self, folder: str, means: _Round) -> None:
        rows = self._all("SELECT rel, id, modified, size FROM files WHERE folder = ?", folder)
        known = {rel: (number, modified, size) for rel, number, modified, size in rows}
        for rel, found in _walk(self._jails[folder], means):
            if self._over(means):
                break
            if not _is_text(rel):
                # It would have no address by which it could be read.
                means.limits.add("files whose path is no UTF-8")
                continue
            size = min(found.st_size, MAX_FILE)
            if means.files <= 0 or means.total < size:
                means.limits.add(f"what is beyond {MAX_FILES} files or {MAX_TOTAL // 1024 // 1024} MB")
                break
            means.files -= 1
            means.total -= size
            number, modified, before = known.pop(rel, (0, 0, 0))
            if not number or (modified, before) != (found.st_mtime_ns, found.st_size):
                self._index(folder, rel, number, means)
        if not self._over(means):
            self._forget([number for number, _, _ in known.values()])

    def _index(self, folder: str, rel: str, number: int, means: _Round) -> None:
        read = _read(self._jails[folder], rel)
        if read is None:
            means.limits.add(f"files that can't be read as text, or have more than {MAX_FILE // 1024 // 1024} MB")
            self._forget([number] if number else [])
            return
        found, data = read
        media = KINDS[os.path.splitext(rel)[1].lower()]
        title, text = _text(data, media, rel)
        sha = hashlib.sha256(data).hexdigest()
        path = f"{self._labels[folder]}/{rel}"
        made = _page(path, found.st_mtime_ns, sha, media, title, text)
        row = (folder, rel, cite(path), found.st_mtime_ns, found.st_size, sha, made.version, media, title)
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._drop(number)
            place = self._db.execute(
                "INSERT INTO files (folder, rel, name, modified, size, sha, version, media, title) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            ).lastrowid
            self._db.execute("INSERT INTO words (rowid, title, body) VALUES (?, ?, ?)", (place, title, text))

    def _forget(self, numbers: Sequence[int]) -> None:
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for number in numbers:
                self._drop(number)

    def _drop(self, number: int) -> None:
        self._db.execute("DELETE FROM words WHERE rowid = ?", (number,))
        self._db.execute("DELETE FROM files WHERE id = ?", (number,))

    def saved(self, query: str, limit: int) -> tuple[list[Saved], int]:
        """Files that hold all words of a query, best first, and how many there are."""
        words = quoted(query)
        if not words:
            return [], 0
        rows = self._all(
            f"SELECT {_COLUMNS}, words.body, bm25(words, 5, 1) AS score FROM words "  # noqa: S608 - our own columns
            "JOIN files ON files.id = words.rowid WHERE words MATCH ? ORDER BY score LIMIT ?",
            words,
            limit,
        )
        total = self._all("SELECT count(*) FROM words WHERE words MATCH ?", words)[0][0]
        found: list[Saved] = []
        for folder, rel, modified, _, _, title, body, score in rows:
            path = f"{self._labels[folder]}/{rel}"
            found.append(Saved(cite(path), path, title, modified / 1e9, snippet(str(body), query), float(score)))
        return found, int(total)

    def path(self, id: str) -> str:  # noqa: A002 - it is an id
        """The path (folder's name, then the file's) that an id stands for; empty if it is unknown."""
        rows = self._all("SELECT folder, rel FROM files WHERE name = ?", id)
        return f"{self._labels[rows[0][0]]}/{rows[0][1]}" if rows else ""

    def page(self, path: str) -> Page | None:
        """A file as a page, as it is in the index."""
        return self._one("files.name = ?", cite(path))

    def by_version(self, version: str) -> Page | None:
        """A file by the beginning of its version, at least eight digits."""
        return self._one("files.version GLOB ?", f"{version}*") if len(version) >= 8 and version.isalnum() else None

    def _one(self, condition: str, value: str) -> Page | None:
        rows = self._all(
            f"SELECT {_COLUMNS}, words.body FROM files JOIN words ON words.rowid = files.id WHERE {condition} LIMIT 1",  # noqa: S608 - our own columns
            value,
        )
        if not rows:
            return None
        folder, rel, modified, sha, media, title, body = rows[0]
        return _page(f"{self._labels[folder]}/{rel}", modified, sha, media, title, body)

    def _all(self, question: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.execute(question, values).fetchall()


def _prepare(base: sqlite3.Connection) -> None:
    (version,) = base.execute("PRAGMA user_version").fetchone()
    if version != _VERSION:
        # An index: what an older version made is made again.
        base.executescript("DROP TABLE IF EXISTS files; DROP TABLE IF EXISTS words;")
    base.executescript(f"{_SCHEMA} PRAGMA user_version = {_VERSION};")


def _page(path: str, modified: int, sha: str, media: str, title: str, text: str) -> Page:
    return Page(path, path, (), title, text, media, sha, modified / 1e9, "folder")


def _free(name: str, taken: Collection[str]) -> str:
    """The name, with a number if it is taken."""
    return next(
        free for number in range(1, len(taken) + 2) if (free := f"{name}-{number}" if number > 1 else name) not in taken
    )


def _is_text(path: str) -> bool:
    """Whether a path can be kept and sent: bytes that are no UTF-8 come from the system as lone surrogates."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def real(paths: Sequence[str]) -> list[str]:
    """The folders as they are, without links, each once.

    Raises:
        SettingsError: One is far too broad.
    """
    found = list(dict.fromkeys(os.path.realpath(os.path.expanduser(path)) for path in paths))
    for path in found:
        if path in ("/", os.path.realpath(os.path.expanduser("~"))):
            raise SettingsError(f"folders: {path} is too broad; name the folders with the texts.")
    return found


def _walk(jail: Jail, means: _Round) -> Iterator[tuple[str, os.stat_result]]:
    """Texts of a folder and all below it, in order."""
    todo = [""]
    while todo and time.monotonic() < means.deadline:
        here = todo.pop()
        inside: list[str] = []
        try:
            fd = jail.open_directory(here or ".")
        except JailError:
            continue
        with contextlib.closing(_Descriptor(fd)), os.scandir(fd) as entries:
            for entry in sorted(entries, key=lambda item: item.name):
                rel = f"{here}/{entry.name}" if here else entry.name
                if entry.name.startswith(".") or is_credential(rel):
                    continue
                with contextlib.suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        inside += [rel] if rel.count("/") < MAX_DEPTH else []
                    elif entry.is_file(follow_symlinks=False) and os.path.splitext(rel)[1].lower() in KINDS:
                        yield rel, entry.stat(follow_symlinks=False)
        todo += reversed(inside)


class _Descriptor:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def close(self) -> None:
        os.close(self._fd)


def _read(jail: Jail, rel: str) -> tuple[os.stat_result, bytes] | None:
    """A file, or None if it is no text, too large or gone."""
    try:
        with os.fdopen(jail.open_file(rel), "rb") as source:
            found = os.fstat(source.fileno())
            data = source.read(MAX_FILE + 1)
    except (JailError, OSError):
        return None
    if not stat.S_ISREG(found.st_mode) or len(data) > MAX_FILE:
        return None
    binary = b"\0" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff"))
    return None if binary else (found, data)


def _text(data: bytes, media: str, rel: str) -> tuple[str, str]:
    """Title and text of a file."""
    text, _ = decode(data)
    title = ""
    if media == "text/html":
        seen = extract(text, "")
        title, text = seen.title, seen.markdown
    elif heading := _HEADING.search(text[:4000]):
        title = heading[1]
    return " ".join(title.split()) or os.path.basename(rel), text.replace("\r\n", "\n")
