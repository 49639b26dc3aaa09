"""kill -9 at any moment: every operation is wholly there or not at all, and what is there can be undone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROUNDS = 300


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_three_hundred_killings_leave_no_torn_file_no_temporary_and_every_operation_undoable(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.killing", str(tmp_path), "0", str(ROUNDS)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    totals = json.loads(done.stdout)
    assert totals["rounds"] == ROUNDS
    assert totals["operations"] > ROUNDS
    # Kills fell within operations, some of them between the last effect and the report.
    assert totals["settled"] > ROUNDS // 4
    assert totals["complete"] > 0
