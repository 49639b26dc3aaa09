"""The canonical form: the vectors of RFC 8785, and what we add to it."""

from __future__ import annotations

import json
import math
import re
import struct

import pytest
from gatelodge_core.audit.canonical import MAX_DEPTH, CanonicalError, canonical, digest, measure, number
from hypothesis import given
from hypothesis import strategies as st

# RFC 8785, appendix B.
NUMBERS = [
    (0x0000000000000000, "0"),
    (0x8000000000000000, "0"),
    (0x0000000000000001, "5e-324"),
    (0x8000000000000001, "-5e-324"),
    (0x7FEFFFFFFFFFFFFF, "1.7976931348623157e+308"),
    (0xFFEFFFFFFFFFFFFF, "-1.7976931348623157e+308"),
    (0x4340000000000000, "9007199254740992"),
    (0xC340000000000000, "-9007199254740992"),
    (0x4430000000000000, "295147905179352830000"),
    (0x44B52D02C7E14AF5, "9.999999999999997e+22"),
    (0x44B52D02C7E14AF6, "1e+23"),
    (0x44B52D02C7E14AF7, "1.0000000000000001e+23"),
    (0x444B1AE4D6E2EF4E, "999999999999999700000"),
    (0x444B1AE4D6E2EF4F, "999999999999999900000"),
    (0x444B1AE4D6E2EF50, "1e+21"),
    (0x3EB0C6F7A0B5ED8C, "9.999999999999997e-7"),
    (0x3EB0C6F7A0B5ED8D, "0.000001"),
    (0x41B3DE4355555553, "333333333.3333332"),
    (0x41B3DE4355555554, "333333333.33333325"),
    (0x41B3DE4355555555, "333333333.3333333"),
    (0x41B3DE4355555556, "333333333.3333334"),
    (0x41B3DE4355555557, "333333333.33333343"),
    (0xBECBF647612F3696, "-0.0000033333333333333333"),
    (0x43143FF3C1CB0959, "1424953923781206.2"),
]


@pytest.mark.parametrize(("bits", "text"), NUMBERS)
def test_numbers_are_written_as_in_appendix_b(bits: int, text: str) -> None:
    (value,) = struct.unpack(">d", struct.pack(">Q", bits))
    assert number(value) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_has_no_number_form_is_refused(value: float) -> None:
    with pytest.raises(CanonicalError):
        canonical({"x": value})


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_and_has_the_shape_of_ecmascript(value: float) -> None:
    text = number(value)
    assert float(text) == value
    assert re.fullmatch(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]+)?|-?[1-9](\.[0-9]+)?e[+-][1-9][0-9]*", text)


def test_the_sample_of_section_3_2_2_gives_the_bytes_of_section_3_2_4() -> None:
    source = r"""{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }"""
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical(json.loads(source)) == expected.encode("utf-8")


def test_keys_are_sorted_by_utf_16_units_as_in_section_3_2_3() -> None:
    source = {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    }
    assert list(json.loads(canonical(source)).values()) == [
        "Carriage Return",
        "One",
        "Control",
        "Latin Small Letter O With Diaeresis",
        "Euro Sign",
        "Emoji: Grinning Face",
        "Hebrew Letter Dalet With Dagesh",
    ]


def test_equal_objects_in_another_order_have_one_digest() -> None:
    assert digest({"a": 1, "b": [1.0, {"y": None, "x": True}]}) == digest({"b": [1, {"x": True, "y": None}], "a": 1.0})


def test_true_and_1_and_the_text_1_have_three_digests() -> None:
    assert len({digest(True), digest(1), digest("1"), digest([1]), digest("true")}) == 5


def test_integers_that_a_double_would_merge_keep_their_own_digests() -> None:
    assert canonical(2**53 + 1) == b"9007199254740993"
    assert digest(2**53 + 1) != digest(2**53)
    assert canonical(-(10**400)) == b"-1" + b"0" * 400


def test_an_integer_too_long_for_python_is_refused_and_does_not_crash() -> None:
    with pytest.raises(CanonicalError):
        canonical(10**5000)


def test_a_lone_surrogate_has_a_form_that_no_other_text_has() -> None:
    undecodable = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert canonical(undecodable) == b'"caf\\udce9"'
    assert digest(undecodable) != digest("caf\\udce9")
    assert digest({"\udc80": 1}) != digest({"\udc81": 1})


def test_two_surrogates_that_make_a_character_are_that_character() -> None:
    assert canonical("\ud83d\ude00 \udc80") == '"😀 '.encode() + b'\\udc80"'


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda of: st.lists(of) | st.dictionaries(st.text(), of)
    )
)
def test_without_fractions_the_form_reads_back_as_the_value(value: object) -> None:
    form = canonical(value)
    assert json.loads(form) == value
    assert canonical(json.loads(form)) == form


@pytest.mark.parametrize(
    "value", [{1: "a"}, {None: 1}, {"é": 1, 2: 3}, {"a": 1, 2: 3}, object(), b"bytes", {"a": {1, 2}}]
)
def test_what_json_does_not_know_is_refused(value: object) -> None:
    with pytest.raises(CanonicalError):
        canonical(value)


def test_nesting_is_bounded() -> None:
    deep: list[object] = []
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    canonical(deep)
    for _ in range(2_000):
        deep = [deep]
    with pytest.raises(CanonicalError):
        canonical(deep)


def test_a_measure_is_the_size_of_the_form() -> None:
    assert measure({"a": "é"}).size == len(b'{"a":"\xc3\xa9"}')
