"""One file against its chain: read line by line, stop at the first defect, and say what kind it is.

A line that doesn't follow the one before is a defect; which kind is found by looking at what surrounds it. A line's MAC
is bound to the line before it, so a neighbour that fits tells who is out of place: if the next line fits without this
one, this one was put in; if the next line fits on this one's own MAC, this one is in its place and was changed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from enum import StrEnum
from typing import BinaryIO, cast

from gatelodge_core.audit import chain
from gatelodge_core.audit.records import MAX_LINE, SCHEMA, Record


class DefectKind(StrEnum):
    """What was done to a journal."""

    CHANGED = "changed"
    REMOVED = "removed"
    REORDERED = "reordered"
    INSERTED = "inserted"
    TRUNCATED = "truncated"
    MISSING = "missing"
    """A whole file is gone."""
    FOREIGN_KEY = "foreign-key"
    """The file was sealed with another master key than the one at hand."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Defect:
    """The first thing that is wrong with a file.

    Args:
        file: Its name.
        line: Line number from 1; 0 for the file as a whole.
        seq: Sequence number of the record that should be there; -1 if unknown.
        kind: What was done.
        detail: The same in a sentence.
    """

    file: str
    line: int
    seq: int
    kind: DefectKind
    detail: str

    def __str__(self) -> str:
        place = f"line {self.line}, sequence {self.seq}: " if self.line else ""
        return f"{self.file}: {place}{self.kind}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Start:
    """Where a part of a chain begins.

    Args:
        seq: Sequence number of its first record.
        epoch: Number of the key.
        key: The key.
        mac: MAC of the record before.
        claimed: Taken from the file's own header, since the part before isn't there.
    """

    seq: int
    epoch: int
    key: bytes
    mac: bytes
    claimed: bool = False


@dataclass(slots=True)
class FileScan:
    """What was found in one file, up to its first defect.

    Args:
        name: Its name.
        chain: Its chain.
        part: Its number.
        records: Good records.
        first: Sequence number of the first.
        end: Where the next part begins: the sequence number after the last good record, and so on.
        since: Time of the first good record.
        until: Time of the last.
        size: Bytes read.
        sha256: Of the whole file.
        header: The header's fields.
        closing: Fields of the close record, if it is there.
        unfinished: Whether the file ends within a line, as a crash leaves it.
        lines: Whole lines read.
        marks: MACs of the sequence numbers that were asked for.
        tombstones: Fields of the tombstones in it.
        defect: The first defect.
    """

    name: str
    chain: str
    part: int
    records: int = 0
    first: int = -1
    end: Start | None = None
    since: str = ""
    until: str = ""
    size: int = 0
    sha256: str = ""
    header: Record = field(default_factory=dict[str, object])
    closing: Record | None = None
    unfinished: bool = False
    lines: int = 0
    marks: dict[int, str] = field(default_factory=dict[int, str])
    tombstones: list[Record] = field(default_factory=list[Record])
    defect: Defect | None = None


@dataclass(slots=True)
class _Place:
    """The state between two lines."""

    seq: int
    epoch: int
    key: bytes
    mac: bytes


def scan(source: BinaryIO, result: FileScan, *, master: bytes, start: Start | None, mark: int = -1) -> FileScan:
    """Check a file.

    Args:
        source: The file, from its beginning.
        result: Where to put what is found; its name, chain and part are set.
        master: The master key.
        start: Where this part begins, as the part before or a tombstone says; None to believe the header.
        mark: A sequence number whose MAC is wanted.
    """
    reader = _Lines(source)
    line = reader.next()
    if start is None:
        start = _claim(line, result, master)
    at = _Place(start.seq, start.epoch, start.key, start.mac)
    result.first = start.seq
    while line is not None:
        if result.closing is not None:
            result.defect = _defect(result, at, DefectKind.INSERTED, "something follows the record that ends the file")
            break
        if not line.endswith(b"\n") and len(line) < MAX_LINE:
            # Not counted as tampering here: whether the record had been durable, only the anchor knows.
            result.unfinished = True
            break
        body = line[:-1]
        opened = chain.open_line(body)
        found = chain.head(body)
        if (
            opened is None
            or found is None
            or found[0] != at.seq
            or (found[1] == "header") != (result.records == 0)
            or not chain.is_sealed(at.key, at.mac, body)
        ):
            result.defect = _classify(body, reader, result, at, master)
            break
        if found[1] in _READ:
            _note(found[1], body, result, at)
            if result.defect is not None:
                break
        at.mac = opened[1]
        if at.seq == mark:
            result.marks[mark] = at.mac.hex()
        result.records += 1
        result.lines += 1
        result.since = result.since or found[2]
        result.until = found[2]
        at.seq += 1
        line = reader.next()
    reader.drain()
    result.size, result.sha256 = reader.size, reader.sha.hexdigest()
    result.end = Start(at.seq, at.epoch, at.key, at.mac)
    return result


_READ = frozenset({"header", "epoch", "close", "tombstone"})


