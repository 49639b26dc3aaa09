"""`gatelodge doctor` says what is well, and what to do about the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gatelodge_core.audit.journal import Journal
from gatelodge_core.cli.__main__ import main
from gatelodge_core.sandbox import _landlock


def doctor(capsys: pytest.CaptureFixture[str], state: Path) -> tuple[int, dict[str, dict[str, object]]]:
    status = main(["doctor", "--json", "--state-dir", str(state)])
    findings = json.loads(capsys.readouterr().out)["findings"]
    return status, {finding["what"]: finding for finding in findings}


@pytest.mark.skipif(not _landlock.abi(), reason="this kernel has no Landlock")
def test_where_all_is_well_it_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, found = doctor(capsys, tmp_path / "state")
    assert status == 0
    assert str(found["sandbox"]["text"]).startswith(f"landlock {_landlock.abi()}")
    assert found["journal"]["text"] == "none yet"


def test_a_changed_journal_and_an_open_folder_are_found(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    state = tmp_path / "state"
    with Journal.open(str(state / "journal"), server="toy", version="1"):
        pass
    state.chmod(0o777)
    (path,) = (state / "journal").glob("*.jsonl")
    path.write_bytes(path.read_bytes().replace(b"stopped", b"st0pped"))
    status, found = doctor(capsys, state)
    assert status == 1
    assert found["journal"]["good"] is False
    assert "gatelodge audit verify" in str(found["journal"]["fix"])
    assert found["state"]["good"] is False
