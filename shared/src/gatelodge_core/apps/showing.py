"""What a tool hands to its view: data with a structure, where the result itself is text for a model.

It goes into the result's ``_meta``, which hosts don't show to models, and only where the host declared that it shows views;
everybody else gets the very same result without it. It is subject to all that the result is: hygiene, redaction, size.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any


class Shown:
    """What was handed over in one call; all copies of its context hold the same object."""

    __slots__ = ("data",)

    def __init__(self) -> None:
        self.data: Mapping[str, Any] | None = None


_SHOWN: ContextVar[Shown | None] = ContextVar("gatelodge_shown", default=None)


def wanted() -> bool:
    """Whether this very call has a view that waits for data; a tool that has to work for them asks first."""
    return _SHOWN.get() is not None


def show(data: Mapping[str, Any]) -> None:
    """Hand data to the view of this call, in place of any before; without a view it does nothing.

    Args:
        data: JSON as it goes on the wire: texts, numbers, truth values, lists, tables.
    """
    shown = _SHOWN.get()
    if shown is not None:
        shown.data = data


@contextmanager
def showing() -> Generator[Shown]:
    """While this is entered, a call has a view."""
    shown = Shown()
    token = _SHOWN.set(shown)
    try:
        yield shown
    finally:
        _SHOWN.reset(token)
