"""Writes: wholly old or wholly new, metadata kept, nobody's change lost, nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import stat
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest
from gatelodge_core.errors import CallError, NotFound, SettingsError, SpecialFile
from gatelodge_core.sandbox.jail import Jail
from gatelodge_core.sandbox.place import Place, rename_exchange
from gatelodge_filesystem.atomic import Current, StaleError, Writer, Written
from gatelodge_filesystem.encoding import etag
from gatelodge_filesystem.locks import PathLocks, private_directory
from gatelodge_filesystem.pending import Pending, Record

from tests.support.disks import mounted

ROOT_USER = hasattr(os, "geteuid") and os.geteuid() == 0


@dataclass
class Desk:
    """A folder to write in."""

    folder: Path
    jail: Jail
    writer: Writer
    pending: Pending

    def create(self, name: str, data: bytes) -> Written:
        with self.jail.parent(name) as place:
            return self.writer.create(place, data, path=str(self.folder))

    def replace(self, name: str, data: bytes | Callable[[Current], bytes], expected: str = "") -> Written:
        with self.jail.parent(name) as place:
            change = data if callable(data) else _always(data)
            return self.writer.replace(place, change, path=str(self.folder), expected=expected)

    def names(self) -> list[str]:
        return sorted(os.listdir(self.folder))


def _always(data: bytes) -> Callable[[Current], bytes]:
    return lambda _: data


@pytest.fixture
def desk(tmp_path: Path) -> Generator[Desk]:
    folder = tmp_path / "folder"
    folder.mkdir()
    pending = Pending(str(tmp_path / "state" / "pending"))
    writer = Writer(PathLocks(str(tmp_path / "state" / "locks")), pending)
    with Jail.pin(str(folder), writable=True) as jail:
        yield Desk(folder, jail, writer, pending)
    assert os.listdir(tmp_path / "state" / "pending") == []


def test_a_new_file_is_written_and_an_existing_name_refused(desk: Desk) -> None:
    written = desk.create("a.txt", b"one")
    assert written == Written(etag(b"one"), 3, created=True)
    with pytest.raises(CallError, match="exists"):
        desk.create("a.txt", b"two")
    assert (desk.folder / "a.txt").read_bytes() == b"one"
    assert desk.names() == ["a.txt"]


def test_a_new_file_has_the_mode_the_umask_gives(desk: Desk) -> None:
    desk.create("a.txt", b"")
    control = desk.folder / "control"
    control.write_bytes(b"")
    assert stat.S_IMODE((desk.folder / "a.txt").stat().st_mode) == stat.S_IMODE(control.stat().st_mode)


def test_nothing_is_created_through_a_dangling_link(desk: Desk, tmp_path: Path) -> None:
    (desk.folder / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(CallError, match="exists"):
        desk.create("link", b"x")
    assert not (tmp_path / "outside").exists()


def test_a_replacement_needs_the_version_that_was_seen(desk: Desk) -> None:
    desk.create("a", b"one")
    assert desk.replace("a", b"two", etag(b"one")).etag == etag(b"two")
    with pytest.raises(StaleError) as caught:
        desk.replace("a", b"three", etag(b"one"))
    assert caught.value.present == b"two"
    assert (desk.folder / "a").read_bytes() == b"two"
    assert desk.names() == ["a"]


def test_links_fifos_and_missing_files_are_not_replaced(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"outside")
    (desk.folder / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(desk.folder / "fifo")
    for name, kind in (("link", NotFound), ("missing", NotFound), ("fifo", SpecialFile)):
        with pytest.raises(kind):
            desk.replace(name, b"x")
    assert (tmp_path / "outside").read_bytes() == b"outside"


def test_mode_and_attributes_are_kept(desk: Desk) -> None:
    path = desk.folder / "a"
    path.write_bytes(b"one")
    path.chmod(0o640)
    attributes = True
    try:
        os.setxattr(path, "user.colour", b"green")
    except (OSError, AttributeError):
        attributes = False
    desk.replace("a", b"two")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    if attributes:
        assert os.getxattr(path, "user.colour") == b"green"


@pytest.mark.skipif(not ROOT_USER, reason="only root can give files away")
def test_the_owner_is_kept_and_setuid_with_it(desk: Desk) -> None:
    path = desk.folder / "a"
    path.write_bytes(b"one")
    os.chown(path, 12345, 23456)
    path.chmod(0o4755)
    desk.replace("a", b"two")
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12345, 23456, 0o4755)


def test_another_name_of_the_same_inode_keeps_the_old_bytes(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"one")
    os.link(tmp_path / "outside", desk.folder / "a")
    desk.replace("a", b"two")
    assert (tmp_path / "outside").read_bytes() == b"one"


def test_a_failing_change_leaves_everything_as_it_was(desk: Desk) -> None:
    desk.create("a", b"one")

    def fail(_: Current) -> bytes:
        raise CallError("no_match", "nothing to change.")

    with pytest.raises(CallError, match="no_match"):
        desk.replace("a", fail)
    assert desk.names() == ["a"]


@pytest.mark.skipif(not ROOT_USER, reason="mounts a small file system")
def test_a_full_disk_keeps_the_old_bytes_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    with mounted(folder, "size=64k"):
        writer = Writer(PathLocks(str(tmp_path / "locks")), Pending(str(tmp_path / "pending")))
        with Jail.pin(str(folder), writable=True) as jail:
            made = Desk(folder, jail, writer, Pending(str(tmp_path / "pending")))
            made.create("a", b"old")
            with pytest.raises(CallError, match="no_space"):
                made.replace("a", b"x" * 200_000)
            with pytest.raises(CallError, match="no_space"):
                made.create("b", b"x" * 200_000)
            assert (folder / "a").read_bytes() == b"old"
            assert made.names() == ["a"]


@pytest.mark.skipif(not ROOT_USER, reason="mounts a small file system")
def test_a_state_folder_without_room_for_a_lock_is_a_full_disk_too(desk: Desk, tmp_path: Path) -> None:
    state = tmp_path / "small"
    with mounted(state, "nr_inodes=4"):
        writer = Writer(PathLocks(str(state / "locks")), Pending(str(state / "pending")))
        (state / "last").touch()
        desk.create("a", b"old")
        made = Desk(desk.folder, desk.jail, writer, Pending(str(state / "pending")))
        with pytest.raises(CallError, match="no_space"):
            made.replace("a", b"new")
        assert made.names() == ["a"]
        assert (desk.folder / "a").read_bytes() == b"old"


def test_fifty_threads_that_edit_fifty_lines_all_survive(desk: Desk) -> None:
    desk.create("a", b"".join(b"line %02d\n" % number for number in range(50)))

    def edit(number: int) -> None:
        old, new = b"line %02d\n" % number, b"LINE %02d\n" % number
        desk.replace("a", lambda current: current.data.replace(old, new))

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (desk.folder / "a").read_bytes() == b"".join(b"LINE %02d\n" % number for number in range(50))
    assert desk.names() == ["a"]


COUNT = """
import sys
from gatelodge_core.sandbox.jail import Jail
from gatelodge_filesystem.atomic import Writer
from gatelodge_filesystem.locks import PathLocks
from gatelodge_filesystem.pending import Pending
folder, state, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
writer = Writer(PathLocks(state + "/locks"), Pending(state + "/pending"))
with Jail.pin(folder, writable=True) as jail:
    for _ in range(times):
        with jail.parent("counter") as place:
            writer.replace(place, lambda current: b"%d" % (int(current.data) + 1), path=folder)
