"""The store: pages, citations and searches in one SQLite file, a shelf of its own for each caller.

What one caller read or searched is nobody else's: every question a shelf asks names its owner.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from gatelodge_core.auth.principal import CALLER, Principal

from gatelodge_websearch.databases import opened
from gatelodge_websearch.pages import Page, cite
from gatelodge_websearch.snippets import snippet

_VERSION = 3
_TABLES = ("pages", "cited", "searches", "words", "hosts")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS pages (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, key TEXT NOT NULL, version TEXT NOT NULL, fetched REAL NOT NULL, size INTEGER NOT NULL, body TEXT NOT NULL, UNIQUE (owner, key));
CREATE INDEX IF NOT EXISTS pages_version ON pages (owner, version);
CREATE INDEX IF NOT EXISTS pages_fetched ON pages (owner, fetched, size);
CREATE TABLE IF NOT EXISTS cited (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, name TEXT NOT NULL, url TEXT NOT NULL, title TEXT NOT NULL, UNIQUE (owner, name));
CREATE TABLE IF NOT EXISTS hosts (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, host TEXT NOT NULL, UNIQUE (owner, host));
CREATE TABLE IF NOT EXISTS searches (owner TEXT NOT NULL, name TEXT NOT NULL, made REAL NOT NULL, body TEXT NOT NULL, PRIMARY KEY (owner, name));
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (title, body, tokenize = 'unicode61 remove_diacritics 2');
"""
_SHOWN = (
    "SELECT 1 FROM cited WHERE owner = ? AND instr(url, ?)",
    "SELECT 1 FROM searches WHERE owner = ? AND instr(json_extract(body, '$.results'), ?)",
    "SELECT 1 FROM pages WHERE owner = ? AND instr(body, ?)",
)
_MAX_CITED = 20_000
_MAX_SEARCHES = 500
MAX_OFFERED = 101
"""Names of a completion: one more than an answer may have, which tells that there are more."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A text that was found among those kept: a page read before, or a file of a folder."""

    id: str
    url: str
    title: str
    fetched: float
    snippet: str
    score: float
    """Lower is better."""


class Store:
    """The file. Methods may be called from any thread.

    Args:
        path: The file; its folder is made.
        max_bytes: Of page text that is kept; the oldest pages of whoever keeps most go first.

    Raises:
        SettingsError: The file can't be used.
    """

    def __init__(self, path: str, max_bytes: int) -> None:
        self.lock = threading.Lock()
        self.max_bytes = max_bytes
        self.path = path
        self.db = opened(path, _prepare)

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self.db.close()

    def mine(self) -> Shelf:
        """The shelf of whoever makes the call that is being served."""
        caller = CALLER.get()
        return Shelf(self, str(caller) if caller else "")

    def of(self, principal: Principal) -> Shelf:
        """The shelf of a caller."""
        return Shelf(self, str(principal))


def _prepare(base: sqlite3.Connection) -> None:
    (version,) = base.execute("PRAGMA user_version").fetchone()
    if version != _VERSION:
        # A cache: what an older version kept is fetched again.
        for table in _TABLES:
            base.execute(f"DROP TABLE IF EXISTS {table}")
    base.executescript(f"{_SCHEMA} PRAGMA user_version = {_VERSION};")


