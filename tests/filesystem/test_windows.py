"""Windows of lines: right numbers, whole text, budgets, and no more reading than needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from gatelodge_core.errors import CallError
from gatelodge_filesystem import streaming, windows
from gatelodge_filesystem.edits import Edit, apply
from gatelodge_filesystem.encoding import Encoding, etag, split_lines
from gatelodge_filesystem.roots import RootSpec, pin
from gatelodge_filesystem.tools.reading import read_file
from gatelodge_filesystem.windows import Window, numbered, read_window
from gatelodge_filesystem.workspace import Workspace
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture
def window(tmp_path: Path) -> Callable[..., Window]:
    def read(data: bytes, start: int = 1, max_lines: int = 2000, budget: int = 48_000, skip: int = 0) -> Window:
        path = tmp_path / "file"
        path.write_bytes(data)
        fd = os.open(path, os.O_RDONLY)
        try:
            return read_window(fd, start=start, max_lines=max_lines, budget=budget, skip=skip)
        finally:
            os.close(fd)

    return read


def test_a_whole_file_has_its_numbers_and_its_name(window: Callable[..., Window]) -> None:
    found = window(b"one\ntwo\r\nthree")
    assert found.text == "one\ntwo\r\nthree"
    assert (found.first, found.last, found.total, found.next_line) == (1, 3, 3, 0)
    assert found.etag == etag(b"one\ntwo\r\nthree")
    assert found.eol == "mixed (1 crlf, 1 lf)"


@pytest.mark.parametrize(
    ("start", "text", "first"), [(2, "b\nc\n", 2), (-1, "c\n", 3), (-2, "b\nc\n", 2), (-9, "a\nb\nc\n", 1)]
)
def test_a_start_counts_from_the_front_or_the_back(
    window: Callable[..., Window], start: int, text: str, first: int
) -> None:
    found = window(b"a\nb\nc\n", start)
    assert (found.text, found.first, found.total) == (text, first, 3)


def test_a_start_past_the_end_says_how_many_lines_there_are(window: Callable[..., Window]) -> None:
    with pytest.raises(CallError, match="past_the_end: the file has 3 lines"):
        window(b"a\nb\nc\n", 5)
    assert window(b"").text == ""


def test_a_budget_cuts_between_lines_and_says_where_to_go_on(window: Callable[..., Window]) -> None:
    found = window(b"aaaa\nbbbb\ncccc\n", budget=11)
    assert (found.text, found.next_line) == ("aaaa\nbbbb\n", 3)


def test_a_line_longer_than_the_budget_is_cut_and_can_be_read_on(window: Callable[..., Window]) -> None:
    data = b"x" * 25 + b"\nnext\n"
    first = window(data, budget=10)
    assert (first.text, first.cut_characters, first.next_line) == ("x" * 10, 16, 2)
    assert window(data, budget=10, skip=20).text == "xxxxx\n"


def test_binary_is_said_and_not_shown(window: Callable[..., Window]) -> None:
    with pytest.raises(CallError, match="is_binary"):
        window(b"\x00\x01\x02\x03" * 100)


def test_the_mark_is_no_part_of_the_text(window: Callable[..., Window]) -> None:
    found = window(b"\xef\xbb\xbfone\n")
    assert (found.text, found.encoding.name) == ("one\n", "utf-8 with BOM")
    assert window("gr\u00fcn\n".encode("utf-16")).text == "gr\u00fcn\n"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.text("ab\u00e9\u20ac", max_size=30), min_size=1, max_size=40),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    codec=st.sampled_from(["utf-8", "utf-16-le"]),
    budget=st.integers(5, 60),
    large=st.booleans(),
)
def test_windows_one_after_the_other_give_the_whole_text(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str], end: str, codec: str, budget: int, large: bool
) -> None:
    text = end.join(rows) + end
    data = (b"\xff\xfe" if codec == "utf-16-le" else b"") + text.encode(codec)
    path = tmp_path_factory.mktemp("w") / "file"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        if large:  # take the way of large files, in chunks that cut lines and characters
            patch.setattr(windows, "WHOLE_BYTES", 0)
            patch.setattr(streaming, "CHUNK", 7)
        fd = os.open(path, os.O_RDONLY)
        shown, at, skip = "", 1, 0
        for _ in range(1000):
            found = read_window(fd, start=at, max_lines=3, budget=budget, skip=skip)
            shown += found.text
            assert len(found.text) <= budget
            if found.cut_characters:
                at, skip = found.last, skip + len(found.text)
            elif found.next_line:
                at, skip = found.next_line, 0
            else:
                break
        os.close(fd)
    assert shown == text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.text("ab\u00e9\u20ac\u0a0d\u0d0a\U0001f600", max_size=12), min_size=1, max_size=25),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=1, max_size=4),
    codec=st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "utf-32-be"]),
    start=st.one_of(st.integers(-30, -1), st.integers(1, 30)),
    max_lines=st.integers(1, 12),
    budget=st.integers(3, 80),
    skip=st.integers(0, 15),
    ended=st.booleans(),
)
def test_a_window_of_a_large_file_is_that_of_a_small_one(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str], ends: list[str], codec: str, start: int, max_lines: int,
    budget: int, skip: int, ended: bool,
) -> None:  # fmt: skip
    text = "".join(row + ends[number % len(ends)] for number, row in enumerate(rows)) + ("" if ended else "end")
    mark = "" if codec == "utf-8" else "\ufeff"
    path = tmp_path_factory.mktemp("w") / "file"
    path.write_bytes((mark + text).encode(codec))
    fd = os.open(path, os.O_RDONLY)
    found: list[Window | str] = []
    for whole in (10**6, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(windows, "WHOLE_BYTES", whole)
            patch.setattr(streaming, "CHUNK", 7)
            try:
                found.append(read_window(fd, start=start, max_lines=max_lines, budget=budget, skip=skip))
            except CallError as error:
                found.append(str(error))
    os.close(fd)
    small, large = found
    if isinstance(small, str) or isinstance(large, str):
        assert small == large
        return
    assert (large.text, large.cut_characters) == (small.text, small.cut_characters)
    lines = len(split_lines(text))
    back = lines + 1 if large.first < 0 else 0
    assert (large.first + back, large.last + back) == (small.first, small.last)
    assert (large.next_line + back if large.next_line else 0) == small.next_line
    assert (large.first < 0) == (start < 0 and -start < lines) or -start == lines


def test_max_lines_holds_from_the_end_of_a_large_file_too(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"".join(b"line %07d\n" % number for number in range(600_000)))
    fd = os.open(path, os.O_RDONLY)
    found = read_window(fd, start=-500_000, max_lines=3, budget=48_000)
    assert found.text == "line 0100000\nline 0100001\nline 0100002\n"
    assert (found.first, found.last, found.next_line) == (-500_000, -499_998, -499_997)
    on = read_window(fd, start=found.next_line, max_lines=2, budget=48_000)
    assert on.text == "line 0100003\nline 0100004\n"
    end = read_window(fd, start=-2, max_lines=5, budget=48_000)
    assert (end.first, end.last, end.next_line) == (-2, -1, 0)
    everything = read_window(fd, start=-600_001, max_lines=1, budget=48_000)
    assert (everything.text, everything.first, everything.next_line) == ("line 0000000\n", 1, 2)
    os.close(fd)


@pytest.mark.parametrize("start", [1, -1, 2])
@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le"])
def test_a_line_of_six_megabytes_can_be_read_to_its_end(tmp_path: Path, start: int, codec: str) -> None:
    body = "".join(f"{number:07} gr\u00fcn, " for number in range(450_000))
    text = f"{'first' + chr(10) if start == 2 else ''}{body}"
    path = tmp_path / "large"
    path.write_bytes(("\ufeff" if codec == "utf-16-le" else "").encode(codec) + text.encode(codec))
    assert path.stat().st_size > 6_000_000
    fd = os.open(path, os.O_RDONLY)
    for skip in (0, 2_000_000, 3_000_000, 5_000_000, len(body) - 10):
        found = read_window(fd, start=start, max_lines=10, budget=48_000, skip=skip)
        assert found.text == body[skip : skip + 48_000]
        assert found.cut_characters == max(len(body) - skip - 48_000, 0)
        assert found.next_line == 0
    os.close(fd)


def test_numbers_count_into_the_budget(window: Callable[..., Window], tmp_path: Path) -> None:
    for data in (b"\n" * 60_000, b"ab\r\n" * 30_000, b"x" * 100 + b"\n" + b"\n" * 10):
        window(data)
        at, skip, shown = 1, 0, 0
        for _ in range(100):
            fd = os.open(tmp_path / "file", os.O_RDONLY)
            found = read_window(fd, start=at, max_lines=100_000, budget=10_000, skip=skip, numbers=True)
            os.close(fd)
            assert len(numbered(found)) <= 10_000
            shown += found.last - found.first + 1
            at = found.next_line
            if not at:
                break
        assert shown == len(split_lines(data.decode()))
    narrow = window(b"x" * 100 + b"\nnext\n", budget=30)
    assert len(numbered(narrow)) > 30  # without numbers asked for, they have no room
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    found = read_window(fd, start=1, max_lines=9, budget=30, numbers=True)
    os.close(fd)
    assert (numbered(found), found.cut_characters) == (f"     1\t{'x' * 23}", 78)


@pytest.mark.parametrize("mark", ["\x0c", "\x0b", "\x1c", "\x85", "\u2028", "\u2029"])
def test_numbers_are_those_that_an_edit_means(window: Callable[..., Window], mark: str) -> None:
    data = f"a{mark}b\nc{mark}\r\nd\re\n".encode()
    found = window(data)
    assert found.total == 4
    assert numbered(found) == f"     1\ta{mark}b\n     2\tc{mark}\n     3\td\n     4\te\n"
    made = apply(data, [Edit("d", "D", start_line=3)], Encoding("utf-8")).data
    assert made == data.replace(b"d", b"D")


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le"])
def test_head_and_tail_of_a_large_file_do_not_read_its_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    text = "".join(f"line {number:07} gr\u00fcn\n" for number in range(500_000))
    path = tmp_path / "large"
    path.write_bytes((b"\xff\xfe" if codec == "utf-16-le" else b"") + text.encode(codec))
    read = 0
    real = os.pread

    def counted(fd: int, size: int, offset: int) -> bytes:
        nonlocal read
        data = real(fd, size, offset)
        read += len(data)
        return data

    monkeypatch.setattr(os, "pread", counted)
    fd = os.open(path, os.O_RDONLY)
    head = read_window(fd, start=1, max_lines=100, budget=48_000)
    tail = read_window(fd, start=-100, max_lines=100, budget=48_000)
    os.close(fd)
    lines = split_lines(text)
    assert head.text == "".join(lines[:100])
    assert tail.text == "".join(lines[-100:])
    assert head.total is None
    assert read < 1_500_000


def test_a_line_deep_in_a_large_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"".join(b"line %07d\r\n" % number for number in range(600_000)))
    fd = os.open(path, os.O_RDONLY)
    assert read_window(fd, start=555_556, max_lines=2, budget=1000).text == "line 0555555\r\nline 0555556\r\n"
    with pytest.raises(CallError, match="the file has 600000 lines"):
        read_window(fd, start=700_000, max_lines=2, budget=1000)
    os.close(fd)


def test_a_read_with_numbers_keeps_to_the_budget_of_an_answer(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "blank").write_bytes(b"\n" * 60_000)
    (tmp_path / "root" / "feeds").write_bytes(b"one\x0ctwo\nthree\n")
    workspace = Workspace(
        pin([RootSpec(str(tmp_path / "root"), writable=False)], allow_broad=False),
        budget=48_000,
        state_dir=str(tmp_path / "state"),
    )

    async def read() -> tuple[str, str]:
        return (
            await read_file(workspace, "blank", max_lines=100_000, line_numbers=True),
            await read_file(workspace, "feeds", line_numbers=True),
        )

    try:
        blank, feeds = anyio.run(read)
    finally:
        workspace.close()
    assert len(blank) <= 48_000
    head, *lines = blank.splitlines()
    assert head.startswith(f"[root/blank] lines 1-{len(lines)} of 60000, ")
    assert head.endswith(f"MORE: continue with start_line={len(lines) + 1}")
    assert feeds.endswith("\n     1\tone\x0ctwo\n     2\tthree\n")
