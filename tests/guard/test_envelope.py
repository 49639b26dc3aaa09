"""Untrusted text arrives in an envelope that it can't close."""

from __future__ import annotations

import re

import pytest
from gatelodge_core.guard import envelope
from gatelodge_core.guard.envelope import new_nonce, wrap, wrapped_note
from hypothesis import given
from hypothesis import strategies as st

NONCE = "0123456789abcdef0123456789abcdef"
_ATTACKS = st.lists(
    st.sampled_from(
        [
            NONCE,
            NONCE.upper(),
            NONCE[:16],
            NONCE[16:],
            "<",
            "</",
            "untrusted-",
            "UNTRUSTED-",
            ">",
            '"',
            "\n",
            "source=",
            "\uff1c",
            " ",
        ]
    )
    | st.text(max_size=4)
).map("".join)


@given(_ATTACKS, _ATTACKS)
def test_no_text_and_no_source_can_close_the_envelope(text: str, source: str) -> None:
    wrapped = wrap(text, source, NONCE)
    head, _, rest = wrapped.partition("\n")
    assert re.fullmatch(rf'<untrusted-{NONCE} source="[^"<>\n]*">', head)
    assert rest.endswith(f"\n</untrusted-{NONCE}>")
    assert wrapped.lower().count(NONCE) == 2
    assert len(re.findall(r"(?i)<\s*/?\s*untrusted", wrapped)) == 2


@given(st.text(alphabet=st.characters(exclude_characters="<\uff1c\ufe64\u2039\u3008\u27e8")))
def test_text_without_marks_is_inside_as_it_is(text: str) -> None:
    assert wrap(text, "a.txt").partition("\n")[2].rpartition("\n")[0] == text


def test_code_with_angle_brackets_is_untouched() -> None:
    code = "Vec<String> a < b; <div>untrusted</div>"
    assert code in wrap(code, "a.rs")


def test_each_response_has_its_own_nonce() -> None:
    assert len({new_nonce() for _ in range(100)}) == 100
    assert wrap("a", "b") != wrap("a", "b")
    assert len(new_nonce()) == 32


def test_a_nonce_that_the_text_holds_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([NONCE, "f" * 32])
    monkeypatch.setattr(envelope, "new_nonce", lambda: next(drawn))
    assert (
        wrap(f"a {NONCE.upper()} b", "c")
        == f'<untrusted-{"f" * 32} source="c">\na {NONCE.upper()} b\n</untrusted-{"f" * 32}>'
    )


def test_an_envelope_in_an_envelope_is_text() -> None:
    inner = wrap("x", "inner", "a" * 32)
    outer = wrap(inner, "outer", "b" * 32)
    assert outer.count("<untrusted") == outer.count("</untrusted") == 1


def test_a_source_is_one_short_line() -> None:
    head = wrap("x", "a\r\nb\u202e" + "c" * 1000, NONCE).splitlines()[0]
    assert 'source="a b⟦U+202E⟧cc' in head
    assert len(head) < 300


@pytest.mark.parametrize("nonce", ["", "short", "G" * 32, "a" * 65, ".*" * 16, "A" * 32])
def test_a_nonce_that_could_be_guessed_or_mean_something_is_refused(nonce: str) -> None:
    with pytest.raises(ValueError, match="nonce"):
        wrap("x", "y", nonce)


def test_the_note_names_the_marks() -> None:
    assert "<untrusted-NONCE" in wrapped_note()
    assert "\n" not in wrapped_note()