"""


def test_four_processes_that_count_lose_no_step(desk: Desk, tmp_path: Path) -> None:
    desk.create("counter", b"0")
    command = [sys.executable, "-c", COUNT, str(desk.folder), str(tmp_path / "state"), "250"]
    counters = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(100) for process in counters] == [0] * 4
    assert (desk.folder / "counter").read_bytes() == b"1000"
    assert desk.names() == ["counter"]


FOREIGN = """
import os, sys
path, times = sys.argv[1], int(sys.argv[2])
sys.stdout.write("go\\n"); sys.stdout.flush()
for number in range(times):
    temporary = f"{path}.foreign"
    with open(temporary, "w") as target:
        target.write(f"foreign {number}")
    os.rename(temporary, path)
    sum(range(20000))  # a pause, so that the other side gets a turn too
"""


def test_versions_of_a_program_without_our_locks_are_never_lost_unsaid(desk: Desk) -> None:
    """Ours is written only over what we saw: each of our successes displaced the version it was made from."""
    desk.create("a", b"ours -1")
    foreign = subprocess.Popen(
        [sys.executable, "-c", FOREIGN, str(desk.folder / "a"), "3000"], stdout=subprocess.PIPE, text=True
    )
    assert foreign.stdout is not None
    foreign.stdout.readline()
    outcomes: Counter[str] = Counter()
    number = 0
    last_success = -1
    while foreign.poll() is None:
        number += 1
        mine = b"ours %d" % number
        try:
            desk.replace("a", mine, etag((desk.folder / "a").read_bytes()))
        except StaleError:
            outcomes["stale"] += 1
        except (CallError, NotFound) as error:
            outcomes[str(getattr(error, "code", "missing"))] += 1
        else:
            outcomes["written"] += 1
            last_success = number
    foreign.stdout.close()
    assert foreign.returncode == 0
    # Whatever came last is whole, and is one of the two last writers' versions.
    assert (desk.folder / "a").read_bytes() in (b"foreign 2999", b"ours %d" % last_success)
    assert outcomes["written"] > 0
    assert [name for name in desk.names() if name.startswith(".gatelodge-")] == []


def test_a_version_that_slips_in_before_the_exchange_is_put_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.create("a", b"one")
    real = rename_exchange
    slipped: list[bool] = []

    def slow(first_fd: int, first: str, second_fd: int, second: str) -> None:
        if not slipped:
            slipped.append(True)
            (desk.folder / "other").write_bytes(b"foreign")
            os.rename(desk.folder / "other", desk.folder / "a")
        real(first_fd, first, second_fd, second)

    monkeypatch.setattr("gatelodge_filesystem.atomic.rename_exchange", slow)
    with pytest.raises(StaleError) as caught:
        desk.replace("a", b"two", etag(b"one"))
    assert caught.value.present == b"foreign"
    assert (desk.folder / "a").read_bytes() == b"foreign"
    assert desk.names() == ["a"]


def test_the_newest_foreign_version_stays_and_an_overwritten_one_is_kept_beside(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.create("a", b"one")
    real = rename_exchange
    calls: list[int] = []

    def slow(first_fd: int, first: str, second_fd: int, second: str) -> None:
        calls.append(1)
        if len(calls) <= 3:
            (desk.folder / "other").write_bytes(b"foreign %d" % len(calls))
            os.rename(desk.folder / "other", desk.folder / "a")
        real(first_fd, first, second_fd, second)

    monkeypatch.setattr("gatelodge_filesystem.atomic.rename_exchange", slow)
    with pytest.raises(CallError, match=r"kept as a\.displaced-"):
        desk.replace("a", b"two", etag(b"one"))
    newest, kept = desk.names()
    assert newest == "a"
    assert (desk.folder / newest).read_bytes() == b"foreign 3"
    assert (desk.folder / kept).read_bytes().startswith(b"foreign")


WRITE_FOR_EVER = """
import sys
from gatelodge_core.sandbox.jail import Jail
from gatelodge_filesystem.atomic import Writer
from gatelodge_filesystem.locks import PathLocks
from gatelodge_filesystem.pending import Pending
folder, state = sys.argv[1], sys.argv[2]
writer = Writer(PathLocks(state + "/locks"), Pending(state + "/pending"))
sys.stdout.write("go\\n"); sys.stdout.flush()
with Jail.pin(folder, writable=True) as jail:
    for number in range(1, 100000):
        with jail.parent("a") as place:
            writer.replace(place, lambda current: bytes([number % 256]) * 50000, path=folder)
        with jail.parent("new") as place:
            writer.create(place, bytes([number % 256]) * 50000, path=folder)
        import os
        os.unlink(folder + "/new")
