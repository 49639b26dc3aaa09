"""Rotation and pruning: the chain goes on over files, and verifies after old ones are gone."""

from __future__ import annotations

import itertools
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from gatelodge_core.audit.anchor import SUFFIX
from gatelodge_core.audit.errors import JournalError
from gatelodge_core.audit.journal import Journal, JournalSettings
from gatelodge_core.audit.prune import prune
from gatelodge_core.audit.query import entries
from gatelodge_core.audit.scan import DefectKind
from gatelodge_core.audit.verify import verify

from tests.audit.support import QUIET, closed_journal, defects, intent, write_calls

# The smallest files there are, about 64 KiB.
SMALL = JournalSettings(read_sync=3600, reserve=0, max_bytes=1)
LATER = datetime.now(UTC) + timedelta(days=100)


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("*.jsonl"))


def rotated(directory: Path) -> list[Path]:
    """A chain of four files."""
    last = closed_journal(directory, 360, SMALL)
    chain = last.name.split(".")[0]
    parts = [directory / f"{chain}.jsonl", *sorted(directory.glob(f"{chain}.0*.jsonl"))]
    assert len(parts) == 4
    return parts


def test_a_file_is_rotated_by_size_and_names_the_one_before(tmp_path: Path) -> None:
    parts = rotated(tmp_path / "j")
    assert all(part.stat().st_size <= 128 * 1024 for part in parts)
    for before, after in itertools.pairwise(parts):
        close = json.loads(before.read_bytes().splitlines()[-1])
        header = json.loads(after.read_bytes().splitlines()[0])
        assert (close["type"], close["reason"], close["next"]) == ("close", "rotated", after.name)
        assert header["prev"] == {"file": before.name, "mac": close["mac"]}
        assert header["seq"] == close["seq"] + 1
        assert header["epoch"] > 0
    report = verify(str(tmp_path / "j"))
    assert not report.defects
    assert not report.notes


def test_a_file_is_rotated_by_age(tmp_path: Path) -> None:
    closed_journal(tmp_path / "j", 3, JournalSettings(read_sync=3600, reserve=0, max_age=0))
    report = verify(str(tmp_path / "j"))
    assert not report.defects
    assert [len(chain.files) for chain in report.chains] == [3]


def test_each_part_verifies_alone_but_for_what_is_missing(tmp_path: Path) -> None:
    parts = rotated(tmp_path / "j")
    for part in parts:
        report = verify(str(tmp_path / "j"), [part.name])
        assert not report.defects
        assert report.records > 100
    parts[-1].write_bytes(parts[-1].read_bytes()[:-1])
    assert [found.kind for found in verify(str(tmp_path / "j"), [parts[-1].name]).defects] == [DefectKind.TRUNCATED]


@pytest.mark.parametrize("gone", [0, 1, 2, 3])
def test_a_missing_part_is_named(tmp_path: Path, gone: int) -> None:
    parts = rotated(tmp_path / "j")
    parts[gone].unlink()
    found = defects(tmp_path / "j")
    assert [(defect.file, defect.kind) for defect in found] == [(parts[gone].name, DefectKind.MISSING)]


def test_a_part_in_place_of_another_is_found(tmp_path: Path) -> None:
    parts = rotated(tmp_path / "j")
    parts[1].write_bytes(parts[2].read_bytes())
    assert (parts[1].name, 1) in {(defect.file, defect.line) for defect in defects(tmp_path / "j")}


def test_a_rotation_that_fails_leaves_the_file_as_it_was_and_refuses_the_call(tmp_path: Path) -> None:
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=SMALL) as journal:
        blocker = Path(journal.path).with_suffix(".0002.jsonl")
        blocker.write_bytes(b"")
        with pytest.raises(JournalError, match="File exists"):
            write_calls(journal, 200)
        assert len(files(tmp_path / "j")) == 2
        blocker.unlink()
        journal.intent(intent())
    assert verify(str(tmp_path / "j")).ok


def test_pruning_by_age_removes_closed_files_and_leaves_tombstones_that_verify(tmp_path: Path) -> None:
    parts = rotated(tmp_path / "j")
    with Journal.open(str(tmp_path / "j"), server="github", version="1", settings=QUIET) as running:
        write_calls(running, 5)
        result = prune(str(tmp_path / "j"), version="1", older_than=timedelta(days=30), now=LATER)
        assert result.files == [part.name for part in parts]
        assert result.size > 200_000
        assert not result.kept
        write_calls(running, 5)
    left = files(tmp_path / "j")
    assert [name.split("-")[0] for name in left] == ["github", "prune"]
    assert not parts[0].with_suffix(SUFFIX).exists()
    report = verify(str(tmp_path / "j"))
    assert not report.defects
    assert not report.notes
    graves = [entry.fields for entry in entries(str(tmp_path / "j")) if entry.text("type") == "tombstone"]
    assert [grave["file"] for grave in graves] == [part.name for part in parts]
    assert graves[0]["first"] == 0
    assert [grave["first"] for grave in graves[1:]] == [
        grave["last"] + 1 for grave in graves[:-1] if isinstance(grave["last"], int)
    ]


