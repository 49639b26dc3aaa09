"""What was read: a page, the names things are cited by, and the store that keeps them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, cast

_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS pages (key TEXT PRIMARY KEY, sha TEXT NOT NULL, fetched REAL NOT NULL, size INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS pages_sha ON pages (sha);
CREATE INDEX IF NOT EXISTS pages_fetched ON pages (fetched);
CREATE TABLE IF NOT EXISTS cited (id TEXT PRIMARY KEY, url TEXT NOT NULL, title TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS searches (id TEXT PRIMARY KEY, made REAL NOT NULL, body TEXT NOT NULL);
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (key UNINDEXED, title, body, tokenize = 'unicode61 remove_diacritics 2');
"""
_MAX_CITED = 20_000
_MAX_SEARCHES = 500


@dataclass(frozen=True, slots=True)
class Page:
    """A page, read.

    Args:
        url: As it was asked for.
        final: What answered, after redirects.
        chain: URLs that redirected, first to last.
        title: Its title.
        markdown: Its content.
        media: Its media type, and the charset it was read by.
        sha: SHA-256 of its bytes, hexadecimal.
        fetched: When, in seconds since 1970.
        extractor: How the content was found.
        language: As it says.
        published: As it says.
        hidden: Characters that were hidden in it.
        truncated: Whether it was cut at the byte cap.
        etag: For asking again.
        modified: For asking again.
        links: (text, URL) of its links.
    """

    url: str
    final: str
    chain: tuple[str, ...]
    title: str
    markdown: str = field(repr=False)
    media: str
    sha: str
    fetched: float
    extractor: str
    language: str = ""
    published: str = ""
    hidden: int = 0
    truncated: bool = False
    etag: str = ""
    modified: str = ""
    links: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def id(self) -> str:
        """How it is cited."""
        return cite(self.url)


def cite(url: str) -> str:
    """A short, stable name for a URL: ``c`` and eight letters or digits."""
    digest = hashlib.sha256(url.encode("utf-8", "surrogatepass")).digest()
    return "c" + base64.b32encode(digest[:5]).decode("ascii").lower()


@dataclass(frozen=True, slots=True)
class Saved:
    """A page that was found among those read before."""

    id: str
    url: str
    title: str
    fetched: float
    snippet: str


