"""Reads are made durable beside the calls: none of them waits for the disk while the server keeps up."""

from __future__ import annotations

import time
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from gatelodge_core.audit.journal import Journal, JournalError, JournalSettings
from gatelodge_core.audit.records import Outcome
from gatelodge_core.guard.audit import Auditor

from tests.audit.support import intent

READ_SYNC = 1.0
"""Seconds; long beside what a loaded machine holds a task up."""


@pytest.mark.anyio
async def test_no_read_waits_for_the_disk_while_records_are_flushed_in_time(tmp_path: Path) -> None:
    settings = JournalSettings(read_sync=READ_SYNC, checkpoint_records=100, epoch_records=1000)
    waited, made, flushed = 0, 0, 0
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=settings) as journal:
        auditor = Auditor()
        auditor.open(journal)
        async with anyio.create_task_group() as group:
            group.start_soon(auditor.flushing)
            await anyio.lowlevel.checkpoint()
            until = time.monotonic() + 3 * READ_SYNC
            was = None
            while time.monotonic() < until:
                ticket = journal.intent(intent(), wait=False)
                await auditor._durable(ticket)  # pyright: ignore[reportPrivateUsage] - as the step does
                waited += ticket.sync + journal.outcome(ticket, Outcome("ok"), wait=False).sync
                made += 1
                due = journal.due()
                flushed += was is not None and (due is None or due > was)
                was = due
                await anyio.sleep(0.002)
            group.cancel_scope.cancel()
    assert made > 100
    assert flushed >= 3
    assert waited == 0


def test_what_is_never_made_durable_is_never_due(tmp_path: Path) -> None:
    # A server that flushes whenever something is due would do nothing else.
    settings = JournalSettings(sync=False, checkpoint_records=1, reserve=0)
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=settings) as journal:
        for number in range(5):
            journal.outcome(journal.intent(intent(number)), Outcome("ok"))
        assert journal.due() is None


def test_a_journal_that_can_not_go_on_asks_for_no_flush(tmp_path: Path) -> None:
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1") as journal:
        journal.intent(intent(1))
        assert journal.due() is not None
        with open(journal.path, "ab") as file:
            file.write(b"somebody else\n")
        with pytest.raises(JournalError, match="changed by someone else"):
            journal.intent(intent(2))
        # Whoever asked again would be told the same each second, in the log.
        assert journal.due() is None
        with pytest.raises(JournalError):
            journal.flush()


def test_a_checkpoint_is_flushed_at_once_and_once(tmp_path: Path) -> None:
    settings = JournalSettings(read_sync=3600, checkpoint_records=3, reserve=0)
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=settings) as journal:
        journal.intent(intent(1))
        journal.intent(intent(2))
        assert (journal.due() or 0) > 1
        journal.intent(intent(3))
        assert journal.due() == 0
        journal.flush()
        assert journal.due() is None
