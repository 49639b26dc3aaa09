"""Writing the journal: what is on the disk, in which order, for whom."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gatelodge_core.audit import journal as journal_module
from gatelodge_core.audit.anchor import SUFFIX, Anchor
from gatelodge_core.audit.errors import JournalError
from gatelodge_core.audit.folder import Folder, sync_data
from gatelodge_core.audit.journal import Journal, JournalSettings, default_directory
from gatelodge_core.audit.keyfile import KEY_NAME
from gatelodge_core.audit.query import Entry, entries
from gatelodge_core.audit.records import MAX_LINE, HeaderInfo, Intent, Outcome, Refusal
from gatelodge_core.audit.verify import verify
from gatelodge_core.effects import DESTROY, READ, WRITE

from tests.audit.support import QUIET, closed_journal, intent, write_calls


def records(directory: Path) -> list[Entry]:
    return list(entries(str(directory)))


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts the syncs of records, each of which really happens."""
    made: list[int] = []

    def counted(descriptor: int) -> None:
        made.append(descriptor)
        sync_data(descriptor)

    monkeypatch.setattr(journal_module, "sync_data", counted)
    return made


def test_a_call_leaves_a_header_an_intent_an_outcome_and_a_close(tmp_path: Path) -> None:
    info = HeaderInfo(transport="stdio", sandbox="landlock-7", manifest="sha256:ab", extra={"profile": "files"})
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1.2", header=info) as journal:
        ticket = journal.intent(
            Intent(
                "edit_file", effect=WRITE, request_id="7", labels={"confidentiality": "private"}, claims={"name": "x"}
            )
        )
        journal.outcome(ticket, Outcome("error", error="stale_etag", redactions=2, egress=("example.org",)))
    header, asked, came, end = (entry.fields for entry in records(tmp_path / "j"))
    assert [header["type"], asked["type"], came["type"], end["type"]] == ["header", "intent", "outcome", "close"]
    assert [header["seq"], asked["seq"], came["seq"], end["seq"]] == [0, 1, 2, 3]
    assert (header["server"], header["version"], header["pid"]) == ("filesystem", "1.2", os.getpid())
    assert (header["sandbox"], header["transport"], header["prev"]) == ("landlock-7", "stdio", None)
    assert (asked["name"], asked["effect"], asked["request"], asked["decision"]) == ("edit_file", "write", "7", "allow")
    assert (came["intent"], came["status"], came["error"], came["redactions"]) == (1, "error", "stale_etag", 2)
    assert isinstance(came["ms"], float)
    assert end["reason"] == "stopped"


def test_the_names_and_modes_are_as_designed(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        file = closed_journal(tmp_path / "deep" / "j", 1)
    finally:
        os.umask(old)
    assert file.name.startswith(f"filesystem-{os.getpid()}-")
    assert stat.S_IMODE((tmp_path / "deep" / "j").stat().st_mode) == 0o700
    assert {stat.S_IMODE(found.stat().st_mode) for found in (tmp_path / "deep" / "j").iterdir()} == {0o600}


def test_without_a_directory_it_is_in_the_state_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    if sys.platform == "linux":
        assert default_directory() == str(tmp_path / "gatelodge" / "journal")


def test_arguments_and_results_never_appear_unless_a_preview_is_given(tmp_path: Path) -> None:
    file = closed_journal(tmp_path / "j", 3)
    assert b"notes/" not in file.read_bytes()
    assert b"preview" not in file.read_bytes()


def test_the_master_key_is_not_kept_by_the_process_nor_written_elsewhere(tmp_path: Path) -> None:
    file = closed_journal(tmp_path / "j", 3)
    key = (tmp_path / "j" / KEY_NAME).read_text(encoding="ascii").strip()
    for found in (tmp_path / "j").iterdir():
        if found.name != KEY_NAME:
            assert key.encode("ascii") not in found.read_bytes()
            assert bytes.fromhex(key) not in found.read_bytes()
    assert file.exists()


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="no symbolic links")
def test_a_symbolic_link_as_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(JournalError, match="not a symbolic link"):
        Journal.open(str(tmp_path / "link"), server="filesystem", version="1")
    assert not list((tmp_path / "real").iterdir())


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o777])
def test_a_directory_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "j").mkdir()
    (tmp_path / "j").chmod(mode)
    with pytest.raises(JournalError, match="chmod 700"):
        Journal.open(str(tmp_path / "j"), server="filesystem", version="1")


