"""Verify the journal, read it, and write the report, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from gatelodge_core.audit.errors import JournalError
from gatelodge_core.audit.query import Entry, Filter, calls, entries
from gatelodge_core.audit.report import flows as ways
from gatelodge_core.audit.report.page import MARK, Content, render
from gatelodge_core.audit.report.rows import Latest, Row, collect
from gatelodge_core.audit.report.summary import summarise
from gatelodge_core.audit.verify import Report, verify

CALLS = 100_000
"""Calls in a report unless more are asked for."""
MAX_CALLS = 500_000
"""The most: a browser's table of more rows would be higher than any browser can draw."""

Tick = Callable[[str, int], None]
"""Told what is being done, and how many bytes or calls of it are done."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Args:
        calls: Calls in the report.
        total: Calls that matched the filters.
        size: Bytes of the file.
        report: What verification found.
    """

    calls: int
    total: int
    size: int
    report: Report


def write_report(
    directory: str,
    out: str,
    *,
    wanted: Filter | None = None,
    limit: int = CALLS,
    filters: list[str] | None = None,
    key_file: str = "",
    tick: Tick = lambda _what, _done: None,
) -> Written:
    """Make the report of a journal.

    Args:
        directory: The journal's directory.
        out: The file; ``-`` for standard output.
        wanted: Which calls.
        limit: How many at most, the latest.
        filters: What was asked for, in words for the page.
        key_file: Where the master key is, if not in the directory.
        tick: Told of progress.

    Raises:
        JournalError: The journal can't be verified or read, or nothing can be put at `out`.
        OSError: The page can't be written, such as on a full disk.
    """
    if out != "-":
        _check(out)
    report = verify(directory, key_file=key_file, tick=lambda size: tick("verified", size))
    rows, total, unreadable = _read(directory, report, wanted or Filter(), limit, tick)
    found = ways.find(rows)
    page = render(
        Content(
            rows=rows,
            flows=found,
            summary=summarise(rows, found),
            report=report,
            total=total,
            unreadable=unreadable,
            filters=filters or [],
            made=int(time.time() * 1000),
            version=_version(),
        )
    )
    if out == "-":
        sys.stdout.buffer.write(page)
        sys.stdout.buffer.flush()
    else:
        _write(out, page)
    return Written(len(rows), total, len(page), report)


def _read(directory: str, report: Report, wanted: Filter, limit: int, tick: Tick) -> tuple[list[Row], int, int]:
    """The latest rows, how many there were, and how many can't be shown."""
    latest = Latest(limit)
    scans = {file.name: file for chain in report.chains for file in chain.files}
    # Files that end before the time that is asked for need not be read; what is wrong with one may be its times.
    names = [
        name for name, file in scans.items() if file.defect is not None or not file.until or file.until >= wanted.since
    ]
    doubtful = {defect.file: max(defect.seq, 0) for defect in report.defects}
    ends = {name: file.end.seq for name, file in scans.items() if file.end is not None and name not in doubtful}

    def verified() -> Iterator[Entry]:
        for number, entry in enumerate(entries(directory, names)):
            if number % 4096 == 0:
                tick("read", latest.total)
            seq, end = entry.fields.get("seq"), ends.get(entry.file)
            # Records that came after the verification are another report's.
            if end is None or not isinstance(seq, int) or seq < end:
                yield entry

    unreadable = collect(calls(verified(), wanted), latest, doubtful)
    return latest.rows(), latest.total, unreadable


def _check(out: str) -> None:
    """Only a report is written over: a name typed wrongly costs nobody a file. A wrong place is told at once."""
    folder = os.path.dirname(out)
    if folder and not os.path.isdir(folder):
        raise JournalError(f"{out}: there is no folder {folder}. Make it, or choose another place with --out")
    if os.path.isdir(out):
        raise JournalError(f"{out}: this is a folder. Name a file in it with --out")
    try:
        with open(out, "rb") as there:
            ours = there.read(len(MARK)) in (MARK, b"")
    except FileNotFoundError:
        return
    if not ours:
        raise JournalError(f"{out}: there is a file, and it isn't a report. Choose another name with --out.")


def _write(out: str, page: bytes) -> None:
    # 0600: who called what is nobody else's business.
    beside = f"{out}.{secrets.token_hex(4)}.part"
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    except OSError as error:
        raise JournalError(f"{out}: {error.strerror}. Choose another place with --out") from error
    try:
        with os.fdopen(descriptor, "wb") as target:
            target.write(page)
        os.replace(beside, out)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


def _version() -> str:
    try:
        return version("gatelodge-core")
    except PackageNotFoundError:
        return "unknown"
