"""A test needs something that ``install.py`` fetches."""

from __future__ import annotations

import os

import pytest

from tests.github.install import lacking


def need(*names: str) -> None:
    """Skip the running test, and say why, if files or packages aren't installed; in CI nothing may be missing."""
    if why := lacking(*names):
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
