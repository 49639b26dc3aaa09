"""Attacks on the path jail, by both ways of pinning: every way out that names can spell."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import unicodedata
from pathlib import Path

import pytest
from gatelodge_core.errors import (
    AlreadyExists,
    BadName,
    IsADirectory,
    JailError,
    NotADirectory,
    NotFound,
    ReadOnly,
    SpecialFile,
)
from gatelodge_core.sandbox._opener import WalkOpener
from gatelodge_core.sandbox.jail import Jail
from gatelodge_core.sandbox.place import (
    check_name,
    find_normalised,
    make_directory,
    open_at,
    remove,
    rename_exchange,
    rename_noreplace,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox.conftest import CANARY, INSIDE, Grounds, lay_out, openers


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@pytest.mark.parametrize(
    "rel",
    [
        "../outside/secret",
        "a/../../outside/secret",
        "a/b/../../../outside/secret",
        "./../outside/secret",
        "..",
        "../root-sibling/secret",
        "a/b/c/../../../../root-sibling/secret",
        "/etc/passwd",
        "//etc/passwd",
        "a//../..//outside/secret",
    ],
)
def test_dots_and_absolute_paths_lead_nowhere(grounds: Grounds, rel: str) -> None:
    for attempt in (grounds.jail.open_file, grounds.jail.open_directory, grounds.jail.stat, grounds.jail.canonical):
        with pytest.raises(NotFound, match=r"^not found$"):
            attempt(rel)


@pytest.mark.parametrize("rel", ["a/file", "./a/./file", "a//file", "a/b/../file", "a/b/c/../../file"])
def test_paths_that_stay_inside_work(grounds: Grounds, rel: str) -> None:
    assert grounds.read(rel) == INSIDE
    assert grounds.jail.canonical(rel) == "a/file"


def test_a_link_that_stays_inside_works(grounds: Grounds) -> None:
    (grounds.root / "near").symlink_to("a/file")
    (grounds.root / "a" / "up").symlink_to("../a/b")
    (grounds.root / "chain").symlink_to("near")
    assert grounds.read("near") == INSIDE
    assert grounds.read("chain") == INSIDE
    assert grounds.read("a/up/c/deep") == INSIDE
    assert grounds.jail.canonical("a/up/c/deep") == "a/b/c/deep"
    assert grounds.jail.read_link("chain") == "near"


def test_an_absolute_link_back_inside_works(grounds: Grounds) -> None:
    (grounds.root / "abs").symlink_to(grounds.root / "a" / "file")
    (grounds.root / "home").symlink_to(grounds.root)
    assert grounds.read("abs") == INSIDE
    assert grounds.read("home/a/b/../file") == INSIDE
    assert grounds.jail.canonical("home/a/file") == "a/file"


@pytest.mark.parametrize(
    "target",
    [
        "../outside/secret",
        "/etc/passwd",
        "a/../../outside/secret",
        "/proc/self/root/etc/passwd",
        "/proc/self/cwd",
        "/dev/fd/0",
        "../root-sibling/secret",
    ],
)
def test_a_link_that_leaves_is_told_from_a_missing_file_by_nothing(grounds: Grounds, target: str) -> None:
    (grounds.root / "link").symlink_to(target)
    with pytest.raises(JailError) as refused:
        grounds.jail.open_file("link")
    with pytest.raises(JailError) as missing:
        grounds.jail.open_file("missing")
    assert (type(refused.value), str(refused.value)) == (type(missing.value), str(missing.value))


def test_a_directory_link_that_leaves_is_refused_for_what_lies_behind_it(grounds: Grounds) -> None:
    (grounds.root / "door").symlink_to(grounds.outside)
    (grounds.root / "a" / "door").symlink_to("../../outside")
    for rel in ("door/secret", "a/door/secret", "door", "a/door/", "door/../outside/secret", "door/missing"):
        with pytest.raises(NotFound):
            grounds.jail.open_file(rel)
        with pytest.raises(NotFound):
            grounds.jail.open_directory(rel)


def test_a_link_beside_the_root_with_its_name_as_prefix_does_not_count_as_inside(grounds: Grounds) -> None:
    (grounds.root / "link").symlink_to(f"{grounds.root}-sibling/secret")
    with pytest.raises(NotFound):
        grounds.jail.open_file("link")


def test_links_in_a_circle_end(grounds: Grounds) -> None:
    (grounds.root / "x").symlink_to("y")
    (grounds.root / "y").symlink_to("x")
    with pytest.raises(NotFound):
        grounds.jail.open_file("x")


def test_forty_links_in_a_row_pass_and_more_do_not(grounds: Grounds) -> None:
    (grounds.root / "l0").symlink_to("a/file")
    for number in range(1, 45):
        (grounds.root / f"l{number}").symlink_to(f"l{number - 1}")
    assert grounds.read("l39") == INSIDE
    with pytest.raises(NotFound):
        grounds.jail.open_file("l44")


def test_a_place_to_change_is_never_behind_a_link(grounds: Grounds) -> None:
    (grounds.root / "dangling").symlink_to(grounds.outside / "new")
    (grounds.root / "door").symlink_to(grounds.outside)
    with grounds.jail.parent("dangling") as place, pytest.raises(FileExistsError):
        os.open(place.name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600, dir_fd=place.fd)
    with pytest.raises(NotFound), grounds.jail.parent("door/new"):
        pass
    assert sorted(os.listdir(grounds.outside)) == ["secret"]


@pytest.mark.parametrize("rel", ["", ".", "..", "a/..", "a/.", "/"])
def test_what_has_no_name_is_no_place_to_change(grounds: Grounds, rel: str) -> None:
    with pytest.raises(BadName), grounds.jail.parent(rel):
        pass


def test_a_read_only_root_gives_no_place_to_change(tmp_path: Path) -> None:
    root, _ = lay_out(tmp_path)
    with Jail.pin(str(root), writable=False) as jail, pytest.raises(ReadOnly), jail.parent("a/new"):
        pass


@pytest.mark.parametrize("rel", ["a\0b", "\0", "a/file\0/../../outside", "x" * 256, "y/" * 2049, "\ud800"])
def test_hard_names_are_refused_before_any_system_call(grounds: Grounds, rel: str) -> None:
    with pytest.raises(BadName):
        grounds.jail.open_file(rel)
    if "/" not in rel:
        with pytest.raises(BadName):
            check_name(rel)


@pytest.mark.parametrize(
    "raw", [b"new\nline", b"bad\x80utf8", b"x" * 255, "na\N{COMBINING DIAERESIS}me".encode(), b" ", b"-rf", b"\x1b[31m"]
)
def test_odd_names_that_the_system_allows_work(grounds: Grounds, raw: bytes) -> None:
    with open(os.fsencode(grounds.root) + b"/" + raw, "wb") as target:
        target.write(INSIDE)
    assert grounds.read(os.fsdecode(raw)) == INSIDE


def test_a_decomposed_name_is_found_by_its_composed_form_and_two_are_not(grounds: Grounds) -> None:
    composed = unicodedata.normalize(
        "NFC", "stra\N{LATIN SMALL LETTER SHARP S}e-\N{LATIN SMALL LETTER U WITH DIAERESIS}"
    )
    decomposed = unicodedata.normalize("NFD", composed)
    (grounds.root / decomposed).write_bytes(INSIDE)
    with pytest.raises(NotFound):
        grounds.jail.open_file(composed)
    fd = grounds.jail.open_directory("")
    assert find_normalised(fd, composed) == decomposed
    os.close(fd)
    (grounds.root / composed).write_bytes(INSIDE)
    fd = grounds.jail.open_directory("")
    assert find_normalised(fd, composed) is None
    os.close(fd)


def test_special_files_fail_at_once(grounds: Grounds) -> None:
    os.mkfifo(grounds.root / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        with contextlib.chdir(grounds.root):  # a socket's path may have 107 bytes at most
            listener.bind("socket")
        names = ["fifo", "socket"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            try:
                os.mknod(grounds.root / "zero", 0o600 | stat.S_IFCHR, os.makedev(1, 5))
                names.append("zero")
            except PermissionError:
                pass
        for name in names:
            with pytest.raises(SpecialFile):
                grounds.jail.open_file(name)
            with grounds.jail.parent(name) as place, pytest.raises(SpecialFile):
                open_at(place.fd, place.name)


def test_kinds_of_failure_are_told_apart(grounds: Grounds) -> None:
    with pytest.raises(IsADirectory):
        grounds.jail.open_file("a")
    with pytest.raises(NotADirectory):
        grounds.jail.open_directory("a/file")
    with pytest.raises(NotADirectory):
        grounds.jail.open_file("a/file/x")
    with pytest.raises(NotFound):
        grounds.jail.read_link("a/file")


def test_open_at_takes_no_link(grounds: Grounds) -> None:
    (grounds.root / "link").symlink_to(grounds.outside / "secret")
    (grounds.root / "near").symlink_to("a/file")
    for name in ("link", "near"):
        with grounds.jail.parent(name) as place, pytest.raises(NotFound):
            open_at(place.fd, place.name)


def test_renames_refuse_or_exchange(grounds: Grounds) -> None:
    (grounds.root / "one").write_bytes(b"1")
    (grounds.root / "two").write_bytes(b"2")
    with grounds.jail.parent("one") as place:
        with pytest.raises(AlreadyExists):
            rename_noreplace(place.fd, "one", place.fd, "two")
        rename_exchange(place.fd, "one", place.fd, "two")
        assert (grounds.root / "one").read_bytes() == b"2"
        rename_noreplace(place.fd, "one", place.fd, "three")
        with pytest.raises(NotFound):
            rename_exchange(place.fd, "one", place.fd, "two")
        with pytest.raises(BadName):
            rename_noreplace(place.fd, "three", place.fd, "../outside/x")
        make_directory(place.fd, "made")
        with pytest.raises(AlreadyExists):
            make_directory(place.fd, "made")
        remove(place.fd, "three")
    assert sorted(os.listdir(grounds.root)) == ["a", "made", "two"]


def test_removing_a_link_leaves_its_target(grounds: Grounds) -> None:
    (grounds.root / "link").symlink_to(grounds.outside / "secret")
    with grounds.jail.parent("link") as place:
        remove(place.fd, place.name)
    assert (grounds.outside / "secret").read_bytes() == CANARY


def test_the_root_stays_the_directory_it_was_when_its_name_is_given_to_another(grounds: Grounds) -> None:
    os.rename(grounds.root, grounds.root.parent / "moved")
    os.symlink(grounds.outside, grounds.root)
    assert grounds.read("a/file") == INSIDE
    with pytest.raises(NotFound):
        grounds.jail.open_file("secret")


def test_two_walks_over_one_directory_do_not_share_an_offset(grounds: Grounds) -> None:
    first, second = grounds.jail.open_directory("a"), grounds.jail.open_directory("a")
    assert sorted(os.listdir(first)) == sorted(os.listdir(second)) == ["b", "file"]
    os.close(first)
    os.close(second)


def test_nothing_is_leaked_by_any_failure(grounds: Grounds) -> None:
    os.mkfifo(grounds.root / "fifo")
    (grounds.root / "out").symlink_to("/etc/passwd")
    (grounds.root / "loop").symlink_to("loop")
    before = descriptors()
    for rel in ("fifo", "out", "loop", "..", "a/b/../../..", "a/file/x", "missing", "a/missing/x", "a", "out/x", "\0"):
        for attempt in (grounds.jail.open_file, grounds.jail.canonical, grounds.jail.stat, grounds.jail.read_link):
            try:
                found = attempt(rel)
            except JailError:
                continue
            if isinstance(found, int):
                os.close(found)
    assert descriptors() == before


NAMES = st.sampled_from(
    ["a", "b", "c", "..", ".", "", "file", "deep", "in", "out", "abs", "up", "secret", "outside", "root"]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(NAMES, max_size=8), links=st.lists(st.tuples(NAMES, st.lists(NAMES, max_size=5)), max_size=4))
def test_no_path_over_any_links_reaches_the_canary_and_both_ways_agree(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], links: list[tuple[str, list[str]]]
) -> None:
    root, outside = lay_out(tmp_path_factory.mktemp("tree"))
    (root / "a" / "out").symlink_to(outside)
    (root / "abs").symlink_to(root / "a")
    for name, target in links:
        if name in ("", ".", "..") or not "/".join(target):
            continue
        try:
            (root / "a" / name).symlink_to("/".join(target))
        except FileExistsError:
            continue
    rel = "/".join(parts).lstrip("/")
    seen: list[object] = []
    for opener in openers():
        with Jail.pin(str(root), writable=True, opener=opener) as jail:
            try:
                fd = jail.open_file(rel)
            except JailError as error:
                seen.append((type(error), str(error)))
            else:
                with os.fdopen(fd, "rb") as source:
                    content = source.read()
                assert content == INSIDE
                seen.append(content)
    assert len(set(seen)) == 1, seen


def test_the_walk_is_what_other_systems_get() -> None:
    assert WalkOpener().level == "walk"
