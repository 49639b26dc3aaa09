"""Two hundred servers killed while writing: each journal verifies, and nothing that was acknowledged is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from gatelodge_core.audit.anchor import SUFFIX, Anchor
from gatelodge_core.audit.folder import Folder
from gatelodge_core.audit.journal import Journal
from gatelodge_core.audit.query import entries
from gatelodge_core.audit.scan import DefectKind
from gatelodge_core.audit.verify import verify
from gatelodge_core.effects import WRITE

from tests.audit.support import QUIET, defects, write_calls

KILLS = 200
# Single-threaded, so that forking is sound. Each child acknowledges each record by a byte, and the parent kills it after
# a random number of them, while it goes on writing; in every state: syncs, checkpoints, epochs, rotations.
PROGRAM = """
import json, os, random, signal, sys
from tests.audit.support import *
rng = random.Random(3)
acknowledged = {}
for round in range(int(sys.argv[2])):
    seed, goal = rng.random(), rng.choice([0, 1, 2, 5, 20, 60, 300])
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        settings = JournalSettings(
            max_bytes=1, checkpoint_records=7, epoch_records=23, read_sync=0.002, reserve=65536
        )
        journal = Journal.open(sys.argv[1], server="filesystem", version="1", settings=settings)
        own, number = random.Random(seed), 0
        while True:
            number += 1
            ticket = journal.intent(intent(number, WRITE if own.random() < 0.05 else READ))
            os.write(writer, b"i")
            journal.outcome(ticket, Outcome())
            os.write(writer, b"o")
    os.close(writer)
    count = 0
    while count < goal:
        count += len(os.read(reader, goal - count))
    os.kill(child, signal.SIGKILL)
    while block := os.read(reader, 65536):
        count += len(block)
    os.close(reader)
    os.waitpid(child, 0)
    acknowledged[child] = acknowledged.get(child, 0) + count
print(json.dumps(acknowledged))
"""


def test_two_hundred_killed_servers_leave_journals_that_verify(tmp_path: Path) -> None:
    directory = tmp_path / "j"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(directory), str(KILLS)],
        check=True,
        capture_output=True,
        text=True,
        timeout=110,
        cwd=Path(__file__).parents[2],
    )
    acknowledged: dict[str, int] = json.loads(done.stdout)
    report = verify(str(directory))
    assert not report.defects
    assert all(chain.state in {"crashed", "rotated"} for chain in report.chains)
    written = dict.fromkeys(acknowledged, 0)
    for entry in entries(str(directory)):
        if entry.text("type") in {"intent", "outcome"}:
            written[entry.chain.split("-")[1]] += 1
    assert all(written[process] >= count for process, count in acknowledged.items())
    assert sum(count > 0 for count in acknowledged.values()) > KILLS / 2
    assert any(len(chain.files) > 1 for chain in report.chains)
    assert len(report.chains) > KILLS / 2


def crash(directory: Path, calls: int = 20) -> Path:
    """A journal whose server was killed; returns its file."""
    program = (
        "import os, sys\n"
        "from tests.audit.support import *\n"
        "journal = Journal.open(sys.argv[1], server='filesystem', version='1', settings=QUIET)\n"
        "write_calls(journal, int(sys.argv[2]), WRITE)\n"
        "print(journal.path, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(directory), str(calls)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == -9
    return Path(done.stdout.strip())


def test_an_unfinished_last_line_is_a_crash_and_not_tampering(tmp_path: Path) -> None:
    file = crash(tmp_path / "j")
    with file.open("ab") as sink:
        sink.write(b'{"seq":41,"type":"intent","ts":"2026-')
    report = verify(str(tmp_path / "j"))
    assert not report.defects
    assert report.notes == [f"{file.name}: the last line is unfinished: the server was killed while writing it"]
    assert report.records == 41


def test_a_missing_close_record_is_a_crash_and_not_tampering(tmp_path: Path) -> None:
    file = crash(tmp_path / "j")
    report = verify(str(tmp_path / "j"))
    assert not report.defects
    assert report.notes == [f"{file.name}: no close record: the server was killed, or the machine stopped"]


def test_a_durable_record_cut_from_a_crashed_journal_is_tampering(tmp_path: Path) -> None:
    file = crash(tmp_path / "j")
    content = file.read_bytes()
    lines = content.splitlines(keepends=True)
    for left in (b"".join(lines[:-1]), content[:-1], content[:-30], b"".join(lines[:3]), b""):
        file.write_bytes(left)
        (found,) = defects(tmp_path / "j")
        assert (found.kind, found.line) == (DefectKind.TRUNCATED, left.count(b"\n") + 1)


def test_a_server_killed_before_its_first_record_leaves_no_defect(tmp_path: Path) -> None:
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=QUIET) as journal:
        write_calls(journal, 1, WRITE)
    with Folder.own(str(tmp_path / "j")) as folder:
        Anchor(folder, "filesystem-1-" + "0" * 32).close()
    assert (tmp_path / "j" / ("filesystem-1-" + "0" * 32 + SUFFIX)).read_bytes() == b""
    assert not defects(tmp_path / "j")