class Shelf:
    """What one caller read, searched and may cite.

    Args:
        store: The file.
        owner: The caller.
    """

    def __init__(self, store: Store, owner: str) -> None:
        self._store = store
        self.owner = owner

    def page(self, url: str, *, include_hidden: bool = False) -> Page | None:
        """The page that was read last from a URL."""
        return self._one("SELECT body FROM pages WHERE owner = ? AND key = ?", self.owner, _key(url, include_hidden))

    def by_version(self, version: str) -> Page | None:
        """A page by the beginning of its version, at least eight digits."""
        if len(version) < 8 or not version.isalnum():
            return None
        return self._one(
            "SELECT body FROM pages WHERE owner = ? AND version GLOB ? ORDER BY fetched DESC LIMIT 1",
            self.owner,
            f"{version}*",
        )

    def versions(self, beginning: str) -> list[str]:
        """Versions of pages, newest first; as many as can be offered, and one more if there are more."""
        rows = self._all(
            "SELECT DISTINCT version FROM pages WHERE owner = ? ORDER BY fetched DESC LIMIT 1000", self.owner
        )
        return [str(row[0]) for row in rows if str(row[0]).startswith(beginning)][:MAX_OFFERED]

    def keep(self, page: Page) -> None:
        """Keep a page in place of the one before, and let the oldest go if there is no room."""
        key = _key(page.url, page.with_hidden)
        body = json.dumps(asdict(page), ensure_ascii=False)
        db = self._store.db
        with self._store.lock, db:
            db.execute("BEGIN IMMEDIATE")
            for (old,) in db.execute("SELECT id FROM pages WHERE owner = ? AND key = ?", (self.owner, key)).fetchall():
                self._forget(old)
            made = db.execute(
                "INSERT INTO pages (owner, key, version, fetched, size, body) VALUES (?, ?, ?, ?, ?, ?)",
                (self.owner, key, page.version, page.fetched, len(body), body),
            ).lastrowid
            db.execute("INSERT INTO words (rowid, title, body) VALUES (?, ?, ?)", (made, page.title, page.markdown))
            self._cite([(page.url, page.title)])
            self._make_room()

    def _make_room(self) -> None:
        db = self._store.db
        weights: dict[str, int] = dict(db.execute("SELECT owner, sum(size) FROM pages GROUP BY owner").fetchall())
        while sum(weights.values()) > self._store.max_bytes:
            # A caller that reads much doesn't push out what others read.
            heaviest = max(weights, key=lambda owner: weights[owner])
            old, size = db.execute(
                "SELECT id, size FROM pages WHERE owner = ? ORDER BY fetched LIMIT 1", (heaviest,)
            ).fetchone()
            self._forget(old)
            weights[heaviest] -= size

    def _forget(self, page: int) -> None:
        self._store.db.execute("DELETE FROM words WHERE rowid = ?", (page,))
        self._store.db.execute("DELETE FROM pages WHERE id = ?", (page,))

    def name(self, found: Sequence[tuple[str, str]]) -> None:
        """Remember (URL, title) that a search found, so that citation ids lead somewhere and their hosts are known."""
        db = self._store.db
        with self._store.lock, db:
            db.execute("BEGIN IMMEDIATE")
            self._cite(found)
            hosts = {host for url, _ in found if (host := host_of(url))}
            db.executemany(
                "INSERT OR REPLACE INTO hosts (owner, host) VALUES (?, ?)", [(self.owner, host) for host in hosts]
            )
            self._trim("hosts")

    def _cite(self, rows: Sequence[tuple[str, str]]) -> None:
        self._store.db.executemany(
            "INSERT OR REPLACE INTO cited (owner, name, url, title) VALUES (?, ?, ?, ?)",
            [(self.owner, cite(url), url, title) for url, title in rows],
        )
        self._trim("cited")

    def _trim(self, table: str) -> None:
        """Let the oldest rows of a table go."""
        db = self._store.db
        (count,) = db.execute(f"SELECT count(*) FROM {table} WHERE owner = ?", (self.owner,)).fetchone()  # noqa: S608 - our own names
        if count > _MAX_CITED:
            db.execute(
                f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE owner = ? ORDER BY id LIMIT ?)",  # noqa: S608 - our own names
                (self.owner, count - _MAX_CITED),
            )

    def cited(self, id: str) -> str:  # noqa: A002 - it is an id
        """The URL that an id stands for; empty if it is unknown."""
        rows = self._all("SELECT url FROM cited WHERE owner = ? AND name = ?", self.owner, id)
        return str(rows[0][0]) if rows else ""

    def knows_host(self, host: str) -> bool:
        """Whether a search found something at a host; with ``www.`` before it or without is the same."""
        bare = host.removeprefix("www.")
        return bool(
            self._all("SELECT 1 FROM hosts WHERE owner = ? AND host IN (?, ?)", self.owner, bare, f"www.{bare}")
        )

    def saw(self, text: str) -> bool:
        """Whether a text stands, letter by letter, in a page, a link or a result that the caller was shown.

        What the caller wrote itself, a search's words, doesn't count.
        """
        # It goes through everything: over a connection of its own, so that nobody waits for it.
        with contextlib.closing(sqlite3.connect(self._store.path, timeout=10)) as db:
            return any(db.execute(question, (self.owner, text)).fetchone() for question in _SHOWN)

    def keep_search(self, id: str, record: dict[str, Any]) -> None:  # noqa: A002 - it is an id
        """Keep what a search found."""
        db = self._store.db
        with self._store.lock, db:
            db.execute("BEGIN IMMEDIATE")
            row = (self.owner, id, time.time(), json.dumps(record, ensure_ascii=False))
            db.execute("INSERT OR REPLACE INTO searches VALUES (?, ?, ?, ?)", row)
            db.execute(
                "DELETE FROM searches WHERE owner = ? AND name NOT IN "
                "(SELECT name FROM searches WHERE owner = ? ORDER BY made DESC LIMIT ?)",
                (self.owner, self.owner, _MAX_SEARCHES),
            )

    def search(self, id: str) -> tuple[float, dict[str, Any]] | None:  # noqa: A002 - it is an id
        """When a search was made, and what it found."""
        rows = self._all("SELECT made, body FROM searches WHERE owner = ? AND name = ?", self.owner, id)
        return (float(rows[0][0]), cast("dict[str, Any]", json.loads(rows[0][1]))) if rows else None

    def search_ids(self, beginning: str) -> list[str]:
        """Ids of searches, newest first; see `versions`."""
        rows = self._all("SELECT name FROM searches WHERE owner = ? ORDER BY made DESC", self.owner)
        return [str(row[0]) for row in rows if str(row[0]).startswith(beginning)][:MAX_OFFERED]

    def saved(self, query: str, limit: int) -> tuple[list[Saved], int]:
        """Pages read before that hold all words of a query, best first, and how many there are."""
        words = quoted(query)
        if not words:
            return [], 0
        rows = self._all(
            "SELECT p.body, bm25(words, 5, 1) AS score FROM words "
            "JOIN pages p ON p.id = words.rowid WHERE words MATCH ? AND p.owner = ? ORDER BY score LIMIT ?",
            words,
            self.owner,
            limit,
        )
        total = self._all(
            "SELECT count(*) FROM words JOIN pages p ON p.id = words.rowid WHERE words MATCH ? AND p.owner = ?",
            words,
            self.owner,
        )[0][0]
        found: list[Saved] = []
        for body, score in rows:
            page = _page(body)
            text = snippet(page.markdown, query)
            found.append(Saved(page.id, page.url, page.title, page.fetched, text, float(score)))
        return found, int(total)

    def size(self) -> tuple[int, int]:
        """How many pages there are, and how much they weigh."""
        count, weight = self._all("SELECT count(*), coalesce(sum(size), 0) FROM pages WHERE owner = ?", self.owner)[0]
        return int(count), int(weight)

    def _one(self, question: str, *values: object) -> Page | None:
        rows = self._all(question, *values)
        return _page(rows[0][0]) if rows else None

    def _all(self, question: str, *values: object) -> list[Any]:
        with self._store.lock:
            return self._store.db.execute(question, values).fetchall()


def quoted(query: str) -> str:
    """Words for FTS5, each quoted: in bare ones it reads operators."""
    return " ".join('"' + word.replace('"', '""') + '"' for word in query.split())


def host_of(url: str) -> str:
    """The host of a URL in lower case; empty if there is none."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _key(url: str, include_hidden: bool) -> str:
    return f"{'+' if include_hidden else ''}{url}"


def _page(body: str) -> Page:
    values = cast("dict[str, Any]", json.loads(body))
    links = cast("list[list[str]]", values.pop("links"))
    chain = cast("list[str]", values.pop("chain"))
    del values["version"]
    return Page(**values, chain=tuple(chain), links=tuple((text, url) for text, url in links))
