"""Better advice than GitHub's status alone allows, where a tool knows what was asked for."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from gatelodge_core.errors import CallError


@contextmanager
def advising(hint: str, *codes: str) -> Generator[None]:
    """While this is entered, errors with these codes say what to do in the tool's own words.

    Raises:
        CallError: With the hint, for an error with one of the codes.
    """
    try:
        yield
    except CallError as error:
        if error.code not in codes:
            raise
        raise CallError(error.code, error.message, hint) from None
