"""GitHub's JSON is taken apart without trusting its shape."""

from __future__ import annotations

import pytest
from gatelodge_github.data import whole


@pytest.mark.parametrize(
    ("given", "found"), [(3, 3), (0, 0), (None, 7), ("3", 7), (2.5, 7), (True, 7), ([], 7), (10**30, 10**30)]
)
def test_what_is_no_whole_number_is_replaced(given: object, found: int) -> None:
    assert whole(given, 7) == found
