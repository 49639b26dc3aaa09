"""Attacks on journals that were really written: each is found, and found where it was made."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from gatelodge_core.audit import chain
from gatelodge_core.audit.anchor import SUFFIX
from gatelodge_core.audit.journal import Journal, JournalSettings
from gatelodge_core.audit.keyfile import KEY_NAME
from gatelodge_core.audit.scan import DefectKind
from gatelodge_core.audit.verify import verify

from tests.audit.support import QUIET, closed_journal, defects, mixed_calls, write_calls

ROUNDS = 200
Edit = tuple[list[bytes], int, set[DefectKind]]
"""The lines after an attack, the line at which it must be found, and what it may be called."""


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three servers' journals, one of them in several parts, with checkpoints and epochs throughout."""
    directory = tmp_path_factory.mktemp("state") / "journal"
    for server, calls, size in (("filesystem", 270, 1), ("github", 40, 10**7), ("postgres", 1, 10**7)):
        settings = JournalSettings(read_sync=3600, checkpoint_records=20, epoch_records=70, reserve=0, max_bytes=size)
        with Journal.open(str(directory), server=server, version="1", settings=settings) as writer:
            mixed_calls(writer, calls)
    report = verify(str(directory))
    assert report.ok
    assert sorted(len(found.files) for found in report.chains) == [1, 1, 3]
    return directory


def change(lines: list[bytes], rng: random.Random) -> Edit:
    at = rng.randrange(len(lines))
    line = bytearray(lines[at])
    offset = rng.randrange(len(line))
    line[offset] ^= rng.choice([1, 2, 4, 8, 16, 32, 64, 128])
    kinds = {DefectKind.CHANGED}
    if at == len(lines) - 1:
        # Nothing follows that would vouch for it, so a changed number is taken at its word; without its newline it is cut.
        kinds |= {DefectKind.REMOVED, DefectKind.INSERTED, DefectKind.TRUNCATED}
    return [*lines[:at], bytes(line), *lines[at + 1 :]], at + 1, kinds


def remove(lines: list[bytes], rng: random.Random) -> Edit:
    at = rng.randrange(len(lines))
    count = rng.randint(1, min(5, len(lines) - at))
    kind = DefectKind.REMOVED if at + count < len(lines) else DefectKind.TRUNCATED
    return lines[:at] + lines[at + count :], at + 1, {kind}


def reorder(lines: list[bytes], rng: random.Random) -> Edit:
    first, second = sorted(rng.sample(range(len(lines)), 2))
    edited = list(lines)
    if rng.random() < 0.5:
        edited[first], edited[second] = edited[second], edited[first]
    else:
        edited.insert(first, edited.pop(second))
    return edited, first + 1, {DefectKind.REORDERED}


def insert(lines: list[bytes], rng: random.Random) -> Edit:
    at = rng.randrange(len(lines) + 1)
    forged = lines[min(at, len(lines) - 1)][:-67] + rng.randbytes(32).hex().encode("ascii") + b'"}\n'
    line = rng.choice([rng.choice(lines), forged, b"\n", b"{}\n", rng.randbytes(90).replace(b"\n", b"") + b"\n"])
    # The same line again after itself is told from the first only by its place.
    return [*lines[:at], line, *lines[at:]], at + 1 + (lines[at : at + 1] == [line]), {DefectKind.INSERTED}


def truncate(lines: list[bytes], rng: random.Random) -> Edit:
    content = b"".join(lines)
    left = content[: rng.randrange(len(content))]
    return left.splitlines(keepends=True), left.count(b"\n") + 1, {DefectKind.TRUNCATED}