def test_pruning_the_first_parts_of_a_running_server_leaves_the_rest_verifiable(tmp_path: Path) -> None:
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=SMALL) as running:
        write_calls(running, 360)
        result = prune(str(tmp_path / "j"), version="1", older_than=timedelta(days=30), now=LATER)
        assert len(result.files) == 3
        write_calls(running, 100)
        assert not defects(tmp_path / "j")
    # What is left is still held by the tombstone: neither it nor the part after it can go unseen.
    (grave,) = (tmp_path / "j").glob("prune-*.jsonl")
    content = grave.read_bytes()
    grave.unlink()
    assert {found.kind for found in defects(tmp_path / "j")} == {DefectKind.MISSING}
    grave.write_bytes(content)
    lines = content.splitlines(keepends=True)
    grave.write_bytes(b"".join(lines[:-2] + lines[-1:]))
    assert {found.kind for found in defects(tmp_path / "j")} == {DefectKind.REMOVED, DefectKind.MISSING}
    grave.write_bytes(content)
    left = [name for name in files(tmp_path / "j") if name.startswith("filesystem")]
    (tmp_path / "j" / left[0]).unlink()
    assert {found.kind for found in defects(tmp_path / "j")} == {DefectKind.MISSING}


def test_pruning_by_size_removes_the_oldest_first(tmp_path: Path) -> None:
    parts = rotated(tmp_path / "j")
    size = sum(part.stat().st_size for part in parts)
    result = prune(str(tmp_path / "j"), version="1", max_bytes=size - 70_000)
    assert result.files == [part.name for part in parts[:2]]
    assert not defects(tmp_path / "j")


def test_pruning_again_and_again_keeps_the_journal_small_and_verifiable(tmp_path: Path) -> None:
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=SMALL) as running:
        for round_ in range(5):
            # Rotated in the first round only: its tombstone has to be carried on by every later one.
            write_calls(running, 200 if round_ == 0 else 2)
            closed_journal(tmp_path / "j", 2, server="github")
            prune(str(tmp_path / "j"), version="1", older_than=timedelta(days=30), now=LATER)
            assert not defects(tmp_path / "j"), round_
            assert sorted(name.split("-")[0] for name in files(tmp_path / "j")) == ["filesystem", "prune"]
    assert not defects(tmp_path / "j")


def test_pruning_keeps_what_does_not_verify_and_says_so(tmp_path: Path) -> None:
    bad, good = closed_journal(tmp_path / "j", 5), closed_journal(tmp_path / "j", 5)
    content = bad.read_bytes()
    bad.write_bytes(content.replace(b"read_file", b"read_life", 1))
    result = prune(str(tmp_path / "j"), version="1", older_than=timedelta(days=30), now=LATER)
    assert result.files == [good.name]
    assert len(result.kept) == 1
    assert bad.name.split(".")[0] in result.kept[0]
    bad.write_bytes(content)
    assert not defects(tmp_path / "j")


def test_a_dry_run_and_a_prune_with_nothing_to_do_change_nothing(tmp_path: Path) -> None:
    rotated(tmp_path / "j")
    before = sorted(os.listdir(tmp_path / "j"))
    assert prune(str(tmp_path / "j"), version="1", older_than=timedelta(days=30), now=LATER, dry_run=True).files
    assert not prune(str(tmp_path / "j"), version="1", older_than=timedelta(days=30)).files
    assert sorted(os.listdir(tmp_path / "j")) == before


@pytest.mark.parametrize("stopped_before", ["files", "one file", "anchor"])
def test_a_prune_that_was_killed_is_finished_by_the_next(tmp_path: Path, stopped_before: str) -> None:
    parts = rotated(tmp_path / "j")
    anchor = parts[0].with_suffix(SUFFIX)
    rest = {"files": [*parts, anchor], "one file": [parts[-1], anchor], "anchor": [anchor]}[stopped_before]
    contents = {path: path.read_bytes() for path in rest}
    prune(str(tmp_path / "j"), version="1", older_than=timedelta(days=30), now=LATER)
    for path, content in contents.items():
        path.write_bytes(content)
    assert not defects(tmp_path / "j")
    prune(str(tmp_path / "j"), version="1", older_than=timedelta(days=30))
    assert not any(path.exists() for path in rest)
    assert not defects(tmp_path / "j")


def test_a_journal_of_sixty_thousand_records_verifies_whole(tmp_path: Path) -> None:
    settings = JournalSettings(sync=False, max_bytes=4 * 1024 * 1024, reserve=0)
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=settings) as journal:
        write_calls(journal, 30_000)
    report = verify(str(tmp_path / "j"))
    assert not report.defects
    assert report.records > 60_000
    assert len(files(tmp_path / "j")) > 4
