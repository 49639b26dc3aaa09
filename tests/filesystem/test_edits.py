"""Edits change what they name and not a byte more."""

from __future__ import annotations

import pytest
from gatelodge_core.errors import CallError
from gatelodge_filesystem.edits import MAX_FLEXIBLE, Edit, apply
from gatelodge_filesystem.encoding import Encoding, detect, split_lines
from gatelodge_filesystem.matching import MAX_MATCHES
from gatelodge_filesystem.nearest import MAX_BYTES
from gatelodge_filesystem.unified import unified
from hypothesis import given, settings
from hypothesis import strategies as st

CODECS = ["utf-8", "latin-1", "cp1251", "utf-16-le", "utf-16-be", "shift_jis", "gb18030", "euc-kr"]
ALPHABETS = {
    "utf-8": "ab \t{}\u00e9\u20ac\U0001f600\u2028\x0c",
    "latin-1": "ab \t{}\u00e9\u00fc\x85",
    "cp1251": "ab \t{}\u0436\u044f",
    "utf-16-le": "ab \t{}\u00e9\U0001f600\u0a0a\u0d0a",
    "utf-16-be": "ab \t{}\u00e9\U0001f600\u0a0a\u0d0a",
    "shift_jis": "ab \t{}\u30bd\u8868\u4e88",  # their second byte is a backslash
    "gb18030": "ab \t{}\u4e2d\u4e02",
    "euc-kr": "ab \t{}\ud55c\uae00",
}


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, list[str], bytes]:
    """(codec, lines with their ends, the mark before them)."""
    codec = draw(st.sampled_from(CODECS))
    line = st.text(st.sampled_from(ALPHABETS[codec]), max_size=8)
    ends = draw(st.sampled_from([["\n"], ["\r\n"], ["\r"], ["\n", "\r\n", "\r"]]))
    lines = [draw(line) + draw(st.sampled_from(ends)) for _ in range(draw(st.integers(2, 8)))]
    if draw(st.booleans()):
        lines[-1] = lines[-1].rstrip("\r\n") + "z"
    marks = {"utf-8": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
    return codec, lines, draw(st.sampled_from([b"", marks.get(codec, b"")]))


@settings(max_examples=400, deadline=None)
@given(documents(), st.data())
def test_every_byte_outside_the_edited_line_is_identical(
    document: tuple[str, list[str], bytes], data: st.DataObject
) -> None:
    codec, lines, mark = document
    at = data.draw(st.integers(0, len(lines) - 1))
    body = lines[at].rstrip("\r\n")
    end = lines[at][len(body) :]
    lines[at] = f"MARK{at}{body}{end}"
    before = mark + "".join(lines).encode(codec)
    applied = apply(before, [Edit(f"MARK{at}{body}", f"CHANGED{body}")], Encoding(codec, mark))
    lines[at] = f"CHANGED{body}{end}"
    assert applied.data == mark + "".join(lines).encode(codec)


@settings(max_examples=200, deadline=None)
@given(documents())
def test_text_over_several_lines_is_found_whatever_the_line_ends(document: tuple[str, list[str], bytes]) -> None:
    codec, lines, mark = document
    ends = [line[len(line.rstrip("\r\n")) :] for line in lines]
    rows = [f"row{number}" for number in range(len(lines))]
    before = mark + "".join(row + end for row, end in zip(rows, ends, strict=True)).encode(codec)
    applied = apply(before, [Edit("row0\nrow1", "row0\nROW1")], Encoding(codec, mark))
    rows[1] = "ROW1"
    assert applied.data == mark + "".join(row + end for row, end in zip(rows, ends, strict=True)).encode(codec)


@pytest.mark.parametrize(
    ("before", "edit", "after"),
    [
        (b"a\r\nb\r\nc\r\n", Edit("b", "b1\nb2"), b"a\r\nb1\r\nb2\r\nc\r\n"),
        (b"a\nb\nc", Edit("c", "c\nd"), b"a\nb\nc\nd"),
        (b"a\nb\r\nc\n", Edit("a\nb\nc", "a\nb\nX"), b"a\nb\r\nX\n"),
        (b"a\rb\rc\r", Edit("b", "x\ny"), b"a\rx\ry\rc\r"),
        (b"caf\xe9 one\n", Edit("one", "two"), b"caf\xe9 two\n"),
        (b"x = 1\n", Edit("x = 1", r"x = \1 $1 \g<0>"), rb"x = \1 $1 \g<0>" + b"\n"),
        (b"one two\n", Edit("two", ""), b"one \n"),
        (b"a\x00b stays\n", Edit("stays", "goes"), b"a\x00b goes\n"),
        (b"bad \xff\xfe byte\nnext\n", Edit("next", "last"), b"bad \xff\xfe byte\nlast\n"),
    ],
)
def test_small_cases(before: bytes, edit: Edit, after: bytes) -> None:
    assert apply(before, [edit], Encoding("utf-8")).data == after


def test_the_replacement_of_a_line_end_in_mixed_files_takes_the_commonest() -> None:
    assert apply(b"a\r\nb\r\nc\nd", [Edit("d", "d\ne")], Encoding("utf-8")).data == b"a\r\nb\r\nc\nd\r\ne"


MANY = 150_000


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le"])
def test_every_occurrence_is_replaced_however_many(codec: str) -> None:
    data = ("\u00e4, \r\n" * MANY).encode(codec)
    made = apply(data, [Edit(",", ";;", replace_all=True)], Encoding(codec))
    assert made.data == ("\u00e4;; \r\n" * MANY).encode(codec)
    assert made.counts == (MANY,)
    assert apply(data, [Edit(",", ";;", expected_count=MANY)], Encoding(codec)).counts == (MANY,)
    for other in (MANY - 1, 100_000, MANY + 1):
        said = str(failure(data, Edit(",", ";", expected_count=other), codec=codec))
        assert f"old occurs {MANY} times" in said


def test_more_than_can_be_replaced_are_refused_and_not_passed_over() -> None:
    data = b"a\n" * (MAX_MATCHES + 1)
    for edit in (
        Edit("a", "b", replace_all=True),
        Edit("a", "b", expected_count=MAX_MATCHES),
        Edit("a", "b", near_line=7),
    ):
        assert failure(data, edit).code == "too_many_matches"
    half = b"a\n" * (MAX_MATCHES // 2 + 1) + b"b\n" * (MAX_MATCHES // 2 + 1)
    edits = Edit("a", "A", replace_all=True), Edit("b", "B", replace_all=True)
    assert failure(half, *edits).code == "too_many_matches"
    assert apply(data[:-2], edits[:1], Encoding("utf-8")).counts == (MAX_MATCHES,)


def test_text_that_is_like_too_much_of_the_file_is_given_up_in_time() -> None:
    line = b"a" * 99 + b"\n"
    long = (line * 20_000).decode()
    with pytest.raises(CallError, match=r"timeout.*edit 1: old is like too much"):
        # Compared whole at each of 180,000 places, which takes minutes.
        apply(line * 200_000, [Edit(long, "b", near_line=5)], Encoding("utf-8"), seconds=0.2)
    many = [Edit("a", "b", near_line=2 * number + 1) for number in range(200)]
    with pytest.raises(CallError, match=r"timeout.*edit "):
        apply(b"a\n" * 100_000, many, Encoding("utf-8"), seconds=0.5)


def test_what_was_meant_is_only_looked_for_in_so_much_of_a_file() -> None:
    far = b"x " * (MAX_BYTES // 2) + b"Hello there\n"
    assert "upper and lower case differ" in str(failure(far[2000:], Edit("hello there", "x")))
    assert "differ" not in str(failure(far, Edit("hello there", "x")))
    with pytest.raises(CallError, match=r"too_large.*takes files of up to"):
        apply(b"\tx\n" * (MAX_FLEXIBLE // 3 + 1), [Edit("  y", "z")], Encoding("utf-8"), flexible=True)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_occurrence_nearest_to_a_line_is_taken_of_very_many(end: str) -> None:
    data = f"x,{end}".encode() * MANY
    line = MANY - 7
    made = apply(data, [Edit("x,", "y;", near_line=line)], Encoding("utf-8")).data
    assert made.splitlines()[line - 1] == b"y;"
    assert made.count(b"x,") == MANY - 1


@pytest.mark.parametrize("line", [1, 2, 16_383, 16_384, 16_385, 32_769, 49_999, 50_000, 50_001])
def test_lines_far_down_are_found_by_their_number(line: int) -> None:
    lines = [f"{number % 1000:03}" for number in range(1, 50_001)]
    data = "\n".join(lines).encode() + b"\n"
    if line > len(lines):
        inserted = apply(data, [Edit("", "new", start_line=line, end_line=line - 1)], Encoding("utf-8")).data
        assert inserted == data + b"new"
        assert failure(data, Edit("x", "new", start_line=line + 1)).code == "bad_edit"
        return
    made = apply(data, [Edit(lines[line - 1], "new", start_line=line)], Encoding("utf-8")).data
    assert made.decode().split("\n") == [*lines[: line - 1], "new", *lines[line:], ""]


def failure(data: bytes, *edits: Edit, codec: str = "utf-8") -> CallError:
    with pytest.raises(CallError) as caught:
        apply(data, edits, Encoding(codec))
    return caught.value


def test_an_ambiguous_edit_names_the_lines() -> None:
    error = failure(b"x\ny\nx\n\nx", Edit("x", "z"))
    assert error.code == "ambiguous_edit"
    assert "occurs 3 times, at lines 1, 3, 5" in str(error)


def test_overlapping_occurrences_are_counted() -> None:
    assert "occurs 3 times" in str(failure(b"aaaa", Edit("aa", "b")))
    assert apply(b"aaaa", [Edit("aa", "b", replace_all=True)], Encoding("utf-8")).data == b"bb"


def test_replace_all_and_expected_count() -> None:
    assert apply(b"x x x", [Edit("x", "y", replace_all=True)], Encoding("utf-8")).data == b"y y y"
    assert apply(b"x x x", [Edit("x", "y", expected_count=3)], Encoding("utf-8")).data == b"y y y"
    assert failure(b"x x x", Edit("x", "y", expected_count=2)).code == "ambiguous_edit"


def test_near_line_chooses_only_what_is_strictly_nearest() -> None:
    text = b"x\n\n\nx\n\n\nx\n"
    assert apply(text, [Edit("x", "y", near_line=5)], Encoding("utf-8")).data == b"x\n\n\ny\n\n\nx\n"
    assert failure(b"x\n\nx\n", Edit("x", "y", near_line=2)).code == "ambiguous_edit"


def test_all_edits_are_matched_against_the_original_and_applied_together() -> None:
    applied = apply(
        b"one two three", [Edit("three", "one"), Edit("one", "two"), Edit("two", "three")], Encoding("utf-8")
    )
    assert applied.data == b"two three one"
    assert applied.counts == (1, 1, 1)


def test_one_failing_edit_fails_them_all_and_overlaps_are_refused() -> None:
    assert failure(b"one two", Edit("one", "1"), Edit("three", "3")).code == "no_match"
    assert failure(b"one two", Edit("one t", "1"), Edit("e two", "2")).code == "overlapping_edits"
    assert failure(b"one two", Edit("one", "1"), Edit("one", "2")).code == "overlapping_edits"


@pytest.mark.parametrize("edit", [Edit("", "x"), Edit("x", "x")])
def test_an_edit_of_nothing_is_refused(edit: Edit) -> None:
    assert failure(b"x", edit).code == "bad_edit"


def test_a_character_the_file_cannot_hold_is_refused_by_name() -> None:
    error = failure("caf\u00e9".encode("latin-1"), Edit("caf", "\u20ac"), codec="latin-1")
    assert error.code == "not_representable"
    assert "U+20AC" in str(error)


@pytest.mark.parametrize(
    ("text", "old", "reason"),
    [
        ("if x:\n\treturn 1\n", "if x:\n    return 1\n", "only white space differs"),
        ("say \u201chello\u201d now", 'say "hello" now', "quotes, dashes or no-break spaces differ"),
        ("Hello World", "hello world", "upper and lower case differ"),
        ("done = True\n", "\n\ndone = True\n\n", "blank lines at its beginning or end differ"),
    ],
)
def test_a_failed_edit_says_why(text: str, old: str, reason: str) -> None:
    assert reason in str(failure(text.encode(), Edit(old, "something else entirely")))


def test_a_failed_edit_shows_the_nearest_lines() -> None:
    text = "\n".join(f"def function_{n}(a, b): return a + b * {n}" for n in range(2000))
    error = failure(text.encode(), Edit("def function_1234(a, b): return a - b * 1234", "x"))
    assert "line 1235" in str(error)
    assert "def function_1234(a, b): return a + b * 1234" in str(error)
    assert len(str(error)) < 3000


def test_an_edit_applied_before_is_recognised() -> None:
    assert "applied before" in str(failure(b"the new text\n", Edit("the old text", "the new text")))


def test_fifty_edits_in_one_call() -> None:
    text = "".join(f"line {n:03}\n" for n in range(100))
    edits = [Edit(f"line {n:03}", f"LINE {n:03}") for n in range(0, 100, 2)]
    assert (
        apply(text.encode(), edits, Encoding("utf-8")).data
        == "".join(f"{'LINE' if n % 2 == 0 else 'line'} {n:03}\n" for n in range(100)).encode()
    )


def test_a_diff_shows_what_changed_and_line_ends_where_they_did() -> None:
    diff = unified(b"a\nb\nc\n", b"a\nB\nc\n", "f", Encoding("utf-8"), budget=1000)
    assert diff.text == "--- f\n+++ f\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n"
    assert (diff.added, diff.removed) == (1, 1)
    assert "-a[CRLF]\n+a[LF]\n" in unified(b"a\r\n", b"a\n", "f", Encoding("utf-8"), budget=1000).text
    assert "\\ No newline at end of file" in unified(b"a\n", b"a", "f", Encoding("utf-8"), budget=1000).text


def test_a_diff_keeps_to_its_budget() -> None:
    diff = unified(b"", b"x\n" * 3000, "f", Encoding("utf-8"), budget=500)
    assert diff.cut
    assert len(diff.text) <= 500
    assert diff.added == 3000


@given(st.text(st.sampled_from("ab\r\n\x0b\x0c\x1c\x85\u2028\u2029"), max_size=40))
def test_only_three_things_end_a_line(text: str) -> None:
    lines = split_lines(text)
    assert "".join(lines) == text
    for line in lines[:-1]:
        assert line.endswith(("\n", "\r"))
    assert all("\n" not in line.rstrip("\r\n") and "\r" not in line.rstrip("\r\n") for line in lines)


@pytest.mark.parametrize(
    ("data", "codec"),
    [
        (b"", "utf-8"),
        (b"plain", "utf-8"),
        ("gr\u00fcn".encode(), "utf-8"),
        (b"\xef\xbb\xbfx", "utf-8"),
        ("gr\u00fcn".encode("utf-16"), "utf-16-le"),
        ("plain text in two bytes".encode("utf-16-be"), "utf-16-be"),
        (b"\x7fELF\x02\x01\x01" + bytes(range(256)), "binary"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary"),
        (
            ("\u041f\u0440\u0438\u0432\u0435\u0442, \u043a\u0430\u043a \u0434\u0435\u043b\u0430? " * 20).encode(
                "cp1251"
            ),
            "cp1251",
        ),
        (
            ("\u3053\u308c\u306f\u65e5\u672c\u8a9e\u306e\u6587\u7ae0\u3067\u3059\u3002" * 20).encode("shift_jis"),
            "cp932",
        ),
        (("gr\u00fcn \u20ac " * 50).encode() + b"\xff", "utf-8"),
        (b"<pin> one\r\n\xbf1\n0B\xa3\xa3\n0W\xc1C\na <pin>", "latin-1"),
        (("Customer record, account number 12345. " * 20).encode("cp500"), "cp500"),
    ],
)
def test_encodings_are_recognised(data: bytes, codec: str) -> None:
    assert detect(data, whole=True).codec == codec


def test_a_sample_cut_within_a_character_is_still_utf8() -> None:
    assert detect("\u20ac".encode()[:2], whole=False).codec == "utf-8"


def patched(old: list[str], diff: str) -> list[str]:
    """The lines that a diff makes of others, as ``patch`` would."""
    out: list[str] = []
    at = 0
    for line in diff.splitlines()[2:]:
        if line.startswith("@@"):
            first, length = map(int, line.split()[1][1:].split(","))
            begin = first - 1 if length else first
            out += old[at:begin]
            at = begin
        elif line[0] == "+":
            out.append(line[1:])
        else:
            assert old[at] == line[1:]
            out += [line[1:]] if line[0] == " " else []
            at += 1
    return out + old[at:]


LINES = st.lists(st.sampled_from(["", "a", "b", "ab", "\u00e4"]), max_size=30)


@given(LINES, LINES, LINES, LINES)
@settings(max_examples=300)
def test_a_diff_makes_the_new_lines_of_the_old_wherever_they_differ(
    head: list[str], one: list[str], other: list[str], tail: list[str]
) -> None:
    old, new = head + one + tail, head + other + tail
    before, after = ("".join(f"{line}\n" for line in lines).encode() for lines in (old, new))
    diff = unified(before, after, "f", Encoding("utf-8"), budget=100_000)
    assert patched(old, diff.text) == new
    body = diff.text.splitlines()[2:]
    assert (diff.added, diff.removed) == tuple(sum(line[0] == mark for line in body) for mark in "+-")
    assert sum(line[0] == " " for line in body) <= 6 * len([line for line in body if line[0] in "+-"])


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "latin-1"])
def test_an_edit_in_twenty_megabytes_leaves_every_other_byte(codec: str) -> None:
    line = "caf\u00e9 0123456789 abcdefghijklmnopqrstuvwxyz\r\n".encode(codec)
    mark = b"\xff\xfe" if codec == "utf-16-le" else b""
    half = line * (10_000_000 // len(line))
    data = mark + half + "the one line\n".encode(codec) + half
    encoding = detect(data[:65536], whole=False)
    made = apply(data, [Edit("the one line", "the other line, longer")], encoding).data
    assert made == mark + half + "the other line, longer\n".encode(codec) + half
