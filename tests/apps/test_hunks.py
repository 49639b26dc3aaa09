"""Hunks: any of them, made by the edits that the view sends back, give the file that the preview showed for them."""

from __future__ import annotations

import difflib
import itertools
import random
from typing import Any

import pytest
from gatelodge_core.errors import CallError
from gatelodge_filesystem.edits import Edit, apply
from gatelodge_filesystem.encoding import UTF8, Encoding, detect
from gatelodge_filesystem.hunks import MAX_CHARACTERS, shown_hunks


def made(old: bytes, hunks: list[dict[str, Any]], encoding: Encoding = UTF8) -> bytes:
    edits = [Edit(**edit) for hunk in hunks for edit in hunk["edits"]]
    return apply(old, edits, encoding).data if edits else old


def lines(*changes: tuple[int, str], count: int = 60, end: str = "\n") -> bytes:
    table = {number: f"line {number}{end}" for number in range(1, count + 1)}
    return "".join((table | dict(changes)).values()).encode()


def test_each_hunk_alone_changes_its_lines_and_no_others() -> None:
    changes = [(5, "five\n"), (20, ""), (40, "line 40\nand more\n"), (60, "the end\n")]
    old, new = lines(), lines(*changes)
    shown = shown_hunks(old, new, UTF8)
    assert (shown["whole"], shown["left"], len(shown["hunks"])) == ("", 0, 4)
    for size in range(1, 5):
        for chosen in itertools.combinations(range(4), size):
            expected = lines(*(changes[at] for at in chosen))
            assert made(old, [shown["hunks"][at] for at in chosen]) == expected


@pytest.mark.parametrize("seed", range(60))
def test_all_hunks_together_give_the_new_version_or_say_that_they_cannot(seed: int) -> None:
    dice = random.Random(seed)
    end = dice.choice(["\n", "\r\n"])
    old = [f"{dice.choice('abc')}{end}" for _ in range(dice.randrange(0, 50))]
    new = list(old)
    for _ in range(dice.randrange(1, 6)):
        at = dice.randrange(len(new) + 1)
        new[at : at + dice.randrange(3)] = [f"{dice.choice('abcde')}{end}" for _ in range(dice.randrange(3))]
    before, after = ("".join(text).encode() for text in (old, new))
    if dice.random() < 0.3:
        after = after.removesuffix(end.encode())
    shown = shown_hunks(before, after, UTF8)
    if shown["whole"]:
        assert before == after or not shown["hunks"] or _differs(before, shown, after)
        return
    assert made(before, shown["hunks"]) == after
    # Any part of them can be made, too, and nothing else changes.
    chosen = [hunk for hunk in shown["hunks"] if dice.random() < 0.5]
    part = made(before, chosen).decode().splitlines()
    matcher = difflib.SequenceMatcher(None, before.decode().splitlines(), part, autojunk=False)
    assert sum(code[0] != "equal" for code in matcher.get_opcodes()) <= sum(len(hunk["edits"]) for hunk in chosen)


def _differs(before: bytes, shown: dict[str, Any], after: bytes) -> bool:
    try:
        return made(before, shown["hunks"]) != after
    except CallError:
        return True


def test_a_change_of_line_ends_is_shown_and_can_only_be_made_whole() -> None:
    shown = shown_hunks(lines(), lines(end="\r\n"), UTF8)
    assert shown["hunks"]
    assert "line ends" in shown["whole"]


@pytest.mark.parametrize("codec", ["utf-16-le", "latin-1", "utf-8"])
def test_other_encodings_and_marks_of_byte_order_survive(codec: str) -> None:
    mark = "\ufeff".encode(codec) if codec != "latin-1" else b""
    old, new = (mark + f"één\r\n{word}\r\ndrié\r\n".encode(codec) for word in ("twee", "twéé"))
    encoding = detect(old, whole=True)
    shown = shown_hunks(old, new, encoding)
    assert shown["whole"] == ""
    assert made(old, shown["hunks"], encoding) == new


def test_a_change_that_is_too_much_to_show_says_how_much_is_left_and_offers_nothing() -> None:
    old = lines(count=2000)
    new = lines(*((number, "x" * 2000 + "\n") for number in range(10, 2000, 10)), count=2000)
    shown = shown_hunks(old, new, UTF8)
    assert shown["left"] > 0
    assert shown["whole"]
    assert sum(len(line[3]) for hunk in shown["hunks"] for line in hunk["lines"]) <= MAX_CHARACTERS


def test_lines_that_are_too_many_to_compare_are_told_of() -> None:
    shown = shown_hunks(lines(count=5000), lines(count=5000).upper(), UTF8)
    assert (shown["hunks"], shown["whole"]) == ([], "too many lines to compare")


def test_nothing_changed_is_no_hunk() -> None:
    assert shown_hunks(b"x\n", b"x\n", UTF8)["whole"] == "nothing changes"
