"""When records can't be written: the call is refused, nothing stays half-written, and the journal says so."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from gatelodge_core.audit import journal as journal_module
from gatelodge_core.audit.errors import JournalError
from gatelodge_core.audit.journal import Journal, JournalSettings
from gatelodge_core.audit.query import entries
from gatelodge_core.audit.records import Outcome
from gatelodge_core.audit.verify import verify
from gatelodge_core.effects import WRITE

from tests.audit.support import QUIET, intent, write_calls
from tests.support.disks import mounted


def kinds(directory: Path) -> list[str]:
    return [entry.text("type") for entry in entries(str(directory))]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    place = tmp_path / "disk"
    with mounted(place, "size=512k,mode=0700"):
        yield place


def test_a_full_disk_refuses_calls_says_so_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    directory = small_disk / "j"
    settings = JournalSettings(read_sync=3600, reserve=128 * 1024, max_bytes=10**9)
    with Journal.open(str(directory), server="filesystem", version="1", settings=settings) as journal:
        write_calls(journal, 20)
        running = journal.intent(intent(77, WRITE))
        # The odd bytes make the last write a short one.
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as sink, pytest.raises(OSError, match="No space"):  # noqa: PT012
            while True:
                sink.write(b"x" * 1000)
        ran = 0
        for number in range(2000):
            try:
                journal.intent(intent(number))
            except JournalError as error:
                assert "No space left" in str(error)  # noqa: PT017
                assert "not allowed" in str(error)  # noqa: PT017
                assert str(small_disk) not in str(error)  # noqa: PT017
                break
            ran += 1
        assert ran < 100
        assert journal.failure
        file = Path(journal.path)
        assert file.read_bytes().endswith(b"\n")
        assert kinds(directory)[-1] == "halt"
        for number in range(3):
            with pytest.raises(JournalError):
                journal.intent(intent(number, WRITE))
        # A call that runs already still gets its outcome, from the space kept aside.
        journal.outcome(running, Outcome())
        assert kinds(directory)[-2:] == ["halt", "outcome"]
        assert not verify(str(directory)).defects
        filler.unlink()
        journal.intent(intent())
        assert journal.failure == ""
    assert kinds(directory)[-5:] == ["halt", "outcome", "resume", "intent", "close"]
    resumed = next(entry.fields for entry in entries(str(directory)) if entry.text("type") == "resume")
    assert resumed["refused"] == 4
    report = verify(str(directory))
    assert not report.defects
    assert not report.notes


def test_a_full_disk_refuses_the_start_and_leaves_nothing(small_disk: Path) -> None:
    Journal.open(str(small_disk / "j"), server="filesystem", version="1", settings=QUIET).close()
    before = sorted(os.listdir(small_disk / "j"))
    with pytest.raises(JournalError, match="No space left"):
        Journal.open(str(small_disk / "j"), server="filesystem", version="1", settings=JournalSettings(reserve=10**6))
    assert sorted(os.listdir(small_disk / "j")) == before
    assert verify(str(small_disk / "j")).ok


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_dev_full_refuses_the_call_and_leaves_no_byte(tmp_path: Path) -> None:
    journal = Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=QUIET)
    write_calls(journal, 3)
    before = Path(journal.path).read_bytes()
    kept = os.dup(journal.fileno())
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        os.dup2(full, journal.fileno())
        for effect in ("read", "write"):
            with pytest.raises(JournalError, match="No space left"):
                journal.intent(intent(1, WRITE if effect == "write" else intent().effect))
        assert Path(journal.path).read_bytes() == before
        os.dup2(kept, journal.fileno())
    finally:
        os.close(full)
        os.close(kept)
    journal.intent(intent())
    journal.close()
    assert kinds(tmp_path / "j")[-3:] == ["resume", "intent", "close"]
    assert verify(str(tmp_path / "j")).ok


def test_a_short_write_is_taken_back(tmp_path: Path) -> None:
    """The limit on file size cuts a write short exactly as a full disk does, and needs no rights."""
    program = (
        "import resource, signal, sys\n"
        "from tests.audit.support import *\n"
        "from gatelodge_core.audit.errors import JournalError\n"
        "journal = Journal.open(sys.argv[1], server='filesystem', version='1', settings=QUIET)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))\n"
        "done = 0\n"
        "try:\n"
        "    for number in range(100):\n"
        "        journal.intent(intent(number)); done += 1\n"
        "except JournalError as error:\n"
        "    print(error)\n"
        "assert 5 < done < 15, done\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "print(open(journal.path, 'rb').read()[-1:])\n"
        "journal.intent(intent()); journal.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "j")],
        check=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert "the call was not allowed" in done.stdout
    assert done.stdout.endswith("b'\\n'\n")
    report = verify(str(tmp_path / "j"))
    assert not report.defects
    assert not report.notes
    assert kinds(tmp_path / "j")[-3:] == ["resume", "intent", "close"]


def test_a_failed_sync_refuses_this_call_and_all_that_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    journal = Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=QUIET)
    write_calls(journal, 3, WRITE)
    monkeypatch.setattr(journal_module, "sync_data", broken)
    with pytest.raises(JournalError, match="disk failed"):
        journal.intent(intent(1, WRITE))
    monkeypatch.undo()
    with pytest.raises(JournalError, match="restarted"):
        journal.intent(intent())
    assert "disk failed" in journal.failure
    journal.close()
    assert kinds(tmp_path / "j")[-1] == "halt"
    assert not verify(str(tmp_path / "j")).defects


def test_a_deleted_file_or_directory_refuses_calls(tmp_path: Path) -> None:
    journal = Journal.open(str(tmp_path / "a"), server="filesystem", version="1", settings=QUIET)
    Path(journal.path).unlink()
    with pytest.raises(JournalError, match="is gone"):
        journal.intent(intent())
    journal.close()
    journal = Journal.open(str(tmp_path / "b"), server="filesystem", version="1", settings=QUIET)
    for file in (tmp_path / "b").iterdir():
        file.unlink()
    (tmp_path / "b").rmdir()
    with pytest.raises(JournalError, match="is gone"):
        journal.intent(intent())
    journal.close()


@pytest.mark.parametrize("what", ["replaced", "appended", "truncated"])
def test_a_file_that_someone_else_touches_refuses_calls_at_once(tmp_path: Path, what: str) -> None:
    journal = Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=QUIET)
    write_calls(journal, 3)
    file = Path(journal.path)
    content = file.read_bytes()
    if what == "replaced":
        file.unlink()
        file.write_bytes(content)
    else:
        file.write_bytes(content + b"{}\n" if what == "appended" else content[:-10])
    with pytest.raises(JournalError, match="changed by someone else"):
        journal.intent(intent())
    journal.close()


def test_a_directory_that_can_not_be_made_refuses_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(JournalError, match="can't be used"):
        Journal.open(str(tmp_path / "file" / "j"), server="filesystem", version="1")


def test_an_unwritable_directory_refuses_the_start() -> None:
    # Not under tmp_path, which another user may not enter.
    with tempfile.TemporaryDirectory() as parent:
        directory = Path(parent) / "j"
        directory.mkdir(mode=0o500)
        os.chmod(parent, 0o755)
        root = os.geteuid() == 0
        if root:
            os.chown(directory, 65534, 65534)
            os.seteuid(65534)
        try:
            with pytest.raises(JournalError, match="Permission denied"):
                Journal.open(str(directory), server="filesystem", version="1")
        finally:
            if root:
                os.seteuid(0)
            directory.chmod(0o700)


_FIRST_START = """
import resource, sys
from gatelodge_core.audit.errors import JournalError
from gatelodge_core.audit.journal import Journal
resource.setrlimit(resource.RLIMIT_FSIZE, (40, resource.RLIM_INFINITY))
try:
    Journal.open(sys.argv[1], server="filesystem", version="1")
except JournalError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_key_that_is_only_written_in_part_is_no_key(tmp_path: Path) -> None:
    directory = tmp_path / "j"
    done = subprocess.run(
        [sys.executable, "-c", _FIRST_START, str(directory)], capture_output=True, check=True, text=True
    )
    assert "key can't be made" in done.stdout
    assert os.listdir(directory) == []
    Journal.open(str(directory), server="filesystem", version="1").close()
    assert verify(str(directory)).ok


def test_failures_leak_no_descriptors(tmp_path: Path) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    before = len(os.listdir("/proc/self/fd"))
    for number in range(10):
        journal = Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=QUIET)
        if number % 2:
            Path(journal.path).unlink()
            with pytest.raises(JournalError):
                journal.intent(intent(number, WRITE))
        journal.close()
        (tmp_path / "bad").mkdir(exist_ok=True)
        (tmp_path / "bad").chmod(0o755)
        with pytest.raises(JournalError):
            Journal.open(str(tmp_path / "bad"), server="filesystem", version="1")
    assert len(os.listdir("/proc/self/fd")) == before
