"""The journal without its threads: chain, file, rotation, checkpoints and the halted state together.

Nothing here locks or waits for the disk, except a rotation; `journal` does both around it.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from gatelodge_core.audit import anchor as anchors
from gatelodge_core.audit import chain, records
from gatelodge_core.audit.errors import JournalError
from gatelodge_core.audit.folder import Folder, file_name, parse_name
from gatelodge_core.audit.sink import Broken, Reserve, Sink

MAX_WITNESSES = 32


@dataclass(frozen=True, slots=True)
class JournalSettings:
    """How the journal is kept.

    Args:
        max_bytes: A file is rotated before it grows beyond this.
        max_age: Seconds after which a file is rotated.
        checkpoint_records: Records after which a checkpoint is due.
        checkpoint_seconds: Seconds after which a checkpoint is due.
        epoch_records: Records after which the key moves on.
        epoch_seconds: Seconds after which the key moves on.
        read_sync: Seconds that the record of a read may wait to be made durable.
        reserve: Bytes kept aside for a full disk.
        sync: Whether anything is made durable; off is for benchmarks alone, and the header says so.
        sync_timeout: Seconds to wait for another thread's sync before a call is refused.
        key_file: Where the master key is, if not in the directory; it must exist.
    """

    max_bytes: int = 16 * 1024 * 1024
    max_age: float = 24 * 3600.0
    checkpoint_records: int = 1000
    checkpoint_seconds: float = 60.0
    epoch_records: int = 10_000
    epoch_seconds: float = 900.0
    read_sync: float = 0.1
    reserve: int = 1024 * 1024
    sync: bool = True
    sync_timeout: float = 30.0
    key_file: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What has to reach the disk: everything up to `seq`.

    Args:
        fd: The file, as a descriptor of the receiver's own.
        seq: Last sequence number.
        anchor: The anchor to write afterwards.
        durable: Whether the anchor itself is worth a sync.
    """

    fd: int
    seq: int
    anchor: bytes
    durable: bool


