"""The journal as servers use it: order, durability, threads.

A record is written to the file by one short system call, under a lock, so records stand in the order in which calls
came. Making it durable is a second step that may take milliseconds. An asynchronous server keeps them apart::

    ticket = journal.intent(entry, wait=False)              # microseconds, in the event loop
    if ticket.sync:
        await to_thread.run_sync(journal.commit, ticket)    # one sync serves all calls that wait
    ...run the tool...
    journal.outcome(ticket, outcome, wait=False)            # and the same again

If `Journal.commit` fails for an intent, the tool must not run, and its outcome is ``refused``.

The record of a call that changes something, and of a refusal, is durable before anything else happens. That of a read
is made durable by `Journal.flush`, with the next change, or with the next record that finds it older than ``read_sync``
(100 ms), whose call then waits; no thread or timer runs here, so a server calls `flush` when `due` says so, which is before
that. A power failure can lose the reads of that time; a killed process loses nothing, since the kernel has the bytes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from gatelodge_core.audit import keyfile
from gatelodge_core.audit.errors import JournalError
from gatelodge_core.audit.folder import SERVER, Folder, sync_data
from gatelodge_core.audit.records import HeaderInfo, Intent, Outcome, Record, Refusal
from gatelodge_core.audit.writer import JournalSettings, Writer
from gatelodge_core.effects import READ, Effect
from gatelodge_core.places import journal_folder, state_folder

FLUSH_SHARE = 0.5
"""When `Journal.due` asks for a flush, as a share of the time that the record of a read may wait."""

__all__ = ["Journal", "JournalError", "JournalSettings", "Ticket", "default_directory"]


def default_directory() -> str:
    """Where the journal is kept unless told otherwise; see `gatelodge_core.places`."""
    return journal_folder(state_folder())


@dataclass(frozen=True, slots=True)
class Ticket:
    """A record that was written.

    Args:
        seq: Its sequence number.
        sync: Whether it waits to be made durable, by `Journal.commit`.
        effect: What the call leaves behind.
        started: Monotonic nanoseconds at which it was written.
    """

    seq: int
    sync: bool
    effect: Effect
    started: int


class Journal:
    """One process's chain of records. Safe to use from several threads; not across a fork.

    A context manager: leaving it closes the journal, with the exception's class as reason if there is one.
    """

    def __init__(self, writer: Writer, directory: str, settings: JournalSettings) -> None:
        self._writer, self._settings = writer, settings
        self.directory = directory
        self._pid = os.getpid()
        self._lock = threading.Lock()  # order of records; held for microseconds, except during a rotation
        self._syncing = threading.Lock()  # one sync at a time; taken before _lock, never after it
        self._durable = writer.seq
        self._waiting_since: float | None = None
        self._closed = False

    @classmethod
    def open(
        cls,
        directory: str | None = None,
        *,
        server: str,
        version: str,
        header: HeaderInfo | None = None,
        settings: JournalSettings | None = None,
    ) -> Self:
        """Start a chain: make its first file and write the header, durably.

        Args:
            directory: Where the journal is kept; made 0700 if missing. None for `default_directory`.
            server: The server's short name, such as ``filesystem``.
            version: Its version.
            header: What else the header says.
            settings: How the journal is kept.

        Raises:
            JournalError: It can't be started, so the server must not start either.
        """
        if not SERVER.fullmatch(server):
            raise JournalError(f"{server!r} can't name a journal: lower-case letters, digits, - and _, at most 32.")
        settings = settings or JournalSettings()
        folder = Folder.own(directory or default_directory())
        try:
            writer = Writer(
                folder,
                keyfile.obtain(folder, settings.key_file),
                server=server,
                version=version,
                info=header or HeaderInfo(),
                settings=settings,
            )
        except BaseException as error:
            folder.close()
            if isinstance(error, OSError):
                raise JournalError(f"The journal can't be started in {folder.path}: {error.strerror}.") from None
            raise
        return cls(writer, folder.path, settings)

    @property
    def path(self) -> str:
        """The present file."""
        return os.path.join(self.directory, self._writer.file)

    @property
    def chain(self) -> str:
        """The chain's name."""
        return self._writer.chain

    @property
    def failure(self) -> str:
        """Why calls are being refused; empty while all is well. For a server's readiness."""
        return self._writer.broken or self._writer.halted

    def fileno(self) -> int:
        """Descriptor of the present file."""
        return self._writer.fd

    def intent(self, entry: Intent, *, wait: bool = True) -> Ticket:
        """Record what a call is about to do.

        Args:
            entry: The call.
            wait: Make it durable here if that is due; False if the caller commits the ticket itself.

        Raises:
            JournalError: It isn't recorded, so the call must not run.
        """
        ticket = self._append("intent", entry.fields, entry.effect, entry.effect is not READ, False, running=1)
        if wait:
            try:
                self.commit(ticket)
            except JournalError:
                # The intent may be in the file all the same; say that nothing came of it, if that can be said.
                with suppress(JournalError):
                    self.outcome(ticket, Outcome("refused", error="journal"), wait=False)
                raise
        return ticket

    def outcome(self, intent: Ticket, entry: Outcome, *, wait: bool = True) -> Ticket:
        """Record what came of a call. It may use the space kept aside for a full disk.

        Args:
            intent: What `intent` returned; call this once for each.
            entry: The outcome.
            wait: As for `intent`.

        Raises:
            JournalError: It isn't recorded; the call has run, and its intent says so.
        """
        elapsed = (time.monotonic_ns() - intent.started) / 1e6
        return self._append(
            "outcome",
            lambda: entry.fields(intent.seq, elapsed),
            intent.effect,
            intent.effect is not READ,
            wait,
            running=-1,
        )

    def refusal(self, entry: Refusal, *, wait: bool = True) -> Ticket:
        """Record a call that was not let in.

        Args:
            entry: The call and the reason.
            wait: As for `intent`.

        Raises:
            JournalError: It isn't recorded; the call stays refused.
        """
        return self._append("refusal", entry.fields, entry.call.effect, True, wait, running=0)

    def write(self, kind: str, fields: Record) -> Ticket:
        """Write another record durably, such as a tombstone.

        Raises:
            JournalError: It isn't recorded.
        """
        return self._append(kind, lambda: fields, READ, True, True, running=0)

    def commit(self, ticket: Ticket) -> None:
        """Wait until a record is durable. Blocks on the disk; meant for a worker thread.

        Raises:
            JournalError: The disk failed, or another sync didn't end in time: the call must not run.
        """
        if ticket.sync:
            self._sync(ticket.seq)

    def flush(self) -> None:
        """Make all records durable. Blocks on the disk.

        Raises:
            JournalError: The disk failed.
        """
        self._owned()
        if self._waiting_since is not None or self._writer.mark_due:
            self._sync(self._writer.seq)

    def retry(self) -> None:
        """After a halt, go on if records can be written again, so that a server is ready again before the next call."""
        self._owned()
        with self._lock:
            self._writer.retry()

    def due(self) -> float | None:
        """Seconds until `flush` should be called; None if nothing waits, or nothing can be made durable any more.

        That is before a record would find itself late, as its call would then wait for the disk.
        """
        if self._writer.broken or not self._settings.sync:
            return None
        if self._writer.mark_due:
            return 0.0
        since = self._waiting_since
        return None if since is None else max(0.0, since + FLUSH_SHARE * self._settings.read_sync - time.monotonic())

    def close(self, reason: str = "stopped") -> None:
        """Write the last record, make all durable, and forget the key. A second call does nothing.

        In a forked child it only closes the child's descriptors.

        Raises:
            JournalError: The last record could not be written; descriptors are closed all the same.
        """
        if os.getpid() != self._pid:
            if not self._closed:
                self._closed = True
                self._writer.release()
            return
        with self._syncing, self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                self._writer.close(reason)
                self._durable = self._writer.seq
            finally:
                self._waiting_since = None
                self._writer.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close("stopped" if kind is None else kind.__name__)

    def _append(
        self, kind: str, fields: Callable[[], Record], effect: Effect, must: bool, wait: bool, *, running: int
    ) -> Ticket:
        self._owned()
        with self._lock:
            now = time.monotonic_ns()
            try:
                seq = self._writer.append(kind, fields, started=running < 0)
            finally:
                # Even a failed attempt may have left a checkpoint or the record of the halt.
                if self._settings.sync and self._waiting_since is None and self._writer.seq > self._durable:
                    self._waiting_since = now / 1e9
            self._writer.running += running
            late = self._waiting_since is not None and now / 1e9 - self._waiting_since >= self._settings.read_sync
            sync = self._settings.sync and (must or late)
        ticket = Ticket(seq, sync, effect, now)
        if wait:
            self.commit(ticket)
        return ticket

    def _sync(self, seq: int) -> None:
        """Make everything up to `seq` durable; whoever comes first does it for all that were written by then."""
        self._owned()
        if not self._settings.sync:
            return
        if not self._syncing.acquire(timeout=self._settings.sync_timeout):
            raise JournalError("The journal's disk does not answer, so the call was not allowed. Try again later.")
        try:
            if self._durable >= seq:
                return
            with self._lock:
                if self._writer.broken:
                    raise JournalError(self._writer.broken)
                shot = self._writer.snapshot()
                self._waiting_since = None
            try:
                sync_data(shot.fd)
                self._writer.anchor.write(shot.seq, shot.anchor, durable=shot.durable)
            except OSError as error:
                # After a failed sync the kernel drops the pages and the next sync succeeds (fsync(2)): never retry.
                with self._lock:
                    self._writer.fail(error.strerror or "sync failed")
                raise JournalError(self._writer.broken) from None
            finally:
                os.close(shot.fd)
            self._durable = shot.seq
        finally:
            self._syncing.release()

    def _owned(self) -> None:
        if os.getpid() != self._pid:
            raise JournalError("The journal belongs to the process that opened it; open another one after a fork.")