class Store:
    """Pages, citations and searches in one SQLite file. Methods may be called from any thread.

    Args:
        path: The file; its folder is made.
        max_bytes: Of page text that is kept; the oldest pages go first.
    """

    def __init__(self, path: str, max_bytes: int) -> None:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        self._lock = threading.Lock()
        self._max = max_bytes
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
        os.chmod(path, 0o600)
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def page(self, url: str, *, include_hidden: bool = False) -> Page | None:
        """The page that was read last from a URL."""
        return self._one("SELECT body FROM pages WHERE key = ?", _key(url, include_hidden))

    def by_sha(self, sha: str) -> Page | None:
        """A page by the beginning of its hash, at least eight digits."""
        if len(sha) < 8 or not sha.isalnum():
            return None
        return self._one("SELECT body FROM pages WHERE sha GLOB ? ORDER BY fetched DESC LIMIT 1", f"{sha}*")

    def shas(self, beginning: str, limit: int = 100) -> list[str]:
        """Hashes of pages, newest first."""
        rows = self._all("SELECT DISTINCT sha FROM pages ORDER BY fetched DESC LIMIT 1000")
        return [str(row[0]) for row in rows if str(row[0]).startswith(beginning)][:limit]

    def keep(self, page: Page, *, include_hidden: bool = False) -> None:
        """Keep a page in place of the one before, and let the oldest go if there is no room."""
        key = _key(page.url, include_hidden)
        body = json.dumps(asdict(page), ensure_ascii=False)
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._forget([key])
            self._db.execute("INSERT INTO pages VALUES (?, ?, ?, ?, ?)", (key, page.sha, page.fetched, len(body), body))
            self._db.execute("INSERT INTO words VALUES (?, ?, ?)", (key, page.title, page.markdown))
            self._cite([(page.id, page.url, page.title)])
            (total,) = self._db.execute("SELECT coalesce(sum(size), 0) FROM pages").fetchone()
            gone: list[str] = []
            for old, size in self._db.execute("SELECT key, size FROM pages ORDER BY fetched").fetchall():
                if total <= self._max:
                    break
                gone.append(old)
                total -= size
            self._forget(gone)

    def _forget(self, keys: Sequence[str]) -> None:
        self._db.executemany("DELETE FROM words WHERE key = ?", [(key,) for key in keys])
        self._db.executemany("DELETE FROM pages WHERE key = ?", [(key,) for key in keys])

    def name(self, found: Sequence[tuple[str, str]]) -> None:
        """Remember (URL, title), so that citation ids lead somewhere."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._cite([(cite(url), url, title) for url, title in found])

    def _cite(self, rows: Sequence[tuple[str, str, str]]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO cited VALUES (?, ?, ?)", rows)
        self._db.execute("DELETE FROM cited WHERE rowid <= (SELECT max(rowid) FROM cited) - ?", (_MAX_CITED,))

    def cited(self, id: str) -> str:  # noqa: A002 - it is an id
        """The URL that an id stands for; empty if it is unknown."""
        rows = self._all("SELECT url FROM cited WHERE id = ?", id)
        return str(rows[0][0]) if rows else ""

    def keep_search(self, id: str, record: dict[str, Any]) -> None:  # noqa: A002
        """Keep what a search found."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            row = (id, time.time(), json.dumps(record, ensure_ascii=False))
            self._db.execute("INSERT OR REPLACE INTO searches VALUES (?, ?, ?)", row)
            self._db.execute(
                "DELETE FROM searches WHERE id NOT IN (SELECT id FROM searches ORDER BY made DESC LIMIT ?)",
                (_MAX_SEARCHES,),
            )

    def search(self, id: str) -> tuple[float, dict[str, Any]] | None:  # noqa: A002
        """When a search was made, and what it found."""
        rows = self._all("SELECT made, body FROM searches WHERE id = ?", id)
        return (float(rows[0][0]), cast("dict[str, Any]", json.loads(rows[0][1]))) if rows else None

    def search_ids(self, beginning: str) -> list[str]:
        """Ids of searches, newest first."""
        rows = self._all("SELECT id FROM searches ORDER BY made DESC LIMIT 500")
        return [str(row[0]) for row in rows if str(row[0]).startswith(beginning)][:100]

    def saved(self, query: str, limit: int) -> tuple[list[Saved], int]:
        """Pages read before that hold all words of a query, best first, and how many there are."""
        # Quoted, since FTS5 reads operators in bare words.
        words = " ".join('"' + word.replace('"', '""') + '"' for word in query.split())
        if not words:
            return [], 0
        rows = self._all(
            "SELECT p.body, snippet(words, 2, '', '', ' … ', 24) FROM words JOIN pages p ON p.key = words.key "
            "WHERE words MATCH ? ORDER BY bm25(words, 0, 5, 1) LIMIT ?",
            words,
            limit,
        )
        total = self._all("SELECT count(*) FROM words WHERE words MATCH ?", words)[0][0]
        found: list[Saved] = []
        for body, snippet in rows:
            page = _page(body)
            found.append(Saved(page.id, page.url, page.title, page.fetched, " ".join(str(snippet).split())))
        return found, int(total)

    def size(self) -> tuple[int, int]:
        """How many pages there are, and how much they weigh."""
        count, weight = self._all("SELECT count(*), coalesce(sum(size), 0) FROM pages")[0]
        return int(count), int(weight)

    def _one(self, question: str, *values: object) -> Page | None:
        rows = self._all(question, *values)
        return _page(rows[0][0]) if rows else None

    def _all(self, question: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.execute(question, values).fetchall()


def _key(url: str, include_hidden: bool) -> str:
    return f"{'+' if include_hidden else ''}{url}"


def _page(body: str) -> Page:
    values = cast("dict[str, Any]", json.loads(body))
    links = cast("list[list[str]]", values.pop("links"))
    chain = cast("list[str]", values.pop("chain"))
    return Page(**values, chain=tuple(chain), links=tuple((text, url) for text, url in links))
