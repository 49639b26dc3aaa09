"""Pages of a search: walked to the end they show what a plain scan finds, each line once, and count what they show."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from gatelodge_core.errors import CallError
from gatelodge_filesystem.search import Page, Request, engine, matcher, page, search
from gatelodge_filesystem.walk import Budget
from hypothesis import given, settings
from hypothesis import strategies as st

Row = tuple[str, int, str, str]
"""(file, line, : or -, text)"""


def turned(folder: Path, request: Request, room: int = 100_000) -> list[Page]:
    """All pages, each asked for where the one before it ended."""
    pages: list[Page] = []
    after: tuple[int, str] | None = None
    while True:
        assert len(pages) < 500
        opened = os.open(folder, os.O_RDONLY)
        try:
            hits = search(opened, replace(request, after=after), Budget(), use_ripgrep=False)
        finally:
            os.close(opened)
        pages.append(page(lambda rel: f"/{rel}", hits, "content", room))
        after = pages[-1].after
        if after is None:
            return pages


def rows(text: str) -> list[Row]:
    """The numbered lines of a page."""
    found: list[Row] = []
    name = ""
    for line in text.splitlines():
        if head := re.match(r"/(\S+) \(", line):
            name = head.group(1)
        elif row := re.match(r"(\d+)([:-]) (.*)", line):
            found.append((name, int(row.group(1)), row.group(2), row.group(3)))
    return found


def scanned(files: dict[str, list[str]], request: Request) -> list[Row]:
    """What a plain scan finds, and the lines around it up to the next hit that isn't shown."""
    found: list[Row] = []
    for name, lines in sorted(files.items()):
        matching = [number for number, line in enumerate(lines, 1) if request.pattern in line]
        given: dict[int, str] = {}
        for place, number in enumerate(matching[: request.per_file]):
            beyond = matching[place + 1] if place + 1 < len(matching) else len(lines) + 1
            for near in range(number - request.context, min(number + request.context + 1, beyond)):
                if 1 <= near <= len(lines) and (near > number or near not in matching or near == number):
                    given.setdefault(near, ":" if near in matching else "-")
        found += [(name, number, mark, lines[number - 1]) for number, mark in sorted(given.items())]
    return found


_FILES = st.dictionaries(
    st.sampled_from(("a", "b", "c/d", "c/e", "c.d", "f/g/h", "z")),
    st.lists(st.sampled_from(("foo", "foo and more foo", "bar", "", "x" * 40)), max_size=30),
    max_size=6,
)


@given(
    _FILES, st.integers(1, 40), st.integers(1, 25), st.integers(0, 3), st.sampled_from((1, 60, 200, 1000, 100_000)),
    st.booleans(),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_all_pages_together_are_what_a_plain_scan_finds(
    files: dict[str, list[str]], limit: int, per_file: int, context: int, room: int, regex: bool
) -> None:
    request = Request("foo", regex=regex, limit=limit, per_file=per_file, context=context)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name, lines in files.items():
            (folder / name).parent.mkdir(exist_ok=True, parents=True)
            (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        pages = turned(folder, request, room)
    found = [row for item in pages for row in rows(item.text)]
    expected = scanned(files, request)
    assert [row for row in found if row[2] == ":"] == [row for row in expected if row[2] == ":"]
    assert len({row[:2] for row in found}) == len(found)
    if room == 100_000:
        assert found == expected
    for item in pages:
        assert item.lines == sum(row[2] == ":" for row in rows(item.text)) <= limit
        assert item.files == len({row[0] for row in rows(item.text)})
        assert len(item.text) <= max(room, 300)


def test_a_file_that_does_not_fit_begins_the_next_page(tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"f{number}").write_text("foo\n" * 15, encoding="utf-8")
    first, second = turned(tmp_path, Request("foo"))
    assert (first.files, first.lines) == (6, 90)
    assert (second.files, second.lines) == (2, 30)
    assert "more lines" not in first.text + second.text


def test_a_file_too_long_for_a_page_goes_on_where_it_ended(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("".join(f"foo {number}\n" for number in range(500)), encoding="utf-8")
    pages = turned(tmp_path, Request("foo", limit=500, per_file=500), 2000)
    assert "more lines in this file; the cursor goes on here" in pages[0].text
    assert ", continued)" in pages[1].text
    assert [row[1] for item in pages for row in rows(item.text)] == list(range(1, 501))


def test_what_per_file_holds_back_is_said(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("foo\n" * 30, encoding="utf-8")
    first, second, third = turned(tmp_path, Request("foo", limit=8))
    assert "(22 more lines in this file; the cursor goes on here)" in first.text
    assert "(14 more lines in this file; the cursor goes on here)" in second.text
    assert third.lines == 4
    assert "(10 more lines in this file; raise per_file)" in third.text


def test_a_line_with_a_match_is_never_shown_as_context(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a\nfoo1\nfoo2\nb\nc\nd\nfoo3\n", encoding="utf-8")
    (only,) = turned(tmp_path, Request("foo", context=1))
    assert only.text.splitlines()[2:] == ["1- a", "2: foo1", "3: foo2", "4- b", "--", "6- d", "7: foo3"]


def test_a_cursor_holds_when_files_come_and_go(tmp_path: Path) -> None:
    for name in "bdf":
        (tmp_path / name).write_text("foo\n", encoding="utf-8")
    (tmp_path / "a").write_text("foo\n", encoding="utf-8")
    (tmp_path / "d").unlink()
    opened = os.open(tmp_path, os.O_RDONLY)
    hits = search(opened, Request("foo", after=(0, "d")), Budget())
    os.close(opened)
    assert [item.rel for item in hits.files] == ["f"]


def test_many_matches_are_no_reason_to_call_an_expression_slow(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("2026-01-01 foo bar\n" * 100_000, encoding="utf-8")
    for pattern, lines in (("fo+", 100_000), (r"\w+", 100_000), (r"[^x]+", 100_000), (r"\s+2026", 0), (r"a*", 100_000)):
        opened = os.open(tmp_path, os.O_RDONLY)
        hits = search(opened, Request(pattern, regex=True), Budget(), use_ripgrep=False)
        os.close(opened)
        assert hits.total_lines == lines, pattern


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matcher, "FILE_SECONDS", 0.1)


@pytest.mark.usefixtures("_impatient")
def test_a_file_on_which_an_expression_is_slow_is_passed_over_and_named(tmp_path: Path) -> None:
    (tmp_path / "slow").write_text("x" * 5000 + "\n", encoding="utf-8")
    (tmp_path / "quick").write_text("xxy\n", encoding="utf-8")
    opened = os.open(tmp_path, os.O_RDONLY)
    hits = search(opened, Request("(x+x+)+y", regex=True), Budget(), use_ripgrep=False)
    os.close(opened)
    assert hits.slow == ["slow"]
    assert [item.rel for item in hits.files] == ["quick"]


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("files", [1, engine.MAX_SLOW + 2])
def test_an_expression_that_is_slow_on_all_files_or_many_is_refused(tmp_path: Path, files: int) -> None:
    for number in range(files):
        (tmp_path / f"slow{number}").write_text("x" * 5000 + "\n", encoding="utf-8")
    if files > 1:
        (tmp_path / "quick").write_text("xxy\n", encoding="utf-8")
    opened = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(CallError, match="slow_pattern"):
        search(opened, Request("(x+x+)+y", regex=True), Budget(), use_ripgrep=False)
    os.close(opened)
