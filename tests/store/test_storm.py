"""The replicas under load while they and their store are killed: nothing wrong, nothing twice, nothing to another caller.

`python -m benchmarks.replicas` does the same for minutes.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from gatelodge_core.audit.verify import verify

from tests.support.estate import replicas
from tests.support.storm import CALLERS, storm

SECONDS = 16


@pytest.mark.slow
def test_a_storm_of_callers_and_failures_brings_out_no_wrong_answer(tmp_path: Path) -> None:
    with replicas(tmp_path, CALLERS) as estate:
        troubles = [(0.2, "replica 0"), (0.45, "store"), (0.65, "replica 2")]
        book = asyncio.run(storm(estate, SECONDS, troubles=troubles))
        for number in range(3):
            estate.servers[number].wait_for_stderr("listening on")
        estate.end()
        assert book.judge(estate, SECONDS) == []
        # It was a storm: there were answers of each kind, and failures.
        assert min(book.made["say_who"], book.made["strike"], len(book.claimed)) > 20
        assert book.metered > 10
        assert book.statuses[429] > 0
        assert book.statuses[0] > 0
        report = verify(str(estate.state / "journal"))
        assert report.ok, report.defects
        # Each killed replica began another journal.
        assert len(report.chains) >= 5
