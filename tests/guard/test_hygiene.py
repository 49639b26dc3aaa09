# ruff: noqa: RUF001 - letters of other scripts are the subject
"""What can't be seen is made visible, and ordinary text comes back byte for byte."""

from __future__ import annotations

import re
import sysconfig
import unicodedata
from pathlib import Path

import pytest
from gatelodge_core.guard.hygiene import hides_something, visible
from hypothesis import given
from hypothesis import strategies as st

_TRICKS = "\u200b\u200c\u200d\u200e\u200f\u202e\u2066\u00ad\ufe0f\ufe00\U000e0100\U000e0041\x1b\x9b\x00\u2060\ufeff"
_BASES = "aא ب葛😀❤1क\u094d🏴\u20e3ก\n⟦x"
TEXTS = st.text() | st.text(alphabet=_TRICKS + _BASES) | st.text(alphabet=st.characters(categories=["Cf", "Cc", "Mn"]))


def tags(text: str) -> str:
    return "".join(chr(0xE0000 + ord(char)) for char in text)


ORDINARY = {
    "generics": "let a: Vec<String> = vec![]; a << 2; x->y && z",
    "white space": "a\tb\r\nc\rd\n\x0ce \u00a0\u2009\u3000\u2028",
    "family": "👨\u200d👩\u200d👧\u200d👦",
    "skin tone and profession": "👩🏽\u200d🚒 👋🏿",
    "couple with two tones": "🧑🏿\u200d🤝\u200d🧑🏻 👩\u200d❤️\u200d💋\u200d👨",
    "rainbow and pirate flags": "🏳️\u200d🌈 🏴\u200d☠️",
    "flags of letters": "🇩🇪🇫🇷",
    "flag of England": "🏴" + tags("gbeng") + "\U000e007f",
    "flag of Scotland": "🏴" + tags("gbsct") + "\U000e007f!",
    "keycaps": "1\ufe0f\u20e3 #\ufe0f\u20e3 *\ufe0f\u20e3",
    "emoji and text presentation": "❤\ufe0f ☎\ufe0e ©\ufe0f ↔\ufe0f ⚠\ufe0f",
    "eye in speech bubble": "👁\ufe0f\u200d🗨\ufe0f",
    "Persian": "می\u200cخواهم کتاب\u200cها را",
    "Arabic with marks": "السَّلَامُ عَلَيْكُم ه\u200d",
    "Hebrew": "שָׁלוֹם עולם\u200f.",
    "Hindi": "क्\u200dष क्\u200cष",
    "Bengali": "র\u200d্য",
    "Sinhala": "ශ්\u200dරී",
    "Thai with break marks": "สวัสดี\u200bครับ",
    "Khmer": "ភាសា\u200bខ្មែរ",
    "Mongolian": "ᠮᠣᠩᠭᠣᠯ\u180e",
    "ideographic variation": "葛\U000e0100城 辻\U000e0101",
    "mathematical variation": "≨\ufe00 ∩\ufe00",
    "soft hyphen within a word": "Donau\u00addampf\u00adschiff",
    "byte order mark": "\ufeffint main",
    "combining marks": "e\u0301 Zalgo\u0335\u0321",
    "Chinese, Japanese, Korean": "汉字 かな 한국어 ｶﾞ",
    "brackets like our own": "⟦x⟧ ⟦U+202E⟧",
}
ORDINARY["Mongolian"] = "ᠬᠠᠷ\u180eᠠ"


@pytest.mark.parametrize("text", ORDINARY.values(), ids=ORDINARY.keys())
def test_ordinary_text_comes_back_as_the_same_object(text: str) -> None:
    shown, count = visible(text)
    assert shown is text
    assert count == 0