class _Lines:
    """The lines of a file, none longer than can be ours, and the digest of all that was read."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.sha = hashlib.sha256()
        self.size = 0

    def next(self) -> bytes | None:
        line = self._source.readline(MAX_LINE)
        self.sha.update(line)
        self.size += len(line)
        return line or None

    def drain(self) -> None:
        while block := self._source.read(1 << 20):
            self.sha.update(block)
            self.size += len(block)


def parse(line: bytes) -> Record:
    """A line as fields; empty if it isn't a JSON object."""
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return cast("Record", value) if isinstance(value, dict) else {}


def _claim(line: bytes | None, result: FileScan, master: bytes) -> Start:
    """Where the file says it begins. Part 1 has no choice; a later one is believed only if its MAC then fits."""
    key = chain.chain_key(master, result.chain)
    if result.part == 1 or line is None:
        return Start(0, 0, key, chain.START)
    fields = parse(line)
    seq, epoch, previous = fields.get("seq"), fields.get("epoch"), fields.get("prev")
    mac = cast("Record", previous).get("mac") if isinstance(previous, dict) else None
    try:
        assert isinstance(seq, int)
        assert isinstance(epoch, int)
        assert isinstance(mac, str)
        return Start(seq, epoch, chain.epoch_key(key, epoch), bytes.fromhex(mac), claimed=True)
    except (AssertionError, ValueError):
        return Start(-1, 0, key, chain.START, claimed=True)


def _note(kind: str, body: bytes, result: FileScan, at: _Place) -> None:
    """Take what verification itself needs from a good record."""
    fields = parse(body)
    if kind == "header":
        result.header = fields
        if fields.get("schema") != SCHEMA:
            result.defect = _defect(
                result, at, DefectKind.UNREADABLE, "written by another version of Gatelodge; verify with that one"
            )
        elif (fields.get("chain"), fields.get("part")) != (result.chain, result.part):
            result.defect = _defect(result, at, DefectKind.CHANGED, "the file was renamed: its header has another name")
    elif kind == "epoch":
        at.key, at.epoch = chain.next_key(at.key), at.epoch + 1
    elif kind == "close":
        result.closing = fields
    else:
        result.tombstones.append(fields)


def _defect(result: FileScan, at: _Place, kind: DefectKind, detail: str) -> Defect:
    return Defect(result.name, result.lines + 1, at.seq, kind, detail)


def _classify(body: bytes, reader: _Lines, result: FileScan, at: _Place, master: bytes) -> Defect:
    """Say what was done, given the first line that doesn't follow. See the top of this module."""
    found = chain.head(body)
    seq = found[0] if found else None
    following = reader.next()
    after = following[:-1] if following is not None and following.endswith(b"\n") else b""
    ahead = chain.head(after)
    if ahead is not None and ahead[0] == at.seq and chain.is_sealed(at.key, at.mac, after):
        if seq is not None and seq > at.seq and _leaves_gap(reader, seq):
            return _defect(result, at, DefectKind.REORDERED, f"record {seq} stands before {at.seq}")
        return _defect(result, at, DefectKind.INSERTED, "a line that isn't part of the chain")
    opened = chain.open_line(body)
    in_place = (
        opened is not None
        and ahead is not None
        and ahead[0] == at.seq + 1
        and any(chain.is_sealed(key, opened[1], after) for key in (at.key, chain.next_key(at.key)))
    )
    if result.records == 0 and not in_place and _is_foreign(body, master):
        return _defect(
            result, at, DefectKind.FOREIGN_KEY, "sealed with another key than journal.key; give its own with --key"
        )
    if in_place or seq is None or seq == at.seq:
        return _defect(result, at, DefectKind.CHANGED, "the record isn't as it was written")
    if _comes_later(following, reader, at.seq):
        moved = seq > at.seq
        kind = DefectKind.REORDERED if moved else DefectKind.INSERTED
        return _defect(result, at, kind, f"record {seq} stands where {at.seq} belongs, and {at.seq} comes later")
    if seq > at.seq:
        return _defect(result, at, DefectKind.REMOVED, f"record {seq} follows {at.seq - 1}")
    return _defect(result, at, DefectKind.INSERTED, f"record {seq} again, where {at.seq} belongs")


def _comes_later(line: bytes | None, reader: _Lines, seq: int) -> bool:
    while line is not None:
        found = chain.head(line)
        if found is not None and found[0] == seq:
            return True
        line = reader.next()
    return False


def _leaves_gap(reader: _Lines, seq: int) -> bool:
    """Whether a record is missing from the rest, so that it was moved and not copied."""
    last = seq - 1
    while (line := reader.next()) is not None:
        found = chain.head(line)
        if found is not None:
            if found[0] == seq:
                return False
            last = found[0]
    return last >= seq - 1


def _is_foreign(body: bytes, master: bytes) -> bool:
    fields = parse(body)
    return fields.get("type") == "header" and fields.get("key") not in {None, chain.key_id(master)}