def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        (tmp_path / "j").mkdir(mode=0o700)
        os.chown(tmp_path / "j", 65534, 65534)
        directory = tmp_path / "j"
    else:
        directory = Path("/")
    with pytest.raises(JournalError, match="belongs to user"):
        Journal.open(str(directory), server="filesystem", version="1")


@pytest.mark.parametrize("name", ["", "../x", "Filesystem", "a b", "a" * 40, "x\n"])
def test_a_server_name_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(JournalError, match="can't name a journal"):
        Journal.open(str(tmp_path / "j"), server=name, version="1")


def test_a_key_open_to_others_is_refused(tmp_path: Path) -> None:
    closed_journal(tmp_path / "j", 1)
    (tmp_path / "j" / KEY_NAME).chmod(0o644)
    with pytest.raises(JournalError, match="chmod 600"):
        Journal.open(str(tmp_path / "j"), server="filesystem", version="1")


@pytest.mark.parametrize("content", [b"", b"0" * 63, b"0" * 64 + b"\n\n", b"G" * 64, b"0" * 1000])
def test_a_damaged_key_is_refused_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    closed_journal(tmp_path / "j", 1)
    (tmp_path / "j" / KEY_NAME).write_bytes(content)
    with pytest.raises(JournalError, match="64 hexadecimal digits"):
        Journal.open(str(tmp_path / "j"), server="filesystem", version="1")
    assert (tmp_path / "j" / KEY_NAME).read_bytes() == content


def test_a_key_kept_elsewhere_is_used_and_never_made(tmp_path: Path) -> None:
    key = tmp_path / "elsewhere.key"
    settings = JournalSettings(key_file=str(key))
    with pytest.raises(JournalError, match="openssl rand"):
        Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=settings)
    key.write_text("ab" * 32 + "\n", encoding="ascii")
    key.chmod(0o600)
    closed_journal(tmp_path / "j", 2, settings)
    assert not (tmp_path / "j" / KEY_NAME).exists()
    assert verify(str(tmp_path / "j"), key_file=str(key)).ok


def test_sixteen_servers_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(closed_journal, [tmp_path / "j"] * 16, [1] * 16))
    report = verify(str(tmp_path / "j"))
    assert report.ok
    assert len(report.chains) == 16
    assert not [name for name in os.listdir(tmp_path / "j") if name.startswith(".")]


def test_sixteen_threads_leave_one_chain_in_order(tmp_path: Path) -> None:
    settings = JournalSettings(max_bytes=1, checkpoint_records=50, epoch_records=300, read_sync=0.001, reserve=0)
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=settings) as journal:

        def work(thread: int) -> list[int]:
            seen: list[int] = []
            for number in range(60):
                ticket = journal.intent(intent(thread * 1000 + number, WRITE if number % 20 == 0 else READ))
                seen.append(ticket.seq)
                journal.outcome(ticket, Outcome())
            return seen

        with ThreadPoolExecutor(16) as pool:
            seen = list(pool.map(work, range(16)))
    report = verify(str(tmp_path / "j"))
    assert not report.defects
    assert not report.notes
    assert all(numbers == sorted(numbers) for numbers in seen)
    written = {
        entry.fields["seq"]: entry.fields["request"]
        for entry in records(tmp_path / "j")
        if entry.fields["type"] == "intent"
    }
    expected = {seq: thread * 1000 + at for thread, numbers in enumerate(seen) for at, seq in enumerate(numbers)}
    assert written == expected


def test_two_processes_at_once_each_have_their_own_files(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from tests.audit.support import *\n"
        "with Journal.open(sys.argv[1], server='filesystem', version='1') as journal:\n"
        "    print('ready', flush=True); sys.stdin.readline(); mixed_calls(journal, 300)\n"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "j")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            text=True,
        )
        for _ in range(2)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.communicate("go\n", timeout=60)
        assert process.returncode == 0
    report = verify(str(tmp_path / "j"))
    assert not report.defects
    assert not report.notes
    assert {int(chain.name.split("-")[1]) for chain in report.chains} == {process.pid for process in running}