SHOWN = {
    "bidirectional override": ("a\u202eb", "a⟦U+202E⟧b", 1),
    "isolate in code": ("if x \u2066# c\u2069", "if x ⟦U+2066⟧# c⟦U+2069⟧", 2),
    "embedding in Hebrew": ("א\u202bב\u202c", "א⟦U+202B⟧ב⟦U+202C⟧", 2),
    "direction mark in Latin": ("abc\u200edef", "abc⟦U+200E⟧def", 1),
    "zero width space in Latin": ("pass\u200bword", "pass⟦U+200B⟧word", 1),
    "joiners as bits": ("a\u200c\u200d\u200c", "a⟦U+200C⟧⟦U+200D⟧⟦U+200C⟧", 3),
    "non-joiner in Latin": ("Auf\u200clage", "Auf⟦U+200C⟧lage", 1),
    "word joiner": ("a\u2060b", "a⟦U+2060⟧b", 1),
    "run of one character": ("a" + "\u200b" * 9 + "b", "a⟦U+200B x9⟧b", 9),
    "soft hyphen outside a word": ("a \u00ad b", "a ⟦U+00AD⟧ b", 1),
    "soft hyphens between letters": ("i\u00adg\u00adn", "i⟦U+00AD⟧g⟦U+00AD⟧n", 2),
    "tag characters": ("hi" + tags("run"), "hi⟦U+E0072⟧⟦U+E0075⟧⟦U+E006E⟧", 3),
    "tag characters behind a flag": ("🏴" + tags("no"), "🏴⟦U+E006E⟧⟦U+E006F⟧", 2),
    "tag characters behind a complete flag": (
        "🏴" + tags("gbeng") + "\U000e007f" + tags("x"),
        "🏴" + tags("gbeng") + "\U000e007f⟦U+E0078⟧",
        1,
    ),
    "bytes in variation selectors": ("😀\U000e0158\U000e0159", "😀⟦U+E0158⟧⟦U+E0159⟧", 2),
    "bytes behind an ideograph": ("葛\U000e0100\U000e0101", "葛\U000e0100⟦U+E0101⟧", 1),
    "selector after a letter": ("a\ufe0f", "a⟦U+FE0F⟧", 1),
    "second selector": ("❤\ufe0f\ufe0f", "❤\ufe0f⟦U+FE0F⟧", 1),
    "selector after a digit alone": ("1\ufe0f2", "1⟦U+FE0F⟧2", 1),
    "colour": ("\x1b[31mred\x1b[0m", "⟦ESC⟧[31mred⟦ESC⟧[0m", 2),
    "hyperlink (OSC 8)": ("\x1b]8;;http://x\x07y", "⟦ESC⟧]8;;http://x⟦U+0007⟧y", 2),
    "clipboard (OSC 52)": ("\x1b]52;c;YQ==\x1b\\", "⟦ESC⟧]52;c;YQ==⟦ESC⟧\\", 2),
    "device control string": ("\x1bP1$r\x1b\\", "⟦ESC⟧P1$r⟦ESC⟧\\", 2),
    "eight-bit CSI": ("\x9b2J", "⟦U+009B⟧2J", 1),
    "backspaces": ("rm\x08\x08ls", "rm⟦U+0008 x2⟧ls", 2),
    "NUL": ("a\x00b", "a⟦U+0000⟧b", 1),
    "byte order mark within": ("a\ufeffb", "a⟦U+FEFF⟧b", 1),
    "hangul filler": ("\u3164", "⟦U+3164⟧", 1),
    "invisible operator": ("f\u2061(x)", "f⟦U+2061⟧(x)", 1),
}


@pytest.mark.parametrize(("text", "shown", "count"), SHOWN.values(), ids=SHOWN.keys())
def test_hidden_characters_are_shown_and_counted(text: str, shown: str, count: int) -> None:
    assert visible(text) == (shown, count)


@given(TEXTS)
def test_showing_twice_changes_nothing_more(text: str) -> None:
    shown, _ = visible(text)
    again, count = visible(shown)
    assert again is shown
    assert count == 0


@given(TEXTS)
def test_nothing_is_deleted(text: str) -> None:
    def restored(match: re.Match[str]) -> str:
        char = "\x1b" if match[1] == "ESC" else chr(int(match[2], 16))
        return char * int(match[3] or 1)

    if "⟦" not in text:
        assert re.sub(r"⟦(ESC|U\+([0-9A-F]+))(?: x(\d+))?⟧", restored, visible(text)[0]) == text


@given(st.text())
def test_no_control_that_turns_text_or_moves_a_cursor_gets_through(text: str) -> None:
    shown, _ = visible(text)
    assert not re.search("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)


def test_every_format_character_between_latin_letters_is_shown() -> None:
    visible_ones = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, *range(0x13430, 0x13460)}
    for code in range(0x110000):
        if unicodedata.category(chr(code)) == "Cf" and code not in visible_ones:
            assert visible(f"a{chr(code)}b")[1] == 1, hex(code)


def test_the_standard_library_is_ordinary_text() -> None:
    folder = Path(sysconfig.get_path("stdlib"))
    changed: set[str] = set()
    for path in [*folder.glob("*.py"), *folder.glob("[a-s]*/*.py")]:
        text = path.read_text(encoding="utf-8", errors="ignore")
        if visible(text)[1]:
            changed.add(str(path.relative_to(folder)))
    assert not {name for name in changed if not name.startswith(("test/", "lib2to3/", "idlelib/"))}


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_the_quick_look_agrees_with_the_long_one(text: str) -> None:
    assert hides_something(text) == hides_something(text + "é")
