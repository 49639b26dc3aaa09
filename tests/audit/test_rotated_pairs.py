"""Calls that run while their file is rotated: intent in one part, outcome in the next."""

from __future__ import annotations

from pathlib import Path

from gatelodge_core.audit.journal import Journal, JournalSettings
from gatelodge_core.audit.query import calls, entries
from gatelodge_core.audit.records import Outcome
from gatelodge_core.effects import READ

from tests.audit.support import intent

SMALL = JournalSettings(max_bytes=1, read_sync=3600, reserve=0)


def test_the_parts_of_a_chain_are_read_in_their_order(tmp_path: Path) -> None:
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=SMALL) as journal:
        for number in range(300):
            journal.outcome(journal.intent(intent(number)), Outcome())
    numbers = [int(entry.text("seq")) for entry in entries(str(tmp_path / "j"))]
    assert len(list((tmp_path / "j").glob("*.jsonl"))) > 2
    assert numbers == sorted(numbers)


def test_a_call_that_runs_during_a_rotation_has_its_outcome(tmp_path: Path) -> None:
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=SMALL) as journal:
        long = journal.intent(intent(0, READ, "long"))
        for number in range(1, 200):
            journal.outcome(journal.intent(intent(number)), Outcome())
        journal.outcome(long, Outcome("timeout"))
    found = {call.entry.text("name"): call.outcome for call in calls(entries(str(tmp_path / "j")))}
    outcome = found["long"]
    assert outcome is not None
    assert outcome.text("status") == "timeout"
