"""Reads are made durable beside the calls: none of them waits for the disk while the server keeps up."""

from __future__ import annotations

import time
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from gatelodge_core.audit.journal import Journal, JournalSettings
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
