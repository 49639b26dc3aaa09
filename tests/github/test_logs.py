"""Logs are read as they come: what was asked for is found, and no log is too long, too wide or too strange."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator

import pytest
from gatelodge_core.errors import CallError
from gatelodge_github.log_lines import LINE, RAW, Line
from gatelodge_github.logs import MAX_LINES, Failed, Grep, LogExcerpt, LogReader, Tail
from hypothesis import given, settings
from hypothesis import strategies as st

TIME = b"2024-01-01T00:00:00.0000000Z "
MEGABYTE = 1 << 20

JOB = """\
##[group]Set up job
Runner 2.319.1
##[endgroup]
##[group]Run npm test
##[command]npm test
##[endgroup]

> test
ok 1
\x1b[31mnot ok 2\x1b[0m
##[warning]deprecated
##[error]Process completed with exit code 1.
Post job cleanup.
##[error]Second.
"""


def read(mode: Tail | Grep | Failed, data: bytes, size: int = 1 << 30, *, timestamps: bool = False) -> LogExcerpt:
    reader = LogReader(mode, timestamps=timestamps)
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
    return reader.finish()


def log(text: str = JOB, ending: bytes = b"\n", bom: bytes = b"\xef\xbb\xbf") -> bytes:
    return bom + b"".join(TIME + line.encode() + ending for line in text.splitlines())


def texts(excerpt: LogExcerpt) -> list[str]:
    return [line.text for line in excerpt.lines]


def numbers(excerpt: LogExcerpt) -> list[int]:
    return [line.number for line in excerpt.lines]


# What is kept


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1 << 20])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    "mode", [Tail(5), Grep("ok", context=1), Grep(r"o[kK] \d$", regex=True), Failed(before=3, after=1)]
)
def test_the_size_of_the_pieces_makes_no_difference(mode: Tail | Grep | Failed, ending: bytes, size: int) -> None:
    data = log(ending=ending)
    excerpt = read(mode, data, size)
    assert excerpt == read(mode, data)
    assert excerpt.total_bytes == len(data)
    assert excerpt.total_lines == 14
    assert texts(excerpt) == texts(read(mode, log()))


def test_the_tail_is_the_last_lines() -> None:
    excerpt = read(Tail(3), log())
    assert excerpt.lines == (
        Line(12, "Process completed with exit code 1.", kind="error"),
        Line(13, "Post job cleanup."),
        Line(14, "Second.", kind="error"),
    )
    assert (excerpt.errors, excerpt.warnings, excerpt.matches, excerpt.omitted) == (2, 1, 0, 0)


def test_a_log_that_is_shorter_than_the_tail_comes_whole() -> None:
    excerpt = read(Tail(100), log())
    assert numbers(excerpt) == list(range(1, 15))
    assert texts(excerpt)[0] == "Set up job"
    assert texts(excerpt)[9] == "not ok 2"
    assert [line.kind for line in excerpt.lines if line.kind] == [
        "group", "endgroup", "group", "command", "endgroup", "warning", "error", "error",
    ]  # fmt: skip


def test_times_stay_if_asked_for() -> None:
    excerpt = read(Tail(2), log(), timestamps=True)
    assert excerpt.lines[-1] == Line(14, f"{TIME.decode()}Second.", kind="error")


def test_an_empty_log_and_one_without_a_last_line_feed() -> None:
    assert read(Tail(5), b"") == LogExcerpt((), 0, 0, 0, 0, 0, 0, whole=True)
    assert texts(read(Tail(5), b"a\nb")) == ["a", "b"]
    assert texts(read(Tail(5), b"\n\n")) == ["", ""]
    reader = LogReader(Tail(5))
    reader.feed(b"a\nhalf a li")
    assert not reader.finish(whole=False).whole


def test_matches_come_with_the_lines_around_them_and_their_group() -> None:
    excerpt = read(Grep("NOT OK", context=1), log())
    assert excerpt.lines == (
        Line(9, "ok 1"),
        Line(10, "not ok 2", match=True),
        Line(11, "deprecated", kind="warning"),
    )
    excerpt = read(Grep("npm", context=0), log())
    assert [(line.number, line.group, line.match) for line in excerpt.lines] == [
        (4, "Run npm test", True),
        (5, "Run npm test", True),
    ]
    assert read(Grep("NOT OK", ignore_case=False), log()).lines == ()
    assert read(Grep("Äpfel", context=0), "x ÄPFEL\nx äpfel".encode()).matches == 2


def test_matches_beyond_the_limit_are_counted() -> None:
    data = b"".join(b"hit %d\nmiss\n" % index for index in range(5000))
    excerpt = read(Grep("hit", context=0, limit=3), data)
    assert texts(excerpt) == ["hit 0", "hit 1", "hit 2"]
    assert (excerpt.matches, excerpt.omitted, excerpt.total_lines) == (5000, 4997, 10_000)
    excerpt = read(Grep("hit", context=20, limit=1000), data)
    assert len(excerpt.lines) == MAX_LINES


@pytest.mark.parametrize("size", [100, 1 << 17, 1 << 30])
def test_lines_around_a_match_may_have_come_in_other_pieces(size: int) -> None:
    filler = [b"line %d " % index + b"x" * 90 for index in range(1, 3001)]
    for at in (0, 1, 1270, 1271, 1272, 1273, 1274, 2998, 2999):
        lines = [*filler]
        lines[at] = b"needle"
        excerpt = read(Grep("needle", context=3), b"\n".join(lines), size)
        assert numbers(excerpt) == list(range(max(1, at - 2), min(3000, at + 4) + 1))
        assert [line.number for line in excerpt.lines if line.match] == [at + 1]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b needle", "##[error]e", "##[group]g", "##[endgroup]", "", "é"]), max_size=40),
    st.integers(0, 4),
    st.integers(1, 50),
)
def test_every_match_has_its_surroundings_once_and_in_order(lines: list[str], context: int, size: int) -> None:
    excerpt = read(Grep("needle", context=context), "\n".join([*lines, "end"]).encode(), size)
    hits = [index for index, line in enumerate(lines, 1) if "needle" in line]
    expected = sorted(
        {near for hit in hits for near in range(hit - context, hit + context + 1) if 1 <= near <= len(lines) + 1}
    )
    assert numbers(excerpt) == expected
    assert [line.number for line in excerpt.lines if line.match] == hits
    assert excerpt.matches == len(hits)


def test_what_is_around_errors_is_kept_with_the_group_they_stand_in() -> None:
    lines = [f"line {index}" for index in range(1, 1001)]
    lines[399] = "##[group]Run make"
    lines[499] = "##[error]first"
    lines[599] = "##[endgroup]"
    lines[799] = "##[error]second"
    excerpt = read(Failed(before=2, after=1), log("\n".join(lines)))
    assert numbers(excerpt) == [498, 499, 500, 501, 798, 799, 800, 801]
    assert [(line.text, line.group) for line in excerpt.lines if line.match] == [("first", "Run make"), ("second", "")]
    assert (excerpt.errors, excerpt.matches) == (2, 2)
    assert read(Failed(limit=1), log("\n".join(lines))).omitted == 1


def test_without_an_error_the_end_is_kept() -> None:
    excerpt = read(Failed(before=2), log("one\ntwo\nthree ##[error] no mark\n"))
    assert texts(excerpt) == ["two", "three ##[error] no mark"]
    assert excerpt.errors == 0


@pytest.mark.parametrize(
    "line",
    [
        "x ##[error]no",
        " ##[error]no",
        "##[ error]no",
        "#[error]no",
        "2024 ##[error]no",
        "##[error",
        "x" * 70 + "##[error]no",
    ],
)
def test_only_the_runners_own_marks_count(line: str) -> None:
    assert read(Failed(), log(f"a\n{line}\nb")).errors == 0


# Strange logs


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"\x1b[38;5;9mred\x1b[K", "red"),
        (b"\x1b]8;;https://a.example\x07link\x1b]8;;\x1b\\", "link"),
        (b"\x1b]0;a title\x07x", "x"),
        (b"\x1bPquery\x1b\\x", "x"),
        (b"\x1b(Bx\x1b=y\x1b7", "xy"),
        (b"e\x1b[0mr\x1b[0mror", "error"),
        (b"end \x1b", "end "),
        (b"bad \xff\xfe byte", "bad \ufffd\ufffd byte"),
        (b"cut \xe2\x82", "cut \ufffd"),
        ("日本語 😀".encode(), "日本語 😀"),
        (b"tab\tand 50%\r100%", "tab\tand 50%\r100%"),
        (b"2024-01-01T00:00:00Z", ""),
        (b"2024-01-01T00:00:00Z 2024-01-01T00:00:01Z x", "2024-01-01T00:00:01Z x"),
        (b"2024-01-01 x", "2024-01-01 x"),
    ],
)
def test_lines_are_read_as_they_look(raw: bytes, text: str) -> None:
    assert texts(read(Tail(1), b"first\n" + raw + b"\r\n")) == [text]
    assert read(Grep(text or "x" * 9, ignore_case=False), raw).matches == (1 if text else 0)


def test_colours_within_a_word_hide_it_from_no_search() -> None:
    assert read(Grep("error"), b"e\x1b[0mr\x1b[0mror").matches == 1
    assert read(Failed(), b"\x1b[31m##[error]\x1b[0mx").errors == 1


@pytest.mark.parametrize("extra", [0, 1, 5])
@pytest.mark.parametrize("size", [1, 100, 1 << 30])
def test_a_line_that_is_too_long_is_cut_and_says_so(extra: int, size: int) -> None:
    excerpt = read(Tail(5), b"a\n" + b"x" * (LINE + extra) + b"\nb\n", size)
    first, long, last = excerpt.lines
    assert (first.text, last.text) == ("a", "b")
    assert long.cut == (extra > 0)
    assert long.text == "x" * LINE + (f" ⟦cut: {LINE + extra} bytes⟧" if extra else "")


@pytest.mark.parametrize("length", [RAW - 1, RAW, RAW + 1, 3 * RAW, 400_000])
@pytest.mark.parametrize("size", [1000, 1 << 17, 1 << 30])
def test_a_very_long_line_keeps_its_place_and_its_size(length: int, size: int) -> None:
    data = b"a\n" + b"needle" + b"x" * length + b"end\n##[error]b\n"
    for mode in (Tail(5), Grep("needle", context=1), Failed(before=5)):
        excerpt = read(mode, data, size)
        assert numbers(excerpt) == [1, 2, 3]
        assert excerpt.lines[1].text == "needle" + "x" * (LINE - 6) + f" ⟦cut: {length + 9} bytes⟧"
    assert read(Grep("end"), data, size).matches == 0


@given(st.lists(st.binary(max_size=40), max_size=30))
def test_any_bytes_can_be_read(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    for mode in (Tail(1000), Grep(".", regex=True), Failed()):
        reader = LogReader(mode)
        for piece in pieces:
            reader.feed(piece)
        excerpt = reader.finish()
        assert excerpt.total_bytes == len(data)
        assert excerpt.total_lines == len(data.removesuffix(b"\n").split(b"\n")) if data else excerpt.total_lines == 0


# Bounds


def plain_log(megabytes: int) -> Iterator[bytes]:
    chunk = b"".join(TIME + b"npm http fetch GET 200 package %07d\n" % index for index in range(16_000))
    for index in range(megabytes * MEGABYTE // len(chunk)):
        yield chunk
        if index % 100 == 50:
            yield TIME + b"##[error]needle %d\n" % index


def one_line(megabytes: int) -> Iterator[bytes]:
    chunk = b"x" * MEGABYTE
    for _ in range(megabytes):
        yield chunk


def feeds(pieces: int) -> Iterator[bytes]:
    for _ in range(pieces):
        yield b"\n" * (1 << 17)


def long_lines(megabytes: int) -> Iterator[bytes]:
    chunk = b"".join(random.Random(1).randbytes(9000).replace(b"\n", b"") + b"\n" for _ in range(116))
    for _ in range(megabytes):
        yield chunk


@pytest.mark.parametrize(
    ("mode", "stream", "lines"),
    [
        (Tail(200), plain_log(300), 200),
        (Grep("needle"), plain_log(300), 15),
        (Failed(before=200), plain_log(100), 203),
        (Tail(1000), one_line(100), 1),
        (Grep("needle", regex=True), one_line(100), 0),
        (Grep("^$", regex=True, limit=1000), feeds(2), 1000),
        (Tail(1000), feeds(400), 1000),
        (Tail(1000), long_lines(50), 1000),
        (Grep("needle", context=20), long_lines(20), 0),
    ],
    ids=["300 MB, tail", "300 MB, grep", "100 MB, failed", "one line, tail", "one line, grep", "line feeds, grep", "line feeds, tail", "long lines, tail", "long lines, grep"],
)  # fmt: skip
def test_memory_stays_small(mode: Tail | Grep | Failed, stream: Iterator[bytes], lines: int) -> None:
    first = next(stream)
    reader = LogReader(mode)
    tracemalloc.start()
    try:
        reader.feed(first)
        for chunk in stream:
            reader.feed(chunk)
        excerpt = reader.finish()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000
    assert len(excerpt.lines) == lines


@pytest.mark.parametrize(
    "piece",
    [
        b"##[error]",
        b"##[group]",
        b"\x1b[",
        b"\x1b]",
        b"\x1bP",
        b"2024-01-01T00:00:00Z ",
        b"\r",
        b"##[error]\n",
        b"\x1b[31m##[group]a\n",
        b"needl",
    ],
)
@pytest.mark.parametrize("mode", [Tail(), Failed(), Grep("needle"), Grep("(n|ne|e)*(e|l)+e$", regex=True)])
def test_no_log_takes_more_than_linear_steps(piece: bytes, mode: Tail | Grep | Failed) -> None:
    # With quadratic steps it would take hours, and the time limit of the test run would end this.
    read(mode, piece * (2 * MEGABYTE // len(piece)))


@pytest.mark.parametrize("mode", [Grep(""), Grep("x" * 201), Grep("a\nb"), Grep("(", regex=True), Grep("", regex=True)])
def test_a_pattern_that_cannot_be_used_is_refused(mode: Grep) -> None:
    with pytest.raises(CallError) as caught:
        LogReader(mode)
    assert caught.value.code == "bad_pattern"


def test_numbers_out_of_range_are_taken_as_the_nearest() -> None:
    assert len(read(Tail(0), log()).lines) == 1
    assert len(read(Tail(10**9), b"x\n" * 3000).lines) == MAX_LINES
    assert len(read(Grep("x", context=-1, limit=10**9), b"x\n" * 3000).lines) == MAX_LINES