@pytest.mark.parametrize("attack", [change, remove, reorder, insert, truncate])
def test_two_hundred_attacks_are_each_found_where_they_were_made(
    attack: Callable[[list[bytes], random.Random], Edit], journal: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "journal"
    shutil.copytree(journal, directory)
    rng = random.Random(attack.__name__)
    files = sorted(directory.glob("*.jsonl"))
    for round_ in range(ROUNDS):
        file = rng.choice(files)
        good = file.read_bytes()
        lines, line, kinds = attack(good.splitlines(keepends=True), rng)
        file.write_bytes(b"".join(lines))
        found = [defect for defect in defects(directory) if defect.file == file.name]
        assert len(found) == 1, (round_, file.name)
        assert (found[0].line, found[0].kind in kinds) == (line, True), (round_, found[0], kinds)
        file.write_bytes(good)
    assert not defects(directory)


def test_every_byte_of_an_anchor_is_held(journal: Path, tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    shutil.copytree(journal, directory)
    for anchor in directory.glob("*" + SUFFIX):
        good = anchor.read_bytes()
        for offset in range(0, len(good), 7):
            anchor.write_bytes(good[:offset] + bytes([good[offset] ^ 4]) + good[offset + 1 :])
            assert [defect.file for defect in defects(directory)] == [anchor.name], offset
        anchor.write_bytes(good)


def test_a_tail_cut_to_a_record_boundary_is_found_by_the_anchor(tmp_path: Path) -> None:
    file = closed_journal(tmp_path / "j")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]))
    (found,) = defects(tmp_path / "j")
    assert (found.kind, found.seq, found.line) == (DefectKind.TRUNCATED, len(lines) - 1, len(lines))


def test_deleting_the_anchor_with_the_tail_is_found(tmp_path: Path) -> None:
    file = closed_journal(tmp_path / "j")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-5]))
    anchor = file.with_suffix(SUFFIX)
    content = anchor.read_bytes()
    anchor.unlink()
    assert [(found.file, found.kind) for found in defects(tmp_path / "j")] == [(anchor.name, DefectKind.MISSING)]
    anchor.write_bytes(b"")
    assert [(found.file, found.kind) for found in defects(tmp_path / "j")] == [(anchor.name, DefectKind.TRUNCATED)]
    anchor.write_bytes(content)
    assert [found.kind for found in defects(tmp_path / "j")] == [DefectKind.TRUNCATED]


def test_the_anchor_of_another_chain_does_not_fit(tmp_path: Path) -> None:
    one, two = closed_journal(tmp_path / "j", 5), closed_journal(tmp_path / "j", 9)
    one.with_suffix(SUFFIX).write_bytes(two.with_suffix(SUFFIX).read_bytes())
    assert [(found.file, found.kind) for found in defects(tmp_path / "j")] == [
        (one.with_suffix(SUFFIX).name, DefectKind.CHANGED)
    ]


def test_a_deleted_file_is_found_by_its_anchor(tmp_path: Path) -> None:
    file = closed_journal(tmp_path / "j")
    file.unlink()
    assert [(found.file, found.kind) for found in defects(tmp_path / "j")] == [(file.name, DefectKind.MISSING)]


def test_a_chain_deleted_with_its_anchor_is_found_by_a_later_chain(tmp_path: Path) -> None:
    file = closed_journal(tmp_path / "j")
    closed_journal(tmp_path / "j")
    file.unlink()
    file.with_suffix(SUFFIX).unlink()
    assert [(found.file, found.kind) for found in defects(tmp_path / "j")] == [(file.name, DefectKind.MISSING)]


def test_an_old_journal_put_back_with_its_old_anchor_is_found_by_a_later_chain(tmp_path: Path) -> None:
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=QUIET) as journal:
        write_calls(journal, 5)
        journal.flush()
        file = Path(journal.path)
        anchor = file.with_suffix(SUFFIX)
        old = file.read_bytes(), anchor.read_bytes()
        write_calls(journal, 5)
    closed_journal(tmp_path / "j")
    file.write_bytes(old[0])
    anchor.write_bytes(old[1])
    assert [(found.file, found.kind) for found in defects(tmp_path / "j")] == [(file.name, DefectKind.TRUNCATED)]


def test_a_record_of_another_chain_does_not_fit(tmp_path: Path) -> None:
    one, two = closed_journal(tmp_path / "j", 5), closed_journal(tmp_path / "j", 5)
    lines, others = (file.read_bytes().splitlines(keepends=True) for file in (one, two))
    lines[3] = others[3]
    one.write_bytes(b"".join(lines))
    (found,) = defects(tmp_path / "j")
    assert (found.file, found.line, found.seq, found.kind) == (one.name, 4, 3, DefectKind.CHANGED)