def test_reads_are_not_synced_one_by_one_and_changes_are(tmp_path: Path, syncs: list[int]) -> None:
    settings = JournalSettings(read_sync=3600)
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=settings) as journal:
        write_calls(journal, 50)
        assert not syncs
        write_calls(journal, 3, WRITE)
        assert len(syncs) == 6
        journal.intent(intent(1, DESTROY))
        journal.refusal(Refusal(intent(1), "policy"))
        assert len(syncs) == 8


def test_a_read_that_finds_old_records_makes_them_durable(tmp_path: Path, syncs: list[int]) -> None:
    settings = JournalSettings(read_sync=0)
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=settings) as journal:
        journal.intent(intent())
        assert len(syncs) == 1


def test_flush_makes_what_waits_durable_and_then_has_nothing_to_do(tmp_path: Path, syncs: list[int]) -> None:
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=QUIET) as journal:
        assert journal.due() is None
        journal.intent(intent())
        due = journal.due()
        assert due is not None
        assert 0 < due <= 1800, "before the next record would find this one late, and its call wait for the disk"
        journal.flush()
        journal.flush()
        assert len(syncs) == 1
        assert journal.due() is None


def test_one_sync_serves_all_calls_that_wait_for_it(tmp_path: Path, syncs: list[int]) -> None:
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=QUIET) as journal:
        tickets = [journal.intent(intent(number, WRITE), wait=False) for number in range(40)]
        assert all(ticket.sync for ticket in tickets)
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(journal.commit, tickets))
        assert len(syncs) == 1


def test_a_call_that_waits_for_a_sync_does_not_hold_up_the_next_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncing, go_on = threading.Event(), threading.Event()

    def slow(descriptor: int) -> None:
        syncing.set()
        assert go_on.wait(30)
        sync_data(descriptor)

    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=QUIET) as journal:
        monkeypatch.setattr(journal_module, "sync_data", slow)
        first = threading.Thread(target=journal.intent, args=(intent(1, WRITE),))
        first.start()
        assert syncing.wait(30)
        ticket = journal.intent(intent(2), wait=False)
        assert ticket.seq == 2
        go_on.set()
        first.join(30)
    assert verify(str(tmp_path / "j")).ok


def test_a_disk_that_does_not_answer_refuses_the_call_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncing, go_on = threading.Event(), threading.Event()

    def stuck(descriptor: int) -> None:
        syncing.set()
        assert go_on.wait(30)

    settings = JournalSettings(sync_timeout=0.01)
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=settings) as journal:
        monkeypatch.setattr(journal_module, "sync_data", stuck)
        first = threading.Thread(target=journal.intent, args=(intent(1, WRITE),))
        first.start()
        assert syncing.wait(30)
        with pytest.raises(JournalError, match="does not answer"):
            journal.intent(intent(2, WRITE))
        go_on.set()
        first.join(30)
    refused = [entry.fields for entry in records(tmp_path / "j") if entry.fields.get("status") == "refused"]
    assert [(outcome["intent"], outcome["error"]) for outcome in refused] == [(2, "journal")]


def test_a_forked_child_can_neither_write_nor_close_its_parents_journal(tmp_path: Path) -> None:
    program = (
        "import os, sys\n"
        "from tests.audit.support import *\n"
        "from gatelodge_core.audit.errors import JournalError\n"
        "journal = Journal.open(sys.argv[1], server='filesystem', version='1')\n"
        "write_calls(journal, 3)\n"
        "if (child := os.fork()) == 0:\n"
        "    for attempt in (lambda: journal.intent(intent()), journal.flush):\n"
        "        try:\n"
        "            attempt()\n"
        "        except JournalError as error:\n"
        "            assert 'after a fork' in str(error)\n"
        "        else:\n"
        "            os._exit(1)\n"
        "    journal.close()\n"
        "    os._exit(0)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0\n"
        "write_calls(journal, 3)\n"
        "journal.close()\n"
    )
    subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "j")], check=True, timeout=60, cwd=Path(__file__).parents[2]
    )
    report = verify(str(tmp_path / "j"))
    assert not report.defects
    assert [chain.state for chain in report.chains] == ["closed"]
    assert report.records == 1 + 12 + 1


def test_after_closing_nothing_is_written(tmp_path: Path) -> None:
    journal = Journal.open(str(tmp_path / "j"), server="filesystem", version="1")
    journal.close("SIGTERM")
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.intent(intent())
    assert records(tmp_path / "j")[-1].fields["reason"] == "SIGTERM"
    assert verify(str(tmp_path / "j")).ok


