"""Archives: bombs, links, names that lead out, sizes that lie; and honest ones, whole or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from gatelodge_core.errors import CallError
from gatelodge_filesystem.archives import Limits, entries

from tests.support.wire import MODERN, Revision, Transport, Wire, connected, python_module

SMALL = Limits(entries=10, total=1_000_000, ratio=50, slack=100_000)


def zipped(*items: tuple[str, bytes], mode: int = 0) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in items:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = mode << 16
            archive.writestr(info, data)
    return out.getvalue()


def tarred(
    *items: tuple[str, bytes], kind: str = "w", change: Callable[[tarfile.TarInfo], None] | None = None
) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=kind) as archive:  # pyright: ignore[reportCallIssue, reportArgumentType, reportUnknownVariableType] - kind is any mode
        for name, data in items:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if change is not None:
                change(info)
            archive.addfile(info, io.BytesIO(data))  # pyright: ignore[reportUnknownMemberType]
    return out.getvalue()


def read(data: bytes, limits: Limits = SMALL) -> dict[str, bytes]:
    found = entries(io.BytesIO(data), len(data), limits, lambda: None)
    return {entry.name: b"".join(entry.chunks()) for entry in found}


@pytest.mark.parametrize(
    "data",
    [
        zipped(("a.txt", b"alpha"), ("d/b.txt", b"beta")),
        *(tarred(("a.txt", b"alpha"), ("d/b.txt", b"beta"), kind=f"w{kind}") for kind in ("", ":gz", ":bz2", ":xz")),
    ],
    ids=["zip", "tar", "gz", "bz2", "xz"],
)
def test_each_kind_is_read(data: bytes) -> None:
    assert read(data) == {"a.txt": b"alpha", "d/b.txt": b"beta"}


NAMES = [
    "/etc/passwd", "../x", "a/../../x", "a/..", "..", "C:/x", "a\\..\\x", "a//b", "a/./b", "n" * 256, "new\nline",
    "rtl\u202e.txt", "d/" * 60 + "x",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_out_or_hides_is_refused(name: str) -> None:
    for data in (zipped(("fine.txt", b"x"), (name, b"x")), tarred(("fine.txt", b"x"), (name, b"x"))):
        with pytest.raises(CallError, match="bad_archive"):
            read(data)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_links_and_special_files_are_refused(kind: bytes) -> None:
    def change(info: tarfile.TarInfo) -> None:
        info.type, info.linkname, info.size = kind, "/etc/passwd", 0

    with pytest.raises(CallError, match="link or special"):
        read(tarred(("a", b""), change=change))


def test_a_link_in_a_zip_is_refused() -> None:
    with pytest.raises(CallError, match="link or special"):
        read(zipped(("a", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777))


def test_bombs_are_refused_by_what_they_unpack_to() -> None:
    zeros = bytes(900_000)
    for data in (zipped(("a", zeros)), tarred(("a", zeros), kind="w:gz"), tarred(("a", zeros), kind="w:xz")):
        with pytest.raises(CallError, match="bad_archive"):
            read(data)
    many = [(str(number), b"") for number in range(11)]
    for data in (zipped(*many), tarred(*many)):
        with pytest.raises(CallError, match="more than 10 entries"):
            read(data)


def test_a_size_that_lies_does_not_help_a_bomb() -> None:
    data = bytearray(zipped(("a", bytes(900_000))))
    at = data.find(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, 10)
    with pytest.raises(CallError, match="bad_archive"):
        read(bytes(data))


def test_a_tar_header_that_claims_gigabytes_takes_no_memory() -> None:
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 4 << 30
    header = info.tobuf(tarfile.GNU_FORMAT)
    tracemalloc.start()
    try:
        with pytest.raises(CallError, match="bad_archive"):
            read(header + bytes(2_000_000), Limits())
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_a_zip_directory_of_a_million_entries_is_not_read() -> None:
    data = zipped(("a", b"x"))
    end = data.find(b"PK\x05\x06")
    swollen = data[:end] + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 65535, 65535, 0xFFFFFFFF, 0, 0)
    with pytest.raises(CallError, match="more than 10 entries"):
        read(swollen)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04torn", b"\x1f\x8btorn", b"no archive at all" * 100])
def test_what_is_no_archive_says_so(data: bytes) -> None:
    with pytest.raises(CallError, match="bad_archive"):
        read(data)


@pytest.mark.parametrize("cut", [40, 200, 700, 1100])
def test_a_torn_archive_is_refused(cut: int) -> None:
    data = tarred(("a", os.urandom(3000)), kind="w:gz")
    with pytest.raises(CallError, match="bad_archive"):
        read(data[:cut])


def test_the_same_name_twice_is_refused() -> None:
    with pytest.raises(CallError, match="twice"):
        read(tarred(("a", b"1"), ("A", b"2")))


@pytest.fixture(scope="module")
def served(
    transport: Transport, revision: Revision, tmp_path_factory: pytest.TempPathFactory
) -> Generator[tuple[Wire, Path]]:
    base = tmp_path_factory.mktemp("archives")
    (base / "home").mkdir()
    arguments = [str(base / "home"), "--tools", "archive", "--state-dir", str(base / "state")]
    with connected(python_module("gatelodge_filesystem", *arguments), transport, revision) as wire:
        yield wire, base / "home"


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tgz"])
def test_what_was_packed_is_unpacked_again(served: tuple[Wire, Path], ending: str) -> None:
    wire, home = served
    source = home / f"source-{ending}"
    (source / "deep").mkdir(parents=True)
    (source / "a.txt").write_bytes(b"alpha")
    (source / "deep" / "run.sh").write_bytes(b"#!/bin/sh\n" * 20_000)
    (source / "deep" / "run.sh").chmod(0o755)
    (source / ".env").write_bytes(b"secret")
    (source / "link").symlink_to("/etc/passwd")
    name = f"made.{ending}"
    text = wire.text("create_archive", folder=source.name, path=name)
    assert "packed 2 files" in text
    assert "2 links, special files or credentials left out" in text
    assert "exists" in wire.error("create_archive", folder=source.name, path=name)
    listed = wire.text("list_archive", path=name)
    assert "deep/run.sh" in listed
    assert ".env" not in listed
    wire.text("extract_archive", path=name, folder=f"out-{ending}")
    out = home / f"out-{ending}"
    assert {path.relative_to(out).as_posix() for path in out.rglob("*")} == {"a.txt", "deep", "deep/run.sh"}
    assert (out / "deep" / "run.sh").read_bytes() == b"#!/bin/sh\n" * 20_000
    assert (out / "deep" / "run.sh").stat().st_mode & 0o100
    assert "exists" in wire.error("extract_archive", path=name, folder=f"out-{ending}")


def test_a_refused_archive_leaves_nothing(served: tuple[Wire, Path]) -> None:
    wire, home = served
    before = sorted(os.listdir(home))
    for number, data in enumerate(
        (
            tarred(("fine.txt", b"x" * 1000), ("../../evil", b"x")),
            tarred(("fine.txt", b"x"), ("sub/.ssh/authorized_keys", b"x")),
            zipped(("fine.txt", b"x"), ("bomb", bytes(100_000_000))),
        )
    ):
        name = f"evil-{number}"
        (home / name).write_bytes(data)
        assert "Nothing was unpacked" in wire.error("extract_archive", path=name, folder="never")
        (home / name).unlink()
    assert sorted(os.listdir(home)) == before
    assert not (home.parent / "evil").exists()


def test_archives_are_offered_on_request_alone(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    arguments = [str(tmp_path / "home"), "--state-dir", str(tmp_path / "state")]
    names: list[set[str]] = []
    for more in ((), ("--tools", "archive"), ("--tools", "archive", "--read-only")):
        with connected(python_module("gatelodge_filesystem", *arguments, *more), "stdio", MODERN) as wire:
            tools = {tool["name"] for tool in wire.request("tools/list")["result"]["tools"]}
            names.append({name for name in tools if name.endswith("_archive")})
    assert names == [set(), {"list_archive", "create_archive", "extract_archive"}, {"list_archive"}]


def test_packing_and_unpacking_can_be_undone(served: tuple[Wire, Path]) -> None:
    wire, home = served
    (home / "undone").mkdir()
    (home / "undone" / "a.txt").write_bytes(b"a")
    packed = wire.text("create_archive", folder="home/undone", path="home/undone.zip")
    unpacked = wire.text("extract_archive", path="home/undone.zip", folder="home/undone again")
    assert (home / "undone again" / "a.txt").read_bytes() == b"a"
    for answer in (unpacked, packed):
        wire.text("undo_change", change=answer.rsplit("change=", 1)[1].strip())
    assert not (home / "undone again").exists()
    assert not (home / "undone.zip").exists()
    assert (home / "undone" / "a.txt").read_bytes() == b"a"


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("a/b", "A"), ("d/", "d"), ("d", "d/"), ("a", "A/b/c")])
def test_a_name_that_is_both_file_and_folder_is_refused(names: tuple[str, ...]) -> None:
    for make in (zipped, tarred):
        if make is tarred and any(name.endswith("/") for name in names):
            continue
        with pytest.raises(CallError, match=r"both a file and a folder|in it twice"):
            read(make(*((name, b"") for name in names)))


def test_a_damaged_archive_ends_in_a_clear_error_or_in_entries() -> None:
    """Every byte of the headers flipped in several ways, and names that are no UTF-8."""
    good = [
        zipped(("a.txt", b"alpha" * 20), ("d/\xe4.txt", b"beta")),
        *(
            tarred(("a.txt", b"alpha" * 20), ("d/\xe4.txt", b"beta"), kind=f"w{kind}")
            for kind in ("", ":gz", ":bz2", ":xz")
        ),
    ]
    for data in good:
        for at in range(min(len(data), 700)):
            for flip in (0x01, 0x80, 0xFF):
                bad = bytearray(data)
                bad[at] ^= flip
                with contextlib.suppress(CallError):
                    read(bytes(bad))
        for end in range(0, min(len(data), 700), 3):
            with contextlib.suppress(CallError):
                read(data[:end])
    for name in (b"\xff\xfe", b"d/\xe4", b"\xc3\x28", b"\xed\xa0\x80"):
        for data in (zipped(("nnnnnn"[: len(name)], b"x")), tarred(("nnnnnn"[: len(name)], b"x"))):
            with contextlib.suppress(CallError):
                read(data.replace(b"nnnnnn"[: len(name)], name))
