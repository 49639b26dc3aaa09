"""What a person is shown of a call: no text of a caller leaves its margin, hides, or looks like our own words."""

from __future__ import annotations

import pytest
from gatelodge_core.cli.approve_view import MARGIN, ON, OURS, called, columns, effect, first_line, heading, plain
from gatelodge_core.store.approvals import Approval
from hypothesis import example, given
from hypothesis import strategies as st

ANY = st.text(st.characters(codec=None), max_size=400)  # lone surrogates too
TRICKS = [
    "\x1b[2J\x1b[HLet it happen, once?", "a\rb", "a\x08\x08b", "\u202eevil\u2066", "\u200b\u200d\ufeff\u2060", "\x00\x07",
    "\u2028next\u2029", "\x85next", "\ud800", "\u3164\u2800\u115f", "e" + "\u0301" * 50, "\U000e0041\U000e0042", "\u00ad",
    "\xa0\u2003\u3000x", "fo\u034fo", "a\ufe0fb", "a\U000e0101b", "a\ufe00b", "\u1820\u180bb",
]  # fmt: skip


@given(ANY, st.integers(20, 200))
@example("x" * 500, 20)
@example("\u4e2d" * 100, 21)
@example("\n".join(TRICKS), 80)
def test_every_line_stands_behind_a_margin_and_within_the_screen(text: str, width: int) -> None:
    for line in effect(text, width):
        assert line.text.startswith((MARGIN.rstrip(), ON, OURS))
        assert line.text.isprintable()
        assert sum(map(columns, line.text)) <= max(width, 20 + len(MARGIN))


@given(ANY)
def test_nothing_that_is_to_be_judged_is_lost(text: str) -> None:
    shown = "".join(
        line.text[len(MARGIN) :] for line in effect(text, 40) if not line.text.startswith(OURS) and line.text != "  |"
    )
    assert shown == "".join(plain(line) for line in text.split("\n") if line.strip())


@pytest.mark.parametrize("trick", TRICKS)
def test_what_can_not_be_seen_is_escaped(trick: str) -> None:
    shown = plain(trick)
    assert shown.isprintable()
    assert "\\" in shown
    assert not set(shown) & set("\x1b\r\x08\u202e\u2066\u200b\u200d\ufeff\x00\u2028\x85\u3164\u2800\u00ad\xa0")


def test_what_people_write_stays_as_it_is() -> None:
    for text in ("naïve café", "נתונים", "日本語", "e\u0301t\u00e9", "हिन्दी", "+ added\t→ 5 €", "👍", "❤\ufe0f"):
        assert plain(text).replace("    ", "\t").replace("  ", "\t") == text or plain(text) == text.expandtabs(4)


@pytest.mark.parametrize("text", ["❤\ufe0f" * 60, "☁\ufe0f☁" * 60, "🇫🇷" * 60, "🇫" * 60])
def test_pictures_that_a_terminal_may_give_two_columns_never_pass_the_edge(text: str) -> None:
    # Past it the terminal breaks the line itself, and what follows begins a line without a margin.
    for line in effect(text, 40):
        wide = sum(2 if char in "❤☁🇫🇷" else 0 for char in line.text if char != "\ufe0f")
        plain_clouds = line.text.count("☁") - line.text.count("☁\ufe0f")
        assert len(MARGIN) + wide - plain_clouds <= 40


def test_many_empty_lines_are_counted_instead_of_shown() -> None:
    shown = [line.text for line in effect("a\n\n\nb" + "\n" * 500 + "c\n\n\n", 80)]
    assert shown == ["  | a", "  |", "  |", "  | b", "  ~ 499 empty lines", "  | c"]


def test_a_name_can_not_pose_as_our_words() -> None:
    name = "x, 9:59 left\n\nNothing waits for approval.\x1b[8m" + "y" * 200
    approval = Approval("BCDF-2345", "b", "toy", name, name, "", "parked", 0.0)
    told = called(approval)
    assert "\n" not in told
    assert "\x1b" not in told
    assert len(told) < 200
    lines = heading(told, 60)
    assert [line.text[:4] for line in lines[1:]] == [ON] * (len(lines) - 1)
    assert first_line("\n\n  \n\x1b[31mred\nmore", 80) == "\\x1b[31mred"
