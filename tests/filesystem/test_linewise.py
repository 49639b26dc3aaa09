"""Edits by line numbers and by text whatever its indentation; replacing in many files; patches; not a byte elsewhere."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from gatelodge_core.errors import CallError
from gatelodge_filesystem.edits import Edit, apply
from gatelodge_filesystem.encoding import UTF8, Encoding, detect
from gatelodge_filesystem.occurrences import occurrences, pattern, replaced
from gatelodge_filesystem.patches import MAX_LOOKED, Effort, parse, patched
from hypothesis import assume, given, settings
from hypothesis import strategies as st

LATIN = Encoding("latin-1")
UTF16 = Encoding("utf-16-le", b"\xff\xfe")
ENDS = ("\n", "\r\n", "\r")


def by_lines(data: bytes, start: int, end: int, old: str, new: str) -> bytes:
    return apply(data, [Edit(old, new, start_line=start, end_line=end)], UTF8).data


def flexible(data: str, old: str, new: str) -> str:
    return apply(data.encode(), [Edit(old, new)], UTF8, flexible=True).data.decode()


def test_lines_are_replaced_by_number_when_their_text_is_as_expected() -> None:
    data = b"one\r\ntwo\nthree\r\n"
    assert by_lines(data, 2, -1, "two", "TWO") == b"one\r\nTWO\nthree\r\n"
    assert by_lines(data, 2, 3, "two\nthree\n", "x\n") == b"one\r\nx\r\n"
    assert by_lines(data, 1, -1, "one", "") == b"two\nthree\r\n"
    assert by_lines(data, 3, -1, "three", "a\nb") == b"one\r\ntwo\na\r\nb\r\n"
    assert by_lines(b"one\ntwo", 2, -1, "two", "TWO\n") == b"one\nTWO"


def test_lines_are_inserted_before_a_line_and_at_the_end() -> None:
    assert by_lines(b"one\ntwo\n", 2, 1, "", "between") == b"one\nbetween\ntwo\n"
    assert by_lines(b"one\n", 1, 0, "", "first\n") == b"first\none\n"
    assert by_lines(b"one\n", 2, 1, "", "last\n") == b"one\nlast\n"
    assert by_lines(b"", 1, 0, "", "only\n") == b"only\n"


def test_other_text_in_these_lines_is_told_and_nothing_changes() -> None:
    with pytest.raises(CallError, match="no_match") as caught:
        by_lines(b"one\ntwo\n", 2, -1, "three", "x")
    assert "They are now:\ntwo" in str(caught.value)
    for start, end in ((4, -1), (1, 5), (3, 1)):
        with pytest.raises(CallError, match="bad_edit"):
            by_lines(b"one\ntwo\n", start, end, "one", "x")
    with pytest.raises(CallError, match="bad_edit"):
        by_lines(b"one\n", 1, 0, "one", "x")


def test_flexible_text_is_indented_by_the_files_own_unit() -> None:
    tabs = "class A:\n\tdef f(self):\n\t\treturn 1\n"
    assert flexible(
        tabs, "def f(self):\n    return 1", "def f(self):\n    if self:\n        return 2\n    return 1"
    ) == ("class A:\n\tdef f(self):\n\t\tif self:\n\t\t\treturn 2\n\t\treturn 1\n")
    two = "a:\n  b:\n    c: 1\n"
    nested = flexible(two, "b:\n        c: 1", "b:\n        c: 1\n        d:\n                e: 2")
    assert nested == "a:\n  b:\n    c: 1\n    d:\n      e: 2\n"
    assert flexible(two, "        c: 1", "    x:\n        c: 1") == "a:\n  b:\n  x:\n    c: 1\n"
    assert flexible(two, "\tc: 1\n", "") == "a:\n  b:\n"


def test_flexible_text_has_to_be_unique_and_exact_text_goes_first() -> None:
    text = "if a:\n  x = 1\nif b:\n    x = 1\n"
    with pytest.raises(CallError, match="ambiguous_edit") as caught:
        flexible(text, "\tx = 1", "\tx = 2")
    assert "lines 2, 4" in str(caught.value)
    assert flexible(text, "if b:\n    x = 1", "if b:\n    x = 2") == "if a:\n  x = 1\nif b:\n    x = 2\n"
    with pytest.raises(CallError, match="no_match"):
        apply(text.encode(), [Edit("\tx  = 1", "")], UTF8, flexible=True)
    with pytest.raises(CallError, match="no_match"):
        flexible(text, "y = 1", "y = 2")


def found(
    data: bytes, text: str, new: str, *, regex: bool = False, sensitive: bool = True, word: bool = False
) -> bytes:
    wanted = pattern(text, new, expression=regex, sensitive=sensitive, word=word)
    return replaced(data, occurrences(data, "f", wanted, 1000))


def test_occurrences_are_replaced_literally_or_by_groups() -> None:
    assert found(b"a.b axb $1", "a.b", r"\1$1") == rb"\1$1 axb $1"
    assert found(b"key=1 key=2", r"(\w+)=(\d)", r"\2:\g<1>", regex=True) == b"1:key 2:key"
    assert found(b"Cat cats CAT", "cat", "dog", sensitive=False, word=True) == b"dog cats dog"
    assert found(b"a\r\nb\nc", r"$", ";", regex=True) == b"a;\r\nb;\nc;"
    assert found(b"x\r\ny\r\n", "x\ny", "1\n2\n3") == b"1\r\n2\r\n3\r\n"
    assert found(b"\0\1\2binary", "binary", "x") == b"\0\1\2binary"
    with pytest.raises(CallError, match="bad_replacement"):
        found(b"a", "a", r"\9", regex=True)
    with pytest.raises(CallError, match="bad_pattern"):
        found(b"a", "(", "", regex=True)
    with pytest.raises(CallError, match="slow_pattern"):
        found(b"a" * 5000 + b"!", "(a+)+$", "", regex=True)
    with pytest.raises(CallError, match="not_representable"):
        found("gr\xfcn, caf\xe9 na\xefve".encode("latin-1"), "gr", "\u4e2d")
    with pytest.raises(CallError, match="too_many_matches"):
        occurrences(b"a" * 20, "f", pattern("a", "b", expression=False, sensitive=True, word=False), 10)


PATCH = """diff --git a/f b/f
--- a/f
+++ b/f
@@ -1,3 +1,4 @@
 one
