"""Windows of lines: right numbers, whole text, budgets, and no more reading than needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from gatelodge_core.errors import CallError
from gatelodge_filesystem import windows
from gatelodge_filesystem.encoding import etag, split_lines
from gatelodge_filesystem.windows import Window, read_window
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
            patch.setattr(windows, "_CHUNK", 7)
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
