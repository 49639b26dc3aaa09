"""Retention: old files go, and leave a tombstone that verification accepts in their place.

Tombstones are records of a journal like any other, made by ``prune`` itself, so they are as hard to forge as what they
stand for. A file goes only after it has verified: one that doesn't is evidence, and it keeps what follows it in its chain.
The file being written, and every file of a running server except those it has rotated away, stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

from gatelodge_core.audit import records
from gatelodge_core.audit.anchor import SUFFIX
from gatelodge_core.audit.folder import Folder
from gatelodge_core.audit.journal import Journal, JournalSettings
from gatelodge_core.audit.records import Record
from gatelodge_core.audit.scan import FileScan
from gatelodge_core.audit.verify import ChainReport, Report, verify

SERVER = "prune"


@dataclass(slots=True)
class Pruned:
    """What was removed.

    Args:
        files: Names of the files.
        size: Their bytes.
        kept: Why files that were old enough stayed.
    """

    files: list[str] = field(default_factory=list[str])
    size: int = 0
    kept: list[str] = field(default_factory=list[str])


def prune(
    directory: str,
    *,
    version: str,
    older_than: timedelta | None = None,
    max_bytes: int | None = None,
    now: datetime | None = None,
    dry_run: bool = False,
    key_file: str = "",
) -> Pruned:
    """Remove old files.

    Args:
        directory: The journal's directory.
        version: Our version, for the header of the tombstones.
        older_than: Remove files whose last record is older.
        max_bytes: Remove the oldest files until the journal is no larger.
        now: The present time, UTC.
        dry_run: Only say what would go.
        key_file: Where the master key is, if not in the directory.

    Raises:
        JournalError: The journal can't be read, or the tombstones can't be written; then nothing was removed.
    """
    report = verify(directory, key_file=key_file)
    result = Pruned()
    if not dry_run:
        _remove(directory, report.remains)
    doomed = _choose(report, result, older_than, max_bytes, now or datetime.now(UTC))
    result.files = [file.name for file in doomed]
    result.size = sum(file.size for file in doomed)
    if dry_run or not doomed:
        return result
    settings = JournalSettings(key_file=key_file, reserve=0)
    journal = Journal.open(directory, server=SERVER, version=version, settings=settings)
    with journal:
        for grave in _still_needed(report, doomed):
            journal.write("tombstone", grave)
        for file in doomed:
            journal.write("tombstone", _tombstone(file))
    gone = {file.name for file in doomed}
    ended = [
        chain.name + SUFFIX
        for chain in report.chains
        if chain.state != "running" and all(file.name in gone for file in chain.files)
    ]
    # An anchor after its files, and the files in order, so that being stopped here leaves what `verify` understands.
    _remove(directory, [*result.files, *ended])
    return result


def _remove(directory: str, names: Iterable[str]) -> None:
    with Folder.own(directory) as folder:
        for name in names:
            with suppress(FileNotFoundError):
                folder.remove(name)
        folder.sync()


def _choose(
    report: Report, result: Pruned, older_than: timedelta | None, max_bytes: int | None, now: datetime
) -> list[FileScan]:
    """The files to remove: of each chain, only ever its first ones."""
    horizon = "" if older_than is None else (now - older_than).strftime("%Y-%m-%dT%H:%M:%S.000000000Z")
    # A defect of the chain itself (its anchor, a missing part) keeps it as well.
    broken = {defect.file.split(".", 1)[0] for defect in report.defects}
    removable: list[tuple[str, FileScan]] = []
    for chain in report.chains:
        if chain.name not in broken:
            removable += _removable(chain)
        elif any(file.until < horizon for file in chain.files):
            result.kept.append(f"{chain.name}: it doesn't verify, and is kept as evidence")
    removable.sort(key=lambda item: (item[0], item[1].chain, item[1].part))
    size = sum(file.size for chain in report.chains for file in chain.files)
    excess = 0 if max_bytes is None else size - max_bytes
    doomed: list[FileScan] = []
    for until, file in removable:
        if until < horizon or excess > 0:
            doomed.append(file)
            excess -= file.size
    return doomed


def _removable(chain: ChainReport) -> list[tuple[str, FileScan]]:
    """The files that may go, with their times; a file is never older than the one before it, even if it is empty."""
    until, found = "", list[tuple[str, FileScan]]()
    for file in chain.files[:-1] if chain.state == "running" else chain.files:
        until = max(until, file.until)
        found.append((until, file))
    return found


def _still_needed(report: Report, doomed: list[FileScan]) -> list[Record]:
    """Tombstones in files that go, to which something that stays still points."""
    gone = {file.name for file in doomed}
    staying = [file for chain in report.chains for file in chain.files if file.name not in gone]
    named = {file.chain for file in staying}
    for file in staying:
        witness = file.header.get("witness")
        named |= set(cast("dict[str, int]", witness)) if isinstance(witness, dict) else set()
    buried = {(file.chain, file.part) for file in doomed}
    lost = {(str(grave["chain"]), cast("int", grave["part"])) for file in doomed for grave in file.tombstones} - buried
    return [
        {key: value for key, value in grave.items() if key not in {"seq", "type", "ts", "mac"}}
        for chain, grave in sorted(report.tombstones.items())
        if chain in named and (chain, cast("int", grave["part"])) in lost
    ]


def _tombstone(file: FileScan) -> Record:
    assert file.end is not None
    rotated = bool((file.closing or {}).get("next"))
    return records.tombstone(
        file=file.name,
        chain=file.chain,
        part=file.part,
        first=file.first,
        last=file.end.seq - 1,
        mac=file.end.mac.hex(),
        epoch=file.end.epoch + rotated,
        size=file.size,
        sha256=file.sha256,
        until=file.until,
    )