-two
+TWO
+more
 three
@@ -10 +11 @@
-ten
+TEN
\\ No newline at end of file
"""


def test_a_patch_changes_its_lines_and_no_others() -> None:
    (file,) = parse(PATCH)
    data = b"one\r\ntwo\nthree\r\n4\n5\n6\n7\n8\n9\nten\n"
    after = patched(data, file.hunks, UTF8, "f")
    assert after == b"one\r\nTWO\nmore\nthree\r\n4\n5\n6\n7\n8\n9\nTEN"
    moved = b"zero\n" + data
    assert patched(moved, file.hunks, UTF8, "f") == b"zero\n" + after
    with pytest.raises(CallError, match=r"hunk 1 .*fits nowhere"):
        patched(b"one\nother\nthree\n", file.hunks, UTF8, "f")
    with pytest.raises(CallError, match="ambiguous_edit"):
        patched(b"0\none\ntwo\nthree\none\ntwo\nthree\nten\n", file.hunks, UTF8, "f")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "1 to 100 files"),
        ("@@ -1 +1 @@\n-a\n+b\n", "before its"),
        ("--- a/f\n+++ b/g\n@@ -1 +1 @@\n-a\n+b\n", "renames"),
        ("--- a/f\n+++ b/f\n@@ -1,2 +1 @@\n-a\n+b\n", "fewer lines"),
        ("--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n+b\n" * 2, "twice"),
        ("--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n-a\n*b\n", "begins with"),
        ("diff --git a/f b/g\nrename from f\nrename to g\n", "renames, copies"),
        (f"diff --git a/p.png b/p.png\nindex 1..2 100644\nBinary files a/p.png and b/p.png differ\n{PATCH}", "binary"),
        (f"{PATCH}diff --git a/p.png b/p.png\nindex 1..2 100644\nBinary files a/p.png and b/p.png differ\n", "binary"),
        (f"diff --git a/p b/p\nindex 1..2 100644\n{PATCH}", "line 1: .*nothing that can be applied"),
        (f"{PATCH}diff --git a/p b/p\nindex 1..2 100644\n", "nothing that can be applied"),
        ("diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+f\n", "makes a link"),
        ("diff --git a/l b/l\nnew file mode 160000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+f\n", "a submodule"),
    ],
)
def test_what_is_no_patch_is_refused_with_its_line(text: str, why: str) -> None:
    with pytest.raises(CallError, match=why):
        parse(text)


HUNK = "@@ -1 +1 @@\n-a\n+b\n"


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("a/f", "b/f", "f"),
        ("a/a/f", "b/a/f", "a/f"),
        ("a/f", "a/f", "a/f"),
        ("b/f", "b/f", "b/f"),
        ("f", "f", "f"),
        ("/dev/null", "b/f", "f"),
        ("/dev/null", "a/f", "a/f"),
        ("a/f", "/dev/null", "f"),
        ("b/f", "/dev/null", "b/f"),
        ('"a/na\\303\\257ve \\"x\\".txt"', '"b/na\\303\\257ve \\"x\\".txt"', 'na\xefve "x".txt'),
        ('"a/two\\nlines\\\\"', '"b/two\\nlines\\\\"', "two\nlines\\"),
        ("a/f with spaces\t2026-01-01", "b/f with spaces\t2026-01-02", "f with spaces"),
    ],
)
def test_gits_prefixes_are_taken_off_both_names_or_neither(old: str, new: str, path: str) -> None:
    (file,) = parse(f"--- {old}\n+++ {new}\n{HUNK}")
    assert file.path == path


def test_empty_files_are_made_and_a_letter_around_a_patch_says_what_it_likes() -> None:
    letter = "From: somebody\nSubject: old mode of work\n\nold mode bits are kept\nrename from here\n---\n f | 2 +-\n\n"
    empty = "diff --git a/new dir/e b/new dir/e\nnew file mode 100644\nindex 0000000..e69de29\n"
    for text in (letter + empty + PATCH, letter + PATCH + empty):
        files = {file.path: file for file in parse(text)}
        assert set(files) == {"f", "new dir/e"}
        assert files["new dir/e"].creates
        assert patched(b"", files["new dir/e"].hunks, UTF8, "e") == b""
    gone = "diff --git a/e b/e\ndeleted file mode 100644\nindex e69de29..0000000\n"
    assert [file.deletes for file in parse(PATCH + gone)] == [False, True]


line = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=12)
files = st.lists(st.tuples(line, st.sampled_from(ENDS)), min_size=2, max_size=12)
encodings = st.sampled_from((UTF8, LATIN, UTF16))


def joined(lines: Sequence[tuple[str, str]], final: bool) -> str:
    text = "".join(body + end for body, end in lines)
    return text if final else text[: -len(lines[-1][1])]


@settings(deadline=None)
@given(files, encodings, st.booleans(), st.data())
def test_an_edit_by_line_leaves_every_other_byte(
    lines: list[tuple[str, str]], encoding: Encoding, final: bool, data: st.DataObject
) -> None:
    # A line that ends in \r before a line that begins with \n would be another text.
    number = data.draw(st.integers(0, len(lines) - 1))
    marked = [*lines[:number], ("marked here", lines[number][1]), *lines[number + 1 :]]
    text = joined(marked, final)
    if any(
        end == "\r" and body == "" and following == "\n" for (_, end), (body, following) in itertools.pairwise(marked)
    ):
        return
    raw = encoding.bom + text.encode(encoding.codec)
    edit = Edit("marked here", "CHANGED", start_line=number + 1)
    made = apply(raw, [edit], encoding).data
    assert made == raw.replace("marked here".encode(encoding.codec), "CHANGED".encode(encoding.codec))


@settings(deadline=None)
@given(files, encodings, st.booleans())
def test_replacing_a_text_and_back_gives_the_same_bytes(
    lines: list[tuple[str, str]], encoding: Encoding, final: bool
) -> None:
    text = joined([("needle one", "\r\n"), *lines, ("a needle", "\n")], final)
    raw = encoding.bom + text.encode(encoding.codec)
    if detect(raw, whole=True).codec not in ("utf-8", "utf-16-le", "latin-1", "cp1252", "iso8859-1"):
        return  # read as something else, in which the words may not be
    there = found(raw, "needle", "<pin>")
    back = found(there, "<pin>", "needle")
    assert back == raw
    if "needle" not in "".join(body for body, _ in lines):
        assert there == raw.replace("needle".encode(encoding.codec), "<pin>".encode(encoding.codec))


@pytest.mark.parametrize("number", ["٣", "²", "9" * 5000])
def test_a_hunk_whose_line_is_no_number_is_refused_and_nothing_else_raised(number: str) -> None:
    with pytest.raises(CallError, match="bad_patch"):
        parse(f"--- a\n+++ a\n@@ -{number} +1 @@\n-x\n+y\n")


def test_many_hunks_are_placed_at_their_lines_among_equal_ones() -> None:
    rows = "".join(f"@@ -{n * 100 + 1},3 +{n * 100 + 1},3 @@\n x\n-x\n+y\n x\n" for n in range(1000))
    (file,) = parse(f"--- f\n+++ f\n{rows}")
    found = patched(b"x\n" * 200_000, file.hunks, UTF8, "f").split(b"\n")
    assert [at for at, line in enumerate(found) if line == b"y"] == [n * 100 + 1 for n in range(1000)]


def test_a_patch_that_would_look_through_too_much_is_refused() -> None:
    text = "".join(f"{number}\n" for number in range(200_000))
    # Each but the first is a line away from where it says, so that it is looked for in all of the rest.
    rows = "".join(f"@@ -{n},2 +{n},2 @@\n {n}\n-{n + 1}\n+y\n" for n in range(1, 3000, 3))
    (file,) = parse(f"--- f\n+++ f\n{rows}")
    with pytest.raises(CallError, match=r"too_many_matches.*make the patch anew"):
        patched(text.encode(), file.hunks, UTF8, "f")


def test_all_files_of_a_patch_share_what_placing_its_hunks_may_cost() -> None:
    (file,) = parse("--- f\n+++ f\n@@ -9,1 +9,1 @@\n-missing\n+found\n")
    effort = Effort(left=2500)
    for _ in range(2):
        with pytest.raises(CallError, match="no_match"):
            patched(b"x\n" * 500, file.hunks, UTF8, "f", effort)
    with pytest.raises(CallError, match="too_many_matches"):
        patched(b"x\n" * 500, file.hunks, UTF8, "f", effort)


@pytest.mark.parametrize("rows", [" a\n-aaaa\n+b\n", "-aa\n+b\n", "-aaaa\n\\ No newline at end of file\n+b\n"])
def test_what_only_looks_like_lines_of_a_hunk_is_passed_over_at_once(rows: str) -> None:
    old = sum(row[0] in " -" for row in rows.splitlines())
    new = sum(row[0] in " +" for row in rows.splitlines())
    (file,) = parse(f"--- f\n+++ f\n@@ -7,{old} +7,{new} @@\n{rows}")
    places = Effort()
    with pytest.raises(CallError, match="no_match"):
        patched(b"aaaa\n" * 2_000_000, file.hunks, UTF8, "f", places)
    # Once through the text, and not once more for each of its lines.
    assert MAX_LOOKED - places.left <= 10_000_000 + 20


files_of_few_lines = st.lists(st.sampled_from(["a", "b", "ab", ""]), max_size=9)


@settings(deadline=None, max_examples=1000)
@given(
    files_of_few_lines,
    st.lists(st.sampled_from(["a", "b", "ab", ""]), min_size=1, max_size=3),
    st.integers(1, 9),
    st.booleans(),
    st.booleans(),
)
def test_a_hunk_is_placed_where_its_lines_are_and_only_there(
    lines: list[str], old: list[str], named: int, final: bool, ends: bool
) -> None:
    assume(ends or old[-1])  # an empty line without an end is none
    text = "\n".join(lines) + ("\n" if final and lines else "")
    rows = "".join(f"-{row}\n" for row in old) + ("" if ends else "\\ No newline at end of file\n")
    (file,) = parse(f"--- f\n+++ f\n@@ -{named},{len(old)} +{named},1 @@\n{rows}+NEW\n")
    there = text.split("\n")
    # Lines that end the text without a line end are the last of it; others have one behind them.
    last = len(there) - len(old)
    every = [last] if not ends else list(range(last))
    fit = [at for at in every if at >= 0 and there[at : at + len(old)] == old and (ends or there[-1])]
    chosen = named - 1 if named - 1 in fit else fit[0] if len(fit) == 1 else None
    if chosen is None:
        with pytest.raises(CallError, match="ambiguous_edit" if fit else "no_match"):
            patched(text.encode(), file.hunks, UTF8, "f")
        return
    made = patched(text.encode(), file.hunks, UTF8, "f").decode()
    assert made == "\n".join([*there[:chosen], "NEW", *there[chosen + len(old) :]]) + ("" if ends else "\n")


def test_flexible_text_of_many_equal_lines_is_counted_honestly() -> None:
    text = "  x\n" * 50_000
    with pytest.raises(CallError, match="occurs 25001 times, at lines 1, 2, 3, "):
        flexible(text, "\tx\n" * 25_000, "\ty\n" * 25_000)
    assert flexible(text, "\tx\n" * 50_000, "\ty\n" * 50_000) == "  y\n" * 50_000