def test_a_file_under_another_name_does_not_verify(tmp_path: Path) -> None:
    file = closed_journal(tmp_path / "j")
    other = file.with_name(file.name.replace("filesystem-", "postgres-"))
    file.rename(other)
    file.with_suffix(SUFFIX).rename(other.with_suffix(SUFFIX))
    assert any(found.file == other.name and found.line == 1 for found in defects(tmp_path / "j"))


def test_two_files_swapped_are_both_found(tmp_path: Path) -> None:
    one, two = closed_journal(tmp_path / "j", 5), closed_journal(tmp_path / "j", 6)
    contents = one.read_bytes(), two.read_bytes()
    one.write_bytes(contents[1])
    two.write_bytes(contents[0])
    assert {(found.file, found.line) for found in defects(tmp_path / "j")} == {(one.name, 1), (two.name, 1)}


def test_a_journal_sealed_with_another_key_is_named_so(tmp_path: Path) -> None:
    file = closed_journal(tmp_path / "j")
    (tmp_path / "j" / KEY_NAME).write_text("0" * 64 + "\n", encoding="ascii")
    found = [defect for defect in defects(tmp_path / "j") if defect.file == file.name]
    assert [(defect.kind, defect.line) for defect in found] == [(DefectKind.FOREIGN_KEY, 1)]


def test_a_file_made_up_with_a_key_of_ones_own_is_found(tmp_path: Path) -> None:
    closed_journal(tmp_path / "j")
    forged = closed_journal(tmp_path / "intruder")
    shutil.copy(forged, tmp_path / "j")
    shutil.copy(forged.with_suffix(SUFFIX), tmp_path / "j")
    assert {(found.file, found.kind) for found in defects(tmp_path / "j")} == {
        (forged.name, DefectKind.FOREIGN_KEY),
        (forged.with_suffix(SUFFIX).name, DefectKind.CHANGED),
    }


def test_a_file_that_is_none_of_ours_is_named(tmp_path: Path) -> None:
    closed_journal(tmp_path / "j")
    (tmp_path / "j" / "extra.jsonl").write_text("{}\n", encoding="ascii")
    assert [(found.file, found.kind) for found in defects(tmp_path / "j")] == [("extra.jsonl", DefectKind.INSERTED)]


def test_a_symbolic_link_in_place_of_a_file_is_not_followed(tmp_path: Path) -> None:
    file = closed_journal(tmp_path / "j")
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert [(found.file, found.kind) for found in defects(tmp_path / "j")] == [(file.name, DefectKind.UNREADABLE)]


def test_a_missing_key_is_an_error_and_not_a_clean_bill(tmp_path: Path) -> None:
    from gatelodge_core.audit.errors import JournalError

    closed_journal(tmp_path / "j")
    (tmp_path / "j" / KEY_NAME).unlink()
    with pytest.raises(JournalError, match=r"no journal\.key"):
        verify(str(tmp_path / "j"))


def test_who_takes_over_the_process_can_not_rewrite_earlier_epochs(tmp_path: Path) -> None:
    """The intruder has the key of this epoch and the whole directory but not the master, and reseals all records."""
    settings = JournalSettings(read_sync=3600, epoch_records=10, reserve=0)
    with Journal.open(str(tmp_path / "j"), server="filesystem", version="1", settings=settings) as journal:
        write_calls(journal, 30)
        stolen = bytes(journal._writer._sealer._key)  # pyright: ignore[reportPrivateUsage]  # what an intruder reads from memory
    file = Path(journal.path)
    lines = file.read_bytes().splitlines(keepends=True)
    epochs = [at for at, line in enumerate(lines) if b'"type":"epoch"' in line]
    assert len(epochs) > 2
    mac = chain.START
    for at, line in enumerate(lines):
        fields = {key: value for key, value in _fields(line).items() if key != "mac"}
        if at == 5:
            fields["name"] = "nothing_happened"
        lines[at], mac = chain.seal(stolen, mac, fields)
    file.write_bytes(b"".join(lines))
    found = [defect for defect in defects(tmp_path / "j") if defect.file == file.name]
    assert [defect.line for defect in found] == [1]


def _fields(line: bytes) -> dict[str, object]:
    from gatelodge_core.audit.scan import parse

    return parse(line)
