"""Three replicas on one store, under a mixed load, while they and the store are killed: what was answered, and what was wrong.

    python -m benchmarks.replicas                    two minutes
    python -m benchmarks.replicas --minutes 10       ten

64 clients of eight principals call through a proxy that gives every connection to the next replica. Each answer carries a
text of its call and the name of its caller; what must happen once is written down by the replicas. Every tenth of the time a
replica is killed and started again, and twice the store. It needs valkey-server or redis-server.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from gatelodge_core.audit.verify import verify

from tests.support.estate import replicas
from tests.support.storm import CALLERS, storm


def main() -> int:
    parser = argparse.ArgumentParser(description="Replicas under load and failures.")
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seed", type=int, default=9)
    given = parser.parse_args()
    seconds = given.minutes * 60
    troubles = [(part / 10, f"replica {part % 3}") for part in range(1, 10)] + [(0.35, "store"), (0.75, "store")]
    with tempfile.TemporaryDirectory() as folder, replicas(Path(folder), CALLERS) as estate:
        began = time.monotonic()
        book = asyncio.run(storm(estate, seconds, clients=given.clients, troubles=sorted(troubles), seed=given.seed))
        took = time.monotonic() - began
        estate.end()
        wrong = book.judge(estate, took)
        report = verify(str(estate.state / "journal"))
        answers = sum(book.statuses.values())
        rows = [
            ("seconds", f"{took:.0f}"),
            ("answers", f"{answers} ({answers / took:.0f}/s)"),
            ("by status (0: broken connection)", ", ".join(f"{key}: {count}" for key, count in sorted(book.statuses.items()))),
            ("calls that ran, with a canary each", f"{sum(book.made.values())}"),
            ("p50, p99 of these, from the load's process", f"{book.percentile(0.5) * 1000:.0f} ms, {book.percentile(0.99) * 1000:.0f} ms"),
            ("confirmed or approved calls, made once each", f"{len(estate.lines())}"),
            ("calls of the metered caller (60 a minute)", f"{book.metered}"),
            ("wrong answers", f"{len(wrong)}"),
            ("journal", f"{report.records} records in {len(report.chains)} chains, {'verified' if report.ok else 'NOT VERIFIED'}"),
        ]  # fmt: skip
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            print(f"{name.ljust(width)}  {value}")
        for item in wrong[:20]:
            print(f"WRONG: {item}")
        return 0 if report.ok and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
