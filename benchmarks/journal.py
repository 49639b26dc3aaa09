"""What the journal costs: per record with and without syncs, with syncs shared, and to verify.

Run: python -m benchmarks.journal [DIRECTORY]. The directory decides which disk is measured; the default is the
temporary directory, which may be a tmpfs, where a sync costs nothing.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from gatelodge_core.audit.canonical import measure
from gatelodge_core.audit.journal import Journal, JournalSettings
from gatelodge_core.audit.records import Intent, Outcome
from gatelodge_core.audit.verify import verify
from gatelodge_core.effects import READ, WRITE, Effect

ARGUMENTS = {"path": "notes/meeting.md", "edits": ["- old line", "+ new line"], "dry_run": False}


def call(effect: Effect) -> Intent:
    args = measure(ARGUMENTS)
    return Intent(
        "edit_file",
        effect=effect,
        principal={"method": "os-user", "subject": "1000"},
        protocol="2026-07-28",
        request_id=7,
        args_digest=args.digest,
        args_bytes=args.size,
        rule="default",
        labels={"confidentiality": "private"},
    )


def spread(name: str, count: int, action: Callable[[], object]) -> None:
    times: list[int] = []
    cpu = time.process_time_ns()
    begin = time.perf_counter_ns()
    for _ in range(count):
        start = time.perf_counter_ns()
        action()
        times.append(time.perf_counter_ns() - start)
    total = time.perf_counter_ns() - begin
    cpu = time.process_time_ns() - cpu
    times.sort()
    p50, p99 = times[count // 2] / 1e3, times[count * 99 // 100] / 1e3
    print(
        f"{name:<46} p50 {p50:8.1f} us   p99 {p99:8.1f} us   CPU {cpu / count / 1e3:6.1f} us   {count / total * 1e9:9,.0f}/s"
    )


def shared(journal: Journal, threads: int, each: int) -> None:
    def work(_: int) -> None:
        for _ in range(each):
            journal.intent(call(WRITE))

    begin = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    rate = threads * each / (time.perf_counter() - begin)
    print(f"{f'intent of a change, {threads} threads':<46} {rate:,.0f}/s")


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as parent:
        directory = os.path.join(parent, "journal")
        spread("canonical form and digest of small arguments", 20_000, lambda: measure(ARGUMENTS))
        off = JournalSettings(sync=False)
        with Journal.open(directory, server="bench", version="1", settings=off) as journal:
            spread("intent, no sync at all", 20_000, lambda: journal.intent(call(READ)))
            ticket = journal.intent(call(READ))
            spread("outcome, no sync at all", 20_000, lambda: journal.outcome(ticket, Outcome(result_bytes=1)))
        with Journal.open(directory, server="bench", version="1") as journal:
            spread("intent of a read, a sync each 100 ms", 20_000, lambda: journal.intent(call(READ)))
            spread("intent of a change, a sync each", 1000, lambda: journal.intent(call(WRITE)))
            for threads in (4, 16, 64):
                shared(journal, threads, max(20, 1600 // threads))
        begin = time.perf_counter()
        report = verify(directory)
        rate = report.records / (time.perf_counter() - begin)
        assert report.ok
        print(f"{'verify':<46} {rate:,.0f} records/s ({report.records:,} records)")
        spread("open and close a journal", 50, lambda: Journal.open(directory, server="bench", version="1").close())


if __name__ == "__main__":
    main()