"""


def settle(folder: Path, pending: Pending) -> list[str]:
    def reach(path: str, identity: tuple[int, int]) -> int | None:
        found = os.stat(path)
        return os.open(path, os.O_RDONLY) if (found.st_dev, found.st_ino) == identity else None

    return pending.settle(reach)


def test_a_killed_writer_leaves_whole_files_and_nothing_else(tmp_path: Path) -> None:
    folder, state = tmp_path / "folder", tmp_path / "state"
    folder.mkdir()
    (folder / "a").write_bytes(b"\0" * 50000)
    chance = random.Random(7)
    recovered = 0
    for _ in range(40):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(folder), str(state)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        # A random moment of work, measured in bytes the process wrote, not in time.
        for _ in range(chance.randrange(1, 4000)):
            if process.poll() is not None:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        recovered += len(settle(folder, Pending(str(state / "pending"))))
        assert os.listdir(state / "pending") == []
        assert [name for name in os.listdir(folder) if name not in ("a", "new")] == []
        for name in os.listdir(folder):
            content = (folder / name).read_bytes()
            assert len(content) == 50000
            assert len(set(content)) == 1
        with contextlib.suppress(FileNotFoundError):
            (folder / "new").unlink()
    assert recovered > 0, "no kill fell within a write: the test shows nothing"


def test_a_displaced_version_nobody_has_is_kept_by_recovery(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / ".gatelodge-x.tmp").write_bytes(b"foreign and displaced")
    found = folder.stat()
    pending = Pending(str(tmp_path / "pending"))
    record = Record((found.st_dev, found.st_ino), str(folder), ".gatelodge-x.tmp", "a", etag(b"what we saw"))
    text = f"{json.dumps(asdict(record))}\n999"
    (tmp_path / "pending" / "r.json").write_text(text, encoding="utf-8")
    assert "kept a.displaced-" in settle(folder, pending)[0]
    (kept,) = os.listdir(folder)
    assert (folder / kept).read_bytes() == b"foreign and displaced"


def test_a_living_writer_is_left_alone(desk: Desk) -> None:
    found = desk.folder.stat()
    record = Record((found.st_dev, found.st_ino), str(desk.folder), ".gatelodge-y.tmp", "a", "")
    (desk.folder / ".gatelodge-y.tmp").write_bytes(b"in the making")
    with desk.pending.noted(record):
        assert settle(desk.folder, desk.pending) == []
        assert (desk.folder / ".gatelodge-y.tmp").exists()


def test_locks_of_several_paths_are_taken_in_one_order(tmp_path: Path) -> None:
    locks = PathLocks(str(tmp_path / "locks"))
    keys = [(1, 1, f"name{number}") for number in range(40)]
    done: list[int] = []

    def work(order: list[tuple[int, int, str]]) -> None:
        for _ in range(20):
            with locks.hold(order, seconds=60):
                done.append(1)

    threads = [threading.Thread(target=work, args=(keys if number % 2 else keys[::-1],)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 120


def test_a_lock_that_is_held_is_waited_for_no_longer_than_told(tmp_path: Path) -> None:
    locks, others = PathLocks(str(tmp_path / "locks")), PathLocks(str(tmp_path / "locks"))
    with locks.hold([(1, 2, "a")]):
        for contender in (locks, others):  # another thread of this process, and what is like another process
            with pytest.raises(CallError, match="busy"), contender.hold([(1, 2, "a")], seconds=0.05):
                pass
    with others.hold([(1, 2, "a")], seconds=0.05):
        pass


def test_a_state_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(SettingsError, match="--state-dir"):
        private_directory(str(tmp_path / "link"))
    made = private_directory(str(tmp_path / "new" / "deep"))
    assert stat.S_IMODE(os.stat(made).st_mode) == 0o700


def test_a_place_is_a_single_name(desk: Desk) -> None:
    fd = os.open(desk.folder, os.O_RDONLY)
    with pytest.raises(Exception, match="not a name"):
        desk.writer.create(Place(fd, "../outside"), b"x", path="")
    os.close(fd)
