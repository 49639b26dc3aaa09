"""What statements cost a database, since its counters began or since an earlier look."""

from __future__ import annotations

import math
import re
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal
from weakref import WeakKeyDictionary

from gatelodge_core.errors import CallError

from gatelodge_postgres.connect.session import Session
from gatelodge_postgres.dba.statements import FIELDS, MAX_TEXT, UNREADABLE, Counts, Statements, Text, Usage

Order = Literal["total", "mean", "io", "wal", "temp", "calls"]
MAX_LOOKS = 8
"""Earlier looks that are remembered of each database."""
BOOKKEEPING = re.compile(
    r"\s*(?:BEGIN|START\s+TRANSACTION|SET|RESET|DISCARD|SAVEPOINT|RELEASE|ROLLBACK|DEALLOCATE)\b", re.IGNORECASE
)
"""Statements that only keep a session in order; not COMMIT, which waits for the disk."""
_QUERY = re.compile(r"[\s(]*(?:SELECT|WITH|TABLE)\b", re.IGNORECASE)
_CATALOG = re.compile(
    r"\bpg_(?:catalog|class|stat|namespace|locks|proc|roles|type|attribute|index|extension|database)|\bhypopg"
)
_OURS = ".pg_stat_statements("
"""Stands in the statements of this module."""
_SPARE = 30


@dataclass(frozen=True)
class Line:
    """One statement.

    Args:
        counts: By the names of `FIELDS`.
        share: Of all time, from 0 to 1.
        text: Its text.
    """

    counts: dict[str, float]
    share: float
    text: Text


@dataclass(frozen=True)
class Top:
    """The statements that cost most.

    Args:
        lines: The most costly first.
        total: How many there are.
        ms: Time of all of them.
        usage: All that was counted.
        seconds: Between the two looks; 0 if all is counted.
        every: Whether the role may see the statements of other roles.
        token: For a later look.
        readable: Whether the texts could be read.
    """

    lines: list[Line]
    total: int
    ms: float
    usage: Usage
    seconds: float
    every: bool
    token: str
    readable: bool


@dataclass(frozen=True)
class Look:
    """An earlier look."""

    at: float
    usage: Usage


class Looks:
    """Earlier looks at one database, the newest last."""

    def __init__(self) -> None:
        self._looks: OrderedDict[str, Look] = OrderedDict()

    def keep(self, usage: Usage) -> str:
        """Remember one; its token."""
        token = secrets.token_urlsafe(6)
        self._looks[token] = Look(time.monotonic(), usage)
        while len(self._looks) > MAX_LOOKS:
            self._looks.popitem(last=False)
        return token

    def find(self, token: str) -> Look | None:
        """The look of a token; None without one.

        Raises:
            CallError: It is not known, or not any more.
        """
        if not token:
            return None
        found = self._looks.get(token)
        if found is None:
            text = f"there is no earlier look {token[:20]!r}; the last {MAX_LOOKS} are kept while this server runs."
            raise CallError("no_earlier_look", text, "Call without since, and use the token of that answer later.")
        return found


_LOOKS: WeakKeyDictionary[object, Looks] = WeakKeyDictionary()


def looks(owner: object) -> Looks:
    """The earlier looks at the database that `owner` stands for."""
    return _LOOKS.setdefault(owner, Looks())


async def top(session: Session, by: Order, limit: int, earlier: Looks, since: str = "") -> Top:
    """The statements that cost most.

    Args:
        session: Of the database.
        by: What they cost.
        limit: How many.
        earlier: Where this look is remembered.
        since: An earlier look, to count from.

    Raises:
        CallError: The statistics can't be had, or `since` is not known.
    """
    before = earlier.find(since)
    extension = await Statements.found(session)
    usage = await extension.usage(session)
    counts = difference(usage, before.usage) if before else usage.counts
    ordered = sorted(counts, key=lambda key: _weight(counts[key], by), reverse=True)
    chosen = [key for key in ordered[: limit + _SPARE] if _weight(counts[key], by) > 0]
    texts = await extension.texts(session, chosen)
    ms = math.fsum(one[1] for one in counts.values())
    lines = [
        Line(dict(zip(FIELDS, counts[key], strict=True)), counts[key][1] / ms if ms else 0, texts[key])
        for key in chosen
        if key in texts and not BOOKKEEPING.match(texts[key].sql) and _OURS not in texts[key].sql
    ]
    seconds = time.monotonic() - before.at if before else 0
    readable = not any(text.sql.startswith(UNREADABLE) for text in texts.values())
    return Top(lines[:limit], len(counts), ms, usage, seconds, extension.every, earlier.keep(usage), readable)


async def selects(session: Session, limit: int) -> list[tuple[str, float]]:
    """The (text, calls) of the queries that took most time in all, without those on the catalog.

    Raises:
        CallError: The statistics can't be had.
    """
    extension = await Statements.found(session)
    counts = (await extension.usage(session)).counts
    ordered = sorted(counts, key=lambda key: counts[key][1], reverse=True)[: limit * 6]
    texts = await extension.texts(session, ordered)
    found: dict[str, float] = {}
    for key in ordered:
        text = texts[key].sql if key in texts else ""
        # The same text can have run by several roles.
        if _QUERY.match(text) and not _CATALOG.search(text) and len(text) <= MAX_TEXT and len(found) < limit:
            found[text] = found.get(text, 0) + counts[key][0]
    return list(found.items())


def difference(now: Usage, before: Usage) -> dict[str, Counts]:
    """What was counted between two looks. A statement whose counters were reset meanwhile counts from zero."""
    found: dict[str, Counts] = {}
    for key, counts in now.counts.items():
        old = before.counts.get(key)
        if old is None or old[0] > counts[0] or now.reset != before.reset:
            found[key] = counts
        elif counts[0] > old[0]:
            found[key] = tuple(new - was for new, was in zip(counts, old, strict=True))
    return found


def _weight(counts: Counts, by: Order) -> float:
    calls, ms, _, _, read, written, temp, wal, _ = counts
    return {"total": ms, "mean": ms / calls if calls else 0, "io": read + written, "wal": wal, "temp": temp, "calls": calls}[by]  # fmt: skip
