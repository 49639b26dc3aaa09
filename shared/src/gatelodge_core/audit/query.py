"""Reading the journal: which records, in which order, and following it while it grows.

Reading doesn't verify; `verify` does. A line that is no record is skipped and counted.
"""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple, cast

from gatelodge_core.audit.folder import Folder, parse_name
from gatelodge_core.audit.records import MAX_LINE, Record
from gatelodge_core.audit.scan import parse

POLL = 0.25
"""Seconds between two looks at a journal that is followed."""
MAX_OPEN = 10_000
"""Calls of one file that may wait for their outcome while pairing; beyond, the oldest is given out without."""


class Entry(NamedTuple):
    """A record and where it stands.

    Args:
        file: Name of its file.
        fields: Its fields.
    """

    file: str
    fields: Record

    @property
    def chain(self) -> str:
        """Its chain."""
        parsed = parse_name(self.file)
        return parsed[0] if parsed else ""

    @property
    def server(self) -> str:
        """Short name of the server that wrote it."""
        return self.chain.rsplit("-", 2)[0]

    def text(self, key: str) -> str:
        """A field as text; empty if it isn't there."""
        value = self.fields.get(key)
        return "" if value is None else str(value)

    def number(self, key: str) -> int | None:
        """A field that is a whole number; None if it isn't, as in a line that somebody wrote."""
        value = self.fields.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def table(self, key: str) -> dict[str, object]:
        """A field that is an object; empty if it isn't there."""
        value = self.fields.get(key)
        return cast("dict[str, object]", value) if isinstance(value, dict) else {}


class Called(NamedTuple):
    """A call: its intent or refusal, and its outcome if there is one.

    Args:
        entry: The intent or refusal.
        outcome: The outcome; None for a refusal, and for a call during which the server was killed.
    """

    entry: Entry
    outcome: Entry | None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which calls are wanted; an empty field wants all.

    Args:
        tool: Name of the tool, resource or prompt; ``*`` and ``?`` match as in a shell.
        principal: Part of the principal, such as a subject or ``os-user:1000``.
        since: Time from which on, as the records write it.
        until: Time before which, likewise.
        decision: allow, confirm or deny.
        server: The server's short name.
    """

    tool: str = ""
    principal: str = ""
    since: str = ""
    until: str = ""
    decision: str = ""
    server: str = ""

    def wants(self, entry: Entry) -> bool:
        """Whether an intent or refusal is wanted."""
        return (
            (not self.tool or fnmatchcase(entry.text("name"), self.tool))
            and (not self.principal or self.principal in ":".join(map(str, entry.table("principal").values())))
            and (not self.since or entry.text("ts") >= self.since)
            and (not self.until or entry.text("ts") < self.until)
            and (not self.decision or entry.text("decision") == self.decision)
            and (not self.server or entry.server == self.server)
        )


def entries(directory: str, files: Iterable[str] | None = None) -> Iterator[Entry]:
    """All records, file by file; within a chain in order.

    Args:
        directory: The journal's directory.
        files: Names of the files to read; None for all.

    Raises:
        JournalError: The directory can't be read.
    """
    with Folder.read(directory) as folder:
        found = folder.names() if files is None else files
        # By number: as a text, the name of part 2 comes before that of part 1.
        for _, name in sorted((parsed, name) for name in found if (parsed := parse_name(name))):
            try:
                source = os.fdopen(folder.open(name), "rb", buffering=1 << 16)
            except OSError:
                continue
            with source:
                while line := source.readline(MAX_LINE):
                    if line.endswith(b"\n") and (fields := parse(line)):
                        yield Entry(name, fields)


def calls(source: Iterable[Entry], wanted: Filter | None = None) -> Iterator[Called]:
    """Pair intents with outcomes; a call is given out at its outcome, an unfinished one at the end.

    Args:
        source: Records, each chain's in order.
        wanted: Which calls.
    """
    wanted = wanted or Filter()
    running: dict[tuple[str, int | None], Entry] = {}
    for entry in source:
        kind = entry.text("type")
        if kind == "intent":
            number = entry.number("seq")
            if number is not None and wanted.wants(entry):
                running[entry.chain, number] = entry
                if len(running) > MAX_OPEN:
                    yield Called(running.pop(next(iter(running))), None)
        elif kind == "refusal":
            if wanted.wants(entry):
                yield Called(entry, None)
        elif kind == "outcome":
            asked = running.pop((entry.chain, entry.number("intent")), None)
            if asked is not None:
                yield Called(asked, entry)
    for entry in running.values():
        yield Called(entry, None)


def latest(source: Iterable[Called], limit: int) -> list[Called]:
    """The last calls by time, oldest first; memory is bounded by `limit`."""
    last = heapq.nlargest(limit, source, key=lambda call: (call.entry.text("ts"), call.entry.file))
    return last[::-1]


def tail(
    directory: str, *, last: int = 10, wait: Callable[[], bool] | None = None, max_batch: int = 10_000
) -> Iterator[Entry]:
    """The last records, then new ones as they come, of running servers and of those that start meanwhile.

    Args:
        directory: The journal's directory.
        last: How many records to begin with.
        wait: Called when there is nothing new; False ends. None sleeps `POLL` seconds for ever, so that only the
            reader's own end, such as a KeyboardInterrupt, ends it.
        max_batch: Most records of one file taken before the others are looked at again.

    Raises:
        JournalError: The directory can't be read.
    """
    with Folder.read(directory) as folder:
        offsets = {name: folder.stat(name).st_size for name in folder.names() if parse_name(name)}
        begin = heapq.nlargest(last, entries(directory, offsets), key=lambda entry: entry.text("ts"))
        # What was written between the two looks comes once, from the second.
        for name, size in offsets.items():
            offsets[name] = _last_line_end(folder, name, size)
        yield from reversed(begin)
        seen = {(entry.file, entry.number("seq")) for entry in begin}
        while True:
            fresh: list[Entry] = []
            for name in [name for name in folder.names() if parse_name(name)]:
                batch, offsets[name] = _read_from(folder, name, offsets.get(name, 0), max_batch)
                fresh += [entry for entry in batch if (entry.file, entry.number("seq")) not in seen]
            yield from sorted(fresh, key=lambda entry: entry.text("ts"))
            if not fresh and not (wait or _pause)():
                return


def _pause() -> bool:
    time.sleep(POLL)
    return True


def _last_line_end(folder: Folder, name: str, size: int) -> int:
    """Offset after the last whole line within the first `size` bytes."""
    try:
        descriptor = folder.open(name)
    except OSError:
        return 0
    try:
        start = max(0, size - MAX_LINE)
        os.lseek(descriptor, start, os.SEEK_SET)
        return start + os.read(descriptor, size - start).rfind(b"\n") + 1
    finally:
        os.close(descriptor)


def _read_from(folder: Folder, name: str, offset: int, limit: int) -> tuple[list[Entry], int]:
    """Whole lines from an offset on, and where to go on."""
    found: list[Entry] = []
    try:
        source = os.fdopen(folder.open(name), "rb", buffering=1 << 16)
    except OSError:
        return found, offset
    with source:
        source.seek(offset)
        while len(found) < limit and (line := source.readline(MAX_LINE)).endswith(b"\n"):
            offset += len(line)
            if fields := parse(line):
                found.append(Entry(name, fields))
    return found, offset