class Writer:
    """The writing end of one chain. Used by one thread at a time.

    Args:
        folder: The journal's directory.
        master: The master key; not kept.
        server: The server's short name.
        version: The server's version.
        info: What goes into each header.
        settings: How the journal is kept.

    Raises:
        JournalError: The first file could not be made.
    """

    def __init__(
        self,
        folder: Folder,
        master: bytes,
        *,
        server: str,
        version: str,
        info: records.HeaderInfo,
        settings: JournalSettings,
    ) -> None:
        self._folder, self._settings = folder, settings
        self._server, self._version, self._info = server, version, info
        self.chain = f"{server}-{os.getpid()}-{uuid.uuid4().hex}"
        self._key_id = chain.key_id(master)
        self._sealer = chain.Sealer(chain.chain_key(master, self.chain))
        self._started = records.timestamp(time.time_ns())
        self._part = 1
        self.halted = ""
        self.broken = ""
        self._refused = 0
        self.running = 0
        self._mark_durable = False
        self._restart_clocks()
        witness = _witnesses(folder)
        # The anchor before the file: a file without an anchor is never the work of a crash.
        self.anchor = anchors.Anchor(folder, self.chain)
        self._reserve: Reserve | None = None
        self._sink: Sink | None = None
        try:
            self._begin(witness)
        except BaseException as error:
            self._abandon()
            if isinstance(error, OSError):
                raise JournalError(f"The journal can't be started in {folder.path}: {error.strerror}.") from None
            raise

    def _begin(self, witness: dict[str, int]) -> None:
        self.anchor.write(*anchors.compose(self._sealer, name=self.chain, part=1, closed=False))
        self._reserve = Reserve(self._folder, f".reserve-{self.chain}", self._settings.reserve)
        self._sink = Sink(self._folder, file_name(self.chain, 1))
        self._put("header", self._header(None, witness))
        self._sink.sync()
        self._folder.sync()
        self.anchor.write(*anchors.compose(self._sealer, name=self.chain, part=1, closed=False), durable=True)

    def _abandon(self) -> None:
        """Leave nothing of a chain that could not begin."""
        for made in (self._sink, self.anchor):
            if made is not None:
                with suppress(OSError):
                    made.discard()
        self.release()

    @property
    def seq(self) -> int:
        """Sequence number of the last record."""
        return self._sealer.seq - 1

    @property
    def file(self) -> str:
        """Name of the present file."""
        return self._present.name

    @property
    def fd(self) -> int:
        """Descriptor of the present file."""
        return self._present.fd

    def append(self, kind: str, fields: Callable[[], records.Record], *, started: bool) -> int:
        """Write the record of a call.

        Args:
            kind: The record's type.
            fields: Makes the record's fields.
            started: Whether the call has run already: such a record may draw on the reserve.

        Returns:
            The record's sequence number.

        Raises:
            JournalError: It was not written, and nothing of it is in the file.
        """
        if self.broken:
            raise JournalError(self.broken)
        try:
            if started:
                return self._put(kind, fields(), reserve=True)
            if self.halted:
                self._resume()
            self._upkeep()
            return self._put(kind, fields())
        except Broken as error:
            self._break(str(error))
            raise JournalError(self.broken) from None
        except OSError as error:
            self._refused += not started
            self._halt(error.strerror or type(error).__name__)
            happened = "what came of the call is not on record" if started else "the call was not allowed"
            raise JournalError(
                f"The journal can't be written ({error.strerror}), so {happened}. Free some space or mend the "
                "journal's directory; calls are accepted again as soon as records can be written."
            ) from None

    def snapshot(self) -> Snapshot:
        """What has to reach the disk now. The descriptor is the receiver's to close."""
        seq, content = anchors.compose(self._sealer, name=self.chain, part=self._part, closed=False)
        durable, self._mark_durable = self._mark_durable, False
        return Snapshot(os.dup(self._present.fd), seq, content, durable)

    def close(self, reason: str) -> None:
        """Write the last record, make all durable, and forget the key. The files stay open until `release`."""
        if not self.broken:
            try:
                self._put("close", records.close(reason=reason), reserve=True)
                self._present.sync()
                self.anchor.write(
                    *anchors.compose(self._sealer, name=self.chain, part=self._part, closed=True), durable=True
                )
            except (OSError, Broken) as error:
                raise JournalError(f"The journal could not be closed in good order: {error}") from None
            finally:
                self._sealer.forget()
                self._break("The journal is closed.")

    def release(self) -> None:
        """Close all descriptors and write nothing, as in a forked child."""
        self._sealer.forget()
        self.broken = self.broken or "The journal is closed."
        for part in (self._reserve, self._sink, self.anchor, self._folder):
            if part is not None:
                part.close()

    def fail(self, reason: str) -> None:
        """The disk refused to make records durable: what is in the file may not be on it, so nothing more goes in."""
        self._halt(reason)
        self._break(f"The journal's disk failed ({reason}). Calls are refused until the server is restarted.")

    def _put(self, kind: str, fields: records.Record, *, reserve: bool = False) -> int:
        line, mac = self._sealer.seal(
            {"seq": self._sealer.seq, "type": kind, "ts": records.timestamp(time.time_ns()), **fields}
        )
        if len(line) > records.MAX_LINE:
            raise JournalError(f"A record of {len(line):,} bytes is too long; the limit is {records.MAX_LINE:,}.")
        while True:
            try:
                self._present.write(line)
                break
            except OSError:
                if not reserve or self._reserve is None or not self._reserve.release():
                    raise
        return self._sealer.accept(mac)

    def _header(self, previous: tuple[str, str] | None, witness: dict[str, int] | None = None) -> records.Record:
        fields = records.header(
            server=self._server,
            version=self._version,
            info=self._info,
            chain=self.chain,
            part=self._part,
            epoch=self._sealer.epoch,
            key_id=self._key_id,
            previous=previous,
            started=self._started,
            witness=witness,
        )
        return fields if self._settings.sync else {**fields, "sync": "off"}

    def _restart_clocks(self) -> None:
        self._opened = self._checked = self._evolved = time.monotonic()
        self._first = self._checked_seq = self._evolved_seq = self._sealer.seq

    def _upkeep(self) -> None:
        """Rotate, move the key on, or write a checkpoint, if one of them is due."""
        settings, seq, now = self._settings, self._sealer.seq, time.monotonic()
        # A file with nothing but its header has nothing to rotate, however old it is.
        old = seq > self._first + 1 and now - self._opened >= settings.max_age
        if old or self._present.size + records.MAX_LINE > max(settings.max_bytes, 2 * records.MAX_LINE):
            self._rotate()
        elif seq - self._evolved_seq >= settings.epoch_records or now - self._evolved >= settings.epoch_seconds:
            self._put("epoch", records.epoch(to=self._sealer.epoch + 1))
            self._sealer.evolve()
            self._evolved = self._checked = now
            self._evolved_seq = self._checked_seq = self._sealer.seq
            self._mark_durable = True
        elif (
            seq - self._checked_seq >= settings.checkpoint_records or now - self._checked >= settings.checkpoint_seconds
        ):
            self._put(
                "checkpoint",
                records.checkpoint(records=seq - self._first, size=self._present.size, running=self.running),
            )
            self._checked, self._checked_seq = now, self._sealer.seq
            self._mark_durable = True

    @property
    def _present(self) -> Sink:
        assert self._sink is not None
        return self._sink

    @property
    def mark_due(self) -> bool:
        """Whether a checkpoint or new epoch waits to be made durable."""
        return self._mark_durable

    def _rotate(self) -> None:
        following = file_name(self.chain, self._part + 1)
        fresh = Sink(self._folder, following)
        old = self._present
        try:
            self._put("close", records.close(reason="rotated", following=following), reserve=True)
        except BaseException:
            fresh.discard()
            raise
        # From here on there is no way back: what fails now ends the chain.
        try:
            old.sync()
            previous = (old.name, self._sealer.mac.hex())
            self._sealer.evolve()
            self._sink, self._part = fresh, self._part + 1
            self._restart_clocks()
            self._put("header", self._header(previous), reserve=True)
            fresh.sync()
            self._folder.sync()
            self.anchor.write(
                *anchors.compose(self._sealer, name=self.chain, part=self._part, closed=False), durable=True
            )
        except OSError as error:
            raise Broken(f"The journal could not go on in a new file: {error.strerror}. Restart the server.") from None
        finally:
            old.close()

    def _halt(self, reason: str) -> None:
        if self.halted or self.broken:
            return
        self.halted = reason
        try:
            self._put("halt", records.halt(reason=reason), reserve=True)
            self._mark_durable = True
        except (OSError, JournalError):
            # Nothing can be written at all. The next record that can be says how many calls were refused.
            return

    def _resume(self) -> None:
        """Go on after a halt, once there is room for the record and for the next halt.

        Raises:
            OSError: Not yet.
        """
        if self._reserve is not None:
            self._reserve.fill()
        self._put("resume", records.resume(refused=self._refused))
        self.halted, self._refused = "", 0

    def retry(self) -> None:
        """After a halt, go on if records can be written again."""
        if self.halted and not self.broken:
            try:
                self._resume()
            except Broken as error:
                self._break(str(error))
            except OSError:
                return

    def _break(self, reason: str) -> None:
        self.broken = self.broken or reason


def _witnesses(folder: Folder) -> dict[str, int]:
    """The chains begun last before ours, and how far their anchors are; believed only as far as a header is."""
    found: list[tuple[float, str]] = []
    for name in folder.names():
        if name.endswith(anchors.SUFFIX) and parse_name(name.removesuffix(anchors.SUFFIX) + ".jsonl"):
            try:
                found.append((folder.stat(name).st_mtime, name))
            except OSError:
                continue
    seen: dict[str, int] = {}
    for _, name in sorted(found, reverse=True)[:MAX_WITNESSES]:
        other = name.removesuffix(anchors.SUFFIX)
        try:
            descriptor = folder.open(name)
            try:
                seen[other] = anchors.parse(other, os.read(descriptor, anchors.SIZE + 1)).seq
            finally:
                os.close(descriptor)
        except (OSError, ValueError):
            continue
    return seen
