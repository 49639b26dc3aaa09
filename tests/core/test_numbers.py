"""Whole numbers in texts from outside."""

from __future__ import annotations

import pytest
from gatelodge_core.numbers import whole


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("7", 7), ("007", 7), ("999999999", 999_999_999)])
def test_plain_digits_are_a_number(text: str, number: int) -> None:
    assert whole(text) == number


@pytest.mark.parametrize(
    "text", ["", "²", "1²", "٣", "\uff11", "①", "-1", "+1", " 1", "1 ", "1_0", "1.0", "x", "9" * 10, "9" * 5000]
)
def test_all_else_is_none_and_nothing_raises(text: str) -> None:
    assert whole(text) is None