def test_a_running_journal_verifies_and_is_called_running(tmp_path: Path) -> None:
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=QUIET) as journal:
        write_calls(journal, 5)
        report = verify(str(tmp_path / "j"))
        assert not report.defects
        assert not report.notes
        assert [chain.state for chain in report.chains] == ["running"]
        assert journal.failure == ""


def test_texts_of_any_length_and_kind_make_one_bounded_line_of_ascii(tmp_path: Path) -> None:
    hostile = "\U0001f600\u2028\n\r\x1b[31m\udce9\x00" * 100_000
    table = {f"{number}{hostile}": hostile for number in range(100)}
    call = Intent(
        hostile, hostile, DESTROY, table, hostile, hostile, hostile, hostile, 1, "allow", hostile, table, table, table,
        hostile, hostile,
    )  # fmt: skip
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1") as journal:
        ticket = journal.intent(call)
        journal.outcome(ticket, Outcome("error", hostile, 1, hostile, 1, table, (hostile,) * 100, hostile))
        journal.intent(Intent("x", request_id=10**400))
    file = Path(journal.path)
    lines = file.read_bytes().split(b"\n")
    assert len(lines) == 6
    assert max(map(len, lines)) < MAX_LINE
    assert file.read_bytes().isascii()
    assert all(isinstance(json.loads(line), dict) for line in lines[:-1])
    assert verify(str(tmp_path / "j")).ok


def test_checkpoints_and_epochs_come_when_they_are_due_and_are_durable(tmp_path: Path, syncs: list[int]) -> None:
    settings = JournalSettings(read_sync=3600, checkpoint_records=10, epoch_records=35, reserve=0)
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=settings) as journal:
        for _ in range(50):
            write_calls(journal, 1)
            if journal.due() == 0:
                journal.flush()
        assert len(syncs) == sum(entry.fields["type"] in {"checkpoint", "epoch"} for entry in records(tmp_path / "j"))
    kinds = [entry.fields["type"] for entry in records(tmp_path / "j")]
    assert (kinds.count("checkpoint"), kinds.count("epoch")) == (9, 3)
    mark = next(entry.fields for entry in records(tmp_path / "j") if entry.fields["type"] == "checkpoint")
    assert mark["records"] == mark["seq"]
    assert verify(str(tmp_path / "j")).ok


def test_checkpoints_and_epochs_also_come_by_time(tmp_path: Path) -> None:
    for settings, kind in (
        (JournalSettings(checkpoint_seconds=0), "checkpoint"),
        (JournalSettings(epoch_seconds=0), "epoch"),
    ):
        directory = tmp_path / kind
        closed_journal(directory, 2, settings)
        kinds = [entry.fields["type"] for entry in records(directory)]
        assert kinds == ["header", kind, "intent", "outcome", kind, "intent", "outcome", "close"]
        assert verify(str(directory)).ok


def test_after_an_epoch_by_time_the_next_one_is_as_far_away_again(tmp_path: Path) -> None:
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=QUIET) as journal:
        write_calls(journal, 2)
        journal._writer._evolved -= 1000  # pyright: ignore[reportPrivateUsage]  # instead of waiting 15 minutes
        write_calls(journal, 3)
        journal._writer._checked -= 100  # pyright: ignore[reportPrivateUsage]
        write_calls(journal, 3)
    kinds = [str(entry.fields["type"]) for entry in records(tmp_path / "j")]
    assert (kinds.count("epoch"), kinds.count("checkpoint")) == (1, 1)


def test_an_anchor_never_goes_back(tmp_path: Path) -> None:
    with Folder.own(str(tmp_path / "j")) as folder:
        anchor = Anchor(folder, "filesystem-1-" + "0" * 32)
        for seq, content in ((5, b"five"), (3, b"three"), (6, b"last")):
            anchor.write(seq, content)
            if seq == 3:
                assert (tmp_path / "j" / f"filesystem-1-{'0' * 32}{SUFFIX}").read_bytes() == b"five"
        anchor.close()
    assert (tmp_path / "j" / f"filesystem-1-{'0' * 32}{SUFFIX}").read_bytes() == b"last"


def test_opening_does_not_import_the_sdk_or_pydantic() -> None:
    program = (
        "import sys, gatelodge_core.audit.cli\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'mcp', 'pydantic', 'anyio', 'asyncio', 'httpx'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
