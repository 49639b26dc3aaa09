"""Journals to test with."""

from __future__ import annotations

from pathlib import Path

from gatelodge_core.audit.canonical import measure
from gatelodge_core.audit.journal import Journal, JournalSettings
from gatelodge_core.audit.records import Intent, Outcome, Refusal
from gatelodge_core.audit.scan import Defect
from gatelodge_core.audit.verify import verify
from gatelodge_core.effects import DESTROY, READ, WRITE, Effect

QUIET = JournalSettings(read_sync=3600, reserve=0)
"""No syncs for reads, so that tests that write thousands of them are fast."""


def intent(number: int = 0, effect: Effect = READ, name: str = "read_file") -> Intent:
    args = measure({"path": f"notes/{number}.md"})
    return Intent(
        name,
        effect=effect,
        principal={"method": "os-user", "subject": "1000"},
        protocol="2026-07-28",
        request_id=number,
        args_digest=args.digest,
        args_bytes=args.size,
        rule="default",
    )


def write_calls(journal: Journal, count: int, effect: Effect = READ) -> None:
    for number in range(count):
        ticket = journal.intent(intent(number, effect))
        journal.outcome(ticket, Outcome(result_bytes=number))


def mixed_calls(journal: Journal, count: int) -> None:
    """Reads, a few changes and refusals, as in life."""
    for number in range(count):
        if number % 17 == 5:
            journal.refusal(Refusal(intent(number, DESTROY, "delete_file"), "policy"))
            continue
        effect = WRITE if number % 13 == 3 else READ
        ticket = journal.intent(intent(number, effect))
        journal.outcome(
            ticket, Outcome(status="error" if number % 11 == 0 else "ok", error="not_found" * (number % 11 == 0))
        )


def closed_journal(
    directory: Path, calls: int = 20, settings: JournalSettings = QUIET, server: str = "filesystem"
) -> Path:
    """A journal that was closed in good order; returns its last file."""
    with Journal.open(str(directory), server=server, version="1", settings=settings) as journal:
        write_calls(journal, calls)
    return Path(journal.path)


def defects(directory: Path) -> list[Defect]:
    return verify(str(directory)).defects
