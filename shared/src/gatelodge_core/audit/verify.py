"""Verification of a journal: every file, every chain, and the anchors, tombstones and witnesses that tie them.

What is reported as a defect, and what only as a note, follows from what an honest crash can leave: a missing close
record, an unfinished last line, an anchor behind its file, an empty file right after a rotation. All else is a defect.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

from gatelodge_core.audit import anchor as anchors
from gatelodge_core.audit import chain as chains
from gatelodge_core.audit import keyfile
from gatelodge_core.audit.errors import JournalError
from gatelodge_core.audit.folder import Folder, file_name, is_locked, parse_name
from gatelodge_core.audit.records import Record
from gatelodge_core.audit.scan import Defect, DefectKind, FileScan, Start, scan

State = Literal["closed", "rotated", "running", "crashed"]


@dataclass(slots=True)
class ChainReport:
    """One process's records.

    Args:
        name: The chain's name.
        state: How it ended: in good order, by a crash, or not yet.
        files: Its files, in order.
        anchor: Its anchor, if it is there and sealed by the chain.
    """

    name: str
    state: State = "crashed"
    files: list[FileScan] = field(default_factory=list[FileScan])
    anchor: anchors.Reading | None = None


@dataclass(slots=True)
class Report:
    """What verification found.

    Args:
        directory: What was verified.
        chains: All chains with at least one file.
        defects: At most one per file, and those of anchors and missing files.
        notes: What a crash leaves, and what could not be checked.
        tombstones: The last pruned part of each chain.
        remains: Names of pruned files and anchors that are still there.
    """

    directory: str
    chains: list[ChainReport] = field(default_factory=list[ChainReport])
    defects: list[Defect] = field(default_factory=list[Defect])
    notes: list[str] = field(default_factory=list[str])
    tombstones: dict[str, Record] = field(default_factory=dict[str, Record])
    remains: list[str] = field(default_factory=list[str])

    @property
    def ok(self) -> bool:
        """Whether nothing was tampered with, as far as can be seen."""
        return not self.defects

    @property
    def records(self) -> int:
        """Number of good records."""
        return sum(file.records for chain in self.chains for file in chain.files)


def verify(
    directory: str,
    files: Iterable[str] | None = None,
    *,
    key_file: str = "",
    tick: Callable[[int], None] = lambda _: None,
) -> Report:
    """Verify a journal.

    Args:
        directory: The journal's directory.
        files: Names of single files in it: each is then checked in itself and against its anchor, and nothing is
            said of what is missing. None for the whole directory.
        key_file: Where the master key is, if not in the directory.
        tick: Told after each file how many bytes were read in all.

    Raises:
        JournalError: The directory or the key can't be read, or a name isn't a journal file's.
    """
    with Folder.read(directory) as folder:
        try:
            master = keyfile.read(folder, key_file)
        except FileNotFoundError:
            if any(parse_name(name) for name in folder.names()):
                raise JournalError(
                    f"{folder.path} has no {keyfile.KEY_NAME}: nothing can be verified without it."
                ) from None
            return Report(folder.path)
        return _Verifier(folder, master, tick).run(None if files is None else list(files))


_Mark = tuple[anchors.Reading | None, bool, str]


class _Verifier:
    def __init__(self, folder: Folder, master: bytes, tick: Callable[[int], None]) -> None:
        self._folder, self._master, self._tick = folder, master, tick
        self._bytes = 0
        self._report = Report(folder.path)

    def run(self, only: Sequence[str] | None) -> Report:
        # Anchors first: they never lead their files, so a server that goes on writing meanwhile does no harm.
        whole = only is None
        marks: dict[str, _Mark | None] = {}
        parts: dict[str, list[int]] = {}
        for name in self._folder.names() if whole else ():
            if name.endswith(anchors.SUFFIX):
                marks[name.removesuffix(anchors.SUFFIX)] = self._anchor(name)
                parts[name.removesuffix(anchors.SUFFIX)] = []
        # Listed again, so that a rotation meanwhile can't hide its new file.
        for name in self._folder.names() if only is None else only:
            parsed = parse_name(name)
            if parsed is not None:
                parts.setdefault(parsed[0], []).append(parsed[1])
                if parsed[0] not in marks:
                    marks[parsed[0]] = self._anchor(parsed[0] + anchors.SUFFIX)
            elif name.endswith(".jsonl") or not whole:
                self._add(name, DefectKind.INSERTED, "not a name that a journal file has")
        # Tombstones first; they are in the chains of `prune`.
        for name in sorted(parts, key=lambda chain: (not chain.startswith("prune-"), chain)):
            self._chain(name, sorted(parts[name]), marks.get(name), whole=whole)
        if whole:
            self._witnesses()
        return self._report

    def _add(self, file: str, kind: DefectKind, detail: str, *, line: int = 0, seq: int = -1) -> None:
        self._report.defects.append(Defect(file, line, seq, kind, detail))

    def _anchor(self, name: str) -> _Mark | None:
        """The anchor as claimed, whether its process lives, and what is wrong with it. None if there is none."""
        try:
            descriptor = self._folder.open(name)
        except FileNotFoundError:
            return None
        except OSError as error:
            return None, False, error.strerror or "can't be read"
        running = is_locked(descriptor)
        try:
            content = os.read(descriptor, anchors.SIZE + 1)
            if not content:
                return None, running, ""
            return anchors.parse(name.removesuffix(anchors.SUFFIX), content), running, ""
        except ValueError:
            return None, running, "not as it was written"
        finally:
            os.close(descriptor)

    def _chain(self, name: str, parts: list[int], mark: _Mark | None, *, whole: bool) -> None:
        report = ChainReport(name)
        reading, running, wrong = mark or (None, False, "")
        key = chains.chain_key(self._master, name)
        if reading is not None and not reading.is_sealed(key):
            reading, wrong = None, "not as it was written, or sealed with another key"
        report.anchor = reading
        if wrong:
            self._add(name + anchors.SUFFIX, DefectKind.CHANGED, f"the anchor is {wrong}")
        grave = self._report.tombstones.get(name)
        start = self._after(grave, key) if grave is not None else None
        expected = cast("int", grave["part"]) + 1 if grave is not None else 1
        for part in parts:
            if grave is not None and part < expected and not report.files:
                # Its tombstone was written, and the process that pruned was stopped before it removed the file.
                self._report.notes.append(f"{file_name(name, part)}: pruned, but still there")
                rest = self._scan(name, part, None, reading)
                if rest.defect is None:
                    self._report.remains.append(rest.name)
                continue
            if part != expected:
                start = None
                if whole:
                    self._add(file_name(name, expected), DefectKind.MISSING, f"part {part} of the chain is there")
            file = self._scan(name, part, start, reading)
            report.files.append(file)
            start, expected = (file.end if file.defect is None else None), part + 1
            if part != parts[-1]:
                start = self._join(file, start)
        if report.files:
            self._report.chains.append(report)
            self._ending(report, running=running)
            if mark is None and whole and not any(file.defect for file in report.files):
                self._add(name + anchors.SUFFIX, DefectKind.MISSING, "the anchor of a chain that is there")
            elif mark is None:
                self._report.notes.append(f"{name}: no anchor, so a cut at the end can't be seen")
        if reading is not None:
            self._held(report, reading, grave, whole=whole)
        elif mark is not None and not wrong and report.files:
            self._add(name + anchors.SUFFIX, DefectKind.TRUNCATED, "the anchor is empty, and the chain isn't")

    def _after(self, grave: Record, key: bytes) -> Start:
        epoch = cast("int", grave["epoch"])
        mac = bytes.fromhex(cast("str", grave["last_mac"]))
        return Start(cast("int", grave["last"]) + 1, epoch, chains.epoch_key(key, epoch), mac)

    def _scan(self, name: str, part: int, start: Start | None, reading: anchors.Reading | None) -> FileScan:
        result = FileScan(file_name(name, part), name, part)
        mark = reading.seq if reading is not None and reading.part == part else -1
        try:
            with os.fdopen(self._folder.open(result.name), "rb", buffering=1 << 16) as source:
                scan(source, result, master=self._master, start=start, mark=mark)
        except OSError as error:
            result.defect = Defect(result.name, 0, -1, DefectKind.UNREADABLE, error.strerror or "can't be read")
        self._bytes += result.size
        self._tick(self._bytes)
        if result.defect is not None:
            self._report.defects.append(result.defect)
        for grave in result.tombstones:
            known = self._report.tombstones.get(str(grave["chain"]))
            if known is None or cast("int", known["part"]) < cast("int", grave["part"]):
                self._report.tombstones[str(grave["chain"])] = grave
        return result

    def _join(self, file: FileScan, start: Start | None) -> Start | None:
        """Where the part after `file` begins; it must have been closed for it."""
        if start is None:
            return None
        if file.closing is None or file.unfinished:
            self._cut(file, "the part ends before the record that leads to the next one")
            return None
        return Start(start.seq, start.epoch + 1, chains.next_key(start.key), start.mac)

    def _cut(self, file: FileScan, detail: str) -> None:
        seq = file.end.seq if file.end is not None else -1
        file.defect = Defect(file.name, file.lines + 1, seq, DefectKind.TRUNCATED, detail)
        self._report.defects.append(file.defect)

    def _ending(self, report: ChainReport, *, running: bool) -> None:
        last = report.files[-1]
        if last.defect is not None:
            return
        following = last.closing is not None and bool(last.closing.get("next"))
        if last.closing is not None and not following:
            report.state = "closed"
        elif running:
            report.state = "running"
        elif following:
            report.state = "rotated"
        if last.unfinished and not running:
            self._report.notes.append(
                f"{last.name}: the last line is unfinished: the server was killed while writing it"
            )
        elif report.state == "crashed":
            self._report.notes.append(f"{last.name}: no close record: the server was killed, or the machine stopped")
        elif report.state == "rotated":
            self._report.notes.append(f"{last.name}: the next part was not begun: the server was killed in between")

    def _held(self, report: ChainReport, reading: anchors.Reading, grave: Record | None, *, whole: bool) -> None:
        """Hold the chain against its anchor: it must reach it, and with the same MAC."""
        if not report.files:
            pruned = grave is not None and cast("int", grave["last"]) >= reading.seq
            if whole and reading.seq < 0:
                self._report.notes.append(f"{reading.chain}: begun, but without a record")
            elif whole and pruned:
                self._report.remains.append(reading.chain + anchors.SUFFIX)
            elif whole:
                self._add(file_name(reading.chain, reading.part), DefectKind.MISSING, "its anchor is there")
            return
        last = report.files[-1]
        if last.defect is not None or (not whole and last.part != reading.part):
            return
        if last.part < reading.part:
            self._add(file_name(reading.chain, reading.part), DefectKind.MISSING, "its anchor is there")
        elif last.end is not None and last.end.seq <= reading.seq:
            self._cut(last, f"the chain ends here, and had been durable up to {reading.seq}")
        else:
            seen = next((file.marks[reading.seq] for file in report.files if reading.seq in file.marks), None)
            if seen is not None and seen != reading.record:
                self._add(
                    reading.chain + anchors.SUFFIX, DefectKind.CHANGED, "the anchor has another MAC than the chain"
                )

    def _witnesses(self) -> None:
        """Chains that a good header names must be there, or pruned, and reach as far as it saw them."""
        reach = {
            chain.name: chain.files[-1].end.seq - 1
            for chain in self._report.chains
            if chain.files[-1].end is not None and not any(file.defect for file in chain.files)
        }
        known = {chain.name for chain in self._report.chains}
        told: set[str] = set()
        for witness in [file for chain in self._report.chains for file in chain.files]:
            seen = witness.header.get("witness")
            for name, seq in (cast("dict[str, int]", seen) if isinstance(seen, dict) else {}).items():
                if name in told or seq < 0 or (name in known and reach.get(name, seq) >= seq):
                    continue
                grave = self._report.tombstones.get(name)
                if grave is not None and cast("int", grave["last"]) >= seq:
                    continue
                told.add(name)
                if name in known:
                    detail = f"the chain ended later, at {seq} or beyond, when {witness.name} was begun"
                    self._add(file_name(name, 1), DefectKind.TRUNCATED, detail, seq=reach.get(name, -1) + 1)
                elif not any(defect.file.startswith(name) for defect in self._report.defects):
                    self._add(file_name(name, 1), DefectKind.MISSING, f"it was there when {witness.name} was begun")
